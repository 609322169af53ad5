//! The parts of rules: a condition on a screen, a row to choose, a condition on a record.

use super::keys::enter;
use serde::Deserialize;

/// One condition on a screen. All given parts must hold; `not` inverts the result.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Needle {
    /// Some row contains this.
    #[serde(default)]
    pub contains: Option<String>,
    /// Some row starts with this.
    #[serde(default)]
    pub starts: Option<String>,
    /// Only this many rows, the last that are not blank, count.
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
    /// One of these holds.
    #[serde(default)]
    pub any: Vec<Needle>,
    /// Invert the result.
    #[serde(default)]
    pub not: bool,
}

/// A row to choose with the cursor; it is confirmed only when the cursor is seen on it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// The wanted row's text: a dialog's row contains it; an answer's row consists of it, besides number and hints.
    pub label: String,
    /// The glyph that marks the row with the cursor.
    pub cursor: String,
    /// The key that moves the cursor.
    #[serde(default = "down")]
    pub next: String,
    /// The key that confirms.
    #[serde(default = "enter")]
    pub confirm: String,
}

fn down() -> String {
    "Down".into()
}

/// A condition on a record: the value at `at` equals `is`, and is a text that contains `contains`; without both it only
/// has to exist and not to be null.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordRule {
    /// JSON pointer.
    pub at: String,
    /// The value there.
    #[serde(default)]
    pub is: Option<serde_json::Value>,
    /// A part of the text there.
    #[serde(default)]
    pub contains: Option<String>,
}

impl RecordRule {
    /// Whether it holds for `record`.
    pub(crate) fn holds(&self, record: &serde_json::Value) -> bool {
        let Some(value) = record.pointer(&self.at).filter(|value| !value.is_null() || self.is.is_some()) else {
            return false;
        };
        self.is.as_ref().is_none_or(|wanted| value == wanted)
            && self.contains.as_ref().is_none_or(|text| value.as_str().is_some_and(|value| value.contains(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn record_rules_as_a_table() {
        let record = json!({"type": "error", "content": "[API Error: {\"code\":401}]", "n": 401, "none": null});
        for (rule, holds) in [
            (json!({"at": "/type", "is": "error"}), true),
            (json!({"at": "/type", "is": "user"}), false),
            (json!({"at": "/n", "is": 401}), true),
            (json!({"at": "/content", "contains": "\"code\":401"}), true),
            (json!({"at": "/content", "contains": "\"code\":429"}), false),
            (json!({"at": "/n", "contains": "401"}), false),
            (json!({"at": "/type"}), true),
            (json!({"at": "/none"}), false),
            (json!({"at": "/gone", "contains": ""}), false),
        ] {
            assert_eq!(serde_json::from_value::<RecordRule>(rule.clone()).unwrap().holds(&record), holds, "{rule}");
        }
    }
}
