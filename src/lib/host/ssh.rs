//! A connection by ssh: the program `ssh`, with pipes to the program that it runs on the other machine.

use crate::host::spawn::find_program;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// How long ssh may take to end once its input is closed.
const GRACE: Duration = Duration::from_secs(2);
/// How many bytes of its standard error are kept.
const KEPT: u64 = 4096;

/// A running ssh. Dropping it ends it.
pub(crate) struct Ssh {
    child: Child,
    errors: File,
}

/// The pipes to what ssh runs.
pub(crate) struct Pipes {
    pub(crate) stdin: ChildStdin,
    pub(crate) stdout: ChildStdout,
}

impl Ssh {
    /// Starts `ssh` with `arguments`.
    pub(crate) fn start(arguments: &[String]) -> io::Result<(Ssh, Pipes)> {
        // A file, not a pipe: a kept connection's master holds the descriptor after ssh itself has ended.
        let errors = tempfile::tempfile()?;
        // An ssh that lies in the working folder must never be run.
        let program = find_program("ssh", std::env::var_os("PATH").as_deref()).ok_or(io::ErrorKind::NotFound)?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors.try_clone()?);
        // A group of its own: a Ctrl-C on the terminal must not cut a message.
        let mut child = command.process_group(0).spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let ssh = Ssh { child, errors };
        match pipes {
            Some((stdin, stdout)) => Ok((ssh, Pipes { stdin, stdout })),
            None => Err(io::Error::other("ssh has no pipes")),
        }
    }

    /// Waits for the end of ssh, whose pipes are closed by now, or kills it, and returns its standard error on one
    /// line.
    pub(crate) fn end(mut self) -> String {
        self.wait();
        let mut said = Vec::new();
        let _ = self.errors.seek(SeekFrom::Start(0)).and_then(|_| (&self.errors).take(KEPT).read_to_end(&mut said));
        let text = String::from_utf8_lossy(&said);
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        lines.join("; ")
    }

    fn wait(&mut self) {
        let end = Instant::now() + GRACE;
        let mut pause = Duration::from_millis(1);
        while Instant::now() < end {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Ssh {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
