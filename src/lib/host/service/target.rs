//! The user for whom service files are written, and the state of such a file.

use crate::base::paths::Paths;
use std::path::{Path, PathBuf};

/// For whom service files are written: absolute paths, since a service manager knows no shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceTarget {
    /// The folder of the programs.
    pub bin_dir: PathBuf,
    /// The user's home.
    pub home: PathBuf,
    /// The root.
    pub root: PathBuf,
    /// The socket folder, where it is not the root's own.
    pub socket_dir: Option<PathBuf>,
    /// The PATH of the user who installs: where that user's agents are.
    pub path: Option<String>,
}

impl ServiceTarget {
    /// This user's, with programs in `bin_dir`.
    pub fn of(paths: &Paths, bin_dir: &Path) -> ServiceTarget {
        ServiceTarget {
            bin_dir: lasting(bin_dir),
            home: paths.home().to_owned(),
            root: paths.root().to_owned(),
            socket_dir: paths.has_own_socket_dir().then(|| paths.socket_dir().to_owned()),
            path: std::env::var("PATH").ok(),
        }
    }

    /// The PATH of the services: the folders of our programs first, then those of the user's PATH, then the system's,
    /// without relative ones and repetitions.
    pub(crate) fn service_path(&self) -> String {
        let local = self.home.join(".local/bin");
        let given = self.path.as_deref().unwrap_or_default().split(':').map(PathBuf::from);
        let last = ["/usr/local/bin", "/usr/bin", "/bin"].map(PathBuf::from);
        let mut dirs: Vec<PathBuf> = Vec::new();
        for dir in [self.bin_dir.clone(), local].into_iter().chain(given).chain(last) {
            let plain = !dir.to_string_lossy().chars().any(|c| c.is_control() || c == ':');
            if dir.is_absolute() && plain && !dirs.contains(&dir) {
                dirs.push(dir);
            }
        }
        dirs.iter().map(|dir| dir.to_string_lossy()).collect::<Vec<_>>().join(":")
    }

    /// The environment variables for our programs: PATH, and the root and the socket folder where these are not the
    /// default.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![("PATH", self.service_path())];
        if self.root != self.home.join(".iapeer") {
            variables.push(("IAPEER_ROOT", self.root.to_string_lossy().into_owned()));
        }
        if let Some(dir) = &self.socket_dir {
            variables.push(("IAPEER_SOCK_DIR", dir.to_string_lossy().into_owned()));
        }
        variables
    }
}

/// A path of `bin_dir` that stays: Homebrew removes the folder of a version after the next upgrade, but keeps its `opt`
/// link.
fn lasting(bin_dir: &Path) -> PathBuf {
    let text = bin_dir.to_string_lossy();
    let stable =
        text.split_once("/Cellar/iapeer/").map(|(prefix, _)| PathBuf::from(format!("{prefix}/opt/iapeer/bin")));
    stable.filter(|dir| dir.is_dir()).unwrap_or_else(|| bin_dir.to_owned())
}

/// A file for the service manager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceFile {
    /// The unit's name or the agent's label.
    pub name: String,
    /// Its path.
    pub path: PathBuf,
    /// Its content.
    pub text: String,
}

/// What is at the path of a service file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileStanding {
    /// There is nothing.
    Missing,
    /// Byte for byte what it should be.
    Current,
    /// A file of ours with another content.
    Outdated,
    /// Something of somebody else's: it is never touched.
    Foreign,
}

impl ServiceFile {
    /// What is at the file's path.
    pub(crate) fn standing(&self) -> FileStanding {
        let Ok(meta) = self.path.symlink_metadata() else { return FileStanding::Missing };
        // Reading a FIFO would block.
        if !meta.is_file() {
            return FileStanding::Foreign;
        }
        match std::fs::read_to_string(&self.path) {
            Ok(text) if is_ours(&self.path) => match text == self.text {
                true => FileStanding::Current,
                false => FileStanding::Outdated,
            },
            _ => FileStanding::Foreign,
        }
    }
}

/// Whether the file at `path` is one that we wrote: a plain file with our sentinel in it. A link (a masked unit, a
/// file kept elsewhere) is somebody's own arrangement.
pub fn is_ours(path: &Path) -> bool {
    let plain = path.symlink_metadata().is_ok_and(|meta| meta.is_file());
    plain && std::fs::read_to_string(path).is_ok_and(|text| has_sentinel(&text))
}

/// The key of an agent that says that iapeer wrote it (D16).
pub(super) const SENTINEL: &str = "com.iapeer.managed";

/// Whether a unit or plist carries our sentinel (D16).
pub(crate) fn has_sentinel(text: &str) -> bool {
    text.contains(&format!("<key>{SENTINEL}</key>")) || text.lines().any(|line| line.trim() == "X-Iapeer-Managed=true")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> ServiceTarget {
        ServiceTarget {
            bin_dir: "/opt/iapeer/bin".into(),
            home: "/home/u".into(),
            root: "/home/u/.iapeer".into(),
            socket_dir: None,
            path: Some("/usr/bin:relative::/home/u/node/bin:/opt/iapeer/bin".into()),
        }
    }

    #[test]
    fn the_path_begins_with_ours_and_has_each_folder_once() {
        assert_eq!(
            target().service_path(),
            "/opt/iapeer/bin:/home/u/.local/bin:/usr/bin:/home/u/node/bin:/usr/local/bin:/bin"
        );
        assert_eq!(target().variables().len(), 1, "the default root needs no word");
        let other = ServiceTarget { root: "/srv/r".into(), socket_dir: Some("/s".into()), ..target() };
        assert_eq!(other.variables()[1..], [("IAPEER_ROOT", "/srv/r".into()), ("IAPEER_SOCK_DIR", "/s".into())]);
    }

    #[test]
    fn a_place_stands_as_one_of_four() {
        let dir = tempfile::tempdir().unwrap();
        let file = ServiceFile {
            name: "x".into(),
            path: dir.path().join("x.service"),
            text: "[Unit]\nX-Iapeer-Managed=true\n".into(),
        };
        let put = |text: &str| std::fs::write(&file.path, text).unwrap();
        assert_eq!(file.standing(), FileStanding::Missing);
        put(&file.text);
        assert_eq!(file.standing(), FileStanding::Current);
        put("[Unit]\nDescription=old\nX-Iapeer-Managed=true\n");
        assert_eq!(file.standing(), FileStanding::Outdated);
        put("[Unit]\n# X-Iapeer-Managed=true is what theirs say\n");
        assert_eq!(file.standing(), FileStanding::Foreign);
        std::fs::remove_file(&file.path).unwrap();
        std::os::unix::fs::symlink("/dev/null", &file.path).unwrap();
        assert_eq!(file.standing(), FileStanding::Foreign, "a masked unit");
    }

    #[test]
    fn homebrew_s_lasting_link_is_taken_where_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let cellar = dir.path().join("Cellar/iapeer/1.2/bin");
        assert_eq!(lasting(&cellar), cellar);
        std::fs::create_dir_all(dir.path().join("opt/iapeer/bin")).unwrap();
        assert_eq!(lasting(&cellar), dir.path().join("opt/iapeer/bin"));
    }
}
