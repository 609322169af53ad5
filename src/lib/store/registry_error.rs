//! Errors for which the registry can't be used.

use crate::base::exit::{Exit, Failure};
use crate::store::durable::StoreError;
use crate::store::field_error::RegistryFault;
use std::path::PathBuf;

/// A registry that can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// A file operation failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The content is not a registry.
    #[error("{} corrupted ({why}): `iapeer doctor --fix` restores it from the peers' profiles", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: RegistryFault,
    },
    /// It is missing or names nobody, and its last good copy names peers.
    #[error("{} {fault}, and its last good copy names {peers} peer(s): `iapeer doctor --fix` restores it", path.display())]
    Lost {
        /// The file.
        path: PathBuf,
        /// `is missing`, or `names nobody`.
        fault: &'static str,
        /// How many peers the copy names.
        peers: usize,
    },
}

impl From<RegistryError> for Failure {
    fn from(error: RegistryError) -> Self {
        match error {
            RegistryError::Store(error) => error.into(),
            bad => Failure::new(Exit::Config, bad.to_string()),
        }
    }
}
