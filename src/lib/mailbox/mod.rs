//! The messages that wait for one peer: counting tries, settling and burying them, and the notices about dead letters.

#![forbid(unsafe_code)]

pub(crate) mod afar;
pub(crate) mod again;
pub(crate) mod armed;
pub mod ledger;
pub mod notice;
pub mod queues;
pub(crate) mod receipt;
pub(crate) mod tasks;
