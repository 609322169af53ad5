//! A message as a file: front matter that `cat` shows and YAML readers read, then the body as it was sent.
//!
//! ```text
//! ---
//! id: 01M7YEQDPSFQ470K9N062NKM85
//! from: claude-bob
//! ts: 2026-11-21T05:46:07.123Z
//! topic: "review"
//! re: 01M7YEQE4913W1TH6Q9BF40QQC
//! attachments:
//!   - "/home/me/a.png"
//! ---
//!
//! BODY
//! ```

use crate::base::address::Origin;
use crate::base::clock::EpochMs;
use crate::base::exit::one_line;
use crate::base::message_id::MessageId;
use crate::store::queue::Item;
use serde::Serialize;

const FENCE: &str = "---\n";

/// A message that was filed for a person. As JSON: what `iapeer inbox --json` prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Letter {
    /// The message's id.
    pub id: MessageId,
    /// Who sent it.
    pub from: Origin,
    /// When it was accepted: UTC, ISO 8601 with milliseconds.
    pub ts: String,
    /// The topic of the message.
    pub topic: Option<String>,
    /// The message that it answers.
    pub re: Option<MessageId>,
    /// Whether it has not been read.
    pub unread: bool,
    /// Absolute paths of attached files.
    pub attachments: Vec<String>,
    /// Its text.
    pub body: String,
}

impl Letter {
    /// The letter that `item` becomes.
    pub fn of(item: &Item) -> Letter {
        Letter {
            id: item.id,
            from: item.from.clone(),
            ts: item.accepted.utc(),
            topic: item.topic.as_ref().map(ToString::to_string),
            re: item.re,
            unread: true,
            attachments: item.attachments.clone(),
            body: item.task.clone(),
        }
    }

    /// The file's name: the same for the same message, and sorted by time.
    pub(crate) fn file_name(&self) -> String {
        format!("{}-{}-{}.md", self.ts, self.from, self.id)
    }

    /// The file's content.
    pub(crate) fn encode(&self) -> String {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let mut text = format!("{FENCE}id: {}\nfrom: {}\nts: {}\n", self.id, self.from, self.ts);
        if let Some(topic) = &self.topic {
            text.push_str(&format!("topic: {}\n", quoted(topic)));
        }
        if let Some(re) = self.re {
            text.push_str(&format!("re: {re}\n"));
        }
        if !self.attachments.is_empty() {
            text.push_str("attachments:\n");
            self.attachments.iter().for_each(|path| text.push_str(&format!("  - {}\n", quoted(path))));
        }
        text.push_str(&format!("{FENCE}\n{}\n", self.body));
        text
    }

    /// Reads a file that [`Letter::encode`] wrote. `None`: the text is no such file.
    pub(crate) fn decode(text: &str, unread: bool) -> Option<Letter> {
        let (front, body) = text.strip_prefix(FENCE)?.split_once("\n---\n")?;
        let value = |key: &str| front.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
        let unquoted = |text: &str| serde_json::from_str::<String>(text).ok();
        let body = body.strip_prefix('\n').unwrap_or(body);
        Some(Letter {
            id: value("id")?.parse().ok()?,
            from: value("from")?.parse().ok()?,
            ts: value("ts")?.to_owned(),
            topic: value("topic").and_then(unquoted),
            re: value("re").and_then(|text| text.parse().ok()),
            unread,
            attachments: front.lines().filter_map(|line| line.strip_prefix("  - ")).filter_map(unquoted).collect(),
            body: body.strip_suffix('\n').unwrap_or(body).to_owned(),
        })
    }

    /// The line of a list, for people: state, time, sender, id, topic, and the beginning of the text.
    pub fn line(&self) -> String {
        let state = if self.unread { '*' } else { ' ' };
        let topic = self.topic.as_ref().map(|topic| format!("[{topic}] ")).unwrap_or_default();
        let start: String = one_line(&self.body).chars().take(60).collect();
        let more = if self.body.chars().count() > start.chars().count() { "…" } else { "" };
        format!("{state} {}  {}  {}  {topic}{start}{more}", self.local(), self.from, self.id)
    }

    /// The whole message, for people.
    pub fn text(&self) -> String {
        let mut text = format!("{}  from {}  {}", self.local(), self.from, self.id);
        if let Some(topic) = &self.topic {
            text.push_str(&format!("\ntopic: {topic}"));
        }
        if let Some(re) = self.re {
            text.push_str(&format!("\nanswers: {re}"));
        }
        self.attachments.iter().for_each(|path| text.push_str(&format!("\nattached: {path}")));
        format!("{text}\n\n{}", self.body)
    }

    fn local(&self) -> String {
        EpochMs::parse(&self.ts).map_or_else(|| self.ts.clone(), EpochMs::local)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::identity::{Intelligence, Topic};

    #[test]
    fn a_letter_comes_back_whatever_is_in_it() {
        let from: Origin = "claude-bob".parse().unwrap();
        for body in ["x", "---\nid: forged\n---\n", "\n\nlines\n\n", "a\n---\n\nb", "re: 01BX5ZZKBKACTAV9WEVGEMMVRZ"] {
            let item = Item {
                topic: Topic::parse("a \"b\": --- c").unwrap(),
                re: Some("01BX5ZZKBKACTAV9WEVGEMMVRZ".parse().unwrap()),
                attachments: vec!["/a b/\"c\"".into(), "/d".into()],
                ..Item::new(from.clone(), Intelligence::Artificial, body.into(), EpochMs(1_795_239_967_045))
            };
            let letter = Letter::of(&item);
            assert_eq!(Letter::decode(&letter.encode(), true), Some(letter.clone()), "{body:?}");
            assert!(letter.file_name().starts_with("2026-11-21T05:46:07.045Z-claude-bob-"), "{}", letter.file_name());
            let bare = Letter { topic: None, re: None, attachments: Vec::new(), ..letter };
            assert_eq!(Letter::decode(&bare.encode(), true), Some(bare), "{body:?}");
        }
        for text in ["", "---\n", "hello", "---\nid: x\n---\n\nb"] {
            assert_eq!(Letter::decode(text, true), None, "{text:?}");
        }
    }
}
