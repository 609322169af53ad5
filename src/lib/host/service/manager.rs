//! One interface to systemd and launchd: loading and unloading units, and reading their state.

use super::error::ServiceError;
use super::state::{Lingering, Seen};
use super::target::{ServiceFile, ServiceTarget};
use super::{folders, launchd, seen, systemd, unit_files};
use crate::base::clock::Clock;
use crate::base::identity::Identity;
use crate::base::paths::Paths;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long loading or unloading one unit may take, which includes ending a peer's session.
const CHANGE: Duration = Duration::from_secs(90);

/// What starts and restarts programs on this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manager {
    /// systemd's user manager.
    Systemd,
    /// launchd.
    Launchd,
}

/// An always-on peer's own variables, kept in its unit.
pub type Variables = Vec<(String, String)>;

impl Manager {
    /// The service manager of this platform.
    pub fn here() -> Manager {
        if cfg!(target_os = "macos") { Manager::Launchd } else { Manager::Systemd }
    }

    /// `systemd` or `launchd`.
    pub fn as_str(self) -> &'static str {
        match self {
            Manager::Systemd => "systemd",
            Manager::Launchd => "launchd",
        }
    }

    /// The folder of this user's own units.
    pub fn dir(self, paths: &Paths) -> PathBuf {
        match self {
            Manager::Systemd => folders::unit_folders(paths).swap_remove(0),
            Manager::Launchd => folders::launch_agents(paths),
        }
    }

    /// Why the manager can't be asked now, and what helps. `None`: it answers.
    pub fn unreachable(self) -> Option<String> {
        match self {
            _ if folders::is_test_run() => Some("IAPEER_TEST_SANDBOX=1: no service manager is asked".into()),
            _ if folders::is_sandbox() => Some("a folder of its own is set: no service manager looks there".into()),
            Manager::Systemd if systemd::UserManager::reach().is_some() => None,
            Manager::Systemd if !Path::new("/run/systemd/system").exists() => {
                Some("systemd does not run here: have iapeer-superviser run every minute by other means".into())
            }
            Manager::Systemd => Some(
                "no user manager answers: log in as this user, not by su or sudo (machinectl shell USER@ does it)"
                    .into(),
            ),
            Manager::Launchd => None,
        }
    }

    /// All shipped units, as files for `dir`.
    pub fn shipped(self, target: &ServiceTarget, dir: &Path) -> Vec<ServiceFile> {
        match self {
            Manager::Systemd => unit_files::shipped(target, dir),
            Manager::Launchd => launchd::shipped(target, dir),
        }
    }

    /// The name of the unit of the relay to other hosts.
    pub(crate) fn relay(self) -> &'static str {
        match self {
            Manager::Systemd => unit_files::RELAY,
            Manager::Launchd => launchd::RELAY,
        }
    }

    /// The unit of an always-on peer.
    pub fn peer(
        self,
        target: &ServiceTarget,
        dir: &Path,
        identity: &Identity,
        cwd: &Path,
        own: &Variables,
    ) -> ServiceFile {
        match self {
            Manager::Systemd => unit_files::peer(target, dir, identity, own),
            Manager::Launchd => launchd::peer(target, dir, identity, cwd, own),
        }
    }

    /// The name of the file that an always-on peer's unit is in.
    pub(crate) fn peer_file(self, identity: &Identity) -> String {
        match self {
            Manager::Systemd => unit_files::peer_unit(identity),
            Manager::Launchd => format!("{}.plist", launchd::peer_label(identity.personality())),
        }
    }

    /// The value of a variable in the unit of a peer.
    pub fn variable(self, unit: &str, name: &str) -> Option<String> {
        match self {
            Manager::Systemd => unit_files::variable(unit, name),
            Manager::Launchd => launchd::variable(unit, name),
        }
    }

    /// The units of always-on peers in `dir`, whoever wrote them: their names for the manager, and their files.
    pub(crate) fn peers_in(self, dir: &Path) -> Vec<(String, PathBuf)> {
        let (prefix, suffix) = match self {
            Manager::Systemd => ("iapeer-peer@", ".service"),
            Manager::Launchd => ("com.iapeer.", ".plist"),
        };
        let name_of = |path: &Path| {
            let file = path.file_name()?.to_str()?.to_owned();
            let stem = file.strip_suffix(suffix)?;
            stem.strip_prefix(prefix).filter(|peer| !peer.is_empty())?;
            // A label is the file's name without `.plist`.
            Some(if self == Manager::Launchd { stem.to_owned() } else { file })
        };
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut found: Vec<(String, PathBuf)> = entries.filter_map(|path| Some((name_of(&path)?, path))).collect();
        found.sort();
        found
    }

    /// Whether we start the unit `name`; the others are started by the units that we start.
    pub fn starts(self, name: &str) -> bool {
        match self {
            Manager::Systemd => unit_files::ENABLED.contains(&name) || !unit_files::is_shipped(name),
            Manager::Launchd => true,
        }
    }

    /// The folder that the unit of a peer writes to, where the manager does not make it.
    pub(crate) fn peer_logs(self, target: &ServiceTarget, identity: &Identity) -> Option<PathBuf> {
        (self == Manager::Launchd).then(|| launchd::peer_logs(target, identity.personality()))
    }

    /// Makes the manager read changed files.
    pub(crate) fn reread(self) -> Result<(), ServiceError> {
        match self {
            Manager::Systemd => systemd::must(&["daemon-reload"], CHANGE),
            Manager::Launchd => Ok(()),
        }
    }

    /// Starts a unit, now and after each login; a unit whose file has `changed` is restarted.
    pub fn load(self, file: &ServiceFile, changed: bool, clock: &dyn Clock) -> Result<(), ServiceError> {
        match self {
            Manager::Systemd => {
                systemd::must(&["enable", "--now", "--quiet", "--", &file.name], CHANGE)?;
                match changed {
                    true => systemd::must(&["restart", "--", &file.name], CHANGE),
                    false => Ok(()),
                }
            }
            Manager::Launchd => {
                if changed {
                    launchd::bootout(&file.name, clock)?;
                }
                launchd::bootstrap(file, clock)
            }
        }
    }

    /// Ends a unit until it is loaded again. launchd also starts it at the next login if its file still exists.
    pub(crate) fn unload(self, name: &str, clock: &dyn Clock) -> Result<(), ServiceError> {
        match self {
            Manager::Systemd if self.starts(name) => {
                systemd::must(&["disable", "--now", "--quiet", "--", name], CHANGE)
            }
            // The instances of a template are named by a pattern, which may match none.
            Manager::Systemd => systemd::must(&["stop", "--", &name.replace("@.", "@*.")], CHANGE),
            Manager::Launchd => launchd::bootout(name, clock),
        }
    }

    /// Removes what is left of a unit whose file is removed: the links by which it is started, and a recorded failure.
    pub(crate) fn forget(self, dir: &Path, name: &str) {
        if self == Manager::Systemd {
            for link in unit_files::wanted_links(dir, name) {
                if let Err(error) = std::fs::remove_file(&link) {
                    tracing::warn!("cannot remove {}: {error}", link.display());
                }
            }
            // Fails where there is nothing to forget.
            let _ = systemd::systemctl(&["reset-failed", "--", &name.replace("@.", "@*.")], CHANGE);
        }
    }

    /// The state of each unit, in the order of `names`; the default for a unit that the manager does not know.
    pub fn look(self, names: &[&str]) -> Vec<Seen> {
        match self {
            Manager::Systemd => seen::units(names),
            Manager::Launchd => names.iter().map(|name| launchd::seen(name)).collect(),
        }
    }

    /// Whether our units outlive the user's last logout. `None`: launchd, or nobody answers.
    pub fn lingering(self) -> Option<Lingering> {
        (self == Manager::Systemd).then(seen::lingering).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_of_peers_are_found_by_the_managers_own_names() {
        let dir = tempfile::tempdir().unwrap();
        let files = ["iapeer-peer@notifier-bell.service", "iapeer-peer@.service", "com.iapeer.bell.plist"];
        for file in files.iter().chain(&["io.iapeer.drain.plist", "other.service"]) {
            std::fs::write(dir.path().join(file), "").unwrap();
        }
        let names =
            |manager: Manager| manager.peers_in(dir.path()).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(Manager::Systemd), ["iapeer-peer@notifier-bell.service"]);
        assert_eq!(names(Manager::Launchd), ["com.iapeer.bell"]);
    }
}
