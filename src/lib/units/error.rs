//! Errors for which a unit was not changed.

use crate::base::exit::{Exit, Failure};
use crate::host::managed::Managed;
use crate::host::service::ServiceError;
use crate::store::durable::StoreError;
use std::io;
use std::path::PathBuf;

/// The reason shown where a test run leaves the user's own units alone.
pub(super) const OFF_LIMITS: &str = "IAPEER_TEST_SANDBOX=1: your own units are left alone; IAPEER_SYSTEMD_USER_DIR or IAPEER_LAUNCHAGENTS_DIR names another folder";

/// A change of our units that was not made.
#[derive(Debug, thiserror::Error)]
pub enum UnitError {
    /// The service manager did not do it.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The service manager can't be asked now: why, and what helps.
    #[error("{0}")]
    Unreachable(String),
    /// The unit is somebody else's.
    #[error("managed by {0} through a unit that iapeer did not write: use {0} itself")]
    Foreign(Managed),
    /// Its file is gone.
    #[error("its unit {0} is gone: `iapeer units install` writes it")]
    Gone(String),
    /// A test run leaves the user's own units alone.
    #[error("{OFF_LIMITS}")]
    OffLimits,
    /// Its file could not be written.
    #[error(transparent)]
    Write(Failure),
    /// Its file could not be removed.
    #[error("cannot remove {}: {source}", path.display())]
    Remove {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The peer's marker could not be changed.
    #[error(transparent)]
    Marker(#[from] StoreError),
}

impl From<UnitError> for Failure {
    fn from(error: UnitError) -> Self {
        Failure::new(Exit::TryAgain, error.to_string())
    }
}
