//! The real host: starts sessions on this machine, waits until they are ready, types messages into them, and ends them.

#![forbid(unsafe_code)]

mod choose;
mod compact;
mod confirm;
mod deliver;
mod draft;
mod host;
mod hurry;
pub(crate) mod ready;
mod real;
mod unit;

pub use real::RealHost;
