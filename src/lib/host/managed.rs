//! Whether a service manager holds a peer (D16). No program of iapeer wakes, reaps or drains such a peer.

use crate::base::identity::Identity;
use crate::base::paths::Paths;
use crate::host::service::{Manager, folders, is_ours};
use std::fmt;

/// A service manager holds a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Managed {
    /// Through a unit of ours: `iapeer units` and the verbs about peers work on it.
    Ours(Manager),
    /// Through a unit that somebody else wrote: it is never touched.
    Foreign(Manager),
}

impl Managed {
    /// The service manager.
    pub fn manager(self) -> Manager {
        match self {
            Managed::Ours(manager) | Managed::Foreign(manager) => manager,
        }
    }
}

/// The manager's name.
impl fmt::Display for Managed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.manager().as_str())
    }
}

/// What holds the peer `identity`, where the user's folders have a unit or agent of this peer.
pub fn by(paths: &Paths, identity: &Identity) -> Option<Managed> {
    let manager = manager_of(paths, identity)?;
    let here = Manager::here();
    let is_ours = is_ours(&here.dir(paths).join(here.peer_file(identity)));
    Some(if is_ours { Managed::Ours(here) } else { Managed::Foreign(manager) })
}

fn manager_of(paths: &Paths, identity: &Identity) -> Option<Manager> {
    if folders::launch_agents(paths).join(Manager::Launchd.peer_file(identity)).exists() {
        return Some(Manager::Launchd);
    }
    let unit = Manager::Systemd.peer_file(identity);
    let present = folders::unit_folders(paths)
        .iter()
        .any(|dir| dir.join(&unit).exists() || dir.join("default.target.wants").join(&unit).symlink_metadata().is_ok());
    present.then_some(Manager::Systemd)
}
