//! The errors of changing a unit.

use crate::base::exit::{Exit, Failure};
use crate::host::managed::Managed;
use crate::host::service::ServiceError;
use crate::store::durable::StoreError;
use std::io;
use std::path::PathBuf;

/// The reason shown where a test run leaves the user's own units alone.
pub(super) const OFF_LIMITS: &str = "IAPEER_TEST_SANDBOX=1: your own units are left alone; IAPEER_SYSTEMD_USER_DIR or IAPEER_LAUNCHAGENTS_DIR names another folder";

/// Why a unit was not changed.
#[derive(Debug, thiserror::Error)]
pub enum UnitError {
    /// The service manager refused or failed.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The service manager can't be reached: why, and what helps.
    #[error("{0}")]
    Unreachable(String),
    /// iapeer did not write the unit.
    #[error("managed by {0} through a unit that iapeer did not write: use {0} itself")]
    Foreign(Managed),
    /// The unit's file is gone.
    #[error("its unit {0} is gone: `iapeer units install` writes it")]
    Gone(String),
    /// A test run leaves the user's own units alone.
    #[error("{OFF_LIMITS}")]
    OffLimits,
    /// The unit's file could not be written.
    #[error(transparent)]
    Write(Failure),
    /// The unit's file could not be removed.
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
