//! The way of a message: accepted durably, then delivered by a drain into a live session, or by waking the peer.

#![forbid(unsafe_code)]

pub mod accept;
pub(crate) mod addressee;
pub mod ask;
pub mod drain;
mod filing;
mod hand_over;
pub mod many;
pub(crate) mod outgoing;
pub mod recipients;
pub mod report;
mod round;
pub mod sender;
mod warm;
pub mod worker;
