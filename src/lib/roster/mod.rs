//! The peers of this host: creating, renaming and removing them, their runtimes, and the agreement of registry and
//! profiles.

#![forbid(unsafe_code)]

pub mod create;
pub mod journal;
pub mod launches;
pub(crate) mod rebuild;
pub mod remove;
pub mod rename;
pub mod runtimes;
pub mod unfinished;
pub mod verify;
