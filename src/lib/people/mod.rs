//! Persons: their inboxes, their open questions, and the owner of the host.
//!
//! Most persons are peers on a runtime of the kind `mailbox`: a message to such a person is filed as a file below the
//! peer's folder; there is no session, no wake and no try. A person may also be on the runtime `telegram`, whose bridge
//! sends the messages (`bots`).

#![forbid(unsafe_code)]

mod answer;
pub mod asks;
pub(crate) mod bots;
pub mod inbox;
pub mod letter;
pub mod notify;
pub mod owner;

pub(crate) use inbox::Inbox;
pub use letter::Letter;
