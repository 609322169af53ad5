//! The files of the registry below the root.

use crate::base::identity::Personality;
use crate::base::paths::Paths;
use std::path::PathBuf;

impl Paths {
    /// The registry.
    pub fn registry(&self) -> PathBuf {
        self.root().join("peers-profiles.json")
    }

    /// The registry's last good copy.
    pub(crate) fn registry_copy(&self) -> PathBuf {
        self.root().join("peers-profiles.json.bak")
    }

    /// The lock of the registry.
    pub(crate) fn registry_lock(&self) -> PathBuf {
        self.root().join("peers-profiles.lock")
    }

    /// The mark of a peer that was removed from the registry on purpose.
    pub(crate) fn removed(&self, name: &Personality) -> PathBuf {
        self.removed_dir().join(name.as_str())
    }

    /// The folder of the marks of removed peers.
    pub(crate) fn removed_dir(&self) -> PathBuf {
        self.state_root().join("removed")
    }
}
