//! People take part: an inbox that is a folder, answers, questions.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod people {
    mod asking;
    mod inbox;
}
mod support;

use nix::sys::signal::Signal;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use support::{Output, PATIENCE, SmallDisk, TestHome, wait_until};

/// A home with the person `me` and the parrot `bob`.
fn home() -> TestHome {
    let home = TestHome::new();
    home.ok("iapeer", &["create", "me", "--runtime", "person"]);
    home.parrot("bob", &[("PARROT_TURN_MS", "5")]);
    home
}

/// The files of an inbox, by name.
fn files(home: &TestHome, person: &str, state: &str) -> Vec<PathBuf> {
    let dir = home.cwd(person).join("inbox").join(state);
    let mut found: Vec<PathBuf> = fs::read_dir(dir).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| !path.file_name().unwrap().to_str().unwrap().starts_with('.'));
    found.sort();
    found
}

fn inbox(home: &TestHome, more: &[&str]) -> Vec<Value> {
    home.ok("iapeer", &[&["inbox", "--json"], more].concat()).json_lines()
}

fn history(home: &TestHome, identity: &str) -> Vec<Value> {
    let text = fs::read_to_string(home.root().join(format!("history/{identity}.jsonl"))).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[track_caller]
fn refused(output: &Output, code: i32, why: &str) {
    assert!(output.code == code && output.stderr.contains(why), "{output}");
}
