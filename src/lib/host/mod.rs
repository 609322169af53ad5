//! The machine: tmux, processes, the service manager. (temporary shape until the room is merged)

use serde::{Deserialize, Serialize};

/// A process that can't be mistaken for another: pid and start time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessId {
    /// The pid.
    pub pid: i32,
    /// When it started, in the platform's own unit.
    pub start: u64,
}
