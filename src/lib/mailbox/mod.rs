//! What waits for one peer: its queue's items, the tries that were made with them, and who is told of their end.

#![forbid(unsafe_code)]

pub mod ledger;
pub mod notice;
pub mod queues;
pub(crate) mod tasks;
