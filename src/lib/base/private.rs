//! The root and the socket folder: each has to belong to the user alone, and to iapeer alone before its mode is changed.

use crate::base::exit::{Exit, Failure};
use crate::base::socket_owner;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// One of the two folders that every program checks before it uses anything in them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PrivateDir<'a> {
    /// The folder.
    pub path: &'a Path,
    /// The environment variable that names another one.
    pub variable: &'static str,
}

/// What is wrong with a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Openness {
    /// It is not a folder.
    NoFolder,
    /// It belongs to this user.
    Foreign(u32),
    /// Others may enter it; this is its mode.
    Open(u32),
}

impl PrivateDir<'_> {
    /// What is wrong with it, for the user `me`.
    pub(crate) fn fault(&self, meta: &Metadata, me: u32) -> Option<Openness> {
        let mode = meta.mode() & 0o7777;
        if !meta.is_dir() {
            Some(Openness::NoFolder)
        } else if meta.uid() != me {
            Some(Openness::Foreign(meta.uid()))
        } else {
            (mode & 0o077 != 0).then_some(Openness::Open(mode))
        }
    }

    /// Whether the folder serves others too: `/`, `/tmp` or a home, named by mistake. Such a folder is never closed, since
    /// other users and programs would lose it. A folder is iapeer's where it is empty, or has what iapeer puts into it.
    pub(crate) fn serves_others(&self) -> bool {
        let is_sticky = fs::metadata(self.path).is_ok_and(|meta| meta.mode() & 0o1000 != 0);
        if is_sticky || self.path.parent().is_none() {
            return true;
        }
        // The root itself, or a folder right in it.
        let is_root = |dir: &Path| dir.join("peers-profiles.json").exists() || dir.join("state/lifecycle").is_dir();
        if self.path.ancestors().take(2).any(is_root) {
            return false;
        }
        let Ok(names) = fs::read_dir(self.path) else { return true };
        let ours =
            |name: &str| name.starts_with("tmux-iap-") || name.starts_with("app-iap-") || name == socket_owner::LINK;
        let mut names = names.flatten().map(|entry| entry.file_name()).peekable();
        let is_empty = names.peek().is_none();
        !is_empty && !names.any(|name| ours(&name.to_string_lossy()))
    }

    /// What to do about a folder that serves others.
    pub(crate) fn elsewhere(&self) -> String {
        format!("set {} to a folder of iapeer's own", self.variable)
    }

    /// Refuses (77) a folder that belongs to someone else or is open to others.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let meta = fs::metadata(self.path).map_err(|error| Failure::io("look at", self.path, &error))?;
        let me = nix::unistd::geteuid().as_raw();
        let Some(fault) = self.fault(&meta, me) else { return Ok(()) };
        let elsewhere = self.elsewhere();
        let why = match fault {
            Openness::NoFolder => "is not a folder: move it away".into(),
            Openness::Foreign(uid) => format!("belongs to uid {uid}, not to you (uid {me}): {elsewhere}"),
            Openness::Open(mode) if self.serves_others() => {
                format!("is open to others (mode {mode:04o}), and not iapeer's alone: {elsewhere}")
            }
            Openness::Open(mode) => format!("is open to others (mode {mode:04o}): chmod 700 it"),
        };
        Err(Failure::new(Exit::NoPerm, format!("{} {why}", self.path.display())))
    }
}
