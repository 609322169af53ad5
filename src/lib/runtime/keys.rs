//! The part of a manifest that says what to press.

use serde::Deserialize;

/// Keys, as tmux names them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// Submits the composer.
    #[serde(default = "enter")]
    pub submit: String,
    /// Submits while a turn runs.
    #[serde(default)]
    pub midturn: MidTurn,
    /// Has what the submit key queued in mid-turn taken at once, for an urgent message; empty where that key does.
    #[serde(default)]
    pub urgent: Vec<String>,
    /// What the screen says while it is worth pressing the `urgent` keys; without it, one of `queued`.
    #[serde(default)]
    pub urgent_when: Option<String>,
    /// What the screen says while a message stands in the program's own queue; any of these.
    #[serde(default, deserialize_with = "one_or_more")]
    pub queued: Vec<String>,
    /// Interrupts a running turn: one key, or several.
    #[serde(default, deserialize_with = "one_or_more")]
    pub interrupt: Vec<String>,
    /// Empties the composer, pressed together as often as it takes: one key, or several.
    #[serde(default, deserialize_with = "one_or_more")]
    pub clear: Vec<String>,
    /// Control text that compacts the conversation.
    #[serde(default)]
    pub compact: Option<String>,
    /// Pause between the end of a paste and the submit key, in milliseconds.
    #[serde(default)]
    pub settle_ms: u64,
    /// What is added to that pause for each 1000 bytes that were pasted, in milliseconds.
    #[serde(default)]
    pub settle_per_kb_ms: u64,
    /// A longer text is pasted in parts of at most so many bytes.
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
    /// What the screen says while it is worth pressing the `urgent` keys; any of these.
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

/// What submitting in mid-turn does.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MidTurn {
    /// The key.
    #[serde(default = "enter")]
    pub key: String,
    /// Its meaning.
    #[serde(default)]
    pub meaning: Meaning,
    /// Its prompt hook is called when a message comes into the program's own queue, and not when a turn takes it: of a
    /// message that was typed in mid-turn, only the transcript proves that a turn took it.
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
