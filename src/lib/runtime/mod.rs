//! Agent programs as data: what differs between them is a JSON manifest; the code knows kinds of rules. One
//! program of ours is an agent too: the parrot.

#![forbid(unsafe_code)]

pub mod login;
pub mod manifest;
pub mod screen;
pub mod transcript;

pub use manifest::{Kind, Manifest, ManifestError};
pub use screen::{Draft, Screen, Sight};
