//! Waiting until something changes in a folder: inotify on Linux, kqueue on macOS. Nothing is polled meanwhile.

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::Duration;

/// A folder that is watched: creating, removing or renaming a file in it ends a wait. What happens between two waits is
/// not lost.
pub(crate) struct DirWatch(os::Watch);

/// Why a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DirWoken {
    /// Something changed in the folder, or may have.
    Changed,
    /// Nobody reads the pipe any more.
    Unread,
    /// The time is over.
    TimedOut,
}

impl DirWatch {
    /// Watches `dir` from now on.
    pub(crate) fn on(dir: &Path) -> io::Result<DirWatch> {
        os::Watch::on(dir).map(DirWatch)
    }

    /// Waits until something changes, the reader of `pipe` is gone, or `limit` is over.
    pub(crate) fn wait(&self, pipe: Option<BorrowedFd<'_>>, limit: Duration) -> io::Result<DirWoken> {
        let mut set = vec![PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        // POLLERR and POLLHUP are always reported; no event needs to be requested.
        set.extend(pipe.map(|pipe| PollFd::new(pipe, PollFlags::empty())));
        let ms = limit.as_nanos().div_ceil(1_000_000);
        let limit = PollTimeout::try_from(i32::try_from(ms).unwrap_or(i32::MAX)).unwrap_or(PollTimeout::MAX);
        match poll(&mut set, limit) {
            Ok(0) => return Ok(DirWoken::TimedOut),
            Ok(_) => {}
            Err(Errno::EINTR) => return Ok(DirWoken::Changed),
            Err(error) => return Err(error.into()),
        }
        if set.get(1).and_then(PollFd::revents).is_some_and(|events| !events.is_empty()) {
            return Ok(DirWoken::Unread);
        }
        self.0.take();
        Ok(DirWoken::Changed)
    }
}

#[cfg(target_os = "linux")]
mod os {
    use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
    use std::io;
    use std::os::fd::{AsFd, BorrowedFd};
    use std::path::Path;

    pub(super) struct Watch(Inotify);

    impl Watch {
        pub(super) fn on(dir: &Path) -> io::Result<Watch> {
            let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
            let changes = AddWatchFlags::IN_CREATE
                | AddWatchFlags::IN_MOVED_TO
                | AddWatchFlags::IN_MOVED_FROM
                | AddWatchFlags::IN_DELETE
                | AddWatchFlags::IN_DELETE_SELF;
            inotify.add_watch(dir, changes)?;
            Ok(Watch(inotify))
        }

        pub(super) fn take(&self) {
            while self.0.read_events().is_ok_and(|events| !events.is_empty()) {}
        }
    }

    impl AsFd for Watch {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }
    }
}

#[cfg(target_os = "macos")]
mod os {
    use nix::libc;
    use nix::sys::event::{EvFlags, EventFilter, FilterFlag, KEvent, Kqueue};
    use std::fs::File;
    use std::io;
    use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
    use std::path::Path;

    pub(super) struct Watch {
        queue: Kqueue,
        _dir: File,
    }

    impl Watch {
        pub(super) fn on(dir: &Path) -> io::Result<Watch> {
            let (queue, dir) = (Kqueue::new()?, File::open(dir)?);
            let change = KEvent::new(
                dir.as_raw_fd() as libc::uintptr_t,
                EventFilter::EVFILT_VNODE,
                EvFlags::EV_ADD | EvFlags::EV_CLEAR,
                FilterFlag::NOTE_WRITE | FilterFlag::NOTE_DELETE,
                0,
                0,
            );
            queue.kevent(&[change], &mut [], None)?;
            Ok(Watch { queue, _dir: dir })
        }

        pub(super) fn take(&self) {
            let none = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            let event = KEvent::new(0, EventFilter::EVFILT_VNODE, EvFlags::empty(), FilterFlag::empty(), 0, 0);
            while self.queue.kevent(&[], &mut [event], Some(none)).is_ok_and(|count| count > 0) {}
        }
    }

    impl AsFd for Watch {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.queue.as_fd()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_wakes_at_a_file_at_a_lost_reader_and_at_the_end_of_the_time() {
        let dir = tempfile::tempdir().unwrap();
        let watch = DirWatch::on(dir.path()).unwrap();
        let long = Duration::from_secs(20);
        assert_eq!(watch.wait(None, Duration::from_millis(1)).unwrap(), DirWoken::TimedOut);
        std::fs::write(dir.path().join("a"), "").unwrap();
        std::fs::rename(dir.path().join("a"), dir.path().join("b")).unwrap();
        assert_eq!(watch.wait(None, long).unwrap(), DirWoken::Changed, "what came before the wait");
        assert_eq!(watch.wait(None, Duration::from_millis(1)).unwrap(), DirWoken::TimedOut, "is told once");
        let (read, write) = nix::unistd::pipe().unwrap();
        assert_eq!(watch.wait(Some(write.as_fd()), Duration::from_millis(1)).unwrap(), DirWoken::TimedOut);
        drop(read);
        assert_eq!(watch.wait(Some(write.as_fd()), long).unwrap(), DirWoken::Unread);
        std::fs::remove_file(dir.path().join("b")).unwrap();
        assert_eq!(watch.wait(None, long).unwrap(), DirWoken::Changed);
    }
}
