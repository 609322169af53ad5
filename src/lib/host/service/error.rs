//! Errors of the service manager.

use crate::base::exit::{Exit, Failure};
use crate::host::command::CommandError;

/// A change of units that was not made.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The manager's program did not run to its end.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// systemd refused it, in its own words.
    #[error("systemctl --user {call}: {said}")]
    Systemd {
        /// The arguments.
        call: String,
        /// What it said.
        said: String,
    },
    /// launchd keeps a job that it was told to unload.
    #[error("{label} is still loaded: {said}")]
    StillLoaded {
        /// The job.
        label: String,
        /// What launchctl said.
        said: String,
    },
    /// launchd did not load a job, however often it was asked to.
    #[error("{tries} bootstrap tries failed (last: {said})")]
    NotLoaded {
        /// How often it was asked.
        tries: usize,
        /// What launchctl said last.
        said: String,
    },
}

impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Self {
        Failure::new(Exit::TryAgain, error.to_string())
    }
}

/// A schedule that launchd or cron can't keep.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Only systemd knows these words.
    #[error(
        "{0:?} is for systemd alone: here give hourly, daily, weekly, monthly, HH:MM, Mon..Fri HH:MM, \
         Mon,Thu HH:MM or *-*-DD HH:MM"
    )]
    SystemdAlone(String),
    /// cron takes a day of the month and a day of the week as one or the other.
    #[error("cron can't combine a day of the month with a day of the week")]
    BothDays,
    /// cron knows times only.
    #[error("cron can't watch a path")]
    Path,
    /// cron's fields can't say it.
    #[error("cron can't run at that interval: give minutes that divide an hour, or hours that divide a day")]
    Interval,
}
