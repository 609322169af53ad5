//! The operator's verbs: list, status, logs and history, and starting, stopping and refreshing peers.

#![forbid(unsafe_code)]

pub mod control;
pub mod demo;
mod done;
pub mod history;
pub mod hosts;
pub mod list;
pub mod logs;
mod patience;
pub mod status;
pub mod table;
