//! Why a state file can't be read or written.

use crate::base::exit::{Exit, Failure};
use std::io;
use std::path::{Path, PathBuf};

/// A failed operation on a state file.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused the operation.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// The operation, as an infinitive.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The change was made, but a power cut may undo it: the last step, the fsync of the folder, failed.
    #[error("{} is {what}, but a power cut may undo that: cannot sync its folder: {source}", path.display())]
    Unsynced {
        /// What was done, as a participle.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that only its own writer may write.
    #[error("refusing to write {} here: it is the registry's locked write target", .0.display())]
    Guarded(PathBuf),
    /// A file that is not a regular file, or too large, or not only ours where it has to be.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// Content that is not what it should be.
    #[error("{} is not readable: {why}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

impl StoreError {
    /// An I/O error on `path` while doing `what`.
    pub fn io(what: &'static str, path: &Path, source: io::Error) -> Self {
        StoreError::Io { what, path: path.to_owned(), source }
    }

    pub(crate) fn unsynced(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| StoreError::Unsynced { what, path: path.to_owned(), source }
    }

    /// Whether there is no room left: on the file system, or for this user.
    pub(crate) fn is_full(&self) -> bool {
        let StoreError::Io { source, .. } = self else { return false };
        matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }

    /// The file or folder that the error is about.
    pub fn path(&self) -> &Path {
        match self {
            StoreError::Io { path, .. }
            | StoreError::Unsynced { path, .. }
            | StoreError::Guarded(path)
            | StoreError::Corrupt { path, .. } => path,
            StoreError::Unfit(unfit) => &unfit.path,
        }
    }

    /// The exit code of a program that gives up for this reason.
    pub fn exit(&self) -> Exit {
        match self {
            StoreError::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => Exit::NoPerm,
            StoreError::Io { .. } | StoreError::Unsynced { .. } => Exit::Io,
            StoreError::Guarded(_) => Exit::Internal,
            StoreError::Unfit(unfit) => unfit.exit(),
            StoreError::Corrupt { .. } => Exit::Config,
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let hint = if error.is_full() { ": the disk is full; free some space and try again" } else { "" };
        Failure::new(error.exit(), format!("{error}{hint}"))
    }
}

/// A file that does not meet the requirements for its kind of file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} {fault}: {}", path.display(), fault.todo())]
pub struct Unfit {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub fault: Fault,
}

/// Why a file is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It is a FIFO, a device, a socket or a folder.
    #[error("is a {0}, not a regular file")]
    Kind(&'static str),
    /// It is a link where none is followed, or a link without a target.
    #[error("is a link, which is not followed here")]
    Link,
    /// It is a link, or anything else, where a folder has to be.
    #[error("is a {0}, not a folder")]
    NoFolder(&'static str),
    /// It has more bytes (the first number) than a file of its kind may have (the second).
    #[error("has {0} bytes, more than the {1} that are read")]
    Large(u64, u64),
    /// Another user owns it.
    #[error("belongs to uid {0}, not to you (uid {1})")]
    Owner(u32, u32),
    /// Others may write it.
    #[error("is writable by others (mode {0:04o})")]
    Open(u32),
    /// It is a folder whose content can't be listed.
    #[error("can't be listed ({0})")]
    Unlisted(io::ErrorKind),
    /// Its owner may not read it.
    #[error("can't be read by its owner (mode {0:04o})")]
    Shut(u32),
}

impl Fault {
    /// What to do about it.
    pub fn todo(self) -> &'static str {
        match self {
            Fault::Kind(_) | Fault::NoFolder(_) => "move it away",
            Fault::Link => "put the file itself there",
            Fault::Large(..) => "make it shorter, or move it away",
            Fault::Owner(..) => "chown it to yourself, or move it away",
            Fault::Open(_) => "chmod go-w it",
            Fault::Unlisted(_) => "see to its mode",
            Fault::Shut(_) => "chmod u+rw it",
        }
    }
}

impl Unfit {
    pub(crate) fn new(path: &Path, fault: Fault) -> Unfit {
        Unfit { path: path.to_owned(), fault }
    }

    /// The exit code of a program that gives up for this reason.
    pub fn exit(&self) -> Exit {
        match self.fault {
            Fault::Owner(..) | Fault::Open(_) | Fault::Unlisted(_) | Fault::Shut(_) => Exit::NoPerm,
            Fault::Kind(_) | Fault::Link | Fault::NoFolder(_) | Fault::Large(..) => Exit::Config,
        }
    }
}
