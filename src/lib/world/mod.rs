//! The seam between the rules and the machine: what every act is given ([`World`]), and the host behind a trait
//! ([`Host`]), so that the simulation can stand in for the machine.

pub mod peer;
#[expect(clippy::module_inception, reason = "the room is named after the type that everybody passes around")]
pub mod world;

pub use peer::Peer;
pub use world::{Delivery, Held, Host, Landing, Launch, Processes, StartError, TerminalTimes, TranscriptTimes, World};
