//! What the service manager runs: installing the units, and holding an always-on peer for its own unit.

#![forbid(unsafe_code)]

mod error;
pub mod hold;
pub mod install;
pub mod schedule;
pub(crate) mod schedule_words;
pub mod status;

pub use error::UnitError;
