//! Why a fleet file is not put into effect.

use crate::base::exit::{Exit, Failure};
use crate::host::git::GitError;
use crate::store::durable::StoreError;
use std::path::{Path, PathBuf};

/// A fleet file that can't be read, is wrong, or can't be put into effect.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FleetError {
    /// There is none.
    #[error("there is no {}: name the file, or `iapeer new-fleet` writes one", .0.display())]
    Missing(PathBuf),
    /// It can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something in it is wrong.
    #[error("{}:{line}:{column}: {why}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// Its column in characters, from 1.
        column: usize,
        /// What is wrong, and what to do.
        why: String,
    },
    /// git did not do what was asked of it.
    #[error("{what}: {source}")]
    Git {
        /// What was to be done.
        what: String,
        /// Why not.
        source: GitError,
    },
    /// The host's state does not allow it.
    #[error("{0}")]
    Refused(String),
}

impl FleetError {
    pub(crate) fn git(what: &str, path: &Path) -> impl FnOnce(GitError) -> FleetError {
        let what = format!("{what} {}", path.display());
        |source| FleetError::Git { what, source }
    }
}

impl From<FleetError> for Failure {
    fn from(error: FleetError) -> Self {
        let exit = match &error {
            FleetError::Missing(_) => Exit::NoInput,
            FleetError::Store(store) => store.exit(),
            FleetError::Wrong { .. } => Exit::Config,
            FleetError::Git { .. } | FleetError::Refused(_) => Exit::Refused,
        };
        Failure::new(exit, error.to_string())
    }
}
