//! A message as its sender gives it.

use crate::base::identity::{Runtime, Topic};
use crate::base::message_id::MessageId;
use std::time::Duration;

/// What to send.
#[derive(Debug, Clone)]
pub struct Message {
    /// The recipient: `NAME` or `RUNTIME-NAME`, and `@HOST` where it is on another host.
    pub to: String,
    /// The recipient's runtime; `None`: its default one.
    pub runtime: Option<Runtime>,
    /// Who sends the message; `None`: the session's identity, else the peer of the current folder, else the host's
    /// owner.
    pub from: Option<String>,
    /// The body.
    pub body: String,
    /// The topic of the message.
    pub topic: Option<Topic>,
    /// The message that this one answers.
    pub re: Option<MessageId>,
    /// Set where the sender waits for the answer: the id under which it has opened the question.
    pub ask: Option<MessageId>,
    /// Absolute paths of files.
    pub attachments: Vec<String>,
    /// Whether the message is to steer a running turn.
    pub urgent: bool,
    /// Whether the message is dropped where an earlier message of this sender still waits.
    pub no_pile: bool,
    /// How long to wait for the message to settle.
    pub wait: Duration,
}
