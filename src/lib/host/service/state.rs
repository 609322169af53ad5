//! The state of a unit, for every service manager.

use std::time::Duration;

/// The state of a unit according to its manager.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// `active`, `inactive`, `failed`, … in the manager's words; empty where it does not know the unit.
    pub state: String,
    /// How its last run ended, where it failed.
    pub trouble: Option<String>,
    /// How long ago it last ran or started.
    pub last: Option<Duration>,
    /// How long it takes until it runs next.
    pub next: Option<Duration>,
}

/// Whether units outlive the last logout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lingering {
    /// Whether they do.
    pub on: bool,
    /// The name of the user whose units they are.
    pub user: String,
}
