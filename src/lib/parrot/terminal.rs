//! Raw mode, the size of the terminal, and the descriptors that wake the loop: signals and finished work.

use super::error::ParrotError;
use crate::base::output;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGWINCH};
use std::io::{IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The terminal in raw mode with bracketed paste on; its settings are restored when this is dropped.
#[derive(Debug)]
pub(crate) struct Terminal {
    saved: Termios,
    /// Whether bracketed paste is on, and a frame on the screen.
    paste: bool,
}

impl Terminal {
    /// Checks that standard input and output are a terminal.
    pub(crate) fn check() -> Result<(), ParrotError> {
        if !std::io::stdin().is_terminal() {
            return Err(ParrotError::NotATerminal("input"));
        }
        if !std::io::stdout().is_terminal() {
            return Err(ParrotError::NotATerminal("output"));
        }
        Ok(())
    }

    pub(crate) fn open() -> Result<Terminal, ParrotError> {
        let stdin = std::io::stdin();
        let saved =
            tcgetattr(&stdin).map_err(|source| ParrotError::Terminal { what: "read the settings of", source })?;
        let mut raw = saved.clone();
        cfmakeraw(&mut raw);
        // TCSANOW, not TCSAFLUSH: input that was typed ahead is kept, as shells do.
        tcsetattr(&stdin, SetArg::TCSANOW, &raw)
            .map_err(|source| ParrotError::Terminal { what: "set the settings of", source })?;
        let terminal = Terminal { saved, paste: true };
        terminal.write(b"\x1b[?2004h").map_err(|source| ParrotError::Terminal { what: "write to", source })?;
        Ok(terminal)
    }

    /// Rows and columns; 24×80 where the terminal does not say.
    pub(crate) fn size(&self) -> (usize, usize) {
        match terminal_size::terminal_size_of(std::io::stdout()) {
            Some((columns, rows)) if columns.0 > 0 && rows.0 > 0 => (rows.0.into(), columns.0.into()),
            _ => (24, 80),
        }
    }

    /// Writes all of `bytes`, unbuffered: a buffer would only delay a frame.
    pub(crate) fn write(&self, mut bytes: &[u8]) -> Result<(), Errno> {
        let stdout = std::io::stdout();
        while !bytes.is_empty() {
            match nix::unistd::write(&stdout, bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(Errno::EINTR) => {}
                // Another program has made the shared terminal non-blocking: wait instead of losing half a frame.
                Err(Errno::EAGAIN) => {
                    let _ = poll(&mut [PollFd::new(stdout.as_fd(), PollFlags::POLLOUT)], PollTimeout::NONE);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads once into `buffer` and returns the number of bytes; 0 at the end of input.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        nix::unistd::read(std::io::stdin(), buffer)
    }

    /// Whether input (or the end of it) can be read at once.
    pub(crate) fn readable(&self) -> bool {
        self.readable_within(PollTimeout::ZERO)
    }

    fn readable_within(&self, timeout: PollTimeout) -> bool {
        let stdin = std::io::stdin();
        let mut set = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        poll(&mut set, timeout).is_ok_and(|n| n > 0)
    }

    /// Reads up to the end of the answer to `ESC [ 6 n`, or to `end`, whichever comes first.
    fn await_answer(&self, end: Instant) {
        let mut buffer = [0; 256];
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
            if !self.readable_within(timeout) {
                return;
            }
            match self.read(&mut buffer) {
                Ok(n) if n > 0 && !buffer[..n].contains(&b'R') => {}
                _ => return,
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if self.paste {
            // Errors are ignored: the terminal may be gone.
            let (rows, _) = self.size();
            let _ = self.write(format!("\x1b[?2004l\x1b[?7h\x1b[0m\x1b[{rows};1H\r\n\x1b[?25h").as_bytes());
        }
        // TCSANOW, not TCSADRAIN: where nobody reads the terminal, waiting for its output could last for ever.
        let _ = tcsetattr(std::io::stdin(), SetArg::TCSANOW, &self.saved);
    }
}

/// Prints `line` on standard error and, where that is a terminal, waits until the terminal has it.
///
/// A terminal multiplexer may drop output that it has not read when its program ends (seen with tmux 3.3a), and this line
/// tells a person why the program ended. The terminal's answer to a cursor position request proves that it has read
/// everything before the request; a terminal that does not answer costs a fifth of a second.
pub fn last_words(line: &str) {
    output::complain(line);
    if Terminal::check().is_err() || !std::io::stderr().is_terminal() {
        return;
    }
    let stdin = std::io::stdin();
    let Ok(saved) = tcgetattr(&stdin) else { return };
    let mut raw = saved.clone();
    cfmakeraw(&mut raw);
    if tcsetattr(&stdin, SetArg::TCSANOW, &raw).is_ok() {
        let terminal = Terminal { saved, paste: false };
        if terminal.write(b"\x1b[6n").is_ok() {
            terminal.await_answer(Instant::now() + Duration::from_millis(200));
        }
    }
}

/// Ends a `poll` of the loop from another thread.
#[derive(Debug, Clone)]
pub(crate) struct Waker(Arc<UnixStream>);

impl Waker {
    pub(crate) fn wake(&self) {
        // Where the socket is full, the poll ends anyway.
        let _ = (&*self.0).write(&[0]);
    }
}

/// Signals and wakers, as one descriptor to poll and flags to check.
#[derive(Debug)]
pub(crate) struct Events {
    read: UnixStream,
    write: Arc<UnixStream>,
    resized: Arc<AtomicBool>,
    ends: Vec<(i32, Arc<AtomicBool>)>,
}

impl Events {
    /// Starts to catch signals. With `outlive`, HUP, TERM and INT are caught and ignored.
    pub(crate) fn catch(outlive: bool) -> std::io::Result<Events> {
        let (read, write) = UnixStream::pair()?;
        read.set_nonblocking(true)?;
        write.set_nonblocking(true)?;
        let resized = Arc::new(AtomicBool::new(false));
        let mut ends = Vec::new();
        // The flag is registered before the pipe: the loop that the pipe wakes must find the flag set.
        signal_hook::flag::register(SIGWINCH, resized.clone())?;
        signal_hook::low_level::pipe::register(SIGWINCH, write.try_clone()?)?;
        for signal in [SIGTERM, SIGHUP, SIGINT] {
            let flag = Arc::new(AtomicBool::new(false));
            signal_hook::flag::register(signal, flag.clone())?;
            if !outlive {
                signal_hook::low_level::pipe::register(signal, write.try_clone()?)?;
                ends.push((signal, flag));
            }
        }
        Ok(Events { read, write: Arc::new(write), resized, ends })
    }

    pub(crate) fn waker(&self) -> Waker {
        Waker(self.write.clone())
    }

    /// Whether the size has changed since this was last asked.
    pub(crate) fn resized(&self) -> bool {
        self.resized.swap(false, Ordering::Relaxed)
    }

    /// The signal that asks to end, if one came.
    pub(crate) fn end(&self) -> Option<i32> {
        self.ends.iter().find(|(_, flag)| flag.load(Ordering::Relaxed)).map(|(signal, _)| *signal)
    }

    /// Waits for an event, for what `input` names (`None` when the terminal is lost), or until `timeout` is over. Returns
    /// whether input, or its end, can be read.
    pub(crate) fn wait(&self, input: Option<Awaited>, timeout: PollTimeout) -> Result<bool, Errno> {
        let stdin = std::io::stdin();
        let mut set = vec![PollFd::new(self.read.as_fd(), PollFlags::POLLIN)];
        if let Some(wanted) = input {
            let flags = if wanted == Awaited::Input { PollFlags::POLLIN } else { PollFlags::empty() };
            set.push(PollFd::new(stdin.as_fd(), flags));
        }
        match poll(&mut set, timeout) {
            Ok(_) => {}
            Err(Errno::EINTR) => return Ok(false),
            Err(error) => return Err(error),
        }
        let ready = set.get(1).and_then(|fd| fd.revents()).is_some_and(|events| !events.is_empty());
        let mut bytes = [0; 256];
        while matches!((&self.read).read(&mut bytes), Ok(n) if n > 0) {}
        Ok(ready)
    }
}

/// What the loop waits for at the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// Input, and its end.
    Input,
    /// Only the end of input: input stays unread.
    HangUp,
}
