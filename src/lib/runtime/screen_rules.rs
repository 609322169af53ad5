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
    /// How the composer is found: in a manifest a mere text is what its row begins with at column 0, the space after the
    /// glyph included.
    #[serde(deserialize_with = "rule_or_prefix")]
    pub composer: Composer,
    /// Must all hold for the session to be ready for input.
    #[serde(default)]
    pub ready: Vec<Needle>,
    /// The number of readings that must agree before a new session counts as ready.
    #[serde(default = "one")]
    pub looks: u32,
    /// Milliseconds between those readings.
    #[serde(default)]
    pub apart_ms: u64,
    /// The program calls the start hook when it starts, not at the first prompt: once it has, one reading is enough.
    #[serde(default)]
    pub start_hook: bool,
    /// The program fetches our tool while it starts. Once it has, one reading is enough, even one that still shows the
    /// program as busy; until it has, its prompt hook delays the first turn (for a bounded time).
    #[serde(default)]
    pub tool: bool,
    /// Any of these: a turn is running.
    #[serde(default)]
    pub busy: Vec<Needle>,
    /// SGR parameters (besides faint) in which the program paints ghost text, as in `38;5;246`.
    #[serde(default)]
    pub ghost: Vec<String>,
    /// The program draws its own cursor by an underline: an underlined character before ghost text is ghost text too, as
    /// one in reverse is with every program.
    #[serde(default)]
    pub cursor_underlined: bool,
    /// What the composer shows in place of a long paste.
    #[serde(default)]
    pub paste_marks: Vec<String>,
    /// Screens that stand in the way at the start.
    #[serde(default)]
    pub dialogs: Vec<Dialog>,
    /// Screens that need a person; the first that matches counts.
    #[serde(default)]
    pub attention: Vec<ScreenState>,
}

fn one() -> u32 {
    1
}

/// A screen that stands in the way, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dialog {
    /// Its name, for logs.
    pub name: String,
    /// All of these hold when it is shown.
    pub when: Vec<Needle>,
    /// What to do.
    pub answer: DialogReply,
    /// The state that it shows where it is never answered by us. Default: `dialog`.
    #[serde(default)]
    pub state: Option<AttentionState>,
}

/// What to do about a dialog. After each key the screen is read again; nothing is confirmed without seeing the cursor.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum DialogReply {
    /// Press this key: nothing on this screen has a dangerous default.
    Press(String),
    /// Move until the row that holds the cursor holds the label, then confirm.
    Choose(Choice),
    /// iapeer never answers this dialog: the wake fails with this reason, which names the command to run.
    Fail(String),
    /// As the peer's profile says.
    Profile(ByProfile),
}

/// A dialog that a key of the peer's profile answers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ByProfile {
    /// The profile's key.
    pub key: String,
    /// What counts where the profile does not have the key: one of `choices`.
    pub default: String,
    /// What the key may say, and the row that is chosen then.
    pub choices: BTreeMap<String, Choice>,
    /// The reason for which the wake fails where the key says anything else.
    pub ask: String,
}

impl DialogReply {
    /// What to do where the profile says what `says` finds there: no [`DialogReply::Profile`].
    pub(crate) fn resolved(&self, says: impl Fn(&str) -> Option<String>) -> DialogReply {
        let DialogReply::Profile(by) = self else { return self.clone() };
        let word = says(&by.key).unwrap_or_else(|| by.default.clone());
        by.choices
            .get(&word)
            .map_or_else(|| DialogReply::Fail(by.ask.clone()), |choice| DialogReply::Choose(choice.clone()))
    }
}
