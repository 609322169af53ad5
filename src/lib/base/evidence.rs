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
        /// The composer held the paste and cleared after the submit key.
        Composer = "composer",
        /// It is filed in the recipient's mailbox.
        Mailbox = "mailbox",
        /// It was printed for whoever had asked and waited for it.
        Asked = "asked",
        /// The service behind a bridge has said that it took it.
        Api = "api",
        /// The host that it was sent to has said that it was delivered there, in a word that this version does not know.
        Receipt = "receipt",
        /// The program's own server has said that a turn took it.
        AppServer = "app-server",
        /// The conversation, asked for by HTTP, has a turn that took it.
        Http = "http",
        /// The program's file of events has it.
        File = "file",
    }
}

words! {
    /// What became of a message that left its queue: it is not delivered again, unless an operator requeues a dead letter.
    pub enum Outcome {
        /// There is evidence that the session took it.
        Delivered = "delivered",
        /// It is a dead letter.
        Dead = "dead",
        /// Another host has accepted it, and has not told yet what became of it there.
        HandedOver = "handed-over",
        /// It was a dead letter, and an operator dropped it.
        Dropped = "dropped",
    }
}

/// How a message landed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Landed {
    /// What proved it.
    pub evidence: Evidence,
    /// A person's draft had to make way (D14).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forced: bool,
    /// How the session was woken for it; absent where the session lived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Why the session was woken so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<WakeCause>,
}
