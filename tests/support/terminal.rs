//! A terminal for a person: a second tmux server.

use super::{Output, TestHome, soon};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
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
        Terminal::sized(home, 120, 40, command)
    }

    /// The same, of another size.
    pub fn sized(home: &'h TestHome, columns: u16, rows: u16, command: &[&str]) -> Terminal<'h> {
        // A server that was just ended may still hold its socket.
        static SERVERS: AtomicU32 = AtomicU32::new(0);
        let server = SERVERS.fetch_add(1, Ordering::Relaxed);
        let terminal = Terminal { home, socket: home.dir().join(format!("person{server}.sock")) };
        let (x, y) = (columns.to_string(), rows.to_string());
        let session = ["-f", "/dev/null", "new-session", "-d", "-s", "person", "-x", &x, "-y", &y];
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

    /// Presses a key, by tmux's name for it.
    pub fn press(&self, key: &str) {
        self.tmux(&["send-keys", "-t", "person", key]);
    }

    /// What stands on the terminal.
    pub fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-t", "person"]).stdout
    }

    /// Waits until `text` stands on the terminal.
    #[track_caller]
    pub fn shows(&self, text: &str) {
        let mut last = String::new();
        let shown = soon(SOON, || {
            last = self.screen();
            last.contains(text)
        });
        assert!(shown, "waited {SOON:?} in vain for {text:?} on the person's screen:\n{last}");
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}
