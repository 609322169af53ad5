//! The parts of rules: a condition on a screen, a row to choose, a condition on a record.

use super::keys::enter;
use serde::Deserialize;

/// One condition on a screen. All given parts must hold; `not` turns the result round.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Needle {
    /// Some row contains this.
    #[serde(default)]
    pub contains: Option<String>,
    /// Some row starts with this.
    #[serde(default)]
    pub starts: Option<String>,
    /// Only the last so many non-blank rows count.
    #[serde(default)]
    pub last_rows: Option<usize>,
    /// The pane title contains this.
    #[serde(default)]
    pub title_contains: Option<String>,
    /// The pane title's first character lies between these two, as in `"⠀⣿"`.
    #[serde(default)]
    pub title_first: Option<String>,
    /// The pane title is (not) the host's name, which is what tmux shows until the program sets one.
    #[serde(default)]
    pub title_is_host: Option<bool>,
    /// Turn the result round.
    #[serde(default)]
    pub not: bool,
}

/// A cursor-verified choice.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// The wanted row contains this.
    pub label: String,
    /// The glyph that marks the row with the cursor.
    pub cursor: String,
    /// Moves the cursor.
    #[serde(default = "down")]
    pub next: String,
    /// Confirms.
    #[serde(default = "enter")]
    pub confirm: String,
}

fn down() -> String {
    "Down".into()
}

/// A record rule: the value at `at` is `is`; without `is` it merely exists.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordRule {
    /// JSON pointer.
    pub at: String,
    /// The value there.
    #[serde(default)]
    pub is: Option<serde_json::Value>,
}

impl RecordRule {
    /// Whether it holds for `record`.
    pub(crate) fn holds(&self, record: &serde_json::Value) -> bool {
        match (record.pointer(&self.at), &self.is) {
            (Some(value), Some(wanted)) => value == wanted,
            (Some(value), None) => !value.is_null(),
            (None, _) => false,
        }
    }
}
