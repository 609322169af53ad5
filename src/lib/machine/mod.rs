//! The real host behind the trait: what delivers into sessions, waits for them, starts and ends them on this machine.

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
