//! The parts of a Telegram update that the bridge reads. All other fields are ignored.

use serde::Deserialize;

/// An update: a message, or a button that was pressed.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Update {
    pub(crate) update_id: i64,
    #[serde(default)]
    pub(crate) message: Option<Written>,
    #[serde(default)]
    pub(crate) callback_query: Option<Pressed>,
}

/// A message that somebody wrote.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Written {
    pub(crate) message_id: i64,
    /// Seconds since 1970.
    #[serde(default)]
    pub(crate) date: u64,
    pub(crate) chat: Chat,
    #[serde(default)]
    pub(crate) from: Option<User>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    caption: Option<String>,
    #[serde(default)]
    pub(crate) reply_to_message: Option<Replied>,
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
pub(crate) struct Chat {
    pub(crate) id: i64,
    #[serde(rename = "type", default)]
    pub(crate) kind: String,
}

/// Somebody.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct User {
    pub(crate) id: i64,
}

/// The message that another one answers.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Replied {
    pub(crate) message_id: i64,
}

/// A file.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Sent {
    pub(crate) file_id: String,
    #[serde(default)]
    pub(crate) file_name: Option<String>,
    #[serde(default)]
    pub(crate) file_size: Option<u64>,
    #[serde(skip)]
    pub(crate) usual_name: &'static str,
}

/// A button that was pressed.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Pressed {
    pub(crate) id: String,
    pub(crate) from: User,
    #[serde(default)]
    pub(crate) message: Option<Shown>,
    #[serde(default)]
    pub(crate) data: String,
}

/// The message that a button belongs to.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Shown {
    pub(crate) message_id: i64,
    pub(crate) chat: Chat,
}

impl Written {
    /// Its text, or what stands under its file.
    pub(crate) fn text(&self) -> &str {
        self.text.as_deref().or(self.caption.as_deref()).unwrap_or_default()
    }

    /// Whether it stands in the private chat of the person who has the number `chat`.
    pub(crate) fn is_of(&self, chat: i64) -> bool {
        self.chat.id == chat && self.chat.kind == "private" && self.from.as_ref().is_some_and(|from| from.id == chat)
    }

    /// Its files; of a photo, which comes in several sizes, the largest.
    pub(crate) fn files(&self) -> Vec<Sent> {
        let photo = self.photo.iter().max_by_key(|size| size.file_size);
        // An animation comes as a document, too.
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
