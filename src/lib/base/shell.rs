//! Words of command lines, written as a shell reads them.

use std::path::Path;

/// `word` in single quotes: a shell takes it for one word, unchanged.
pub(crate) fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// A word of a command that is shown to people: quoted only where a shell needs the quotes. A backtick, which ends the
/// command in a text that has commands between backticks, is written as an escape that printf prints.
pub(crate) fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@:,=".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    quoted(text).replace('`', "'\"$(printf '\\140')\"'")
}

/// [`word`] of a path.
pub(crate) fn path(path: &Path) -> String {
    word(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_they_must_be() {
        assert_eq!(quoted("/a b/it's"), r"'/a b/it'\''s'");
        assert_eq!((word("/a/b-c_d.e"), word("a b"), word("")), ("/a/b-c_d.e".into(), "'a b'".into(), "''".into()));
    }
}
