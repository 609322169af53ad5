//! The result of a verb about one peer on one runtime.

use crate::base::exit::Exit;
use crate::base::identity::{Identity, Personality, Runtime};
use serde::Serialize;

/// The report of a verb about one identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Done {
    /// The peer.
    pub personality: Personality,
    /// The runtime.
    pub runtime: Runtime,
    /// The word for what was done or refused.
    pub action: String,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The exit code this line asks for.
    #[serde(skip)]
    pub exit: Exit,
}

impl Done {
    pub(crate) fn ok(identity: &Identity, action: &str) -> Done {
        Done::with(identity, action, None, Exit::Ok)
    }

    pub(crate) fn with(identity: &Identity, action: &str, reason: Option<String>, exit: Exit) -> Done {
        Done {
            personality: identity.personality().clone(),
            runtime: identity.runtime().clone(),
            action: action.to_owned(),
            reason,
            exit,
        }
    }

    /// The line for people.
    pub fn line(&self) -> String {
        let reason = self.reason.as_ref().map(|reason| format!(" — {reason}")).unwrap_or_default();
        format!("{} ({}): {}{reason}", self.personality, self.runtime, self.action)
    }
}
