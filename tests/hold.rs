//! Messages never die of their peer's state: they are held, without a try, in order, with the reason; and not for ever.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;
use support::{TestHome, home_with, wait_until};

const SOON: Duration = Duration::from_secs(30);
const ANN: &str = "parrot-ann";

/// Sends a burst of messages and lets ticks go over them.
fn burst(home: &TestHome, texts: &[&str]) {
    for text in texts {
        home.ok("iapeer-send", &["ann", "--from", "bob", "--no-wait", "-m", text]);
    }
    for _ in 0..3 {
        home.ok("iapeer-drain", &[ANN]);
        home.ok("iapeer-superviser", &[]);
        home.all_done();
    }
}

fn rows(home: &TestHome) -> Vec<Value> {
    home.ok("iapeer-drain", &["--list", ANN, "--json"]).json_lines()
}

#[track_caller]
fn all_held(home: &TestHome, count: usize, hold: &str) {
    let rows = rows(home);
    assert_eq!(rows.len(), count, "{rows:?}");
    assert!(rows.iter().all(|row| row["place"] == "waiting" && row["attempts"] == 0), "{rows:?}");
    assert_eq!(rows[0]["held"], hold, "{rows:?}");
    assert!(rows[0]["reason"].is_string());
}

/// A manifest of the parrot whose screens are read by other rules.
fn manifest(home: &TestHome, screen: Value) {
    let folder = home.root().join("runtimes/parrot");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("runtime.json"), json!({ "screen": screen }).to_string()).unwrap();
}

#[test]
fn a_screen_that_nobody_knows_holds_a_burst_in_order() {
    let home = home_with(&[]);
    burst(&home, &["one"]);
    wait_until("the first", SOON, || home.bodies("ann") == ["one"]);
    // What the session shows from now on is nothing that the rules know.
    manifest(&home, json!({ "ready": [{ "contains": "another program" }] }));
    burst(&home, &["two", "three", "four"]);
    all_held(&home, 3, "unknown-screen");
    fs::remove_file(home.root().join("runtimes/parrot/runtime.json")).unwrap();
    home.ok("iapeer-superviser", &[]);
    wait_until("the rest", SOON, || home.bodies("ann") == ["one", "two", "three", "four"]);
}

#[test]
fn a_login_at_the_boot_is_no_death_and_no_try() {
    let home = home_with(&[("PARROT_DIALOG", "login")]);
    burst(&home, &["one", "two"]);
    all_held(&home, 2, "login");
    assert!(!home.state(ANN, "deaths") && !home.state(ANN, "session"));
    home.launch_env("ann", &[]);
    // Somebody has logged in: the next look tries it, which comes every quarter of an hour.
    home.set("IAPEER_LIMIT_LOOK_SECS", "0.001");
    home.ok("iapeer-superviser", &[]);
    wait_until("both", SOON, || home.bodies("ann") == ["one", "two"]);
}

#[test]
fn a_strange_screen_at_the_boot_is_no_death_and_the_marks_stay_for_the_next_wake() {
    let home = home_with(&[]);
    burst(&home, &["one"]);
    wait_until("the first", SOON, || home.bodies("ann") == ["one"]);
    home.at_rest(ANN);
    home.ok("iapeer-reap", &[ANN]);
    home.launch_env("ann", &[("PARROT_HANG", "boot")]);
    // Long enough for it to show anything.
    home.set("IAPEER_BOOT_DEADLINE_SECS", "2");
    burst(&home, &["two"]);
    all_held(&home, 1, "unknown-screen");
    assert!(!home.state(ANN, "deaths") && home.state(ANN, "idle-reaped"));
    home.launch_env("ann", &[]);
    home.set("IAPEER_BOOT_DEADLINE_SECS", "30");
    home.ok("iapeer-superviser", &[]);
    wait_until("the rest", SOON, || home.bodies("ann") == ["one", "two"]);
    let sessions: Vec<Value> = home.record("ann").iter().map(|line| line["session"].clone()).collect();
    assert_eq!(sessions[0], sessions[1], "resumed, as if nothing had been");
}

#[test]
fn the_crash_loop_guard_and_a_missing_folder_hold() {
    let home = home_with(&[("PARROT_CRASH", "boot")]);
    home.set("IAPEER_CRASHLOOP_MAX", "2");
    burst(&home, &["one"]);
    let row = rows(&home).remove(0);
    assert_eq!((row["held"].as_str(), row["attempts"].as_u64()), (Some("crash-loop"), Some(2)), "{row}");
    let home = home_with(&[]);
    let (cwd, away) = (home.cwd("ann"), home.dir().join("away"));
    fs::create_dir_all(home.state_dir()).unwrap();
    let lock = support::hold(&home.state_dir().join(format!("{ANN}.lock")));
    home.ok("iapeer-send", &["ann", "--from", "bob", "--no-wait", "-m", "one"]);
    fs::rename(&cwd, &away).unwrap();
    drop(lock);
    burst(&home, &[]);
    all_held(&home, 1, "setup");
    fs::rename(&away, &cwd).unwrap();
    home.ok("iapeer-superviser", &[]);
    wait_until("the message", SOON, || home.bodies("ann") == ["one"]);
}

#[test]
fn what_is_held_for_too_long_is_a_dead_letter_and_its_sender_is_told() {
    let home = home_with(&[("PARROT_DIALOG", "login")]);
    burst(&home, &["one"]);
    all_held(&home, 1, "login");
    // A second, in days.
    home.set("IAPEER_HOLD_DAYS", "0.0000116");
    wait_until("the dead letter", SOON, || {
        home.ok("iapeer-superviser", &[]);
        home.queue(ANN) == (0, 0, 1)
    });
    let row = rows(&home).remove(0);
    assert!(row["reason"].as_str().unwrap().starts_with("held for 0.0 days (login): "), "{row}");
    wait_until("the notice", SOON, || home.bodies("bob").len() == 1);
    // Tried again, it is held anew.
    home.unset("IAPEER_HOLD_DAYS");
    home.at_rest(ANN);
    home.ok("iapeer-drain", &["--requeue", row["id"].as_str().unwrap()]);
    wait_until("the hold", SOON, || {
        home.at_rest(ANN);
        rows(&home).first().is_some_and(|row| row["held"] == "login" && row["attempts"] == 0)
    });
}

#[test]
fn only_a_try_counts_and_it_ends_the_hold() {
    let home = home_with(&[("PARROT_DIALOG", "login")]);
    home.set("IAPEER_QUEUE_MAX_ATTEMPTS", "2").set("IAPEER_CRASHLOOP_MAX", "100");
    burst(&home, &["one"]);
    all_held(&home, 1, "login");
    home.launch_env("ann", &[("PARROT_CRASH", "boot")]);
    home.set("IAPEER_LIMIT_LOOK_SECS", "0.001");
    wait_until("the dead letter", SOON, || {
        home.ok("iapeer-superviser", &[]);
        home.queue(ANN) == (0, 0, 1)
    });
    assert_eq!(rows(&home)[0]["attempts"], 2);
}

#[test]
fn a_tmux_that_starts_no_server_is_no_try() {
    let home = home_with(&[]);
    home.set("IAPEER_QUEUE_MAX_ATTEMPTS", "2").set("IAPEER_CRASHLOOP_MAX", "100");
    let tmux = home.dir().join("tmux");
    // As where no process can be made.
    fs::write(&tmux, "#!/bin/sh\necho 'fork failed: Resource temporarily unavailable' >&2\nexit 1\n").unwrap();
    fs::set_permissions(&tmux, Permissions::from_mode(0o755)).unwrap();
    home.set("IAPEER_TMUX_BIN", &tmux);
    burst(&home, &["one"]);
    all_held(&home, 1, "no-terminal");
    home.unset("IAPEER_TMUX_BIN");
    home.ok("iapeer-superviser", &[]);
    wait_until("the message", SOON, || home.bodies("ann") == ["one"]);
}
