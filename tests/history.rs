//! The history of what was settled: the truth that reports are made from, whatever happens to the logs.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use support::{Output, PATIENCE, TestHome, wait_until};

fn home() -> TestHome {
    let home = TestHome::new();
    home.parrot("alice", &[]);
    home.parrot("bob", &[("PARROT_TURN_MS", "5")]);
    home
}

#[track_caller]
fn send(home: &TestHome, body: &str) -> Output {
    home.run("iapeer-send", &["bob", "--from", "alice", "--require", "delivered", "-m", body])
}

#[track_caller]
fn delivered(output: &Output) {
    assert!(output.code == 0 && output.stdout.starts_with("delivered to parrot-bob"), "{output}");
}

fn history_file(home: &TestHome) -> PathBuf {
    home.root().join("history/parrot-bob.jsonl")
}

fn history(home: &TestHome) -> Vec<Value> {
    let text = fs::read_to_string(history_file(home)).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_settled_message_is_a_line_with_its_outcome() {
    let home = home();
    delivered(&send(&home, "hello"));
    home.at_rest("parrot-bob");
    let lines = history(&home);
    assert_eq!(lines.len(), 1, "{lines:?}");
    let line = &lines[0];
    assert_eq!((&line["v"], &line["outcome"], &line["task"]), (&1.into(), &"delivered".into(), &"hello".into()));
    assert_eq!(line["from"], "parrot-alice");
    assert_eq!((&line["landed"]["mode"], &line["landed"]["cause"]), (&"fresh".into(), &"first-wake".into()));
    assert!(line["settled"].as_u64() >= line["accepted"].as_u64(), "{line}");
    assert_eq!(fs::metadata(history_file(&home)).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn bodies_are_not_kept_where_the_days_are_zero() {
    let home = home();
    home.set("IAPEER_HISTORY_DAYS", "0");
    delivered(&send(&home, "a secret"));
    home.at_rest("parrot-bob");
    let lines = history(&home);
    assert_eq!((lines.len(), lines[0].get("task"), &lines[0]["outcome"]), (1, None, &"delivered".into()));
}

#[test]
fn a_delivered_message_is_reported_so_whatever_became_of_the_log() {
    for what in ["a folder", "a full device"] {
        let home = home();
        let log = home.root().join("logs/iapeer/delivery.log");
        match what {
            "a folder" => support::replacing::place("folder", &log),
            _ => support::replacing::in_its_place(&log, || std::os::unix::fs::symlink("/dev/full", &log)),
        }
        let output = send(&home, "hello");
        assert!(
            output.code == 0 && output.stdout.starts_with("delivered to parrot-bob (woke: fresh"),
            "{what}: {output}"
        );
    }
}

/// Root may write what is read-only; only a user of its own can show this one.
#[test]
fn a_delivered_message_is_reported_so_where_the_log_is_read_only() {
    let home = home();
    let log = home.root().join("logs/iapeer/delivery.log");
    fs::create_dir_all(log.parent().unwrap()).unwrap();
    fs::write(&log, "").unwrap();
    fs::set_permissions(&log, fs::Permissions::from_mode(0o400)).unwrap();
    // chattr +i holds for root too, where the file system has it.
    let immutable = Command::new("chattr").arg("+i").arg(&log).output().is_ok_and(|run| run.status.success());
    let output = send(&home, "hello");
    if immutable {
        assert!(Command::new("chattr").arg("-i").arg(&log).status().unwrap().success());
    }
    delivered(&output);
}

#[test]
fn a_restored_copy_of_a_delivered_item_is_not_delivered_again() {
    let home = home();
    delivered(&send(&home, "first"));
    home.at_rest("parrot-bob");
    // Caught while the peer is stopped in its boot: the item lies in the queue, and a copy of it is put aside.
    home.ok("iapeer-reap", &["parrot-bob"]);
    let lock = home.state_dir().join("parrot-bob.lock");
    let held =
        iapeer::store::lock::FileLock::acquire(&lock, "test", PATIENCE, &iapeer::base::clock::SystemClock::default())
            .unwrap();
    home.ok("iapeer-send", &["bob", "--from", "alice", "--no-wait", "-m", "second"]);
    let queue = home.state_dir().join("parrot-bob.queue");
    let item = fs::read_dir(&queue)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.file_name().unwrap().to_str().unwrap().starts_with("0000"))
        .expect("the item that waits");
    let copy = fs::read(&item).unwrap();
    drop(held);
    home.ok("iapeer-drain", &["parrot-bob"]);
    wait_until("the second message", PATIENCE, || home.bodies("bob") == ["first", "second"]);
    home.at_rest("parrot-bob");
    for place in [item.clone(), queue.join("inflight").join(item.file_name().unwrap())] {
        fs::write(&place, &copy).unwrap();
        home.ok("iapeer-drain", &["parrot-bob"]);
        home.at_rest("parrot-bob");
        assert!(!place.exists(), "{}", place.display());
        assert_eq!(home.bodies("bob"), ["first", "second"]);
    }
    let outcomes: Vec<String> =
        home.log("delivery.log").iter().filter_map(|line| line.get("outcome").cloned()).collect();
    assert_eq!(outcomes.iter().filter(|outcome| *outcome == "duplicate").count(), 2, "{outcomes:?}");
}

#[test]
fn a_history_that_can_not_be_written_keeps_the_item_in_flight_with_the_reason() {
    let home = home();
    fs::create_dir_all(history_file(&home)).unwrap();
    delivered(&send(&home, "hello"));
    home.at_rest("parrot-bob");
    let inflight = home.state_dir().join("parrot-bob.queue/inflight/000001");
    let item: Value = serde_json::from_slice(&fs::read(&inflight).unwrap()).unwrap();
    assert!(item["reason"].as_str().unwrap().contains("history can't be written"), "{item}");
    // It does not stand in the way of what comes after it, and it is not typed again.
    delivered(&send(&home, "next"));
    fs::remove_dir(history_file(&home)).unwrap();
    // A drain that a hook has started may hold the peer still.
    wait_until("the item to be settled", PATIENCE, || {
        home.ok("iapeer-drain", &["parrot-bob"]);
        home.at_rest("parrot-bob");
        !inflight.exists()
    });
    assert_eq!(home.bodies("bob"), ["hello", "next"]);
    let outcomes: Vec<Value> = history(&home).iter().map(|line| line["task"].clone()).collect();
    assert_eq!(outcomes, ["hello", "next"]);
}

#[test]
fn a_dropped_letter_is_in_the_history_and_a_requeued_one_is_delivered() {
    let home = TestHome::new();
    home.parrot("alice", &[]);
    home.parrot("bob", &[("PARROT_CRASH", "boot")]);
    home.set("IAPEER_QUEUE_MAX_ATTEMPTS", "1");
    let ids: Vec<String> = ["one", "two"]
        .iter()
        .map(|body| {
            let sent = home.ok("iapeer-send", &["bob", "--from", "alice", "--json", "-m", body]);
            sent.json()["id"].as_str().unwrap().to_owned()
        })
        .collect();
    wait_until("two dead letters", PATIENCE, || home.queue("parrot-bob").2 == 2);
    home.at_rest("parrot-bob");
    home.ok("iapeer-drain", &["--drop", &ids[0]]);
    let outcomes: Vec<Value> = history(&home).iter().map(|line| line["outcome"].clone()).collect();
    assert_eq!(outcomes, ["dead", "dead", "dropped"]);
    home.launch_env("bob", &[]);
    home.ok("iapeer-drain", &["--requeue", &ids[1]]);
    wait_until("the requeued letter", PATIENCE, || home.bodies("bob") == ["two"]);
}

#[test]
fn the_reason_of_a_reap_starts_nothing() {
    let home = home();
    delivered(&send(&home, "hello"));
    home.at_rest("parrot-bob");
    home.ok("iapeer-reap", &["parrot-bob", "--reason", "self-fresh"]);
    home.ok("iapeer-superviser", &[]);
    assert!(!home.state_dir().join("parrot-bob.new-eager").exists());
    assert!(!home.state_dir().join("parrot-bob.session").exists());
}
