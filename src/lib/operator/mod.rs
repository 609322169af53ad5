//! What an operator sees and does: the list, the status, the logs, the verbs that start, stop and renew peers.

pub mod control;
pub mod demo;
pub mod list;
pub mod logs;
pub mod status;
