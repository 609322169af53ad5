//! Errors of handing messages over to another host, and of taking messages from it.

use crate::base::exit::{Exit, Failure};

/// Why a connection with another host failed. In each case the waiting messages keep waiting.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum RelayError {
    /// A failure on this host.
    #[error("{0}")]
    Here(Failure),
    /// The other host can't be reached, or the connection has ended.
    #[error("{0}")]
    Away(String),
    /// The other host refuses this one, breaks the protocol or speaks no common version of it, or this host's settings
    /// for it are wrong.
    #[error("{0}")]
    Refused(String),
}

impl From<Failure> for RelayError {
    fn from(failure: Failure) -> RelayError {
        RelayError::Here(failure)
    }
}

impl From<RelayError> for Failure {
    fn from(error: RelayError) -> Failure {
        match error {
            RelayError::Here(failure) => failure,
            RelayError::Away(why) => Failure::new(Exit::TryAgain, why),
            RelayError::Refused(why) => Failure::new(Exit::Refused, why),
        }
    }
}
