//! A fleet in one file: which peers, schedules, hosts and owner a `fleet.toml` describes, how this host differs from it,
//! and making the host what the file says.

#![forbid(unsafe_code)]

pub mod apply;
pub mod ask;
mod compare;
pub mod down;
pub mod error;
pub mod export;
pub mod file;
mod hosts;
mod peer;
mod place;
pub mod plan;
mod reading;
mod schedule;
mod schedules;
pub mod step;
mod table;
mod worktrees;
