//! The end of a test home: its servers, its processes, its files.

use super::{TestHome, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

impl Drop for TestHome {
    fn drop(&mut self) {
        if std::thread::panicking() {
            print_what_it_knew(self);
        }
        let left = end_processes(self);
        if std::env::var_os("IAPEER_TEST_KEEP").is_some_and(|keep| keep == "1") {
            eprintln!("kept {}", self.dir.display());
        } else if let Err(error) = fs::remove_dir_all(&self.dir) {
            eprintln!("cannot remove {}: {error}", self.dir.display());
        }
        // A second panic would end the whole test run without a word.
        assert!(left.is_empty() || std::thread::panicking(), "these processes did not end: {left:?}");
    }
}

/// The event logs, the queues' sizes and the screens, for whoever reads the failure.
fn print_what_it_knew(home: &TestHome) {
    for name in ["lifecycle.log", "delivery.log", "exits.log"] {
        if let Ok(text) = fs::read_to_string(home.root().join("logs/iapeer").join(name)) {
            eprintln!("--- {name}\n{}", text.trim_end());
        }
    }
    let mut state: Vec<_> = names_in(&home.state_dir());
    state.sort();
    eprintln!("--- state/lifecycle: {}", state.join(" "));
    for identity in identities(home) {
        let shot = server(home, &identity).args(["capture-pane", "-p", "-t", &format!("={identity}:")]).output();
        let shown = shot.map(|shot| String::from_utf8_lossy(&shot.stdout).trim_end().to_owned()).unwrap_or_default();
        eprintln!("--- screen of {identity}\n{shown}");
    }
}

fn names_in(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn identities(home: &TestHome) -> Vec<String> {
    let name = |file: &String| Some(file.strip_prefix("tmux-iap-")?.strip_suffix(".sock")?.to_owned());
    names_in(&home.sockets()).iter().filter_map(name).collect()
}

fn server(home: &TestHome, identity: &str) -> Command {
    let mut command = home.cmd("tmux");
    command.arg("-S").arg(home.sockets().join(format!("tmux-iap-{identity}.sock"))).stdin(Stdio::null());
    command
}

/// Ends the tmux servers, then whatever else belongs to the home, and returns what would not go. Looked for
/// until nothing is found twice running: a process may be starting another while it is killed.
pub(super) fn end_processes(home: &TestHome) -> Vec<i32> {
    for identity in identities(home) {
        // An error means that no server answers: what is left of it is found below.
        let _ = server(home, &identity).arg("kill-server").stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
    let start = Instant::now();
    let mut clean = 0;
    loop {
        let found = processes_of(home);
        clean = if found.is_empty() { clean + 1 } else { 0 };
        if clean == 2 || start.elapsed() > Duration::from_secs(10) {
            return found;
        }
        for pid in found {
            // It may have ended by itself in the meantime.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The processes whose environment names this root, the tmux servers on this home's sockets, and the connections that ssh
/// keeps there, whose title is written over their environment. Where there is no `/proc` (macOS) nothing is found: killing
/// the servers has to do.
pub(super) fn processes_of(home: &TestHome) -> Vec<i32> {
    let root = format!("IAPEER_ROOT={}", home.root().display());
    let sockets = format!("{}/tmux-iap-", home.sockets().display());
    let kept = format!("ssh: {}/ssh-", home.sockets().display());
    let belongs = |pid: &i32| {
        let read = |file: &str| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let (environ, cmdline) = (read("environ"), read("cmdline"));
        let mut words = cmdline.split(|byte| *byte == 0);
        let is_tmux = words.next().is_some_and(|program| program.starts_with(b"tmux") || program.ends_with(b"/tmux"));
        environ.split(|byte| *byte == 0).any(|entry| entry == root.as_bytes())
            || cmdline.starts_with(kept.as_bytes())
            || (is_tmux && words.any(|word| word.starts_with(sockets.as_bytes())))
    };
    names_in(Path::new("/proc")).iter().filter_map(|name| name.parse().ok()).filter(belongs).collect()
}

impl TestHome {
    /// Waits until no program of ours runs but those that stay as long as a session does: a drain that a tick or a send
    /// has started comes only in a moment, when the lock of its peer may look free.
    #[track_caller]
    pub fn all_done(&self) {
        wait_until("the programs to end", Duration::from_secs(60), || !self.is_at_work());
    }

    /// Whether a program of ours runs, besides those that stay as long as a session does.
    pub fn is_at_work(&self) -> bool {
        let of_a_session = |name: &str| ["iapeer-parrot", "iapeer-canary"].iter().any(|of| name.starts_with(of));
        self.processes().iter().any(|(_, name)| name.starts_with("iapeer") && !of_a_session(name))
    }

    /// The processes of this home that live, with the names of their programs. None where there is no `/proc`.
    pub fn processes(&self) -> Vec<(i32, String)> {
        let name = |pid| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim_end().to_owned();
        processes_of(self).into_iter().map(|pid| (pid, name(pid))).collect()
    }

    /// Kills every process of this home, as a power cut does.
    pub fn kill_everything(&self) {
        let left = end_processes(self);
        assert!(left.is_empty(), "these processes did not end: {left:?}");
    }
}
