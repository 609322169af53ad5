//! A terminal for a person: a second tmux server.

use super::{Output, TestHome, wait_until};
use std::path::PathBuf;
use std::time::Duration;

/// How long the terminal may take to do or show something.
const SOON: Duration = Duration::from_secs(30);

/// The terminal, which is gone when this is dropped.
pub struct Terminal<'h> {
    home: &'h TestHome,
    socket: PathBuf,
}

impl<'h> Terminal<'h> {
    /// A terminal in which `command` runs.
    pub fn running(home: &'h TestHome, command: &[&str]) -> Terminal<'h> {
        let terminal = Terminal { home, socket: home.dir().join("person.sock") };
        let session = ["-f", "/dev/null", "new-session", "-d", "-s", "person", "-x", "120", "-y", "40"];
        terminal.tmux(&[&session[..], command].concat());
        terminal
    }

    /// Has the terminal's own tmux do something.
    pub fn tmux(&self, args: &[&str]) -> Output {
        let mut command = self.home.cmd("tmux");
        command.arg("-S").arg(&self.socket).args(args);
        self.home.start(command, None).wait(SOON)
    }

    /// Types `text`.
    pub fn types(&self, text: &str) {
        self.tmux(&["send-keys", "-t", "person", "-l", text]);
    }

    /// Presses Enter.
    pub fn enter(&self) {
        self.tmux(&["send-keys", "-t", "person", "Enter"]);
    }

    /// Waits until `text` stands on the terminal.
    pub fn shows(&self, text: &str) {
        wait_until(&format!("{text:?} on the person's screen"), SOON, || {
            self.tmux(&["capture-pane", "-p", "-t", "person"]).stdout.contains(text)
        });
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}
