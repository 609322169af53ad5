//! Whether the service manager holds a peer (D16): then no program of ours wakes, reaps or drains it.

use crate::base::identity::Identity;
use crate::base::paths::Paths;
use std::path::PathBuf;

/// `launchd` or `systemd` where a unit or plist of this peer stands in the user's folders.
pub fn by(paths: &Paths, identity: &Identity) -> Option<&'static str> {
    let plist = format!("com.iapeer.{}.plist", identity.personality());
    if launch_agents(paths).join(plist).exists() {
        return Some("launchd");
    }
    let unit = format!("iapeer-peer@{identity}.service");
    let present = unit_folders(paths)
        .iter()
        .any(|dir| dir.join(&unit).exists() || dir.join("default.target.wants").join(&unit).symlink_metadata().is_ok());
    present.then_some("systemd")
}

/// Where launchd looks for this user's agents.
pub fn launch_agents(paths: &Paths) -> PathBuf {
    folder("IAPEER_LAUNCHAGENTS_DIR").unwrap_or_else(|| paths.home().join("Library/LaunchAgents"))
}

/// Where systemd looks for this user's own units.
pub fn unit_folders(paths: &Paths) -> Vec<PathBuf> {
    match folder("IAPEER_SYSTEMD_USER_DIR") {
        Some(dir) => vec![dir],
        None => vec![
            folder("XDG_CONFIG_HOME").unwrap_or_else(|| paths.home().join(".config")).join("systemd/user"),
            folder("XDG_DATA_HOME").unwrap_or_else(|| paths.home().join(".local/share")).join("systemd/user"),
        ],
    }
}

/// Whether no service manager is to be asked: a test run, or one of those folders is named by a variable, and then it is
/// none that a service manager looks at.
pub fn is_sandbox() -> bool {
    is_test_run() || has_own_folder()
}

/// Whether those folders are the user's own although this is a test run: nothing may be changed in them.
pub fn is_off_limits() -> bool {
    is_test_run() && !has_own_folder()
}

fn has_own_folder() -> bool {
    folder("IAPEER_SYSTEMD_USER_DIR").is_some() || folder("IAPEER_LAUNCHAGENTS_DIR").is_some()
}

/// `IAPEER_TEST_SANDBOX=1`.
pub fn is_test_run() -> bool {
    std::env::var_os("IAPEER_TEST_SANDBOX").is_some_and(|value| value == "1")
}

fn folder(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}
