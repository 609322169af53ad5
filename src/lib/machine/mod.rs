//! The real host: starts sessions on this machine, waits until they are ready, hands messages to them, and ends them.

#![forbid(unsafe_code)]

mod actions;
mod app_server;
mod approval;
mod beside;
mod choose;
mod compact;
mod confirm;
mod conversation;
mod deliver;
mod draft;
mod file_way;
mod host;
mod http;
mod http_way;
mod hurry;
pub(crate) mod ready;
mod real;
mod rpc;
mod start;
mod unit;
mod way;
mod ways;

pub use real::RealHost;
