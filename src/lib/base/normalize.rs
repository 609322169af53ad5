//! Turns folder names into peer names: symbols, transliteration, slug. The result is the same on every system, since
//! the tables are part of the programs and the system's iconv is not used.

use crate::base::identity::{NameError, Personality};
use std::sync::OnceLock;

/// Longest name, in characters.
const MAX: usize = 32;

/// Symbols that mean a word: `№2` becomes `no-2`.
const SYMBOLS: &[(char, &str)] = &[('№', "No.")];

/// The function that [`normalize`] calls for a text that is not ASCII.
static OTHER_SCRIPTS: OnceLock<fn(&str) -> String> = OnceLock::new();

/// Sets the function that makes the slug of a text that is not ASCII: [`by_table`], or one that asks a program which
/// has the table. The table takes half a megabyte, and is linked only into a program that calls [`by_table`]. The first
/// call counts; before that call, a text that is not ASCII gives an empty slug.
pub(crate) fn other_scripts(by: fn(&str) -> String) {
    // Only a second call fails.
    let _ = OTHER_SCRIPTS.set(by);
}

/// The slug of `text`: lower-case ASCII letters, digits and single dashes, at most 32 characters. Nothing is invented:
/// a leading digit stays, and a text without letters or digits gives an empty slug.
pub(crate) fn normalize(text: &str) -> String {
    match OTHER_SCRIPTS.get() {
        _ if text.is_ascii() => slug(text),
        Some(by) => by(text),
        #[cfg(test)]
        None => by_table(text),
        #[cfg(not(test))]
        None => String::new(),
    }
}

/// [`normalize`] by the table of transliterations, for any script.
pub(crate) fn by_table(text: &str) -> String {
    slug(&transliterate(text))
}

fn slug(ascii: &str) -> String {
    let mut slug = String::new();
    for c in ascii.chars() {
        if c.is_ascii_alphanumeric() {
            slug.push(c.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.truncate(MAX);
    slug.trim_end_matches('-').to_owned()
}

/// The peer name that `text` normalises to.
pub(crate) fn personality_from(text: &str) -> Result<Personality, NameError> {
    normalize(text).parse().map_err(|_| NameError::Personality(text.to_owned()))
}

fn transliterate(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if let Some((_, word)) = SYMBOLS.iter().find(|(symbol, _)| *symbol == c) {
            out.push_str(word);
        } else if is_syllable(c) {
            // Each character is a syllable of its own: without a space the syllables would run together.
            out.push(' ');
            out.push_str(any_ascii::any_ascii_char(c));
            out.push(' ');
        } else if matches!(c, '\u{3099}' | '\u{309a}') {
            // Voicing marks of kana that are written as a separate character: the table maps them to a quote, which would
            // split the word.
        } else if is_written(c) {
            out.push_str(any_ascii::any_ascii_char(c));
        } else {
            // Dingbats, circled digits, emoji and signs are dropped: their descriptions are not part of a name.
            out.push(' ');
        }
    }
    out
}

/// Whether `c` is Han or Hangul, which are written without spaces, one syllable for each character.
fn is_syllable(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3134f}' | '\u{ac00}'..='\u{d7a3}')
}

/// Whether `c` is ASCII, a letter or digit of any script, or a character without a sound of its own (combining marks,
/// joiners, variation selectors), which vanishes instead of splitting a word.
fn is_written(c: char) -> bool {
    let circled = matches!(c, '\u{2460}'..='\u{24ff}' | '\u{2776}'..='\u{2793}' | '\u{3200}'..='\u{32ff}' | '\u{1f100}'..='\u{1f2ff}');
    !circled && (c.is_ascii() || c.is_alphanumeric()) || any_ascii::any_ascii_char(c).is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_a_table() {
        let long = "a".repeat(31) + " b";
        let cases = [
            ("alice", "alice"),
            ("My Project", "my-project"),
            ("№2", "no-2"),
            ("Привет", "privet"),
            ("项目", "xiang-mu"),
            ("Ω", "o"),
            ("Köln", "koln"),
            ("Ko\u{308}ln", "koln"),
            ("2nd", "2nd"),
            ("①②③", ""),
            ("🙂", ""),
            ("Ⓐ ㈱", ""),
            ("２號", "2-hao"),
            ("٣", "3"),
            ("हिन्दी", "hindi"),
            ("サーバー", "saba"),
            ("a\u{200d}b\u{feff}", "ab"),
            ("naïve’s", "naive-s"),
            ("Straße—12", "strasse-12"),
            ("か\u{3099}く", "kaku"),
            ("서울", "seo-ul"),
            ("--a__b--", "a-b"),
            ("", ""),
            (long.as_str(), &"a".repeat(31)),
        ];
        for (text, slug) in cases {
            assert_eq!(by_table(text), normalize(text), "{text:?}");
            assert_eq!(normalize(text), slug, "{text:?}");
            assert_eq!(normalize(slug), slug, "idempotent on {slug:?}");
        }
    }

    #[test]
    fn what_gives_no_name_is_an_error_that_shows_what_was_typed() {
        assert_eq!(personality_from("2nd"), Err(NameError::Personality("2nd".into())));
        assert_eq!(personality_from("Köln").unwrap().as_str(), "koln");
    }
}
