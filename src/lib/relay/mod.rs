//! Other hosts: handing over what waits for them, and taking over what they give.
//!
//! ```text
//! outbox ─ push ─► ssh ─► receive ─► queue of a peer there      one conversation; then the other way round
//! outbox ─ run ──► a stream of NATS ──► run ─► queue of a peer
//! ```
//!
//! An item leaves the outbox when the other end has acknowledged it, which it does once the item is durable there. Whatever
//! is sent twice is accepted once.

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
