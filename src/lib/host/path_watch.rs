//! Changes of several folders and files at once: inotify on Linux, kqueue on macOS. Nothing is polled meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// Folders and files that are watched. A folder changes when a file in it is created, removed or renamed, a file when it
/// is written. As a descriptor it is readable when something has changed.
pub(crate) struct PathWatch {
    os: os::PathEvents,
    watched: BTreeMap<PathBuf, WatchedPath>,
}

/// A path that is watched, and what stood there when the watch began: a file that is rotated has a successor.
struct WatchedPath {
    inode: (u64, u64),
    handle: os::Handle,
}

impl PathWatch {
    /// Watches nothing yet.
    pub(crate) fn new() -> io::Result<PathWatch> {
        Ok(PathWatch { os: os::PathEvents::new()?, watched: BTreeMap::new() })
    }

    /// Watches exactly these paths from now on; what is not there is passed over until the next call. Whether any of them
    /// is watched anew: what it held before must be read now.
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
            if let Ok(handle) = self.os.add(path, folder) {
                self.watched.insert(path.clone(), WatchedPath { inode, handle });
                anew = true;
            }
        }
        anew
    }

    fn forget(&mut self, path: &PathBuf) {
        if let Some(watched) = self.watched.remove(path) {
            self.os.remove(watched.handle);
        }
    }

    /// The paths that have changed since the last call.
    pub(crate) fn changed(&mut self) -> BTreeSet<PathBuf> {
        let (handles, lost) = self.os.take();
        let is_meant = |watched: &WatchedPath| lost || handles.contains(&os::number(&watched.handle));
        let changed = self.watched.iter().filter(|(_, watched)| is_meant(watched));
        changed.map(|(path, _)| path.clone()).collect()
    }
}

impl AsFd for PathWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.os.as_fd()
    }
}

#[cfg(target_os = "linux")]
mod os {
    use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
    use std::collections::BTreeSet;
    use std::io;
    use std::os::fd::{AsFd, BorrowedFd};
    use std::path::Path;

    pub(super) type Handle = WatchDescriptor;

    pub(super) fn number(handle: &Handle) -> Handle {
        *handle
    }

    pub(super) struct PathEvents(Inotify);

    impl PathEvents {
        pub(super) fn new() -> io::Result<PathEvents> {
            Ok(PathEvents(Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?))
        }

        pub(super) fn add(&self, path: &Path, folder: bool) -> io::Result<Handle> {
            let moved = AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_MOVED_FROM;
            let names = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_DELETE | moved;
            let own = AddWatchFlags::IN_DELETE_SELF | AddWatchFlags::IN_MOVE_SELF;
            let wanted = own | if folder { names } else { AddWatchFlags::IN_MODIFY };
            Ok(self.0.add_watch(path, wanted)?)
        }

        pub(super) fn remove(&self, handle: Handle) {
            // Where the file is gone the kernel has removed the watch by itself.
            let _ = self.0.rm_watch(handle);
        }

        /// What has changed, and whether the kernel had no room for all of it.
        pub(super) fn take(&self) -> (BTreeSet<Handle>, bool) {
            let (mut handles, mut lost) = (BTreeSet::new(), false);
            while let Ok(events) = self.0.read_events()
                && !events.is_empty()
            {
                lost |= events.iter().any(|event| event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW));
                handles.extend(events.iter().map(|event| event.wd));
            }
            (handles, lost)
        }
    }

    impl AsFd for PathEvents {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }
    }
}

#[cfg(target_os = "macos")]
mod os {
    use nix::libc;
    use nix::sys::event::{EvFlags, EventFilter, FilterFlag, KEvent, Kqueue};
    use std::collections::BTreeSet;
    use std::fs::File;
    use std::io;
    use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
    use std::path::Path;

    /// Closing it ends the watch.
    pub(super) type Handle = File;

    pub(super) fn number(handle: &Handle) -> libc::uintptr_t {
        handle.as_raw_fd() as libc::uintptr_t
    }

    pub(super) struct PathEvents(Kqueue);

    impl PathEvents {
        pub(super) fn new() -> io::Result<PathEvents> {
            Ok(PathEvents(Kqueue::new()?))
        }

        pub(super) fn add(&self, path: &Path, _folder: bool) -> io::Result<Handle> {
            let file = File::open(path)?;
            let wanted =
                FilterFlag::NOTE_WRITE | FilterFlag::NOTE_EXTEND | FilterFlag::NOTE_DELETE | FilterFlag::NOTE_RENAME;
            let flags = EvFlags::EV_ADD | EvFlags::EV_CLEAR;
            let change = KEvent::new(number(&file), EventFilter::EVFILT_VNODE, flags, wanted, 0, 0);
            self.0.kevent(&[change], &mut [], None)?;
            Ok(file)
        }

        pub(super) fn remove(&self, handle: Handle) {
            drop(handle);
        }

        /// What has changed. Of a file that changes often there is one event.
        pub(super) fn take(&self) -> (BTreeSet<libc::uintptr_t>, bool) {
            let none = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            let empty = KEvent::new(0, EventFilter::EVFILT_VNODE, EvFlags::empty(), FilterFlag::empty(), 0, 0);
            let (mut handles, mut events) = (BTreeSet::new(), [empty; 32]);
            while let Ok(count) = self.0.kevent(&[], &mut events, Some(none))
                && count > 0
            {
                handles.extend(events[..count].iter().map(KEvent::ident));
            }
            (handles, false)
        }
    }

    impl AsFd for PathEvents {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }
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
        // Rotated: its successor is watched.
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
