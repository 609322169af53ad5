//! The operating system's service manager: systemd's user manager, launchd.
//!
//! [`systemd`] runs sessions as transient units and reads the state of units; [`unit_files`] and [`launchd`] write the
//! files that are shipped in `units/` and `plists/` for one user, whom [`ServiceTarget`] names. The room `units`
//! decides what is installed when.

mod calendar;
mod error;
pub mod folders;
pub mod launchd;
pub mod manager;
mod property_list;
pub mod schedule;
mod seen;
mod state;
pub mod systemd;
mod target;
pub mod unit_files;
pub mod unit_record;

pub use error::{ScheduleError, ServiceError};
pub use manager::Manager;
pub use state::{Lingering, Seen};
pub(crate) use systemd::{UserManager, unit_result};
pub(crate) use target::FileStanding;
pub use target::{ServiceFile, ServiceTarget, is_ours};
