//! What proves that a message landed, and what became of a message.

use crate::base::wake::{Mode, WakeCause};
use crate::base::words::words;
use serde::{Deserialize, Serialize};

words! {
    /// What proves that a message landed in its session.
    pub enum Evidence {
        /// A hook of ours saw the prompt that carried the message's id.
        Hook = "hook",
        /// A transcript record written after the paste carries the id.
        Transcript = "transcript",
        /// The composer contained the paste, and was empty after the submit key.
        Composer = "composer",
        /// The message is filed in the recipient's mailbox.
        Mailbox = "mailbox",
        /// The message, an answer, was printed for the program that waited for it.
        Asked = "asked",
        /// The service behind a bridge has confirmed that it took the message.
        Api = "api",
        /// The recipient's host has confirmed the delivery there, by evidence that this version has no word for.
        Receipt = "receipt",
        /// The program's own server has said that a turn took the message.
        AppServer = "app-server",
        /// The conversation, as read by HTTP, has a turn that took the message.
        Http = "http",
        /// The program's file of events says that a turn took the message.
        File = "file",
    }
}

words! {
    /// What became of a message that left its queue: it is not delivered again, unless an operator requeues a dead letter.
    pub enum Outcome {
        /// There is evidence that the recipient has the message.
        Delivered = "delivered",
        /// The message is a dead letter.
        Dead = "dead",
        /// Another host has accepted it, and has not told yet what became of it there.
        HandedOver = "handed-over",
        /// The message was a dead letter, and an operator dropped it.
        Dropped = "dropped",
    }
}

/// How a message landed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Landed {
    /// What proved it.
    pub evidence: Evidence,
    /// A person's draft had to make way for the message (D14).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forced: bool,
    /// How the session was woken for the message; absent where the session lived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Why the session was woken so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<WakeCause>,
}
