//! `<identity>.channel`: by which way messages go into a session, and why not by a better one.

use crate::base::delivery_kind::DeliveryKind;
use crate::base::identity::Identity;
use crate::base::paths::Paths;
use crate::base::state_file::StateFile;
use crate::store::durable::{self, StoreError};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The way of messages into one session. JSON, one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// The launch that it belongs to: what is left of an earlier launch says nothing.
    pub launch: String,
    /// The way.
    pub kind: DeliveryKind,
    /// Why it is not a better one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl Channel {
    /// The way into the session of this launch. `None`: the only one there is.
    pub fn of(paths: &Paths, identity: &Identity, launch: Option<&str>) -> Option<Channel> {
        let channel: Channel = durable::peek_json(&paths.state(identity, StateFile::Channel))?;
        (launch == Some(channel.launch.as_str())).then_some(channel)
    }

    /// Writes it to `path`.
    pub fn write(&self, path: &Path) -> Result<(), StoreError> {
        let mut line = serde_json::to_vec(self)
            .map_err(|error| StoreError::Corrupt { path: path.to_owned(), why: error.to_string() })?;
        line.push(b'\n');
        durable::write_volatile(path, &line)
    }
}
