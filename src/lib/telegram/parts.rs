//! A message in the parts that Telegram takes: texts of at most 4,096 UTF-16 units, then files. An agent's text is not
//! interpreted as markup, so that nothing has to be escaped and Telegram can't refuse the text for its form.

use crate::store::queue::Item;
use serde_json::{Value, json};

/// Longest text of one message, in UTF-16 units.
pub(crate) const TEXT_MAX: usize = 4096;

/// What one call sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// A text that begins with `speaker`.
    Text { speaker: String, text: String },
    /// The file at this path, sent by `speaker`.
    File { speaker: String, path: String },
}

/// The parts of `item`. With `named` (the bot speaks for several agents) each part begins with the sender's name.
pub(crate) fn parts(item: &Item, named: bool) -> Vec<Part> {
    let topic = item.topic.as_ref().map(|topic| format!(" [{topic}]")).unwrap_or_default();
    let speaker = match named {
        true => format!("{}{topic}: ", item.from.contact()),
        false if topic.is_empty() => String::new(),
        false => format!("{}: ", topic.trim()),
    };
    let texts = split(&item.task, TEXT_MAX - units(&speaker));
    let texts = texts.into_iter().map(|text| Part::Text { speaker: speaker.clone(), text });
    let files = item.attachments.iter().map(|path| Part::File { speaker: speaker.clone(), path: path.clone() });
    texts.chain(files).collect()
}

/// The arguments of `sendMessage` for a text. The speaker's name is made bold by its position, not by markup.
pub(crate) fn text_arguments(chat: i64, speaker: &str, text: &str) -> Value {
    let whole = format!("{speaker}{text}");
    let bold = units(speaker.trim_end());
    let entities = if bold == 0 { json!([]) } else { json!([{ "type": "bold", "offset": 0, "length": bold }]) };
    json!({ "chat_id": chat, "text": whole, "entities": entities, "link_preview_options": { "is_disabled": true } })
}

/// The length of `text` in UTF-16 units.
pub(crate) fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

/// `text` in pieces of at most `room` units, cut at line ends where there are any. Pieces of white space alone, which
/// Telegram does not take, are left out.
pub(crate) fn split(text: &str, room: usize) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (mut used, mut end, mut line_end) = (0, rest.len(), None);
        for (at, c) in rest.char_indices() {
            if used + c.len_utf16() > room {
                end = at;
                break;
            }
            used += c.len_utf16();
            if c == '\n' {
                line_end = Some(at);
            }
        }
        // The character that does not fit may be a line end itself.
        let cut = if end == rest.len() || rest[end..].starts_with('\n') { end } else { line_end.unwrap_or(end) };
        let piece = &rest[..cut];
        if !piece.trim().is_empty() {
            pieces.push(piece.to_owned());
        }
        rest = &rest[cut..];
        rest = rest.strip_prefix('\n').unwrap_or(rest);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::EpochMs;
    use crate::base::identity::Intelligence;
    use proptest::prelude::*;

    #[test]
    fn texts_are_cut_at_line_ends_and_long_lines_where_they_must() {
        assert_eq!(split("ab\ncd\nef", 5), ["ab\ncd", "ef"]);
        assert_eq!(split("ab\ncd\nef", 6), ["ab\ncd", "ef"]);
        assert_eq!(split("abcdefg", 3), ["abc", "def", "g"]);
        assert_eq!(split("a\n\n\n\n\nb", 2), ["a\n", "b"]);
        // A character beyond the basic plane has two units, and is never cut.
        assert_eq!(split("a\u{1f642}\u{1f642}", 3), ["a\u{1f642}", "\u{1f642}"]);
    }

    #[test]
    fn each_part_begins_with_the_name_where_the_bot_speaks_for_several() {
        let from: crate::base::Origin = "claude-bob".parse().unwrap();
        let item = Item {
            attachments: vec!["/a".into()],
            ..Item::new(from, Intelligence::Artificial, "x".repeat(5000), EpochMs(1))
        };
        let named = parts(&item, true);
        assert_eq!(named.len(), 3);
        let Part::Text { speaker, text } = &named[0] else { panic!("{named:?}") };
        assert_eq!((speaker.as_str(), units(speaker) + units(text)), ("bob: ", TEXT_MAX));
        let arguments = text_arguments(7, speaker, text);
        assert_eq!(arguments["entities"], json!([{ "type": "bold", "offset": 0, "length": 4 }]));
        let Part::Text { speaker, text } = &parts(&item, false)[0] else { panic!() };
        assert_eq!((speaker.as_str(), text.len()), ("", TEXT_MAX));
    }

    proptest! {
        #[test]
        fn nothing_but_line_ends_is_lost_between_pieces(text in "[a-c\n\u{1f642}]{0,200}", room in 2usize..40) {
            let pieces = split(&text, room);
            prop_assert!(pieces.iter().all(|piece| units(piece) <= room));
            let solid = |text: &str| text.replace('\n', "");
            prop_assert_eq!(solid(&pieces.concat()), solid(&text));
        }
    }
}
