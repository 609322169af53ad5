//! What can be said of a process or a session without saying how it was found out.

/// Whether something lives. Where the host gave no answer it is `Unknown`, and nothing is concluded from it (D6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liveness {
    /// It was seen alive.
    Alive,
    /// It was seen gone.
    Gone,
    /// The host gave no answer.
    Unknown,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessEnd {
    /// It exited with this status.
    Exited(i32),
    /// This signal ended it.
    Killed(i32),
}

impl ProcessEnd {
    /// From a wait status (wait(2)).
    pub(crate) fn from_wait_status(status: i32) -> ProcessEnd {
        match status & 0x7f {
            0 => ProcessEnd::Exited((status >> 8) & 0xff),
            signal => ProcessEnd::Killed(signal),
        }
    }
}
