//! The verbs over single sessions (spec 13, D3, D4): stop, start, new, self-fresh, interrupt, compact, remove.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use serde_json::json;
use std::fs;
use std::time::Duration;
use support::{LogLine, Output, TestHome, home_with, wait_until};

const SOON: Duration = Duration::from_secs(30);
const ANN: &str = "parrot-ann";

fn delivered(home: &TestHome, text: &str) {
    home.ok("iapeer-send", &["ann", "--from", "bob", "--require", "delivered", "-m", text]);
    home.at_rest(ANN);
}

fn wakes(home: &TestHome) -> Vec<LogLine> {
    home.log("lifecycle.log").into_iter().filter(|line| line["ev"] == "wake" && line["identity"] == ANN).collect()
}

fn turn_is(home: &TestHome, state: &str) {
    let turn = home.state_dir().join(format!("{ANN}.turn"));
    wait_until(&format!("the turn {state}"), SOON, || fs::read_to_string(&turn).is_ok_and(|text| text.contains(state)));
}

fn inside(home: &TestHome, verb: &str) -> Output {
    let mut command = home.cmd("iapeer");
    command.arg(verb).env("PEER_IDENTITY", ANN);
    home.start(command, None).wait(SOON)
}

#[test]
fn stop_during_a_boot_gives_it_up_at_once_and_start_delivers() {
    // Longer than any command here may take: whoever waits the boot out fails.
    let home = home_with(&[("PARROT_BOOT_MS", "600000")]);
    home.ok("iapeer-send", &["ann", "--from", "bob", "--no-wait", "-m", "hello"]);
    wait_until("the boot", SOON, || home.session_json(ANN).is_some_and(|record| record["phase"] == "booting"));
    assert_eq!(home.ok("iapeer", &["stop", "ann"]).stdout, "ann (parrot): stopped\n");
    assert!(home.server_pid(ANN).is_none() && !home.state(ANN, "session"), "the session does not survive");
    assert_eq!((home.queue(ANN), home.record("ann").len()), ((1, 0, 0), 0), "queued, never half");
    assert!(!home.state(ANN, "deaths"), "nobody's fault");
    let last = wakes(&home).pop().unwrap();
    assert_eq!((last["mode"].as_str(), last["cause"].as_str()), ("refused", "stopped-mid-wake"));
    let refused = home.run("iapeer-send", &["ann", "--from", "bob", "-m", "more"]);
    assert!(refused.code == 69 && refused.stderr.contains("iapeer start ann"), "{refused}");
    home.ok("iapeer-superviser", &[]);
    home.launch_env("ann", &[]);
    assert_eq!(home.ok("iapeer", &["start", "ann"]).stdout, "ann (parrot): started\n");
    wait_until("what waited", SOON, || home.bodies("ann") == ["hello"]);
}

#[test]
fn stop_parks_and_the_worst_code_of_all_is_the_programs() {
    let home = home_with(&[]);
    delivered(&home, "one");
    let out = home.ok("iapeer", &["stop", "--all"]);
    assert_eq!(out.stdout, "ann (parrot): stopped\nbob (parrot): stopped\n");
    assert!(home.server_pid(ANN).is_none() && home.state(ANN, "idle-reaped") && home.state(ANN, "stopped"));
    assert_eq!(home.ok("iapeer", &["stop", "ann"]).stdout, "ann (parrot): stopped\n", "idempotent");
    assert_eq!(home.run("iapeer-wake", &["ann"]).code, 69);
    assert_eq!(home.run("iapeer", &["stop", "nobody"]).code, 67);
    assert_eq!(home.ok("iapeer", &["start", "--all"]).stdout, "ann (parrot): started\nbob (parrot): started\n");
    assert_eq!(
        home.ok("iapeer", &["refresh", "--all"]).stdout,
        "ann (parrot): refresh-armed\nbob (parrot): refresh-armed\n"
    );
    // Somebody is at work on one: all are off the air at once, what is waited for is said, and nothing has failed.
    let lock = home.state_dir().join(format!("{ANN}.lock"));
    let holder = home.spawn("flock", &[lock.to_str().unwrap(), "sleep", "60"]);
    wait_until("the lock held", SOON, || home.run("flock", &["-n", lock.to_str().unwrap(), "true"]).code != 0);
    fs::write(&lock, "pid 7 (iapeer-drain)\n").unwrap();
    home.set("IAPEER_LOCK_WAIT_SECS", "1").set("IAPEER_BOOT_DEADLINE_SECS", "1");
    let out = home.run("iapeer", &["stop", "--all"]);
    let goes_on = "iapeer-drain, pid 7, delivering to ann goes on; it ends the session, or the next tick does";
    assert_eq!(out.stdout, format!("ann (parrot): stopped — {goes_on}\nbob (parrot): stopped\n"), "{out}");
    assert_eq!(out.code, 0, "what has taken effect has not failed: {out}");
    let waits = "iapeer: waiting for iapeer-drain, pid 7, delivering to ann, up to 2s; Ctrl-C leaves it stopped\n";
    assert_eq!(out.stderr, waits, "{out}");
    assert!(home.state(ANN, "stopped") && home.state("parrot-bob", "stopped"));
    // A verb that has no effect without the lock says the same, and fails.
    let out = home.run("iapeer", &["refresh", "--all"]);
    assert!(out.code == 75 && out.stdout == "bob (parrot): refresh-armed\n" && out.stderr.contains(ANN), "{out}");
    drop(holder);
}

#[test]
fn new_ends_the_session_and_starts_a_fresh_one_of_a_stopped_peer_too() {
    let home = home_with(&[]);
    delivered(&home, "one");
    let first = home.server_pid(ANN);
    assert_eq!(home.ok("iapeer", &["new", "ann"]).stdout, "new: parrot-ann fresh session up\n");
    assert_ne!(home.server_pid(ANN), first);
    home.ok("iapeer", &["stop", "ann"]);
    home.ok("iapeer", &["new", "ann"]);
    assert!(home.server_pid(ANN).is_some() && !home.state(ANN, "stopped") && !home.state(ANN, "idle-reaped"));
    delivered(&home, "two");
    let sessions: Vec<_> = home.record("ann").iter().map(|line| line["session"].clone()).collect();
    assert_ne!(sessions[0], sessions[1]);
    assert!(!home.state(ANN, "deaths"), "no fault (D4)");
}

#[test]
fn self_fresh_comes_back_at_once_and_counts_for_nothing() {
    let home = home_with(&[]);
    delivered(&home, "one");
    let first = home.server_pid(ANN);
    let said = inside(&home, "self-fresh");
    assert_eq!(
        said.stdout, "self-fresh: marked parrot-ann for eager fresh re-launch; self-killing session\n",
        "{said}"
    );
    // No tick runs.
    wait_until("the fresh session", SOON, || {
        home.session_json(ANN)
            .is_some_and(|record| record["phase"] == "ready" && record["server"]["pid"] != json!(first))
    });
    let last = wakes(&home).pop().unwrap();
    assert_eq!((last["mode"].as_str(), last["cause"].as_str()), ("fresh", "folder-launch"));
    assert!(!home.state(ANN, "deaths") && !home.state(ANN, "new-eager"));
    delivered(&home, "two");
    let mut stray = home.cmd("iapeer");
    stray.arg("self-fresh");
    assert_eq!(home.start(stray, None).wait(SOON).code, 64, "PEER_IDENTITY is not set");
    for (identity, code) in [("parrot-nobody", 67), ("codex-ann", 64)] {
        let mut stray = home.cmd("iapeer");
        stray.arg("self-fresh").env("PEER_IDENTITY", identity);
        assert_eq!(home.start(stray, None).wait(SOON).code, code, "{identity}");
        assert!(!home.state(identity, "new-eager"), "nobody would ever look at it");
    }
}

#[test]
fn self_fresh_from_within_the_session_works_too() {
    let home = home_with(&[]);
    delivered(&home, "one");
    let first = home.server_pid(ANN);
    // A second window of the session dies with it, as the agent's own shell would.
    let verb = format!("PEER_IDENTITY={ANN} {} self-fresh", support::bin("iapeer").display());
    let root = format!("IAPEER_ROOT={}", home.root().display());
    home.tmux(ANN, &["new-window", "-d", "-e", &root, &verb]);
    wait_until("the fresh session", SOON, || {
        home.session_json(ANN)
            .is_some_and(|record| record["phase"] == "ready" && record["server"]["pid"] != json!(first))
    });
    assert!(!home.state(ANN, "deaths") && !home.state(ANN, "new-eager") && !home.state(ANN, "teardown"));
}

#[test]
fn self_done_of_a_peer_that_is_no_worker_is_inert() {
    let home = home_with(&[]);
    let said = inside(&home, "self-done");
    assert!(said.code == 0 && said.stdout.contains("the marker is inert"), "{said}");
}

#[test]
fn a_process_of_an_earlier_session_ends_and_settles_nothing() {
    let home = home_with(&[]);
    delivered(&home, "hello");
    let pid = home.server_pid(ANN);
    let launch = home.session_json(ANN).unwrap()["launch"].as_str().unwrap().to_owned();
    let by = |launch: &str, verb: &str| {
        let mut command = home.cmd("iapeer");
        command.arg(verb).env("PEER_IDENTITY", ANN).env("PEER_LAUNCH", launch);
        home.start(command, None).wait(SOON)
    };
    for verb in ["self-fresh", "self-done"] {
        let refused = by("an-earlier-one", verb);
        assert!(refused.code == 69 && refused.stderr.contains("nothing was changed"), "{refused}");
    }
    assert!(home.server_pid(ANN) == pid && !home.state(ANN, "ephemeral-armed"));
    assert_eq!(by(&launch, "self-done").code, 0);
    assert!(by(&launch, "self-fresh").code == 0 && home.server_pid(ANN) != pid);
}

#[test]
fn interrupt_ends_a_turn_that_hangs() {
    let home = home_with(&[("PARROT_HANG", "turn")]);
    assert_eq!(home.run("iapeer", &["interrupt", "ann"]).code, 69, "there is no session");
    delivered(&home, "hang");
    turn_is(&home, "busy");
    wait_until("the interrupt", SOON, || {
        home.run("iapeer", &["interrupt", "ann"]).stdout == "interrupt → ann (parrot)\n"
    });
    turn_is(&home, "idle");
    wait_until("an idle screen", SOON, || home.run("iapeer", &["interrupt", "ann"]).code == 69);
    delivered(&home, "and now");
    assert_eq!(home.bodies("ann"), ["hang", "and now"]);
}

#[test]
fn compact_is_done_when_the_transcript_says_so() {
    let home = home_with(&[]);
    let nothing = home.run("iapeer", &["compact", "ann"]);
    assert!(nothing.code == 69 && nothing.stderr.contains("nothing-to-compact"), "{nothing}");
    delivered(&home, "one");
    turn_is(&home, "idle");
    wait_until("a compaction", SOON, || home.run("iapeer", &["compact", "ann"]).stdout == "compact → ann (parrot)\n");
    home.ok("iapeer-reap", &[ANN]);
    assert_eq!(home.ok("iapeer", &["compact", "ann"]).stdout, "compact → ann (parrot) after resume\n");
    assert!(!home.state(ANN, "idle-reaped"));
    delivered(&home, "two");
}

#[test]
fn remove_refuses_a_live_peer_purges_by_the_dot_and_is_idempotent() {
    let home = home_with(&[]);
    home.parrot("ann2", &[]);
    delivered(&home, "one");
    home.ok("iapeer", &["stop", "ann2"]);
    let refused = home.run("iapeer", &["remove", "ann"]);
    assert!(refused.code == 69 && refused.stderr.contains("LIVE"), "{refused}");
    let cwd = home.cwd("ann");
    let removed = home.ok("iapeer", &["remove", "ann", "--force"]).stdout;
    assert!(
        removed.contains("removed \"ann\"") && removed.contains("purged") && removed.contains("folder kept"),
        "{removed}"
    );
    assert!(home.server_pid(ANN).is_none() && cwd.is_dir());
    let left: Vec<String> = fs::read_dir(home.state_dir())
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("parrot-ann.") && !name.ends_with("lock"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(home.state("parrot-ann2", "stopped"), "ann2 is somebody else");
    assert_eq!(home.ok("iapeer", &["remove", "ann"]).stdout, "\"ann\" not registered — no-op\n");
}

#[test]
fn what_can_not_be_purged_is_not_removed_and_a_namesake_inherits_nothing() {
    let home = home_with(&[]);
    home.ok("iapeer", &["stop", "ann"]);
    let queue = home.state_dir().join("parrot-ann.queue");
    fs::create_dir_all(&queue).unwrap();
    fs::write(queue.join("000001"), json!({"task": "old"}).to_string()).unwrap();
    // What is mounted can't be removed, not even by root; who may not mount has nothing to try this with.
    let Some(busy) = support::SmallDisk::mount(&queue.join("dead")) else { return };
    let failed = home.run("iapeer", &["remove", "ann", "--force"]);
    assert!(failed.code == 74 && failed.stderr.contains("iapeer remove ann"), "{failed}");
    assert_eq!(home.run("iapeer-send", &["ann", "--from", "bob", "-m", "x"]).code, 69, "it is there, and stopped");
    drop(busy);
    home.ok("iapeer", &["remove", "ann", "--force"]);
    assert!(!queue.exists());

    // What an earlier version left of a peer that is gone.
    fs::create_dir(&queue).unwrap();
    fs::write(queue.join("000001"), json!({"task": "old"}).to_string()).unwrap();
    assert_eq!(home.run("iapeer", &["remove", "ann"]).code, 69, "a message waits");
    let purged = home.ok("iapeer", &["remove", "ann", "--force"]).stdout;
    assert_eq!(purged, "\"ann\" not registered\nlifecycle state purged: parrot-ann.queue\n");
    assert_eq!(home.ok("iapeer", &["remove", "ann"]).stdout, "\"ann\" not registered — no-op\n");
}
