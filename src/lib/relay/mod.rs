//! Other hosts: handing over the messages that wait for them, and taking the messages that they give.
//!
//! ```text
//! outbox ─ push ─► ssh ─► receive ─► queue of a peer there      one connection, then used in the other direction
//! outbox ─ run ──► a stream of NATS ──► run ─► queue of a peer
//! ```
//!
//! A message stops waiting in the outbox when the other host (with NATS, the stream) has acknowledged it, which happens
//! once it is durable there; it leaves the outbox when its receipt has come. A message that is sent twice is accepted
//! once.

#![forbid(unsafe_code)]

mod error;
mod files;
mod give;
mod here;
pub mod nats;
mod peers;
pub mod push;
pub mod receive;
mod take;
mod talk;
mod wire;

pub use peers::{PeerAfar, peers};
