//! Showing a session in the terminal of this program.

use super::Server;
use std::io;
use std::process::{Command, ExitStatus};

impl Server<'_> {
    /// Shows the session in this terminal until its person detaches or it ends.
    pub fn attach(&self) -> io::Result<ExitStatus> {
        Command::new(self.tmux.program())
            .arg("-u")
            .arg("-S")
            .arg(&self.socket)
            .args(["attach-session", "-t", &self.pane_target()])
            // With TMUX set, tmux refuses to attach within another tmux.
            .env_remove("TMUX")
            .status()
    }
}
