//! The part of a manifest about states that need a person: rules over the screen and over transcript records.

use crate::base::AttentionState;
use crate::base::clock::EpochMs;
use crate::runtime::needle::{Choice, Needle, RecordRule};
use crate::runtime::until;
use serde::Deserialize;
use serde_json::Value;

/// A screen that needs a person.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScreenState {
    /// Its name, for logs.
    pub name: String,
    /// The state it shows.
    pub state: AttentionState,
    /// The conditions, all of which hold when the screen is shown.
    pub when: Vec<Needle>,
    /// The answers that can be chosen on the screen.
    #[serde(default)]
    pub answers: Vec<ScreenAnswer>,
    /// The answer that iapeer chooses without asking anybody: for a menu that only offers to wait.
    #[serde(default)]
    pub choose: Option<String>,
    /// Beginnings of the row that says what this is about; the last such row counts. Without such a row: the last row
    /// that contains the words of a condition.
    #[serde(default)]
    pub text: Vec<String>,
    /// The words before the time at which the state ends by itself; the first that is followed by a time counts.
    #[serde(default)]
    pub until: Vec<String>,
}

/// An answer that can be chosen on a screen.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScreenAnswer {
    /// What `iapeer answer` calls it: `allow`, `deny`, or a word of its own.
    pub name: String,
    /// How it is chosen.
    pub choose: Choice,
}

/// Transcript records that tell of an error or a limit. All pointers are JSON pointers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordState {
    /// All of these hold for the record.
    pub when: Vec<RecordRule>,
    /// The state it tells of. Default: `failing` among the errors, `limited` among the limits.
    #[serde(default)]
    pub state: Option<AttentionState>,
    /// The pointer to the program's words.
    #[serde(default)]
    pub text: Option<String>,
    /// Pointers to the time at which the state ends: seconds since 1970, or an ISO time. The first that is there
    /// counts.
    #[serde(default)]
    pub until: Vec<String>,
}

/// A state as a transcript record or a screen shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The state.
    pub state: AttentionState,
    /// The program's words, on one line.
    pub text: String,
    /// When the state ends by itself, where the program says so.
    pub until: Option<EpochMs>,
}

impl RecordState {
    /// The state that `record` shows according to this rule; `None` where a condition does not hold.
    pub(crate) fn tells(&self, record: &Value, default: AttentionState) -> Option<Told> {
        if self.when.is_empty() || !self.when.iter().all(|rule| rule.holds(record)) {
            return None;
        }
        let text = self.text.as_ref().and_then(|at| record.pointer(at)?.as_str()).unwrap_or_default();
        let until = self.until.iter().find_map(|at| match record.pointer(at)? {
            Value::Number(seconds) => Some(EpochMs(seconds.as_u64()?.checked_mul(1000)?)),
            Value::String(text) => until::iso(text),
            _ => None,
        });
        Some(Told { state: self.state.unwrap_or(default), text: text.to_owned(), until })
    }
}
