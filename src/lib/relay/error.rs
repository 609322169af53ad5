//! Errors of handing messages over to another host, and of taking messages from it.

use crate::base::exit::{Exit, Failure};

/// Why a conversation with another host came to nothing. In each case what waits, waits.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum RelayError {
    /// Something on this host.
    #[error("{0}")]
    Here(Failure),
    /// The other host can't be reached, or the connection has ended.
    #[error("{0}")]
    Away(String),
    /// The other host refuses this one, or does not speak its language.
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
