//! The part of a manifest that says how to read a screen.

use super::composer::{Composer, rule_or_prefix};
use super::needle::{Choice, Needle};
use crate::base::AttentionState;
use crate::runtime::attention::ScreenState;
use serde::Deserialize;
use std::collections::BTreeMap;

/// How to read a screen.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScreenRules {
    /// How the composer is found. A mere text in a manifest is the text with which its row begins at column 0, the
    /// space after the glyph included.
    #[serde(deserialize_with = "rule_or_prefix")]
    pub composer: Composer,
    /// Conditions that must all hold for the session to be ready for input.
    #[serde(default)]
    pub ready: Vec<Needle>,
    /// The number of readings that must agree before a new session counts as ready.
    #[serde(default = "one")]
    pub looks: u32,
    /// Milliseconds between those readings.
    #[serde(default)]
    pub apart_ms: u64,
    /// Whether the program calls the start hook when it starts, not at the first prompt: after the call one reading is
    /// enough.
    #[serde(default)]
    pub start_hook: bool,
    /// Whether the program fetches our tool while it starts. Once it has, one reading is enough, even one that still
    /// shows the program as busy; until it has, its prompt hook delays the first turn (for a bounded time).
    #[serde(default)]
    pub tool: bool,
    /// Conditions, any of which shows that a turn is running.
    #[serde(default)]
    pub busy: Vec<Needle>,
    /// SGR parameters (besides faint) in which the program paints ghost text, as in `38;5;246`.
    #[serde(default)]
    pub ghost: Vec<String>,
    /// Whether the program draws its own cursor by an underline: then an underlined character before ghost text is
    /// ghost text too, as a reversed character is for every program.
    #[serde(default)]
    pub cursor_underlined: bool,
    /// What the composer shows in place of a long paste.
    #[serde(default)]
    pub paste_marks: Vec<String>,
    /// Screens that may come before the composer at the start.
    #[serde(default)]
    pub dialogs: Vec<Dialog>,
    /// Screens that need a person; the first that matches counts.
    #[serde(default)]
    pub attention: Vec<ScreenState>,
}

fn one() -> u32 {
    1
}

/// A screen that comes before the composer, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dialog {
    /// Its name, for logs.
    pub name: String,
    /// The conditions, all of which hold when it is shown.
    pub when: Vec<Needle>,
    /// What to do.
    pub answer: DialogReply,
    /// The state of a session that shows it, where we never answer it. Default: `dialog`.
    #[serde(default)]
    pub state: Option<AttentionState>,
}

/// What to do about a dialog. After each key the screen is read again; nothing is confirmed without seeing the cursor.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum DialogReply {
    /// Press this key: for a screen without a dangerous default.
    Press(String),
    /// Move the cursor until its row contains the label, then confirm.
    Choose(Choice),
    /// iapeer never answers this dialog: the wake fails with this reason, which names the command to run.
    Fail(String),
    /// Do as the peer's profile says.
    Profile(ByProfile),
}

/// A dialog that a key of the peer's profile answers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ByProfile {
    /// The profile's key.
    pub key: String,
    /// The word that counts where the profile does not have the key: one of `choices`.
    pub default: String,
    /// The words that the key may have, and the row that is chosen for each.
    pub choices: BTreeMap<String, Choice>,
    /// The reason for which the wake fails where the key has any other word.
    pub ask: String,
}

impl DialogReply {
    /// What to do, with the profile's word for a key from `says`; never [`DialogReply::Profile`].
    pub(crate) fn resolved(&self, says: impl Fn(&str) -> Option<String>) -> DialogReply {
        let DialogReply::Profile(by) = self else { return self.clone() };
        let word = says(&by.key).unwrap_or_else(|| by.default.clone());
        by.choices
            .get(&word)
            .map_or_else(|| DialogReply::Fail(by.ask.clone()), |choice| DialogReply::Choose(choice.clone()))
    }
}
