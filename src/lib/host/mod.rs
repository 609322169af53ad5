//! The machine: tmux, processes, the service manager. No other room calls tmux or the service manager, sends signals or
//! reads `/proc`.

pub mod about;
pub(crate) mod beside;
pub mod cgroup;
pub(crate) mod child;
pub(crate) mod command;
pub(crate) mod command_file;
pub mod dir_watch;
pub mod disk;
pub(crate) mod flock;
pub mod forensics;
pub mod git;
pub mod inherited;
pub mod kernel_log;
pub mod limits;
pub(crate) mod loopback;
pub mod managed;
#[cfg(all(target_env = "musl", panic = "abort"))]
mod no_unwinding;
pub mod obstacle;
mod path_events;
pub(crate) mod path_watch;
pub mod process;
pub mod program;
pub mod service;
pub mod slim;
pub mod spawn;
pub(crate) mod ssh;
pub mod tmux;
pub mod usage;

pub use process::ProcessId;
