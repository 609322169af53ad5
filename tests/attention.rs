//! What each peer waits for: states by hooks, transcript and screen, approvals and their answers, what waits meanwhile,
//! and the owner who is told.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod attention {
    mod approvals;
    mod states;
}
mod support;

use iapeer::base::{EpochMs, SystemClock};
use iapeer::store::FileLock;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};
use support::{LogLine, Output, TestHome, wait_for, wait_until};

const SOON: Duration = Duration::from_secs(30);
const ANN: &str = "parrot-ann";

fn home_with(vars: &[(&str, &str)]) -> TestHome {
    let home = TestHome::new();
    home.set("IAPEER_SERVICE_MANAGER", "none");
    home.parrot("bob", &[]);
    home.parrot("ann", vars);
    if vars.contains(&("PARROT_ATTENTION", "approval-hidden")) {
        let dir = home.root().join("runtimes/parrot");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("runtime.json"), r#"{"hook_hides_dialog": true}"#).unwrap();
    }
    home
}

fn send(home: &TestHome, text: &str) -> Value {
    home.ok("iapeer-send", &["ann", "--from", "bob", "--no-wait", "--json", "-m", text]).json()
}

fn tick(home: &TestHome) -> Output {
    home.ok("iapeer-superviser", &[])
}

fn rows(home: &TestHome) -> Vec<Value> {
    let seen = home.run("iapeer", &["attention", "--json"]);
    let rows = seen.json_lines();
    assert_eq!(seen.code, i32::from(!rows.is_empty()), "{seen}");
    rows
}

/// Waits until ann is in `state`, and returns the row.
#[track_caller]
fn in_state(home: &TestHome, state: &str) -> Value {
    wait_for(&format!("ann in state {state}"), SOON, || {
        rows(home).into_iter().find(|row| row["peer"] == "ann" && row["state"] == state)
    })
}

/// Waits for the approval that ann's hook asks for, and returns the row: her screen may show it before the hook says so.
#[track_caller]
fn asked_by_hook(home: &TestHome) -> Value {
    wait_for("the hook to ask for an approval", SOON, || {
        rows(home).into_iter().find(|row| row["state"] == "approval" && row["id"].is_string())
    })
}

/// Waits until a hook has told that ann's turn is over.
#[track_caller]
fn turn_over(home: &TestHome) {
    let turn = home.state_dir().join(format!("{ANN}.turn"));
    wait_until("the end of the turn", SOON, || fs::read_to_string(&turn).is_ok_and(|text| text.contains("\"idle\"")));
}

/// Waits, without a program of ours, until the limit is over that ann is at.
#[track_caller]
fn limit_over(home: &TestHome) -> EpochMs {
    let row = in_state(home, "limited");
    let until = EpochMs::parse(row["until"].as_str().expect("it says when")).unwrap();
    wait_until("the limit's end", SOON, || EpochMs::from(SystemTime::now()) > until);
    until
}

#[track_caller]
fn calm(home: &TestHome) {
    wait_until("nobody to wait for anybody", SOON, || rows(home).is_empty());
}

/// What was chosen on ann's screens, in order.
fn chosen(home: &TestHome) -> Vec<String> {
    let dir = home.home().join(".iapeer-parrot/sessions");
    let files = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let text: String = files.map(|path| fs::read_to_string(path).unwrap_or_default()).collect();
    let records = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    records
        .filter(|record| record["type"] == "chosen")
        .map(|record| record["text"].as_str().unwrap().to_owned())
        .collect()
}

fn events(home: &TestHome, ev: &str) -> Vec<LogLine> {
    home.log("lifecycle.log").into_iter().filter(|line| line["ev"] == ev).collect()
}

fn attention_file(home: &TestHome) -> Option<Value> {
    serde_json::from_slice(&fs::read(home.state_dir().join(format!("{ANN}.attention"))).ok()?).ok()
}

fn delivered(home: &TestHome, bodies: &[&str]) {
    wait_until("what waits to be delivered", SOON, || {
        home.run("iapeer-drain", &[ANN]);
        home.bodies("ann") == bodies
    });
    home.at_rest(ANN);
    wait_until("the queue to be settled", SOON, || home.queue(ANN) == (0, 0, 0));
}

/// Has everything that waits for ann look a minute older.
fn minute_passes(home: &TestHome) {
    let (lock, clock) = (home.state_dir().join(format!("{ANN}.lock")), SystemClock::default());
    let _ann = FileLock::acquire_unsigned(&lock, SOON, &clock).unwrap();
    for entry in fs::read_dir(home.state_dir().join(format!("{ANN}.queue"))).unwrap().flatten() {
        let is_item = entry.file_name().to_string_lossy().starts_with("0");
        if is_item {
            let mut item: Value = serde_json::from_slice(&fs::read(entry.path()).unwrap()).unwrap();
            item["accepted"] = (item["accepted"].as_u64().unwrap() - 60_000).into();
            fs::write(entry.path(), item.to_string()).unwrap();
        }
    }
}

/// The hook's process, as the file names it.
fn hook(home: &TestHome) -> Pid {
    let pid = wait_for("the hook", SOON, || attention_file(home)?["hook"]["pid"].as_i64());
    Pid::from_raw(pid as i32)
}

fn owner(home: &TestHome) -> PathBuf {
    home.parrot("op", &[]);
    fs::write(home.root().join("owner"), "op\n").unwrap();
    let (hook, log) = (home.root().join("notify"), home.dir().join("notified"));
    fs::write(&hook, format!("#!/bin/sh\ncat >> {}\n", log.display())).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o700)).unwrap();
    log
}
