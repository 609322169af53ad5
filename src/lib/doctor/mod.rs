//! `iapeer doctor`: the problems of this host, why each matters, and what to do about it.
//!
//! Each check works independently and reports findings; no check stops the others. A finding may have a mend: a change
//! that loses nothing and that a tick, or the owner, could make as well. With `fix` the mends are carried out.

#![forbid(unsafe_code)]

mod attention;
mod contents;
mod examine;
mod files;
mod finding;
mod fleet;
mod holders;
mod hosts;
mod machine;
mod named;
pub mod probe;
mod profiles;
mod programs;
mod registry;
mod replace;
mod runtimes;
mod telegram;
mod verbs;
pub(crate) mod versions;

pub(crate) use examine::examine;
pub use finding::{Finding, MendOutcome};
