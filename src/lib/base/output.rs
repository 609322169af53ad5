//! What programs print: results on stdout, what went wrong on stderr.
//!
//! A result that can't be written never stops the work half-way: the program completes its work, prints nothing more,
//! and its exit code reports the failure at the end (`exit_code`). A reader that closed the pipe early (`| head`) is no
//! failure.

use crate::base::exit::{Exit, Failure};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::OnceLock;

/// The first result that could not be written.
static LOST: OnceLock<io::Error> = OnceLock::new();
/// What was done and must not be repeated, whether or not its result can be printed.
static DONE: OnceLock<String> = OnceLock::new();

/// Prints one result line, unless an earlier one could not be printed.
pub fn say(line: impl AsRef<str>) {
    if LOST.get().is_none() {
        note(print(line.as_ref()));
    }
}

/// Prints on stderr how far a slow operation has come; prints nothing where stderr is not a terminal.
pub(crate) fn progress(line: &str) {
    if io::stderr().is_terminal() {
        complain(line);
    }
}

/// Prints result lines that belong together, in one write.
pub(crate) fn say_all(lines: &[String]) {
    if !lines.is_empty() {
        say(lines.join("\n"));
    }
}

/// Prints one result line that a later step depends on. Fails where the line may not have reached the reader.
pub fn say_surely(line: &str) -> Result<(), Failure> {
    print(line).map_err(|error| Failure::new(Exit::Io, cannot_print(&error)))
}

/// Records the outcome of printing a result by other means than [`say`].
pub fn note(printed: io::Result<()>) {
    if let Err(error) = printed {
        // Only the first failure is reported.
        let _ = LOST.set(error);
    }
}

fn print(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    // Stdout is line-buffered and passes on everything up to the last line end at once: many lines are one write.
    out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush())
}

/// Prints the result of an act that must not be repeated. Where `line` can't be printed, `done` goes to stderr with the
/// error, and the exit code stays that of the act.
pub(crate) fn say_done(line: &str, done: &str) {
    let _ = DONE.set(done.to_owned());
    say(line);
}

/// Whether stdout still has a reader: without one, a program that waits for more to print can stop.
pub(crate) fn is_heard() -> bool {
    let out = io::stdout();
    // POLLERR and POLLHUP are always reported; no event needs to be requested.
    let mut fds = [PollFd::new(out.as_fd(), PollFlags::empty())];
    let _ = poll(&mut fds, PollTimeout::ZERO);
    let gone = fds[0].revents().is_some_and(|events| events.intersects(PollFlags::POLLERR | PollFlags::POLLHUP));
    LOST.get().is_none() && !gone
}

/// Prints one line on stderr. A failure to do so is ignored: there is no other place to report it.
pub fn complain(line: &str) {
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// The exit code of `program`, which is about to end with `exit`: a success whose results could not be printed becomes
/// an I/O failure, except after [`say_done`].
pub(crate) fn exit_code(program: &str, exit: Exit) -> Exit {
    match LOST.get() {
        Some(error) if error.kind() != ErrorKind::BrokenPipe => {
            let Some(done) = DONE.get() else {
                complain(&format!("{program}: {}", cannot_print(error)));
                return if exit == Exit::Ok { Exit::Io } else { exit };
            };
            complain(&format!("{program}: {}; all the same: {done}", cannot_print(error)));
            exit
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
