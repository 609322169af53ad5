//! The part of a manifest that says what to press.

use serde::Deserialize;

/// Keys, as tmux names them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// The key that submits the composer.
    #[serde(default = "enter")]
    pub submit: String,
    /// How to submit while a turn runs.
    #[serde(default)]
    pub midturn: MidTurn,
    /// Keys that make the program take the queued message at once, for an urgent message. Without them, or where they
    /// do nothing, `interrupt` is pressed.
    #[serde(default)]
    pub urgent: Vec<String>,
    /// The text that the screen shows while the `urgent` keys have an effect; without it, one of `queued`.
    #[serde(default)]
    pub urgent_when: Option<String>,
    /// Texts, one of which the screen shows while a message waits in the program's own queue.
    #[serde(default, deserialize_with = "one_or_more")]
    pub queued: Vec<String>,
    /// The keys that interrupt a running turn: one key, or several.
    #[serde(default, deserialize_with = "one_or_more")]
    pub interrupt: Vec<String>,
    /// The keys that empty the composer, pressed together until it is empty: one key, or several.
    #[serde(default, deserialize_with = "one_or_more")]
    pub clear: Vec<String>,
    /// Control text that compacts the conversation.
    #[serde(default)]
    pub compact: Option<String>,
    /// Pause between the end of a paste and the submit key, in milliseconds.
    #[serde(default)]
    pub settle_ms: u64,
    /// How much that pause grows for each 1000 bytes that were pasted, in milliseconds.
    #[serde(default)]
    pub settle_per_kb_ms: u64,
    /// A longer text is pasted in parts of at most this many bytes. A value under 1000 is ignored.
    #[serde(default)]
    pub paste_bytes: Option<usize>,
}

impl Default for Keys {
    fn default() -> Self {
        Keys {
            submit: enter(),
            midturn: MidTurn::default(),
            urgent: Vec::new(),
            urgent_when: None,
            queued: Vec::new(),
            interrupt: Vec::new(),
            clear: Vec::new(),
            compact: None,
            settle_ms: 0,
            settle_per_kb_ms: 0,
            paste_bytes: None,
        }
    }
}

impl Keys {
    /// Texts, one of which the screen shows while the `urgent` keys have an effect.
    pub(crate) fn urgent_marks(&self) -> &[String] {
        self.urgent_when.as_ref().map_or(&self.queued, std::slice::from_ref)
    }
}

/// A list, or its only element.
pub(crate) fn one_or_more<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: serde::de::DeserializeOwned,
{
    let list = match serde_json::Value::deserialize(deserializer)? {
        list @ serde_json::Value::Array(_) => list,
        one => vec![one].into(),
    };
    serde_json::from_value(list).map_err(serde::de::Error::custom)
}

pub(crate) fn enter() -> String {
    "Enter".into()
}

/// How to submit in mid-turn, and what that does.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MidTurn {
    /// The key.
    #[serde(default = "enter")]
    pub key: String,
    /// Its meaning.
    #[serde(default)]
    pub meaning: Meaning,
    /// Whether the prompt hook is called when a message comes into the program's own queue, and not when a turn takes
    /// it: then only the transcript proves that a turn took a message that was typed in mid-turn.
    #[serde(default)]
    pub announces: bool,
}

impl Default for MidTurn {
    fn default() -> Self {
        MidTurn { key: enter(), meaning: Meaning::Queue, announces: false }
    }
}

/// What a message does to a running turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Meaning {
    /// It waits for the turn's end.
    #[default]
    Queue,
    /// It is taken into the running turn between two steps.
    Inject,
    /// It cuts the running answer short.
    Steer,
}
