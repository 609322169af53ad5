//! Exit codes (sysexits) and the one error type that programs print.

use crate::base::harmless::steers;
use std::fmt;
use std::process::ExitCode;

/// What a program's exit status says. The numbers are those of BSD `sysexits.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Exit {
    /// Done. For `iapeer-send`: delivered or queued.
    Ok = 0,
    /// There is something: `iapeer attention` found somebody who waits, `iapeer diff` a difference.
    Found = 1,
    /// The command line is wrong.
    Usage = 64,
    /// The data is wrong: a message over a limit, a control character in it.
    DataErr = 65,
    /// An input file is missing or unreadable.
    NoInput = 66,
    /// No such peer.
    NoPeer = 67,
    /// Refused by the state of the peer or the host (stopped, managed by the OS, crash-loop guard, no tmux).
    Refused = 69,
    /// A defect in iapeer.
    Internal = 70,
    /// Something could not be created.
    CantCreate = 73,
    /// Input or output failed.
    Io = 74,
    /// Try again: a lock or a wake timed out; nothing is lost.
    TryAgain = 75,
    /// Ownership or permission.
    NoPerm = 77,
    /// Bad configuration.
    Config = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// A failure as the user sees it: one line (what, why, what to do) and an exit code.
///
/// Errors of the library's rooms keep their own enums; they turn into this at the edge of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The exit code of the program that gives up for this reason.
    pub exit: Exit,
    /// A lower-case fragment, one line.
    pub message: String,
}

impl Failure {
    /// A failure with `exit` and a one-line `message`.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Failure { exit, message: message.into() }
    }

    /// An I/O failure on `path` while doing `what`. A permission problem is 77, a full disk and the rest 74.
    pub fn io(what: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        let exit = match error.kind() {
            std::io::ErrorKind::PermissionDenied => Exit::NoPerm,
            _ => Exit::Io,
        };
        Failure::new(exit, format!("cannot {what} {}: {error}", path.display()))
    }

    /// `path` could not be created. A permission problem is 77, a full disk 74, the rest 73.
    pub fn create(path: &std::path::Path, error: &std::io::Error) -> Self {
        let failure = Failure::io("create", path, error);
        match failure.exit {
            Exit::Io if error.kind() != std::io::ErrorKind::StorageFull => {
                Failure { exit: Exit::CantCreate, ..failure }
            }
            _ => failure,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&one_line(&self.message))
    }
}

impl std::error::Error for Failure {}

/// `text` on one line and without control characters, so that nothing quoted in an error can steer a terminal.
pub fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.trim().chars() {
        match c {
            '\n' | '\t' | '\r' => out.push(' '),
            c if steers(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line_without_control_characters() {
        assert_eq!(one_line("a\nb\x1b[31mc\n"), "a b\\u{1b}[31mc");
    }

    #[test]
    fn permission_is_77_and_a_full_disk_74() {
        let path = std::path::Path::new("/x");
        let denied = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        assert_eq!(Failure::io("read", path, &denied).exit, Exit::NoPerm);
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        assert_eq!(Failure::io("write", path, &full).exit, Exit::Io);
    }

    #[test]
    fn what_can_not_be_created_is_73() {
        use std::io::ErrorKind::{NotFound, PermissionDenied, StorageFull};
        let path = std::path::Path::new("/x");
        for (kind, exit) in [(NotFound, Exit::CantCreate), (PermissionDenied, Exit::NoPerm), (StorageFull, Exit::Io)] {
            assert_eq!(Failure::create(path, &kind.into()).exit, exit, "{kind:?}");
        }
    }
}
