//! The facts that the platform reports about a process.

/// A process as the kernel describes it now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    /// When it started, in the unit of [`super::ProcessId::start`].
    pub(crate) start: u64,
    pub(crate) parent: i32,
    /// The leader of its process session.
    pub(crate) session: i32,
    pub(crate) zombie: bool,
    /// Stopped by a signal or a debugger.
    pub(crate) stopped: bool,
}
