//! Waiting until something changes in a folder: inotify on Linux, kqueue on macOS. Nothing is polled meanwhile.

use crate::host::path_events::{Handle, PathEvents};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::Duration;

/// A folder that is watched: creating, removing or renaming a file in it ends a wait. What happens between two waits is
/// not lost.
pub(crate) struct DirWatch {
    events: PathEvents,
    _dir: Handle,
}

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
        let events = PathEvents::new()?;
        let dir = events.add(dir, true)?;
        Ok(DirWatch { events, _dir: dir })
    }

    /// Waits until something changes, the reader of `pipe` is gone, or `limit` is over.
    pub(crate) fn wait(&self, pipe: Option<BorrowedFd<'_>>, limit: Duration) -> io::Result<DirWoken> {
        let mut set = vec![PollFd::new(self.events.as_fd(), PollFlags::POLLIN)];
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
        self.events.take();
        Ok(DirWoken::Changed)
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
