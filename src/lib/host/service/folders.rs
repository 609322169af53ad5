//! The folders in which service managers look for this user's units, and whether a test run forbids using them.

use crate::base::paths::Paths;
use std::path::PathBuf;

/// Where launchd looks for this user's agents.
pub(crate) fn launch_agents(paths: &Paths) -> PathBuf {
    folder("IAPEER_LAUNCHAGENTS_DIR").unwrap_or_else(|| paths.home().join("Library/LaunchAgents"))
}

/// Where systemd looks for this user's own units.
pub(crate) fn unit_folders(paths: &Paths) -> Vec<PathBuf> {
    match folder("IAPEER_SYSTEMD_USER_DIR") {
        Some(dir) => vec![dir],
        None => vec![
            folder("XDG_CONFIG_HOME").unwrap_or_else(|| paths.home().join(".config")).join("systemd/user"),
            folder("XDG_DATA_HOME").unwrap_or_else(|| paths.home().join(".local/share")).join("systemd/user"),
        ],
    }
}

/// Whether no service manager may be asked: this is a test run, or a variable names one of those folders, in which no
/// service manager looks then.
pub(crate) fn is_sandbox() -> bool {
    is_test_run() || has_own_folder()
}

/// Whether those folders are the user's own although this is a test run: nothing may be changed in them.
pub(crate) fn is_off_limits() -> bool {
    is_test_run() && !has_own_folder()
}

fn has_own_folder() -> bool {
    folder("IAPEER_SYSTEMD_USER_DIR").is_some() || folder("IAPEER_LAUNCHAGENTS_DIR").is_some()
}

/// `IAPEER_TEST_SANDBOX=1`.
pub(crate) fn is_test_run() -> bool {
    std::env::var_os("IAPEER_TEST_SANDBOX").is_some_and(|value| value == "1")
}

fn folder(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}
