//! The machine: tmux, processes, the service manager. The one place that talks to any of them.

pub mod cgroup;
pub mod command;
pub mod forensics;
pub mod inherited;
pub mod kernel_log;
pub mod managed;
pub mod process;
pub mod service;
pub mod slim;
pub mod spawn;
pub mod tmux;

pub use process::ProcessId;

/// Whether something lives. An answer that could not be had is Unknown, and nothing is concluded from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liveness {
    /// It was seen alive.
    Alive,
    /// It was seen gone.
    Gone,
    /// The host would not say.
    Unknown,
}
