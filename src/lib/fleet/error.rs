//! The errors of reading a fleet file and putting it into effect.

use crate::base::exit::{Exit, Failure};
use crate::host::git::GitError;
use crate::store::durable::StoreError;
use std::path::{Path, PathBuf};

/// A fleet file that can't be read, is wrong, or can't be put into effect.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FleetError {
    /// There is no such file.
    #[error("there is no {}: name the file, or `iapeer new-fleet` writes one", .0.display())]
    Missing(PathBuf),
    /// The file can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A value in the file is wrong.
    #[error("{}:{line}:{column}: {why}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column in characters, from 1.
        column: usize,
        /// What is wrong, and what to do.
        why: String,
    },
    /// A git command failed.
    #[error("{what}: {source}")]
    Git {
        /// What git was to do.
        what: String,
        /// Why it failed.
        source: GitError,
    },
    /// The state of the host does not allow a step.
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
