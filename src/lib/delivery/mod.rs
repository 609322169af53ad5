//! From the acceptance of a message to its delivery: `accept` makes it durable, a drain then delivers it into the
//! peer's live session, or wakes the peer for it.

#![forbid(unsafe_code)]

pub mod accept;
pub(crate) mod addressee;
pub mod afar;
pub mod arrival;
pub mod ask;
pub mod drain;
mod filing;
mod hand_over;
pub mod many;
mod message;
pub(crate) mod outgoing;
mod passed;
mod progress;
pub mod recipient;
pub mod recipients;
pub mod report;
mod round;
pub mod sender;
mod warm;
pub mod worker;
