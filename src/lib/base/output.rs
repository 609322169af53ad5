//! What programs print: results on stdout, what went wrong on stderr.
//!
//! A result that can't be written never stops the work half-way: the program goes on, prints no more, and its exit code
//! tells at the end ([`exit_code`]). A reader that has gone (`| head`) had what it wanted, and changes nothing.

use crate::base::exit::{Exit, Failure};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::OnceLock;

/// The first result that could not be written.
static LOST: OnceLock<io::Error> = OnceLock::new();

/// Prints one result line, unless an earlier one could not be printed.
pub fn say(line: impl AsRef<str>) {
    if LOST.get().is_none() {
        note(print(line.as_ref()));
    }
}

/// Prints one result line that something depends on: an error says that it may not have been seen.
pub fn say_surely(line: &str) -> Result<(), Failure> {
    print(line).map_err(|error| Failure::new(Exit::Io, cannot_print(&error)))
}

/// Takes note of how printing a result went that was not printed by [`say`].
pub fn note(printed: io::Result<()>) {
    if let Err(error) = printed {
        // Only the first is told of.
        let _ = LOST.set(error);
    }
}

fn print(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush())
}

/// Whether results can still reach somebody: what waits for more to print need not go on without a reader.
pub fn is_heard() -> bool {
    let out = io::stdout();
    // That nobody reads any more is told without being asked for.
    let mut fds = [PollFd::new(out.as_fd(), PollFlags::empty())];
    let _ = poll(&mut fds, PollTimeout::ZERO);
    let gone = fds[0].revents().is_some_and(|events| events.intersects(PollFlags::POLLERR | PollFlags::POLLHUP));
    LOST.get().is_none() && !gone
}

/// Prints one line on stderr. Where that can't be written there is nobody to tell.
pub fn complain(line: &str) {
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// The code of `program`, which ends with `exit`: a success whose results were lost is none.
pub fn exit_code(program: &str, exit: Exit) -> Exit {
    match LOST.get() {
        Some(error) if error.kind() != ErrorKind::BrokenPipe => {
            complain(&format!("{program}: {}", cannot_print(error)));
            if exit == Exit::Ok { Exit::Io } else { exit }
        }
        _ => exit,
    }
}

/// Runs a program's body: prints the failure as `PROGRAM: message` on stderr and returns its exit code. A success whose
/// results could not be printed is a failure too.
pub fn run(program: &str, body: impl FnOnce() -> Result<Exit, Failure>) -> ExitCode {
    match body() {
        Ok(exit) => exit_code(program, exit).into(),
        Err(failure) => {
            complain(&format!("{program}: {failure}"));
            failure.exit.into()
        }
    }
}

fn cannot_print(error: &io::Error) -> String {
    format!("cannot write to stdout: {error}; check where the output goes")
}
