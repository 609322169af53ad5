//! The composer of an agent program: where it is on the screen, and what is in it.

use super::keys::one_or_more;
use super::styled::Row;
use serde::{Deserialize, Deserializer};

/// How the composer is found. In a manifest a mere text is its `prefix`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Composer {
    /// Texts with one of which its first row begins, the space after the glyph included. Empty where it has no glyph:
    /// then `above` and `below` tell where it is.
    #[serde(deserialize_with = "one_or_more")]
    pub prefix: Vec<String>,
    /// Whether blanks may precede the prefix.
    #[serde(default)]
    pub indented: bool,
    /// The text with which the row above it begins, after blanks.
    #[serde(default)]
    pub above: Option<String>,
    /// The text with which the row below it begins, after blanks.
    #[serde(default)]
    pub below: Option<String>,
    /// Whether each of its rows begins with the prefix, as with the side of a box.
    #[serde(default)]
    pub framed: bool,
    /// How many rows at its end, blank ones not counted, are the program's own words and not part of a draft.
    #[serde(default)]
    pub footer: usize,
}

/// What is in the composer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Draft {
    /// Nothing but ghost text.
    Empty,
    /// A mark that stands for a long paste.
    Paste(String),
    /// Text, its rows joined by LF.
    Text(String),
}

/// Where the composer is on one screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spot {
    /// Its first row.
    pub(super) first: usize,
    /// The row after its last one, where `below` determines it.
    end: Option<usize>,
    /// The column at which its text begins.
    column: usize,
}

impl Spot {
    /// The composer's rows and all below them, without ghost text.
    pub(super) fn and_below(&self, rows: &[Row]) -> Vec<String> {
        rows[self.first..].iter().map(|row| row.solid(self.column).trim_end().to_owned()).collect()
    }
}

/// How many columns a composer may leave free at its right.
const MARGIN: usize = 4;

/// A composer's rule, or only its prefix.
pub(super) fn rule_or_prefix<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Composer, D::Error> {
    match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(prefix) => Ok(Composer { prefix: vec![prefix], ..Composer::default() }),
        rule => serde_json::from_value(rule).map_err(serde::de::Error::custom),
    }
}

impl Composer {
    /// The bottom-most composer in `rows`.
    pub(super) fn find(&self, rows: &[Row]) -> Option<Spot> {
        let texts: Vec<String> = rows.iter().map(|row| row.text().trim_end().to_owned()).collect();
        let Some(below) = &self.below else {
            return (0..rows.len()).rev().find_map(|first| {
                let column = self.column(&texts[first])?;
                self.has_above(&texts, first).then_some(Spot { first, end: None, column })
            });
        };
        let ends = (1..rows.len()).rev().filter(|end| texts[*end].trim_start().starts_with(below.as_str()));
        ends.into_iter().find_map(|end| {
            let first = self.first_above(&texts, end)?;
            Some(Spot { first, end: Some(end), column: self.column(&texts[first])? })
        })
    }

    /// The first row of the composer that ends above the row `end`.
    fn first_above(&self, texts: &[String], end: usize) -> Option<usize> {
        if self.framed {
            let column = self.column(&texts[end - 1])?;
            let rows = (0..end).rev().take_while(|at| self.column(&texts[*at]) == Some(column));
            return rows.last().filter(|first| self.has_above(texts, *first));
        }
        let candidates = (0..end).rev().take_while(|at| *at + 1 == end || !self.is_below(&texts[*at + 1]));
        candidates.into_iter().find(|at| self.column(&texts[*at]).is_some() && self.has_above(texts, *at))
    }

    fn is_below(&self, text: &str) -> bool {
        self.below.as_ref().is_some_and(|below| text.trim_start().starts_with(below.as_str()))
    }

    fn has_above(&self, texts: &[String], first: usize) -> bool {
        let Some(above) = &self.above else { return true };
        first.checked_sub(1).is_some_and(|at| texts[at].trim_start().starts_with(above.as_str()))
    }

    /// The column at which the text of a composer begins whose first row is `text`; `None` where `text` is no such row.
    fn column(&self, text: &str) -> Option<usize> {
        let inner = if self.indented { text.trim_start() } else { text };
        let before = text.chars().count() - inner.chars().count();
        self.prefix.iter().find_map(|prefix| {
            // Trailing blanks are cut by tmux, so an empty composer may lack the space after its glyph.
            let bare = !prefix.trim_end().is_empty() && inner.trim_end() == prefix.trim_end();
            (bare || inner.starts_with(prefix.as_str())).then(|| before + prefix.chars().count())
        })
    }

    /// The rows of the draft that stands at `spot`.
    fn rows<'r>(&self, spot: &Spot, rows: &'r [Row]) -> &'r [Row] {
        let Some(end) = spot.end else {
            let rest = rows[spot.first + 1..].iter().take_while(|row| is_continuation(row)).count();
            return &rows[spot.first..=spot.first + rest];
        };
        let mut own = &rows[spot.first..end];
        for _ in 0..self.footer {
            let Some(last) = own.iter().rposition(|row| !is_blank(row, spot.column)) else { break };
            own = &own[..last];
        }
        own
    }

    /// What is in the composer at `spot`. `paste_marks`: texts that the program shows there in place of a long paste.
    pub(super) fn draft(&self, spot: &Spot, rows: &[Row], paste_marks: &[String]) -> Draft {
        let rows = self.rows(spot, rows).iter().map(|row| row.solid(spot.column).trim_end().to_owned());
        let text = rows.collect::<Vec<_>>().join("\n").trim().to_owned();
        if text.is_empty() {
            return Draft::Empty;
        }
        match paste_marks.iter().any(|mark| text.contains(mark.as_str())) {
            true => Draft::Paste(text),
            false => Draft::Text(text),
        }
    }

    /// The draft at `spot` as its person wrote it: with its blank lines, and without the line breaks that the
    /// composer's width causes on a screen of `width` columns. `None` where the screen does not tell where the draft
    /// ends.
    pub(super) fn whole_draft(&self, spot: &Spot, rows: &[Row], width: usize) -> Option<String> {
        let own = match spot.end {
            Some(_) => self.rows(spot, rows),
            None => {
                let rest = &rows[spot.first + 1..];
                let end = match rest.iter().position(is_rule) {
                    Some(end) => end,
                    None => {
                        // Without a line drawn below the composer, the text after a blank row may be the footer.
                        let end = rest.iter().position(|row| !is_continuation(row)).unwrap_or(rest.len());
                        let beyond = rest[end..].iter().filter(|row| !row.text().trim().is_empty()).count();
                        if beyond > 1 {
                            return None;
                        }
                        end
                    }
                };
                &rows[spot.first..=spot.first + end]
            }
        };
        let lines: Vec<String> = own.iter().map(|row| row.solid(spot.column).trim_end().to_owned()).collect();
        let text = unwrap(&lines, width.saturating_sub(spot.column + MARGIN));
        Some(text.trim_end().trim_start_matches('\n').to_owned())
    }

    /// The draft at `spot` where the rows of `footer` stand below it, as its person wrote it. `None` where none of them does.
    pub(super) fn draft_above(&self, spot: &Spot, rows: &[Row], footer: &[String], width: usize) -> Option<String> {
        // Only the left part of a footer row is compared, since the program may change what is at its right.
        let start = |row: &String| row.trim().split("   ").next().filter(|text| !text.is_empty()).map(str::to_owned);
        let footer: Vec<String> = footer.iter().filter_map(start).collect();
        let mut lines = spot.and_below(rows);
        let end = lines.iter().skip(1).position(|row| start(row).is_some_and(|row| footer.contains(&row)))?;
        lines.truncate(end + 1);
        Some(unwrap(&lines, width.saturating_sub(spot.column + MARGIN)).trim_end().to_owned())
    }

    /// Whether the row `text` at `spot` is a menu's numbered option: Codex marks both with one glyph.
    pub(super) fn is_option(&self, spot: &Spot, text: &str) -> bool {
        let rest: String = text.chars().skip(spot.column).collect();
        let digits = rest.chars().take_while(char::is_ascii_digit).count();
        digits > 0 && rest[digits..].starts_with(". ")
    }
}

fn is_blank(row: &Row, column: usize) -> bool {
    row.text().chars().skip(column).all(char::is_whitespace)
}

/// Whether `row` belongs to a composer that begins above it: further rows are indented; a drawn line or a footer ends
/// the composer. A blank row may be part of a draft, but one draft row is enough to know that there is a draft.
fn is_continuation(row: &Row) -> bool {
    let text = row.text();
    text.starts_with("  ") && !text.trim().is_empty()
}

/// Whether a row is a line drawn across the screen.
fn is_rule(row: &Row) -> bool {
    let text = row.text();
    let text = text.trim();
    text.chars().count() > 5 && text.chars().all(|c| matches!(c, '─' | '━' | '═' | '╰' | '╯'))
}

/// Joins rows that were broken because the next word had no room in `columns`.
fn unwrap(rows: &[String], columns: usize) -> String {
    let mut out = String::new();
    for (n, row) in rows.iter().enumerate() {
        let before = n.checked_sub(1).map(|n| rows[n].chars().count()).unwrap_or_default();
        let word = row.split(' ').next().unwrap_or_default().chars().count();
        let broken = columns > 0 && word > 0 && before + 1 + word > columns;
        match (n, broken) {
            (0, _) => {}
            // The row before is longer than `columns`: it was broken within a word.
            (_, true) if before > columns => {}
            (_, true) => out.push(' '),
            (_, false) => out.push('\n'),
        }
        out.push_str(row);
    }
    out
}
