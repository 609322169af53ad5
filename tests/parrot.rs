//! iapeer-parrot in a real tmux: what it shows, what it takes, what it leaves behind.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod parrot {
    mod screen;
    mod turns;
}

use serde_json::Value;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const PARROT: &str = env!("CARGO_BIN_EXE_iapeer-parrot");
const DEADLINE: Duration = Duration::from_secs(30);
const GHOST: &str = "»\u{a0}Type a message";

/// Looks until `ready` gives a value; panics with `what` and `state` when it never does.
fn wait<T>(what: &str, state: impl Fn() -> String, mut ready: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(Instant::now() < end, "waited in vain: {what}\n{}", state());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The lines of a file. A line still being written, as one of a large paste, is not there yet.
fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read(path).unwrap_or_default();
    let end = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let text = std::str::from_utf8(&text[..end]).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

/// A home of its own, with a hook program that writes down what it hears.
struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    fn new() -> Home {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("work")).unwrap();
        let home = Home { dir };
        home.script("hook", "line=$(cat); printf '%s\\n' \"$line\" >>\"$HOME/hooks\"; exit 9");
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn script(&self, name: &str, body: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn records(&self) -> Vec<Value> {
        lines(&self.path("record"))
    }

    fn hooks(&self) -> Vec<String> {
        lines(&self.path("hooks")).iter().map(|h| h["hook_event_name"].as_str().unwrap().to_owned()).collect()
    }

    fn transcripts(&self) -> Vec<PathBuf> {
        let Ok(dir) = fs::read_dir(self.path(".iapeer-parrot/sessions")) else { return Vec::new() };
        dir.map(|entry| entry.unwrap().path()).collect()
    }

    fn transcript(&self) -> Vec<Value> {
        self.transcripts().first().map(|path| lines(path)).unwrap_or_default()
    }

    fn kinds(&self) -> Vec<String> {
        self.transcript().iter().map(|record| record["type"].as_str().unwrap().to_owned()).collect()
    }

    /// A parrot in its own tmux server.
    fn start(&self, env: &[(&str, &str)], args: &[&str]) -> Pane<'_> {
        self.start_program(PARROT, env, args)
    }

    fn start_program(&self, program: &str, env: &[(&str, &str)], args: &[&str]) -> Pane<'_> {
        self.start_and(program, env, args, &[])
    }

    /// [`Home::start_program`], and `more` commands of tmux before anything is shown.
    fn start_and(&self, program: &str, env: &[(&str, &str)], args: &[&str], more: &[&str]) -> Pane<'_> {
        let pane =
            Pane { home: self, socket: self.path(&format!("s{}", fs::read_dir(self.dir.path()).unwrap().count())) };
        // The name stays taken when the server is gone: a socket is never used twice.
        fs::write(pane.socket.with_extension("used"), "").unwrap();
        let mut command = pane.tmux();
        command.env_clear().envs([("PATH", std::env::var("PATH").unwrap()), ("LANG", "C.UTF-8".into())]);
        command.env("HOME", self.dir.path()).env("PARROT_RECORD", self.path("record")).envs(env.iter().copied());
        command.args(["-u", "new-session", "-d", "-s", "p", "-x", "100", "-y", "30", "-c"]).arg(self.path("work"));
        command.arg("--").arg(program).args(args).args([";", "set-option", "-t", "p", "remain-on-exit", "on"]);
        command.args(more);
        let out = command.output().unwrap();
        assert!(out.status.success(), "{out:?}");
        pane
    }

    fn ready(&self, env: &[(&str, &str)], args: &[&str]) -> Pane<'_> {
        let pane = self.start(env, args);
        pane.wait_ready();
        pane
    }
}

struct Pane<'a> {
    home: &'a Home,
    socket: PathBuf,
}

impl Drop for Pane<'_> {
    fn drop(&mut self) {
        let _ = self.tmux().arg("kill-server").output();
    }
}

impl Pane<'_> {
    fn tmux(&self) -> Command {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(&self.socket).args(["-f", "/dev/null"]).env_remove("TMUX");
        command
    }

    fn run(&self, args: &[&str]) -> String {
        let out = self.tmux().args(args).output().unwrap();
        assert!(out.status.success(), "tmux {args:?}: {out:?}");
        String::from_utf8(out.stdout).unwrap()
    }

    fn format(&self, format: &str) -> String {
        self.run(&["display-message", "-p", "-t", "=p:", format]).trim_end_matches('\n').to_owned()
    }

    fn screen(&self) -> String {
        self.run(&["capture-pane", "-p", "-t", "=p:"])
    }

    fn rows(&self) -> Vec<String> {
        self.screen().lines().map(|row| row.trim_end_matches(' ').to_owned()).collect()
    }

    fn wait<T>(&self, what: &str, ready: impl FnMut() -> Option<T>) -> T {
        wait(what, || format!("{}\n{:?}\n{:?}", self.screen(), self.home.hooks(), self.home.kinds()), ready)
    }

    fn wait_rows(&self, what: &str, wanted: impl Fn(&[String]) -> bool) {
        self.wait(what, || wanted(&self.rows()).then_some(()));
    }

    fn wait_row(&self, row: &str) {
        self.wait_rows(row, |rows| rows.iter().any(|r| r == row));
    }

    fn wait_ready(&self) {
        self.wait_rows("a composer and a ready footer", |rows| {
            rows.iter().any(|row| row == GHOST) && rows.last().is_some_and(|row| row.starts_with("  parrot ready"))
        });
    }

    fn keys(&self, keys: &[&str]) {
        self.run(&[&["send-keys", "-t", "=p:"], keys].concat());
    }

    fn paste(&self, text: &[u8], bracketed: &[&str]) {
        let mut load = self.tmux().args(["load-buffer", "-b", "t", "-"]).stdin(Stdio::piped()).spawn().unwrap();
        load.stdin.take().unwrap().write_all(text).unwrap();
        assert!(load.wait().unwrap().success());
        self.run(&[&["paste-buffer", "-d", "-b", "t", "-t", "=p:"], bracketed].concat());
    }

    /// Pastes `text`, and submits it once the composer holds it.
    fn say(&self, text: &str) {
        self.paste(text.as_bytes(), &["-p"]);
        self.wait_rows("the composer holds the paste", |rows| {
            rows.iter().any(|row| row.starts_with('»') && row != GHOST)
        });
        self.keys(&["Enter"]);
    }

    /// Submits `text` and waits for its record.
    fn submit(&self, text: &str) -> Value {
        let before = self.home.records().len();
        self.say(text);
        self.wait("the record", || self.home.records().get(before).cloned())
    }

    fn wait_hooks(&self, expected: &[&str]) {
        self.wait(&format!("hooks {expected:?}"), || (self.home.hooks() == expected).then_some(()));
    }

    fn wait_kinds(&self, expected: &[&str]) {
        self.wait(&format!("transcript {expected:?}"), || (self.home.kinds() == expected).then_some(()));
    }

    /// `status:signal` of the dead pane.
    fn ended(&self) -> String {
        self.wait("the end of the parrot", || {
            // tmux 3.3a may miss the signal of its child; a job of its own makes it look again. In the background:
            // the signal of that job may be missed as well, and its client would wait for ever.
            self.run(&["run-shell", "-b", "true"]);
            let said = self.format("#{pane_dead} #{pane_dead_status}:#{pane_dead_signal}");
            said.strip_prefix("1 ").filter(|end| *end != ":").map(str::to_owned)
        })
    }

    /// Waits for words that a dead pane may have scrolled away; tmux may read the last output after the end.
    fn wait_words(&self, words: &str) {
        self.wait(words, || self.run(&["capture-pane", "-p", "-S", "-", "-t", "=p:"]).contains(words).then_some(()));
    }

    fn pid(&self) -> i32 {
        self.format("#{pane_pid}").parse().unwrap()
    }

    fn signal(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid()), signal).unwrap();
    }
}

fn plain(args: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = Command::new(PARROT);
    command.env_clear().env("HOME", "/nonexistent").envs(env.iter().copied()).args(args).stdin(Stdio::null());
    command.output().unwrap()
}
