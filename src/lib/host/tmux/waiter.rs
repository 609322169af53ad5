//! A tmux client that waits for as long as its server lives: its exit status shows how the server ended.

use super::Server;
use crate::host::inherited::end_with_parent;
use nix::sys::signal::Signal;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};

/// A `tmux wait-for` on a channel that nobody signals. It ends with its server, or by a signal of its own.
#[derive(Debug)]
pub(crate) struct Waiter {
    child: Child,
}

impl Server<'_> {
    /// Starts a client that waits on `channel`. It is killed when this program ends (Linux).
    pub(crate) fn waiter(&self, channel: &str) -> io::Result<Waiter> {
        let mut command = Command::new(self.tmux.program());
        command
            .args(["-u", "-f", "/dev/null", "-S"])
            .arg(&self.socket)
            .args(["wait-for", channel])
            .env_clear()
            .env("LC_ALL", "C.UTF-8")
            .env("TERM", "dumb")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            // Nothing is written to it; it closes when the client ends.
            .stderr(Stdio::piped());
        end_with_parent(&mut command, Signal::SIGKILL);
        Ok(Waiter { child: command.process_group(0).spawn()? })
    }
}

impl Waiter {
    /// The client's standard error, which becomes readable when the client ends, or just before.
    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.child.stderr.as_ref().map(AsFd::as_fd)
    }

    /// Waits for the client's end. Its exit code, or 128 + N for signal N.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        let status = self.child.wait().ok()?;
        status.code().or_else(|| Some(128 + status.signal()?))
    }

    /// Ends the client. Its exit code tells nothing then.
    pub(crate) fn dismiss(mut self) {
        // Killing a client that has ended already fails, which does not matter. It must be waited for in any case.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
