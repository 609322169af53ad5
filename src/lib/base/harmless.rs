//! Makes text from other programs harmless for a terminal: characters that could control the terminal, or change how a
//! line reads, are replaced by escapes.

use std::fmt::Write;

/// Whether `c` controls a terminal instead of being shown: a control character, or one that changes the direction of
/// writing.
pub fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `text` with each character that [`steers`] escaped; line ends and tabs stay.
pub fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => out.push(c),
            c if steers(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out
}

/// `text` without control characters, as a message may contain it; line ends and tabs stay.
pub(crate) fn without_controls(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}

/// `text`, which is JSON on one line, with each character that [`steers`] escaped. Such characters occur only in
/// strings, where the escape means the same.
pub(crate) fn harmless_json(text: String) -> String {
    if !text.chars().any(steers) {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) {
            // Each is in the basic multilingual plane, so that four digits are enough. Writing to a String can't fail.
            let _ = write!(out, "\\u{:04x}", c as u32);
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_is_escaped_and_json_stays_what_it_was() {
        assert_eq!(harmless("a\nb\tc\u{1b}[31m\u{9b}\u{202e}é"), "a\nb\tc\\u{1b}[31m\\u{9b}\\u{202e}é");
        let value = serde_json::json!({"a": "x\u{1b}\u{7f}\u{9b}2J\u{2066}y\n"});
        let text = harmless_json(value.to_string());
        assert!(!text.chars().any(steers), "{text:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }
}
