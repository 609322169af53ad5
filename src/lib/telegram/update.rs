//! The parts of a Telegram update that the bridge reads. All other fields are ignored.

use crate::telegram::parts;
use serde::Deserialize;

/// Longest name of a saved file, in characters.
const NAME: usize = 80;

/// An update: a message, or a button that was pressed.
#[derive(Debug, Clone, Deserialize)]
pub struct Update {
    pub update_id: i64,
    #[serde(default)]
    pub message: Option<Written>,
    #[serde(default)]
    pub callback_query: Option<Pressed>,
}

/// A message that somebody wrote.
#[derive(Debug, Clone, Deserialize)]
pub struct Written {
    pub message_id: i64,
    /// Seconds since 1970.
    #[serde(default)]
    pub date: u64,
    pub chat: Chat,
    #[serde(default)]
    pub from: Option<User>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    caption: Option<String>,
    #[serde(default)]
    pub reply_to_message: Option<Replied>,
    #[serde(default)]
    photo: Vec<Sent>,
    #[serde(default)]
    document: Option<Sent>,
    #[serde(default)]
    voice: Option<Sent>,
    #[serde(default)]
    audio: Option<Sent>,
    #[serde(default)]
    video: Option<Sent>,
    #[serde(default)]
    video_note: Option<Sent>,
    #[serde(default)]
    animation: Option<Sent>,
}

/// A chat.
#[derive(Debug, Clone, Deserialize)]
pub struct Chat {
    pub id: i64,
    #[serde(rename = "type", default)]
    pub kind: String,
}

/// A user of Telegram.
#[derive(Debug, Clone, Deserialize)]
pub struct User {
    pub id: i64,
}

/// The message that a reply answers.
#[derive(Debug, Clone, Deserialize)]
pub struct Replied {
    pub message_id: i64,
}

/// A file.
#[derive(Debug, Clone, Deserialize)]
pub struct Sent {
    pub file_id: String,
    #[serde(default)]
    pub file_name: Option<String>,
    #[serde(default)]
    pub file_size: Option<u64>,
    #[serde(skip)]
    pub usual_name: &'static str,
}

/// A button that was pressed.
#[derive(Debug, Clone, Deserialize)]
pub struct Pressed {
    pub id: String,
    pub from: User,
    #[serde(default)]
    pub message: Option<Shown>,
    #[serde(default)]
    pub data: String,
}

/// The message that a button belongs to.
#[derive(Debug, Clone, Deserialize)]
pub struct Shown {
    pub message_id: i64,
    pub chat: Chat,
}

impl Written {
    /// The text of the message, or the caption of its file.
    pub fn text(&self) -> &str {
        self.text.as_deref().or(self.caption.as_deref()).unwrap_or_default()
    }

    /// Whether the message was written in the private chat of the person whose number is `chat`.
    pub fn is_of(&self, chat: i64) -> bool {
        self.chat.id == chat && self.chat.kind == "private" && self.from.as_ref().is_some_and(|from| from.id == chat)
    }

    /// The files of the message; of a photo, which comes in several sizes, the largest.
    pub fn files(&self) -> Vec<Sent> {
        let photo = self.photo.iter().max_by_key(|size| size.file_size);
        // Telegram sends an animation as a document, too.
        let document = self.document.as_ref().filter(|_| self.animation.is_none());
        let kinds = [
            (photo, "photo.jpg"),
            (document, "document"),
            (self.voice.as_ref(), "voice.ogg"),
            (self.audio.as_ref(), "audio.mp3"),
            (self.video.as_ref(), "video.mp4"),
            (self.video_note.as_ref(), "video.mp4"),
            (self.animation.as_ref(), "animation.mp4"),
        ];
        kinds
            .into_iter()
            .filter_map(|(file, usual_name)| file.map(|file| Sent { usual_name, ..file.clone() }))
            .collect()
    }
}

impl Sent {
    /// The name under which the file is saved.
    pub fn saved_name(&self) -> String {
        safe_name(self.file_name.as_deref().unwrap_or(self.usual_name))
    }
}

/// `text` in pieces that Telegram takes, as they are sent. Only the fuzz targets use this.
pub fn shown_again(text: &str) -> Vec<String> {
    parts::split(text, parts::TEXT_MAX)
}

/// A file name that is valid on every system, leads to no other folder, and does not make the file a hidden one.
fn safe_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let plain = |c: char| if c.is_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let name: String = last.chars().map(plain).collect();
    // Cut at the front, since the end has the type of the file.
    let skipped = name.chars().count().saturating_sub(NAME);
    let name: String = name.chars().skip(skipped).collect();
    let name = name.trim_start_matches(['.', '-']);
    if name.is_empty() { "file".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_nowhere_else() {
        for (given, safe) in [
            ("a b.png", "a_b.png"),
            ("../../etc/passwd", "passwd"),
            ("..", "file"),
            ("", "file"),
            ("-rf", "rf"),
            ("x\u{1b}]0;y\n", "x__0_y_"),
            ("C:\\x\\grün.txt", "grün.txt"),
        ] {
            assert_eq!(safe_name(given), safe);
        }
        assert!(safe_name(&format!("{}.pdf", "x".repeat(300))).ends_with("x.pdf"));
    }
}
