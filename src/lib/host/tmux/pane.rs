//! The id of one pane on its server.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A pane's id, `%N`: tmux never gives it twice on one server, and it stays the same whatever is renamed, moved or
/// split around the pane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PaneId(u32);

impl PaneId {
    /// The first pane of a server: the one that a session of ours was started with.
    pub(crate) const FIRST: PaneId = PaneId(0);
}

impl fmt::Display for PaneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0)
    }
}

/// The error for a text that is no pane's id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a pane's id (%N)")]
pub struct NotAPane(String);

impl FromStr for PaneId {
    type Err = NotAPane;

    fn from_str(text: &str) -> Result<PaneId, NotAPane> {
        let digits = text.strip_prefix('%').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        digits.and_then(|digits| digits.parse().ok()).map(PaneId).ok_or_else(|| NotAPane(text.to_owned()))
    }
}

impl TryFrom<String> for PaneId {
    type Error = NotAPane;

    fn try_from(text: String) -> Result<PaneId, NotAPane> {
        text.parse()
    }
}

impl From<PaneId> for String {
    fn from(pane: PaneId) -> String {
        pane.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_percent_sign_and_digits_name_a_pane() {
        assert_eq!("%0".parse(), Ok(PaneId::FIRST));
        assert_eq!("%17".parse::<PaneId>().unwrap().to_string(), "%17");
        for bad in ["", "%", "0", "%-1", "%+1", "%1 ", "%#{pid}", "@1", "%99999999999"] {
            assert!(bad.parse::<PaneId>().is_err(), "{bad:?}");
        }
    }
}
