//! `iapeer doctor`: what is not as it should be on this host, why that matters, and what to do about it.
//!
//! Every check looks for itself and reports findings; none stops the others. A finding may carry a mend: something that
//! loses nothing and that a tick, or its owner, would do as well. With `fix` the mends are carried out.

#![forbid(unsafe_code)]

mod attention;
mod contents;
mod examine;
mod files;
mod finding;
mod fleet;
mod machine;
pub mod probe;
mod profiles;
mod programs;
mod runtimes;
mod telegram;
mod verbs;

pub use examine::{DoctorSummary, examine};
pub use finding::{Finding, MendOutcome};
