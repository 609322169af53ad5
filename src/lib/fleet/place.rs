//! The line and column of a value in a fleet file, for errors.

use crate::fleet::error::FleetError;
use std::ops::Range;
use std::path::PathBuf;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The text of a fleet file, for errors that point into it.
#[derive(Debug)]
pub(crate) struct Places {
    path: PathBuf,
    text: String,
}

impl Places {
    pub(crate) fn new(path: PathBuf, text: String) -> Places {
        Places { path, text }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// An error at the key that `keys` lead to, or at the nearest table around it.
    pub(crate) fn wrong(&self, keys: &[&str], why: impl Into<String>) -> FleetError {
        let span = DeTable::parse(&self.text).map(|table| find(&table, keys)).unwrap_or(0..0);
        self.wrong_at(span.start, why)
    }

    /// An error at a byte of the text.
    pub(crate) fn wrong_at(&self, byte: usize, why: impl Into<String>) -> FleetError {
        let (line, column) = position(&self.text, byte);
        FleetError::Wrong { path: self.path.clone(), line, column, why: why.into() }
    }

    /// An error of the parser, at its place in the file.
    pub(crate) fn parse_error(&self, error: &toml::de::Error) -> FleetError {
        let why = error.message().lines().collect::<Vec<_>>().join(", ");
        self.wrong_at(error.span().map_or(0, |span| span.start), with_guess(why))
    }
}

/// The span of the key that `keys` lead to in the table `root`, or of the last of the keys that exists.
fn find(root: &Spanned<DeTable<'_>>, keys: &[&str]) -> Range<usize> {
    let (mut table, mut span) = (Some(root.get_ref()), 0..0);
    for key in keys {
        let Some((name, value)) = table.and_then(|table| table.get_key_value(*key)) else { break };
        span = name.span();
        table = match value.get_ref() {
            DeValue::Table(inner) => Some(inner),
            _ => None,
        };
    }
    span
}

/// Line and column of a byte, both from 1; columns count characters.
fn position(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

/// Adds the key that was probably meant: "unknown field `descripton`, expected one of `description`, …".
fn with_guess(why: String) -> String {
    let Some((head, expected)) = why.split_once(", expected ") else { return why };
    let Some(found) = head.strip_prefix("unknown field `").and_then(|rest| rest.strip_suffix('`')) else { return why };
    let known = expected.split('`').skip(1).step_by(2);
    match known.map(|key| (distance(found, key), key)).min() {
        Some((far, key)) if far <= 2 => format!("unknown key `{found}`: did you mean `{key}`?"),
        _ => format!("unknown key `{found}`: there are {}", expected.trim_start_matches("one of ").replace('`', "")),
    }
}

/// How many letters have to be added, removed or changed to make one word of the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let next = (corner + usize::from(x != *y)).min(row[j] + 1).min(row[j + 1] + 1);
            corner = std::mem::replace(&mut row[j + 1], next);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_guesses() {
        let text = "# ä\n[peers.bob]\nruntime = \"x\"\n\n[peers.\"al\"]\nlimits = { memory_max = 1 }\n";
        let places = Places::new("f.toml".into(), text.into());
        for (keys, at) in [
            (vec!["peers", "bob", "runtime"], "f.toml:3:1: no"),
            (vec!["peers", "bob", "role"], "f.toml:2:8: no"),
            (vec!["peers", "al", "limits", "memory_max"], "f.toml:6:12: no"),
            (vec!["nothing"], "f.toml:1:1: no"),
        ] {
            assert_eq!(places.wrong(&keys, "no").to_string(), at, "{keys:?}");
        }
        assert_eq!(position("ä=1\nbc", 6), (2, 2));
        assert_eq!(distance("runtme", "runtime"), 1);
        assert_eq!(
            with_guess("unknown field `rolle`, expected one of `role`, `args`".into()),
            "unknown key `rolle`: did you mean `role`?"
        );
    }
}
