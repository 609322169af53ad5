//! `iapeer doctor`: what is not in order, what to do about it, and what `--fix` mends.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use std::fs::{self, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};
use support::{Output, TestHome, wait_until};

const SOON: Duration = Duration::from_secs(30);

/// A home without a service manager, where a tick has just run.
fn home() -> TestHome {
    let home = TestHome::new();
    home.set("IAPEER_SERVICE_MANAGER", "none");
    home.ok("iapeer-superviser", &[]);
    home
}

fn doctor(home: &TestHome, args: &[&str]) -> Output {
    home.run("iapeer", &[&["doctor"], args].concat())
}

/// The findings of `check`, by `--json`.
fn findings(home: &TestHome, check: &str) -> Vec<Value> {
    doctor(home, &["--json"]).json_lines().into_iter().filter(|line| line["check"] == check).collect()
}

#[track_caller]
fn one(home: &TestHome, check: &str, words: &str) -> Value {
    let found = findings(home, check);
    let hits: Vec<&Value> = found.iter().filter(|line| line["what"].as_str().unwrap().contains(words)).collect();
    assert_eq!(hits.len(), 1, "{check} {words:?} in {found:#?}");
    // A failure's own words may say it all: what, why, and what to do.
    assert!(hits[0]["severity"] == "error" || hits[0]["todo"] != "", "nothing to do: {}", hits[0]);
    hits[0].clone()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Writes a state file as private as ours are.
fn put(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

fn put_dir(path: &Path) {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).unwrap();
}

fn age(path: &Path) {
    let old = SystemTime::now() - Duration::from_secs(7200);
    fs::File::options().write(true).open(path).unwrap().set_modified(old).unwrap();
}

#[test]
fn a_host_in_order_is_silent_and_a_fresh_one_too() {
    let fresh = TestHome::new();
    fresh.set("IAPEER_ROOT", fresh.dir().join("nothing-there"));
    let output = doctor(&fresh, &[]);
    assert_eq!((output.code, output.stdout.as_str()), (0, "everything is in order\n"), "{output}");
    assert!(!fresh.dir().join("nothing-there").exists(), "looking creates nothing");

    let home = home();
    home.parrot("ann", &[]);
    home.parrot("bob", &[]);
    home.ok("iapeer-send", &["ann", "--from", "bob", "--require", "delivered", "-m", "hello"]);
    wait_until("the canary", SOON, || doctor(&home, &[]).stdout == "everything is in order\n");
    assert_eq!(doctor(&home, &["--json"]).json_lines(), [json!({"doctor": {"errors": 0, "warnings": 0, "mended": 0}})]);
}

#[test]
fn an_open_root_is_77_and_fix_closes_it() {
    let home = home();
    home.parrot("ann", &[]);
    fs::set_permissions(home.root(), Permissions::from_mode(0o755)).unwrap();
    assert_eq!(home.run("iapeer", &["list"]).code, 77);
    let output = doctor(&home, &[]);
    assert!(output.code == 77 && output.stdout.contains("chmod 700"), "{output}");
    assert_eq!(mode(&home.root()), 0o755, "looking changes nothing");
    let output = doctor(&home, &["--fix"]);
    assert!(output.code == 0 && output.stdout.contains("mended"), "{output}");
    home.ok("iapeer", &["list"]);

    let log = home.root().join("peers-profiles.json");
    fs::set_permissions(&log, Permissions::from_mode(0o644)).unwrap();
    one(&home, "files", "open to other users");
    assert_eq!(doctor(&home, &["--fix"]).code, 0);
    assert_eq!((mode(&log), findings(&home, "files").len()), (0o600, 0));
}

#[test]
fn tmux_missing_or_old_and_a_runtime_without_a_program_are_69() {
    let home = home();
    home.set("IAPEER_TMUX_BIN", home.dir().join("no-tmux"));
    assert_eq!(doctor(&home, &[]).code, 69);
    let old = home.dir().join("old-tmux");
    fs::write(&old, "#!/bin/sh\necho tmux 2.8\n").unwrap();
    fs::set_permissions(&old, Permissions::from_mode(0o755)).unwrap();
    home.set("IAPEER_TMUX_BIN", &old);
    one(&home, "tmux", "tmux 2.8, too old");
    home.unset("IAPEER_TMUX_BIN");

    // A program that is there but shows no login is a warning; a missing one is an error; each names its peers.
    let claude = home.dir().join("claude");
    fs::write(&claude, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&claude, Permissions::from_mode(0o755)).unwrap();
    home.set("IAPEER_CLAUDE_BIN", &claude).set("IAPEER_CODEX_BIN", home.dir().join("no-codex"));
    home.ok("iapeer", &["create", "ann", "--runtime", "claude"]);
    home.ok("iapeer", &["create", "bob", "--runtime", "codex"]);
    home.ok("iapeer", &["create", "eve", "--runtime", "codex"]);
    assert_eq!(one(&home, "runtime", "no login was found")["about"], "claude (ann)");
    assert_eq!(one(&home, "runtime", "no program for runtime codex")["about"], "codex (bob, eve)");
    assert_eq!(doctor(&home, &[]).code, 69);
    fs::create_dir_all(home.home().join(".claude")).unwrap();
    fs::write(home.home().join(".claude/.credentials.json"), "{}").unwrap();
    assert_eq!(findings(&home, "runtime").len(), 1);
}

#[test]
fn queues_that_stand_still_are_told_and_left_alone() {
    let home = home();
    home.parrot("ann", &[]);
    home.ok("iapeer", &["stop", "ann"]);
    let queue = home.state_dir().join("parrot-ann.queue");
    put_dir(&queue.join("dead"));
    put_dir(&queue.join("corrupt"));
    put(&queue.join("000001"), &json!({"task": "old", "accepted": 1}).to_string());
    put(&queue.join("dead/000002"), &json!({"task": "dead"}).to_string());
    put(&queue.join("corrupt/000003"), "{");
    one(&home, "queue", "1 dead letter(s)");
    one(&home, "queue", "1 file(s) in its queue can't be read as messages");
    one(&home, "queue", "wait for a stopped peer");
    fs::remove_file(home.state_dir().join("parrot-ann.stopped")).unwrap();
    one(&home, "queue", "its oldest message waits for");
    let orphan = home.state_dir().join("parrot-nobody.queue");
    put_dir(&orphan);
    put(&orphan.join("000001"), &json!({"task": "lost"}).to_string());
    one(&home, "queue", "not registered");
    let before = home.queue("parrot-ann");
    assert_eq!(doctor(&home, &["--fix"]).code, 0, "warnings have no code");
    assert_eq!((home.queue("parrot-ann"), home.queue("parrot-nobody").0), (before, 1));
}

#[test]
fn a_record_without_a_server_and_state_without_a_peer_are_cleared_away() {
    let home = home();
    home.parrot("ann", &[]);
    home.parrot("bob", &[]);
    home.ok("iapeer-send", &["ann", "--from", "bob", "--require", "delivered", "-m", "hello"]);
    let server = home.server_pid("parrot-ann").unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(server), nix::sys::signal::Signal::SIGKILL).unwrap();
    wait_until("the end", SOON, || home.server_pid("parrot-ann").is_none());
    one(&home, "session", "names a session that is gone");
    put(&home.state_dir().join("parrot-gone.topic"), "x\n");
    for lock in ["lock", "canary.lock", "death.lock", "watch.lock"] {
        put(&home.state_dir().join(format!("parrot-gone.{lock}")), "");
    }
    one(&home, "state", "has state: topic");
    let output = doctor(&home, &["--fix"]);
    assert_eq!((output.code, output.stdout.matches("mended").count()), (0, 3), "{output}");
    assert!(home.session_json("parrot-ann").is_none() && home.state("parrot-ann", "deaths"));
    assert!(!home.state("parrot-gone", "topic"));
    for lock in ["lock", "canary.lock", "death.lock", "watch.lock"] {
        assert!(home.state("parrot-gone", lock), "{lock}: a lock is never removed");
    }
    assert_eq!(doctor(&home, &[]).stdout, "everything is in order\n");
}

#[test]
fn an_unwatched_server_gets_its_canary_and_a_session_of_nobody_is_told() {
    let home = home();
    home.parrot("ann", &[]);
    home.parrot("bob", &[]);
    home.ok("iapeer-send", &["ann", "--from", "bob", "--require", "delivered", "-m", "hello"]);
    wait_until("the canary", SOON, || findings(&home, "session").is_empty());
    let told = fs::read_to_string(home.state_dir().join("parrot-ann.canary.lock")).unwrap();
    let canary = told.split_whitespace().find_map(|word| word.parse().ok()).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(canary), nix::sys::signal::Signal::SIGKILL).unwrap();
    wait_until("that it is missed", SOON, || !findings(&home, "session").is_empty());
    one(&home, "session", "no canary watches");
    doctor(&home, &["--fix"]);
    wait_until("the new canary", SOON, || findings(&home, "session").is_empty());

    let registry = home.root().join("peers-profiles.json");
    let mut value: Value = serde_json::from_slice(&fs::read(&registry).unwrap()).unwrap();
    value["peers"].as_array_mut().unwrap().retain(|peer| peer["personality"] != "ann");
    put(&registry, &value.to_string());
    one(&home, "session", "a peer that is not registered");
    doctor(&home, &["--fix"]);
    assert!(home.server_pid("parrot-ann").is_some() && home.session_json("parrot-ann").is_some(), "not ours to end");
}

#[test]
fn profiles_are_compared_and_drift_is_mended() {
    let home = home();
    home.parrot("ann", &[]);
    home.parrot("bob", &[]);
    let card = home.cwd("ann").join(".iapeer/peer-profile.json");
    let mut profile: Value = serde_json::from_slice(&fs::read(&card).unwrap()).unwrap();
    profile["description"] = json!("new words");
    fs::write(&card, profile.to_string()).unwrap();
    one(&home, "profile", "disagree on description");
    assert_eq!(doctor(&home, &[]).code, 78);
    assert_eq!(doctor(&home, &["--fix"]).code, 0);
    assert_eq!(findings(&home, "profile").len(), 0);
    fs::write(&card, "{ torn").unwrap();
    one(&home, "profile", "not valid JSON");
    fs::remove_dir_all(home.cwd("bob")).unwrap();
    one(&home, "profile", "is gone");
    assert_eq!(doctor(&home, &["--fix"]).code, 78);
    fs::write(home.root().join("peers-profiles.json"), "{ torn").unwrap();
    one(&home, "profile", "corrupted");
    assert_eq!(doctor(&home, &[]).code, 78);
}

#[test]
fn what_was_set_aside_and_a_tick_that_never_ran_are_told() {
    let home = TestHome::new();
    home.set("IAPEER_SERVICE_MANAGER", "none");
    home.parrot("ann", &[]);
    one(&home, "tick", "never ran");
    home.ok("iapeer-superviser", &[]);
    age(&home.root().join("state/superviser.lock"));
    one(&home, "tick", "the last one was");
    let aside = home.state_dir().join("parrot-ann.session.corrupt-1700000000");
    put(&aside, "{");
    one(&home, "files", "set aside");
    let litter = home.state_dir().join(".tmp-1-2-3");
    put(&litter, "");
    assert_eq!(findings(&home, "files").len(), 1, "one being written is no litter");
    age(&litter);
    one(&home, "files", "left behind by a crash");
    doctor(&home, &["--fix"]);
    assert!(aside.exists() && !litter.exists());
}

#[test]
fn units_that_are_missing_are_told() {
    let home = TestHome::new();
    home.set("IAPEER_SYSTEMD_USER_DIR", home.dir().join("units"));
    home.parrot("ann", &[]);
    let output = doctor(&home, &[]);
    assert!(output.code == 0 && output.stdout.contains("iapeer units install"), "{output}");
}

#[test]
fn what_only_looks_wrong_is_not_named() {
    let home = home();
    home.parrot("ann", &[]);
    // The folder is the agent's own.
    fs::write(home.cwd("ann").join("inbox"), "notes").unwrap();
    home.ok("iapeer", &["create", "me", "--runtime", "person"]);
    home.ok("iapeer", &["host", "add", "box", "me@box.example"]);
    for (name, to) in [("all", "@all"), ("some", "@nobody-has-this-tag"), ("one", "parrot-ann"), ("own", "me")] {
        home.ok("iapeer", &["schedule", "add", name, "--to", to, "--on-calendar", "03:30", "-m", "x"]);
    }
    // As a fleet file has it.
    let path = home.root().join("schedules/own.json");
    let schedule = fs::read_to_string(&path).unwrap();
    put(&path, &schedule.replace("\"me\"", "\"bob@box\""));
    put(&home.cwd("ann").join(".iapeer/runtimes/parrot/launch.env"), "# A=1\n\nexport B=2\nC = 3\nD=\n");
    home.ok("iapeer-superviser", &[]);
    let found = doctor(&home, &["--json"]).json_lines();
    let named: Vec<&Value> = found
        .iter()
        .filter(|line| ["files", "profile"].contains(&line["check"].as_str().unwrap_or_default()))
        .collect();
    assert!(named.is_empty(), "{named:#?}");
    // The same of a person, and of a host that is not known.
    fs::write(home.cwd("me").join("inbox"), "").unwrap();
    put(&path, &schedule.replace("\"me\"", "\"bob@elsewhere\""));
    one(&home, "files", "no message to me can be filed");
    one(&home, "files", "the schedule own can send nothing");
}
