//! The interface between the rules and the machine: [`World`], which every action is given, and the trait [`Host`],
//! which the simulation implements too.

#![forbid(unsafe_code)]

mod error;
pub mod host;
pub mod peer;
#[expect(clippy::module_inception, reason = "the room is named after the type that everybody passes around")]
pub mod world;

pub use error::{ChoiceError, CompactError, HostError, NotStarted};
pub(crate) use host::Begin;
pub use host::{
    Beside, Delivery, Host, Landing, Launch, LaunchWay, NotReady, PaneEnd, Processes, TerminalTimes, TranscriptTimes,
    View,
};
pub use peer::Peer;
pub use world::{Held, World};
