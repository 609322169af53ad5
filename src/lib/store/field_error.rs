//! Errors in the fields of a profile, of the registry or of a queue's item.

use crate::base::identity::{NameError, Personality};
use crate::store::open::Fault;
use serde_json::Value;
use std::io;

/// Why a profile can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileFault {
    /// It is not JSON.
    #[error("not valid JSON: {0}")]
    Json(serde_json::Error),
    /// It could not be written as JSON.
    #[error(transparent)]
    Unwritable(serde_json::Error),
    /// It is JSON, but not an object.
    #[error("not a JSON object")]
    NotAnObject,
    /// A field is missing.
    #[error("{0} is required")]
    Required(&'static str),
    /// A field holds an invalid name.
    #[error("{field}: {source}")]
    Name {
        /// The field.
        field: &'static str,
        /// What is wrong with the name.
        source: NameError,
    },
    /// No nature has this name.
    #[error("intelligence: unknown word {0}")]
    Intelligence(Value),
    /// `interfaces` is not an object.
    #[error("interfaces is not an object")]
    Interfaces,
}

/// Why a record of the registry can't be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordFault {
    /// It is not an object.
    #[error("a peer is not an object")]
    NotAnObject,
    /// Its name is missing or invalid.
    #[error(transparent)]
    Nameless(NameError),
    /// One of its fields is missing or wrong.
    #[error("peer {peer}: {what}")]
    Field {
        /// Whose record.
        peer: Personality,
        /// What is wrong.
        what: RecordField,
    },
}

/// A field of a record that is missing or wrong.
#[derive(Debug, thiserror::Error)]
pub enum RecordField {
    /// The name of a runtime.
    #[error(transparent)]
    Runtime(#[from] NameError),
    /// The working folder.
    #[error("cwd is missing")]
    Cwd,
    /// No nature has this name.
    #[error("unknown intelligence {0}")]
    Intelligence(Value),
    /// `interfaces` is not an object.
    #[error("interfaces is not an object")]
    Interfaces,
}

/// Why a registry can't be used.
#[derive(Debug, thiserror::Error)]
pub enum RegistryFault {
    /// It is not JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// It is JSON, but not an object.
    #[error("not a JSON object")]
    NotAnObject,
    /// `peers` is not a list. If it counted as an empty one, the next write would remove the peers.
    #[error("its peers are not a list: a later version may have written it")]
    Peers,
    /// One of its records can't be used.
    #[error(transparent)]
    Record(#[from] RecordFault),
    /// Two records have one name.
    #[error("peer {0} is in it twice")]
    Twice(Personality),
}

/// Why a file in a queue is not an item.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ItemFault {
    /// It is not the JSON of an item.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// A later version wrote it.
    #[error("format version {0} is newer than 1")]
    Newer(u32),
    /// Its message is blank.
    #[error("the message is empty")]
    Empty,
    /// It has no time of acceptance, and the modification time of its file can't be read.
    #[error(transparent)]
    NoTime(io::Error),
    /// Its file is not a regular file, or too large.
    #[error(transparent)]
    Unfit(#[from] Fault),
}
