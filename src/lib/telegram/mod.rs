//! The bridge to Telegram: the program of the built-in runtime `telegram`.
//!
//! ```text
//! queue ─ outbound ─► api ─► Telegram      a message is settled when the API has confirmed it
//! queue of an agent ◄─ inbound ◄─ api      an update's offset is stored when its message is accepted
//! ```
//!
//! A message's id is derived from its update: an update that Telegram sends again after a crash is accepted once.

#![forbid(unsafe_code)]

mod api;
mod bridge;
mod buttons;
pub mod connect;
mod download;
mod inbound;
mod notes;
mod outbound;
mod pace;
mod parts;
pub mod run;
mod said;
pub mod update;
