//! Running a program in the foreground: waiting for its end, or replacing this program by it.

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Output, Stdio};

/// Runs `program` to its end with nothing on its standard input and `environment` as its whole environment.
pub fn output(
    program: &Path,
    arguments: &[impl AsRef<OsStr>],
    environment: impl IntoIterator<Item = (impl AsRef<OsStr>, impl AsRef<OsStr>)>,
) -> io::Result<Output> {
    Command::new(program).args(arguments).env_clear().envs(environment).stdin(Stdio::null()).output()
}

/// Runs `program` to its end in the terminal of this one, with its environment, folder and streams.
pub(crate) fn in_this_terminal(program: &Path, arguments: &[impl AsRef<OsStr>]) -> io::Result<ExitStatus> {
    Command::new(program).args(arguments).status()
}

/// Becomes `program`, with this program's environment, folder and streams. Returns only where that fails: why.
pub fn become_program(program: &Path, arguments: &[impl AsRef<OsStr>]) -> io::Error {
    Command::new(program).args(arguments).exec()
}
