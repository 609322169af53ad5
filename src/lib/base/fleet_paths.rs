//! The paths of a fleet's files: its lock, a peer's role, the price table.

use crate::base::paths::Paths;
use std::path::{Path, PathBuf};

impl Paths {
    /// `<root>/state/fleet.lock`: held while a fleet file is put into effect.
    pub(crate) fn fleet_lock(&self) -> PathBuf {
        self.state_root().join("fleet.lock")
    }

    /// `<root>/prices.json`: what tokens cost, where the user says so.
    pub(crate) fn prices(&self) -> PathBuf {
        self.root().join("prices.json")
    }
}

/// The document that holds a peer's role: `<cwd>/.iapeer/ROLE.md`.
pub(crate) fn role_path(cwd: &Path) -> PathBuf {
    cwd.join(".iapeer/ROLE.md")
}
