//! Persons: their inboxes, their open questions, and the owner of the host.
//!
//! A person is a peer on a runtime of the kind `mailbox`. A message to a person is filed as a file below the peer's
//! folder; there is no session, no wake and no try.

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
