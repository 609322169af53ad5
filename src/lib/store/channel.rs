//! `<identity>.channel`: the way in which messages go into a session, and why that is not the program's own server.

use crate::base::delivery_kind::DeliveryKind;
use crate::base::identity::Identity;
use crate::base::paths::Paths;
use crate::base::state_file::StateFile;
use crate::store::durable::{self, StoreError};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The way in which messages go into one session. JSON, one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// The launch that the file belongs to: a file of an earlier launch is ignored.
    pub launch: String,
    /// The way.
    pub kind: DeliveryKind,
    /// Why messages do not go by the program's own server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Where the program's own HTTP server is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpPlace>,
}

/// A program's own HTTP server on the loopback interface, and the conversation that its terminal shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpPlace {
    /// The port on which the server listens.
    pub port: u16,
    /// The password that the server asks for.
    pub password: String,
    /// The conversation that the session was started with, or that was opened for its first message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
}

impl Channel {
    /// The way into the session of this launch. `None`: no way is noted for this launch, so messages are typed.
    pub fn of(paths: &Paths, identity: &Identity, launch: Option<&str>) -> Option<Channel> {
        let channel: Channel = durable::peek_json(&paths.state(identity, StateFile::Channel))?;
        (launch == Some(channel.launch.as_str())).then_some(channel)
    }

    /// Writes the file `path`, atomically but without fsync.
    pub fn write(&self, path: &Path) -> Result<(), StoreError> {
        let mut line = serde_json::to_vec(self)
            .map_err(|error| StoreError::Corrupt { path: path.to_owned(), why: error.to_string() })?;
        line.push(b'\n');
        durable::write_volatile(path, &line)
    }
}
