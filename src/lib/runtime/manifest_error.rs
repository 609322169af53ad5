//! Why a manifest can't be used.

use crate::base::exit::{Exit, Failure};
use crate::base::identity::Runtime;
use crate::runtime::fill::FillError;
use std::path::PathBuf;

/// A manifest that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Neither built in nor in the root.
    #[error("runtime {runtime:?} is not known: it is not built in ({known}) and {} does not exist", path.display())]
    Unknown {
        /// The runtime.
        runtime: String,
        /// The built-in ones.
        known: String,
        /// Where a manifest of one's own would be.
        path: PathBuf,
    },
    /// It is not readable, or has a key or value without a meaning.
    #[error("the manifest {} can't be read: {why}", path.display())]
    Bad {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A text in it can't be filled in.
    #[error("the manifest of runtime {runtime}: {source}")]
    Fill {
        /// The runtime.
        runtime: Runtime,
        /// Which text, and why.
        source: FillError,
    },
    /// The program it starts is not on this machine.
    #[error("no program for runtime {runtime}: searched for {looked}; {hint}, or set {variable} to its path")]
    NoProgram {
        /// The runtime.
        runtime: String,
        /// The places that were tried.
        looked: String,
        /// How to install it.
        hint: String,
        /// The variable that names it.
        variable: String,
    },
}

impl ManifestError {
    /// The exit code of a program that gives up for this reason.
    pub fn exit(&self) -> Exit {
        match self {
            ManifestError::Unknown { .. } | ManifestError::NoProgram { .. } => Exit::Refused,
            ManifestError::Bad { .. } | ManifestError::Fill { .. } => Exit::Config,
        }
    }
}

impl From<ManifestError> for Failure {
    fn from(error: ManifestError) -> Self {
        Failure::new(error.exit(), error.to_string())
    }
}
