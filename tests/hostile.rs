//! What an attacker, a slip of the hand or a broken disk puts in the way of what is newest: files of other hosts, what
//! they say, fleet files, transcripts, inboxes. Nothing waits for ever, nothing panics, errors are one line, and the
//! others are served.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod hostile {
    mod chronicle;
    mod fleet;
    mod hosts;
    mod people;
}
mod support;

use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;
use support::replacing::{self, clear};
use support::{Output, SmallDisk, TestHome, wait_until};

/// Whoever takes longer waits for something.
const SOON: Duration = Duration::from_secs(40);

#[track_caller]
fn soon(home: &TestHome, words: &[&str]) -> Output {
    let output = home.spawn(words[0], &words[1..]).wait(SOON);
    fine(&output, words);
    output
}

/// It neither panicked nor was killed.
#[track_caller]
fn fine(output: &Output, words: &[&str]) {
    assert!(output.code < 100 && !output.stderr.contains("panicked"), "{words:?}: {output}");
}

const KINDS: [&str; 6] = ["fifo", "loop", "zero", "folder", "huge", "binary"];

fn place(kind: &str, path: &Path) {
    match kind {
        "binary" => {
            clear(path);
            fs::write(path, b"\xff\xfe\0{\"a\":").unwrap();
        }
        other => replacing::place(other, path),
    }
}

/// A home with parrots al and bob and the person me.
fn home() -> TestHome {
    let home = TestHome::new();
    home.set("IAPEER_SERVICE_MANAGER", "none");
    home.parrot("al", &[]);
    home.parrot("bob", &[("PARROT_TURN_MS", "5")]);
    home.ok("iapeer", &["create", "me", "--runtime", "person"]);
    home
}

#[track_caller]
fn bob_is_served(home: &TestHome, what: &str) {
    assert_eq!(soon(home, &["iapeer-superviser"]).code, 0, "{what}");
    let sent = soon(home, &["iapeer-send", "bob", "--from", "al", "--wait", "30", "-m", what]);
    assert!(sent.stdout.starts_with("delivered"), "{what}: {sent}");
}
