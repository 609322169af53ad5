//! The paths below the root of the defaults for launches, and of the report about a tick that failed.

use crate::base::paths::Paths;
use std::path::PathBuf;

impl Paths {
    /// `<root>/state/superviser.failed`: why the last tick could not run.
    pub(crate) fn superviser_failed(&self) -> PathBuf {
        self.root().join("state/superviser.failed")
    }

    /// `<root>/launch-defaults.json`: what applies to the launches of every peer whose profile says nothing else.
    pub fn launch_defaults(&self) -> PathBuf {
        self.root().join("launch-defaults.json")
    }

    /// `<root>/memory`: the user's program that fills the memory slot of system prompts.
    pub fn memory_program(&self) -> PathBuf {
        self.root().join("memory")
    }
}
