//! Errors in the fields of a profile, of the registry or of a queue's item.

use crate::base::identity::{NameError, Personality};
use crate::store::open::Fault;
use serde_json::Value;
use std::io;

/// A profile that is none.
#[derive(Debug, thiserror::Error)]
pub enum ProfileFault {
    /// It is not JSON.
    #[error("not valid JSON: {0}")]
    Json(serde_json::Error),
    /// It could not be written as JSON.
    #[error(transparent)]
    Unwritable(serde_json::Error),
    /// It is JSON, and no object.
    #[error("not a JSON object")]
    NotAnObject,
    /// A field is missing.
    #[error("{0} is required")]
    Required(&'static str),
    /// A field has a name that can't be one.
    #[error("{field}: {source}")]
    Name {
        /// The field.
        field: &'static str,
        /// What is wrong with the name.
        source: NameError,
    },
    /// No nature has that name.
    #[error("intelligence: unknown word {0}")]
    Intelligence(Value),
    /// `interfaces` is something else.
    #[error("interfaces is not an object")]
    Interfaces,
}

/// A record of the registry that is none.
#[derive(Debug, thiserror::Error)]
pub enum RecordFault {
    /// It is no object.
    #[error("a peer is not an object")]
    NotAnObject,
    /// It has no name that could be one.
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
    /// A runtime's name.
    #[error(transparent)]
    Runtime(#[from] NameError),
    /// The folder.
    #[error("cwd is missing")]
    Cwd,
    /// No nature has that name.
    #[error("unknown intelligence {0}")]
    Intelligence(Value),
    /// `interfaces` is something else.
    #[error("interfaces is not an object")]
    Interfaces,
}

/// A registry that is none.
#[derive(Debug, thiserror::Error)]
pub enum RegistryFault {
    /// It is not JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// It is JSON, and no object.
    #[error("not a JSON object")]
    NotAnObject,
    /// Its peers are something else: taken for nobody, they would be written over.
    #[error("its peers are not a list: a later version may have written it")]
    Peers,
    /// One of its records can't be used.
    #[error(transparent)]
    Record(#[from] RecordFault),
    /// Two records have one name.
    #[error("peer {0} is in it twice")]
    Twice(Personality),
}

/// A file in a queue that is no message.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ItemFault {
    /// It is not the JSON of an item.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// A later version wrote it.
    #[error("format version {0} is newer than 1")]
    Newer(u32),
    /// It says nothing.
    #[error("the message is empty")]
    Empty,
    /// It has no time of its own, and its file's can't be had.
    #[error(transparent)]
    NoTime(io::Error),
    /// Its file is none that is read.
    #[error(transparent)]
    Unfit(#[from] Fault),
}
