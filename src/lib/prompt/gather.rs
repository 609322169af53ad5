//! Reading what the system prompt is made of.

use super::compose::{Facts, Half, compose};
use crate::core::clock::EpochMs;
use crate::core::exit::Failure;
use crate::core::paths::Paths;
use crate::store::registry::{PeerRecord, Registry};
use crate::store::session::names_in;
use std::collections::BTreeSet;
use std::path::Path;

/// The system prompt of the peer of `record`, who works in `cwd`.
pub fn compose_for(paths: &Paths, cwd: &Path, record: &PeerRecord, now: EpochMs) -> Result<String, Failure> {
    let roots = [paths.root().to_owned(), cwd.join(".iapeer")];
    let registry = Registry::read(paths)?;
    let facts = Facts {
        personality: record.personality.to_string(),
        description: record.description.clone(),
        cwd: cwd.to_string_lossy().into_owned(),
        platform: if cfg!(target_os = "macos") { "darwin".into() } else { std::env::consts::OS.into() },
        os_version: os_version(),
        user: user(),
        hostname: hostname(),
        today: now.local_date(),
    };
    let read = |folder: &str, names: &[String]| halves(paths, &roots, folder, names);
    let doctrine = read("", &["IAPEER.md".to_owned()]);
    let others: Vec<String> =
        markdown(&roots, "").into_iter().filter(|name| !name.eq_ignore_ascii_case("IAPEER.md")).collect();
    let documents = read("", &others);
    let fragments = read("fragments", &markdown(&roots, "fragments").into_iter().collect::<Vec<_>>());
    Ok(compose(&facts, &doctrine, registry.peers(), &documents, &fragments))
}

/// The names of the Markdown files in `folder` of both roots.
fn markdown(roots: &[std::path::PathBuf; 2], folder: &str) -> BTreeSet<String> {
    roots
        .iter()
        .flat_map(|root| {
            let dir = root.join(folder);
            let names: Vec<String> = names_in(&dir).collect();
            names.into_iter().filter(move |name| name.to_ascii_lowercase().ends_with(".md") && dir.join(name).is_file())
        })
        .collect()
}

/// Each name's global half, then its local one. One that vanishes between listing and reading is left out.
fn halves(paths: &Paths, roots: &[std::path::PathBuf; 2], folder: &str, names: &[String]) -> Vec<Half> {
    let mut found = Vec::new();
    for name in names {
        for root in roots {
            let path = root.join(folder).join(name);
            if let Ok(bytes) = std::fs::read(&path) {
                found.push(Half {
                    shown: shown(&path, paths.home()),
                    content: String::from_utf8_lossy(&bytes).into_owned(),
                });
            }
        }
    }
    found
}

fn shown(path: &Path, home: &Path) -> String {
    match path.strip_prefix(home) {
        Ok(rest) if home != Path::new("/") => format!("~/{}", rest.display()),
        _ => path.display().to_string(),
    }
}

fn os_version() -> String {
    let unknown = || "unknown".to_owned();
    if cfg!(target_os = "macos") {
        let output = std::process::Command::new("/usr/bin/sw_vers").arg("-productVersion").output();
        return output
            .ok()
            .and_then(|output| String::from_utf8(output.stdout).ok())
            .map(|text| text.trim().to_owned())
            .filter(|text| !text.is_empty())
            .unwrap_or_else(unknown);
    }
    std::fs::read_to_string("/etc/os-release")
        .ok()
        .and_then(|text| {
            text.lines()
                .find_map(|line| line.strip_prefix("VERSION_ID="))
                .map(|v| v.trim_matches(['"', '\'']).to_owned())
        })
        .unwrap_or_else(unknown)
}

fn user() -> String {
    // Not getpwuid: in a statically linked program it needs the machine's own C library after all.
    let asked = || {
        let output = std::process::Command::new("id").arg("-un").output().ok()?;
        String::from_utf8(output.stdout).ok().map(|text| text.trim().to_owned())
    };
    let given = std::env::var("USER").ok().filter(|user| !user.is_empty());
    given.or_else(asked).filter(|user| !user.is_empty()).unwrap_or_else(|| "unknown".into())
}

fn hostname() -> String {
    nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .and_then(|name| name.split('.').next().map(str::to_owned))
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "unknown".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_home_is_shown_as_a_tilde_only_at_a_boundary() {
        assert_eq!(shown(Path::new("/home/u/.iapeer/A.md"), Path::new("/home/u")), "~/.iapeer/A.md");
        assert_eq!(shown(Path::new("/home/u2/A.md"), Path::new("/home/u")), "/home/u2/A.md");
    }
}
