//! The operating system's service manager: systemd's user manager, launchd.
//!
//! [`systemd`] runs sessions as transient units and asks about units; `launchd` loads and unloads agents. What
//! files they are given is the business of `lifecycle::units`.


pub mod systemd;

pub use systemd::{UnitResult, UserManager, unit_result};
