//! Changes of folders and files, as the kernel reports them: inotify on Linux, kqueue on macOS.

pub(super) use os::{Handle, PathEvents, number};

#[cfg(target_os = "linux")]
mod os {
    use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
    use std::collections::BTreeSet;
    use std::io;
    use std::os::fd::{AsFd, BorrowedFd};
    use std::path::Path;

    pub(in crate::host) type Handle = WatchDescriptor;

    pub(in crate::host) fn number(handle: &Handle) -> Handle {
        *handle
    }

    pub(in crate::host) struct PathEvents(Inotify);

    impl PathEvents {
        pub(in crate::host) fn new() -> io::Result<PathEvents> {
            Ok(PathEvents(Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?))
        }

        pub(in crate::host) fn add(&self, path: &Path, folder: bool) -> io::Result<Handle> {
            let moved = AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_MOVED_FROM;
            let names = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_DELETE | moved;
            let own = AddWatchFlags::IN_DELETE_SELF | AddWatchFlags::IN_MOVE_SELF;
            let wanted = own | if folder { names } else { AddWatchFlags::IN_MODIFY };
            Ok(self.0.add_watch(path, wanted)?)
        }

        pub(in crate::host) fn remove(&self, handle: Handle) {
            // Where the file is gone the kernel has removed the watch by itself.
            let _ = self.0.rm_watch(handle);
        }

        /// The handles of what has changed, and whether the kernel had no room for all events.
        pub(in crate::host) fn take(&self) -> (BTreeSet<Handle>, bool) {
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

    /// Closing the file ends the watch.
    pub(in crate::host) type Handle = File;

    pub(in crate::host) fn number(handle: &Handle) -> libc::uintptr_t {
        handle.as_raw_fd() as libc::uintptr_t
    }

    pub(in crate::host) struct PathEvents(Kqueue);

    impl PathEvents {
        pub(in crate::host) fn new() -> io::Result<PathEvents> {
            Ok(PathEvents(Kqueue::new()?))
        }

        pub(in crate::host) fn add(&self, path: &Path, _folder: bool) -> io::Result<Handle> {
            let file = File::open(path)?;
            let wanted =
                FilterFlag::NOTE_WRITE | FilterFlag::NOTE_EXTEND | FilterFlag::NOTE_DELETE | FilterFlag::NOTE_RENAME;
            let flags = EvFlags::EV_ADD | EvFlags::EV_CLEAR;
            let change = KEvent::new(number(&file), EventFilter::EVFILT_VNODE, flags, wanted, 0, 0);
            self.0.kevent(&[change], &mut [], None)?;
            Ok(file)
        }

        pub(in crate::host) fn remove(&self, handle: Handle) {
            drop(handle);
        }

        /// The handles of what has changed. No event is lost: several changes of one file become one event.
        pub(in crate::host) fn take(&self) -> (BTreeSet<libc::uintptr_t>, bool) {
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
