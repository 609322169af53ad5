//! Who there is: making, renaming, removing peers, their runtimes, and whether registry and profiles agree.

#![forbid(unsafe_code)]

pub mod create;
pub mod journal;
pub mod remove;
pub mod rename;
pub mod runtimes;
pub mod unfinished;
pub mod verify;
