//! What the service manager runs: installing the units, and holding an always-on peer for its own unit.

pub mod hold;
pub mod install;
