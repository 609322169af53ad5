//! Changes of several folders and files at once: inotify on Linux, kqueue on macOS. Nothing is polled meanwhile.

use crate::host::path_events::{self, PathEvents};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// Folders and files that are watched. A folder changes when a file in it is created, removed or renamed, a file when
/// it is written. The watch's descriptor is readable when something has changed.
pub(crate) struct PathWatch {
    events: PathEvents,
    watched: BTreeMap<PathBuf, WatchedPath>,
}

/// A watched path, with the inode that it had when the watch began: after a rotation the path names another file.
struct WatchedPath {
    inode: (u64, u64),
    handle: path_events::Handle,
}

impl PathWatch {
    /// Watches nothing yet.
    pub(crate) fn new() -> io::Result<PathWatch> {
        Ok(PathWatch { events: PathEvents::new()?, watched: BTreeMap::new() })
    }

    /// Watches exactly these paths from now on; a missing path is skipped until the next call. Returns whether the
    /// watch of a path has just begun: what that path held before must be read now.
    pub(crate) fn keep(&mut self, wanted: &[PathBuf]) -> bool {
        let gone: Vec<PathBuf> = self.watched.keys().filter(|path| !wanted.contains(path)).cloned().collect();
        for path in gone {
            self.forget(&path);
        }
        let mut anew = false;
        for path in wanted {
            let found = std::fs::metadata(path).ok().map(|meta| ((meta.dev(), meta.ino()), meta.is_dir()));
            let known = self.watched.get(path).map(|watched| watched.inode);
            if known.is_some() && known == found.map(|(inode, _)| inode) {
                continue;
            }
            self.forget(path);
            let Some((inode, folder)) = found else { continue };
            if let Ok(handle) = self.events.add(path, folder) {
                self.watched.insert(path.clone(), WatchedPath { inode, handle });
                anew = true;
            }
        }
        anew
    }

    fn forget(&mut self, path: &PathBuf) {
        if let Some(watched) = self.watched.remove(path) {
            self.events.remove(watched.handle);
        }
    }

    /// The paths that have changed since the last call.
    pub(crate) fn changed(&mut self) -> BTreeSet<PathBuf> {
        let (handles, lost) = self.events.take();
        let is_meant = |watched: &WatchedPath| lost || handles.contains(&path_events::number(&watched.handle));
        let changed = self.watched.iter().filter(|(_, watched)| is_meant(watched));
        changed.map(|(path, _)| path.clone()).collect()
    }
}

impl AsFd for PathWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::fs::{self, OpenOptions};
    use std::io::Write;

    fn readable(watch: &PathWatch) -> bool {
        poll(&mut [PollFd::new(watch.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO).unwrap() == 1
    }

    #[test]
    fn it_tells_of_names_in_folders_and_of_what_is_written_to_files() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, log) = (dir.path().join("folder"), dir.path().join("log"));
        fs::create_dir(&folder).unwrap();
        let wanted = [folder.clone(), log.clone(), dir.path().join("missing")];
        let mut watch = PathWatch::new().unwrap();
        assert!(watch.keep(&wanted), "the folder");
        assert!(!watch.keep(&wanted) && !readable(&watch));
        fs::write(folder.join("a"), "").unwrap();
        assert!(readable(&watch) && watch.changed() == BTreeSet::from([folder.clone()]) && !readable(&watch));
        let append = |text: &str| {
            writeln!(OpenOptions::new().create(true).append(true).open(&log).unwrap(), "{text}").unwrap();
        };
        append("one");
        assert!(watch.keep(&wanted), "the file is there by now");
        watch.changed();
        append("two");
        assert_eq!(watch.changed(), BTreeSet::from([log.clone()]));
        // After a rotation the file that has the name now is watched.
        fs::rename(&log, dir.path().join("log.1")).unwrap();
        append("three");
        assert!(watch.changed().contains(&log) && watch.keep(&wanted));
        append("four");
        assert_eq!(watch.changed(), BTreeSet::from([log.clone()]));
        watch.keep(&[]);
        append("five");
        assert!(watch.changed().is_empty());
    }
}
