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
    /// What the screen says while a message is queued: the `urgent` keys are pressed until it says so no longer.
    pub queued: Option<String>,
    /// Interrupts a running turn.
    #[serde(default)]
    pub interrupt: Option<String>,
    /// Empties the composer.
    #[serde(default)]
    pub clear: Option<String>,
    /// Control text that compacts the conversation.
    #[serde(default)]
    pub compact: Option<String>,
    /// Pause between the end of a paste and the submit key, in milliseconds.
    #[serde(default)]
    pub settle_ms: u64,
}

impl Default for Keys {
    fn default() -> Self {
        Keys {
            submit: enter(),
            midturn: MidTurn::default(),
            urgent: Vec::new(),
            queued: None,
            interrupt: None,
            clear: None,
            compact: None,
            settle_ms: 0,
        }
    }
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
}

impl Default for MidTurn {
    fn default() -> Self {
        MidTurn { key: enter(), meaning: Meaning::Queue }
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
