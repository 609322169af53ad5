//! A disk that is full, often by the very agent that is to be ended. Needs a user who may mount.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use std::fs;
use std::io::Write;
use std::time::Duration;
use support::{SmallDisk, TestHome, wait_until};

const SOON: Duration = Duration::from_secs(30);
const ANN: &str = "parrot-ann";

/// A home whose root is on a file system of its own, with a live session, and nothing left. `None`: nothing can be
/// mounted here.
fn full() -> Option<(TestHome, SmallDisk)> {
    let home = TestHome::new();
    let disk = SmallDisk::mount_with(&home.root(), "size=2m,mode=700")?;
    home.parrot("bob", &[]);
    home.parrot("ann", &[]);
    home.ok("iapeer-send", &["ann", "--from", "bob", "--require", "delivered", "-m", "one"]);
    home.at_rest(ANN);
    fill(&home);
    // In this order: the disk goes first, and the home finds its processes without it.
    Some((home, disk))
}

fn fill(home: &TestHome) {
    let mut file = fs::File::options().create(true).append(true).open(home.root().join("fill")).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    while file.write_all(&[0]).is_ok() {}
}

fn is_gone(server: i32) {
    wait_until("the session's end", SOON, || iapeer::host::ProcessId::of(server).is_none());
}

#[test]
fn stop_ends_a_session_on_a_full_disk_and_it_stays_stopped() {
    let Some((home, _disk)) = full() else { return eprintln!("SKIPPED: this user may not mount") };
    let server = home.server_pid(ANN).unwrap();
    let stopped = home.run("iapeer", &["stop", "ann"]);
    assert_eq!(stopped.code, 0, "{stopped}");
    assert!(stopped.stderr.contains("without a note"), "what could not be noted is said: {stopped}");
    is_gone(server);
    assert!(home.server_pid(ANN).is_none() && home.state(ANN, "stopped") && !home.state(ANN, "session"));
    fs::remove_file(home.root().join("fill")).unwrap();
    assert_eq!(home.run("iapeer-send", &["ann", "--from", "bob", "-m", "two"]).code, 69, "it is stopped");
    home.ok("iapeer", &["start", "ann"]);
    let sent = home.ok("iapeer-send", &["ann", "--from", "bob", "--require", "delivered", "-m", "two"]);
    assert!(sent.stdout.contains("woke: resume"), "{sent}");
}

#[test]
fn reap_and_new_end_a_session_on_a_full_disk_and_leave_none_unsupervised() {
    for verb in [&["iapeer-reap", ANN][..], &["iapeer", "new", "ann"]] {
        let Some((home, _disk)) = full() else { return eprintln!("SKIPPED: this user may not mount") };
        let server = home.server_pid(ANN).unwrap();
        let done = home.run(verb[0], &verb[1..]);
        is_gone(server);
        // The end may have made room enough for a fresh session: then that one has a record.
        assert_eq!(home.state(ANN, "session"), home.server_pid(ANN).is_some(), "{done}");
        if verb[0] == "iapeer" {
            assert!(done.code == 0 || done.code == 74 && done.stderr.contains("the disk is full"), "{done}");
        } else {
            assert_eq!(done.code, 0, "{done}");
            assert!(home.server_pid(ANN).is_none());
        }
        assert!(!done.stderr.contains("nothing was changed"), "{done}");
    }
}

#[test]
fn a_message_is_refused_on_a_full_disk_and_doctor_names_the_disk() {
    let Some((home, _disk)) = full() else { return eprintln!("SKIPPED: this user may not mount") };
    let sent = home.run("iapeer-send", &["ann", "--from", "bob", "-m", "two"]);
    assert!(sent.code == 74 && sent.stderr.contains("the disk is full"), "{sent}");
    let said = home.run("iapeer", &["doctor"]);
    let line = said.stdout.lines().find(|line| line.contains("file system is full")).unwrap_or_default().to_owned();
    assert!(line.contains(home.root().to_str().unwrap()) && said.code != 0, "{said}");
}

#[test]
fn doctor_names_logs_that_cannot_be_written() {
    let home = TestHome::new();
    home.parrot("ann", &[]);
    let log = home.root().join("logs/iapeer/delivery.log");
    support::replacing::place("folder", &log);
    let said = home.run("iapeer", &["doctor"]);
    let line = said.stdout.lines().find(|line| line.contains("delivery.log")).unwrap_or_default();
    assert!(line.contains("not a regular file"), "{said}");
}
