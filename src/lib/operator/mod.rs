//! What an operator sees and does: the list, the status, the logs, the verbs that start, stop and renew peers.

#![forbid(unsafe_code)]

pub mod control;
pub mod demo;
pub mod history;
pub mod list;
pub mod logs;
pub mod status;
pub mod table;
