//! What the screen waits for: files that change, finished work of other threads, keys, and signals.

use crate::base::identity::Identity;
use crate::base::paths::Paths;
use crate::host::path_watch::PathWatch;
use crate::host::process::signal_stream;
use crate::operator::logs;
use nix::errno::Errno;
use nix::libc::{SIGHUP, SIGINT, SIGTERM, SIGWINCH};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The signals that ask to end.
const ENDS: [i32; 3] = [SIGTERM, SIGINT, SIGHUP];

/// Why a wait ended; there may be several reasons at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Wakeup {
    /// Keys can be read.
    pub keys: bool,
    /// The terminal is gone.
    pub hung_up: bool,
    /// Files that the table is read from have changed.
    pub peers: bool,
    /// The session of the selected peer has printed something.
    pub screen: bool,
    /// A signal asks to end.
    pub signal: Option<i32>,
}

/// Wakes the screen from another thread.
#[derive(Debug, Clone)]
pub(crate) struct ScreenWaker(Arc<UnixStream>);

impl ScreenWaker {
    pub(crate) fn wake(&self) {
        // Where the socket is full, the poll ends anyway.
        let _ = (&*self.0).write(&[0]);
    }
}

/// Everything that wakes the screen.
pub(crate) struct ScreenEvents {
    files: PathWatch,
    pane_log: Option<PathBuf>,
    ends: Vec<(i32, UnixStream)>,
    resized: UnixStream,
    work: UnixStream,
    waker: ScreenWaker,
}

impl ScreenEvents {
    /// Catches the signals from now on.
    pub(crate) fn new() -> io::Result<ScreenEvents> {
        let (work, write) = UnixStream::pair()?;
        for stream in [&work, &write] {
            stream.set_nonblocking(true)?;
        }
        let ends: io::Result<Vec<(i32, UnixStream)>> =
            ENDS.iter().map(|signal| Ok((*signal, signal_stream(&[*signal])?))).collect();
        let events = ScreenEvents {
            files: PathWatch::new()?,
            pane_log: None,
            ends: ends?,
            resized: signal_stream(&[SIGWINCH])?,
            work,
            waker: ScreenWaker(Arc::new(write)),
        };
        for (_, stream) in &events.ends {
            stream.set_nonblocking(true)?;
        }
        events.resized.set_nonblocking(true)?;
        Ok(events)
    }

    /// The waker for threads that have finished something.
    pub(crate) fn waker(&self) -> ScreenWaker {
        self.waker.clone()
    }

    /// Watches the files of the table, and the output of this peer's session. Earlier changes of files that were not
    /// watched before are not reported: the caller has to read them afterwards.
    pub(crate) fn watch(&mut self, paths: &Paths, selected: Option<&Identity>) {
        self.pane_log = selected.map(|identity| paths.pane_log(identity));
        let mut wanted = vec![paths.root().to_owned(), paths.state_dir(), paths.due_dir(), paths.event_log_dir()];
        wanted.extend(logs::files(paths));
        wanted.extend(self.pane_log.clone());
        self.files.keep(&wanted);
    }

    /// Drops interrupts that came while another program had the terminal: they were meant for that program.
    pub(crate) fn forget_interrupts(&self) {
        for (_, interrupts) in self.ends.iter().filter(|(signal, _)| *signal == SIGINT) {
            emptied(interrupts);
        }
    }

    /// Waits until a line was typed, or a signal asks to end. The signal is left for [`ScreenEvents::wait`].
    pub(crate) fn wait_for_a_line(&self) -> io::Result<()> {
        let stdin = io::stdin();
        let fds = [stdin.as_fd()].into_iter().chain(self.ends.iter().map(|(_, stream)| stream.as_fd()));
        let mut set: Vec<PollFd<'_>> = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        match poll(&mut set, PollTimeout::NONE) {
            Ok(_) if set[0].any().unwrap_or(false) => drop(nix::unistd::read(stdin, &mut [0; 1024])),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Waits until something happens, or for `limit`.
    pub(crate) fn wait(&mut self, limit: Duration) -> io::Result<Wakeup> {
        let stdin = io::stdin();
        let watched: Vec<_> = [self.files.as_fd(), self.work.as_fd(), self.resized.as_fd()].into();
        let ends = self.ends.iter().map(|(_, stream)| stream.as_fd());
        let mut set = vec![PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        set.extend(watched.into_iter().chain(ends).map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        match poll(&mut set, PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let revents = set[0].revents().unwrap_or(PollFlags::empty());
        let files = set[1].any().unwrap_or(false);
        drop(set);
        let mut woken = Wakeup {
            keys: revents.contains(PollFlags::POLLIN),
            hung_up: revents.intersects(PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL),
            ..Wakeup::default()
        };
        if files {
            let changed = self.files.changed();
            woken.screen = self.pane_log.as_ref().is_some_and(|log| changed.contains(log));
            woken.peers = changed.iter().any(|path| Some(path) != self.pane_log.as_ref());
        }
        emptied(&self.work);
        emptied(&self.resized);
        woken.signal = self.ends.iter().find(|(_, stream)| emptied(stream)).map(|(signal, _)| *signal);
        Ok(woken)
    }
}

/// Empties the stream, and returns whether there was something in it.
fn emptied(stream: &UnixStream) -> bool {
    let (mut some, mut bytes) = (false, [0; 256]);
    while matches!((&mut &*stream).read(&mut bytes), Ok(n) if n > 0) {
        some = true;
    }
    some
}
