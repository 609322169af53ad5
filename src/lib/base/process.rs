//! Facts about a process or a session, independent of how they were determined.

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

/// A signal for people: `signal 9 (SIGKILL)`; one without a name is its number alone.
pub(crate) fn signal_name(signal: i32) -> String {
    match nix::sys::signal::Signal::try_from(signal) {
        Ok(name) => format!("signal {signal} ({name})"),
        Err(_) => format!("signal {signal}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_has_its_name_where_it_has_one() {
        assert_eq!(signal_name(9), "signal 9 (SIGKILL)");
        assert_eq!(signal_name(99), "signal 99");
    }
}
