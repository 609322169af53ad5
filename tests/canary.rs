//! iapeer-canary against real tmux servers: each end that nobody intended gives one record of the right class, each
//! that somebody did gives none.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod canary {
    mod program;
    mod server;
}
mod support;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use support::{LogLine, PATIENCE, TestHome, wait_for, wait_until};

/// A parrot that is up and watched.
struct Watched {
    home: TestHome,
    identity: String,
}

impl Watched {
    #[track_caller]
    fn new(vars: &[(&str, &str)]) -> Watched {
        let home = TestHome::new();
        let identity = home.parrot("bob", vars);
        let watched = Watched { home, identity };
        watched.wake();
        watched
    }

    #[track_caller]
    fn wake(&self) {
        self.home.ok("iapeer-wake", &["bob"]);
        self.client();
    }

    fn recorded(&self, key: &str) -> i32 {
        let record = self.home.session_json(&self.identity).expect("a session that is up has a record");
        record[key]["pid"].as_i64().expect("a record names its processes") as i32
    }

    fn server(&self) -> i32 {
        self.recorded("server")
    }

    /// The pid of the canary that holds the lock.
    #[track_caller]
    fn canary(&self) -> i32 {
        wait_for("a canary", PATIENCE, || {
            let text = fs::read_to_string(self.state("canary.lock")).ok()?;
            let pid: i32 = text.strip_prefix("pid ")?.split(' ').next()?.parse().ok()?;
            cmdline(pid).contains("iapeer-canary").then_some(pid)
        })
    }

    /// The pid of the canary's client, once it waits for the server that is recorded now: then the canary watches.
    #[track_caller]
    fn client(&self) -> i32 {
        wait_for("the canary's client", PATIENCE, || {
            let canary = self.canary();
            let children = fs::read_to_string(format!("/proc/{canary}/task/{canary}/children")).ok()?;
            let mut pids = children.split_whitespace().filter_map(|pid| pid.parse().ok());
            pids.find(|pid| cmdline(*pid).contains("wait-for") && asleep(*pid) && asleep(canary))
        })
    }

    fn state(&self, kind: &str) -> PathBuf {
        self.home.state_dir().join(format!("{}.{kind}", self.identity))
    }

    fn exits(&self, ev: &str) -> Vec<LogLine> {
        self.home.log("exits.log").into_iter().filter(|line| line["ev"] == ev).collect()
    }

    /// Waits for the record of the server's end, and for the end of the canary.
    #[track_caller]
    fn server_exit(&self) -> LogLine {
        wait_until("a server-exit", PATIENCE, || !self.exits("server-exit").is_empty());
        wait_until("the canary's end", PATIENCE, || !self.is_watched());
        let mut lines = self.exits("server-exit");
        assert_eq!(lines.len(), 1, "{lines:?}");
        lines.remove(0)
    }

    fn is_watched(&self) -> bool {
        self.home.run("flock", &["-n", self.state("canary.lock").to_str().unwrap(), "true"]).code != 0
    }

    fn tick(&self) -> Vec<Value> {
        self.home.ok("iapeer-superviser", &["--json"]).json_lines()
    }

    /// The canary of `server` has ended without a word.
    #[track_caller]
    fn silent(&self, canary: i32) {
        wait_until("the canary's end", PATIENCE, || !cmdline(canary).contains("iapeer-canary"));
        assert_eq!(self.home.log("exits.log"), Vec::<LogLine>::new());
    }
}

fn cmdline(pid: i32) -> String {
    fs::read(format!("/proc/{pid}/cmdline"))
        .map(|raw| String::from_utf8_lossy(&raw).replace('\0', " "))
        .unwrap_or_default()
}

fn asleep(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.rsplit(')').next().unwrap().starts_with(" S"))
}

fn send(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).expect("it lives");
}
