//! The names of this machine and its user, and the version of the operating system.

use crate::host::spawn::find_program;
use std::process::Command;

/// The version of the operating system: `12`, `14.5`; `unknown` where it has none.
pub(crate) fn os_version() -> String {
    let unknown = || "unknown".to_owned();
    if cfg!(target_os = "macos") {
        let output = Command::new("/usr/bin/sw_vers").arg("-productVersion").output();
        return output
            .ok()
            .and_then(|output| String::from_utf8(output.stdout).ok())
            .map(|text| text.trim().to_owned())
            .filter(|text| !text.is_empty())
            .unwrap_or_else(unknown);
    }
    std::fs::read_to_string("/etc/os-release").ok().and_then(|text| version_id(&text)).unwrap_or_else(unknown)
}

/// `VERSION_ID` of an os-release file. Rolling distributions have none.
fn version_id(text: &str) -> Option<String> {
    let value = text.lines().find_map(|line| line.trim().strip_prefix("VERSION_ID="))?;
    Some(value.trim().trim_matches(['"', '\'']).to_owned()).filter(|value| !value.is_empty())
}

/// The name of the user this program runs as.
pub fn user() -> String {
    // getpwuid is avoided: in a statically linked program it loads the machine's own C library at run time.
    let asked = || {
        let output = Command::new("id").arg("-un").output().ok()?;
        String::from_utf8(output.stdout).ok().map(|text| text.trim().to_owned())
    };
    let given = std::env::var("USER").ok().filter(|user| !user.is_empty());
    given.or_else(asked).filter(|user| !user.is_empty()).unwrap_or_else(|| "unknown".into())
}

/// The first part of the host's name.
pub(crate) fn hostname() -> String {
    nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .and_then(|name| name.split('.').next().map(str::to_owned))
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "unknown".into())
}

/// The package managers and their install commands; the first manager that is installed is used.
const INSTALLERS: [(&str, &str); 6] = [
    ("brew", "brew install"),
    ("apt-get", "sudo apt-get install"),
    ("dnf", "sudo dnf install"),
    ("pacman", "sudo pacman -S"),
    ("zypper", "sudo zypper install"),
    ("apk", "sudo apk add"),
];

/// The command that installs `package` here. `None`: no package manager is known.
pub(crate) fn install_command(package: &str) -> Option<String> {
    let path = std::env::var_os("PATH");
    let is_there = |(name, _): &&(&str, &str)| find_program(name, path.as_deref()).is_some();
    let (_, install) = INSTALLERS.iter().find(is_there)?;
    // Root needs no sudo, which may not be installed.
    let install = if nix::unistd::geteuid().is_root() { install.trim_start_matches("sudo ") } else { install };
    Some(format!("{install} {package}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_version_as_a_table() {
        for (text, version) in [
            ("ID=debian\nVERSION_ID=\"12\"\n", Some("12")),
            ("VERSION_ID='24.04'", Some("24.04")),
            ("VERSION_ID=41", Some("41")),
            ("VERSION_ID=\"\"", None),
            ("ID=arch", None),
        ] {
            assert_eq!(version_id(text).as_deref(), version, "{text}");
        }
    }
}
