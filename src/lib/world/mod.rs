//! The seam between the rules and the machine: what every act is given ([`World`]), and the host behind a trait
//! ([`Host`]), so that the simulation can stand in for the machine.

#![forbid(unsafe_code)]

mod error;
pub mod host;
pub mod peer;
#[expect(clippy::module_inception, reason = "the room is named after the type that everybody passes around")]
pub mod world;

pub use error::{ChoiceError, CompactError, HostError, NotStarted};
pub(crate) use host::Begin;
pub use host::{
    Beside, Delivery, Host, Landing, Launch, LaunchWay, NotReady, PaneEnd, Processes, StartError, TerminalTimes,
    TranscriptTimes, View,
};
pub use peer::Peer;
pub use world::{Held, World};
