//! Quoting arbitrary text for tmux's two languages: formats, and the words of a command.

use std::ffi::OsString;

/// `text` escaped for a format, so that it comes out unchanged: `#` begins a format, and `%` one of strftime's where
/// `timed`. Hash signs before a `[` stay as they are: tmux takes them for a style, which it does not change.
pub(crate) fn format_escaped(text: &str, timed: Timed) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let run = rest.len() - rest.trim_start_matches('#').len();
        if run > 0 {
            let copies = if rest[run..].starts_with('[') { run } else { 2 * run };
            out.extend(std::iter::repeat_n('#', copies));
            rest = &rest[run..];
            continue;
        }
        if c == '%' && timed == Timed::Yes {
            out.push('%');
        }
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    out
}

/// Whether tmux expands a format by strftime too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timed {
    Yes,
    No,
}

/// `word` with a `;` at its end escaped: tmux would take it for the end of the command.
pub(crate) fn escape_semicolon(word: &OsString) -> OsString {
    match word.to_str().and_then(|text| text.strip_suffix(';')) {
        Some(start) => format!("{start}\\;").into(),
        None => word.clone(),
    }
}

/// Quoted for tmux's own command parser: in double quotes, where `"`, `\`, `$` and `~` are escaped.
pub(crate) fn tmux_quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        if matches!(c, '"' | '\\' | '$' | '~') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_as_a_table() {
        for (text, plain, timed) in [
            ("a b", "a b", "a b"),
            ("#", "##", "##"),
            ("a##b", "a####b", "a####b"),
            ("#{pid}#(id)", "##{pid}##(id)", "##{pid}##(id)"),
            ("x#[y]##[z", "x#[y]##[z", "x#[y]##[z"),
            ("100%d", "100%d", "100%%d"),
            ("é#é%", "é##é%", "é##é%%"),
        ] {
            assert_eq!(format_escaped(text, Timed::No), plain, "{text:?}");
            assert_eq!(format_escaped(text, Timed::Yes), timed, "{text:?}");
        }
    }

    #[test]
    fn a_semicolon_at_the_end_of_a_word_belongs_to_it() {
        let word = |text: &str| escape_semicolon(&OsString::from(text));
        assert_eq!((word(";"), word("a;"), word("a;b")), ("\\;".into(), "a\\;".into(), "a;b".into()));
    }
}
