//! The way of a message, end to end: accepted, delivered once, in order, whatever the session does meanwhile.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod message {
    mod arrival;
    mod kills;
}
mod support;

use iapeer::base::clock::SystemClock;
use iapeer::store::lock::FileLock;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::time::Duration;
use support::{Output, PATIENCE, TestHome, wait_until};

/// A home with a sender and a sleeping parrot.
fn home(vars: &[(&str, &str)]) -> TestHome {
    let home = TestHome::new();
    home.parrot("alice", &[]);
    home.parrot("bob", vars);
    home
}

#[track_caller]
fn send(home: &TestHome, body: &str) -> Output {
    home.run_with("iapeer-send", &["bob", "--from", "alice", "-f", "-"], body.as_bytes())
}

#[track_caller]
fn delivered(output: &Output) {
    assert!(output.code == 0 && output.stdout.starts_with("delivered to parrot-bob"), "{output}");
}

/// How often a session of bob was started.
fn wakes(home: &TestHome) -> usize {
    let is = |line: &support::LogLine, key: &str, value: &str| line.get(key).is_some_and(|found| found == value);
    home.log("lifecycle.log")
        .iter()
        .filter(|line| is(line, "ev", "wake") && is(line, "identity", "parrot-bob"))
        .filter(|line| is(line, "mode", "fresh") || is(line, "mode", "resume"))
        .count()
}

/// Whether a message with this body stands in bob's queue.
fn is_queued(home: &TestHome, body: &str) -> bool {
    let queue = home.state_dir().join("parrot-bob.queue");
    let wanted = format!("\"task\":\"{body}\"");
    [queue.clone(), queue.join("inflight")]
        .iter()
        .flat_map(|dir| std::fs::read_dir(dir).into_iter().flatten().flatten())
        .filter(|entry| entry.file_name().to_string_lossy().starts_with('0'))
        .any(|entry| std::fs::read_to_string(entry.path()).is_ok_and(|text| text.contains(&wanted)))
}
