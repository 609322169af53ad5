//! The part of a manifest that says where transcripts report the tokens of an answer.

use super::needle::RecordRule;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Which records say what was used. All pointers are JSON pointers (RFC 6901) into a line; a pointer to nothing is
/// zero.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRule {
    /// A record that matches all of these counts.
    pub when: Vec<RecordRule>,
    /// What the records of one answer have in common: of several the last one counts.
    #[serde(default)]
    pub id: Option<String>,
    /// Tokens that were sent.
    pub input: String,
    /// Tokens that were answered.
    pub output: String,
    /// Tokens that were read from a cache.
    #[serde(default)]
    pub cached: Option<String>,
    /// Tokens that were written to a cache.
    #[serde(default)]
    pub written: Option<String>,
    /// `input` counts those of the cache too.
    #[serde(default)]
    pub input_has_cached: bool,
}

/// Tokens: sent, read from a cache, written to a cache, answered. No token is in two of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tokens {
    /// Sent, and neither read from a cache nor written to one.
    pub input: u64,
    /// Read from a cache.
    pub cached: u64,
    /// Sent and written to a cache.
    pub written: u64,
    /// Answered.
    pub output: u64,
}

impl Tokens {
    /// Whether there are any.
    pub fn any(&self) -> bool {
        *self != Tokens::default()
    }

    pub(crate) fn add(&mut self, more: Tokens) {
        self.input = self.input.saturating_add(more.input);
        self.cached = self.cached.saturating_add(more.cached);
        self.written = self.written.saturating_add(more.written);
        self.output = self.output.saturating_add(more.output);
    }
}

impl TokenRule {
    pub(super) fn tokens(&self, record: &Value) -> Tokens {
        let count = |at: &String| record.pointer(at).and_then(Value::as_u64).unwrap_or(0);
        let [cached, written] = [&self.cached, &self.written].map(|at| at.as_ref().map_or(0, count));
        let input = count(&self.input);
        let input = if self.input_has_cached { input.saturating_sub(cached.saturating_add(written)) } else { input };
        Tokens { input, cached, written, output: count(&self.output) }
    }
}
