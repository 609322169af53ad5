//! Ephemeral workers (spec 07.4 to 07.6, D9, D27): a fresh session for each task, one at a time, and every task
//! settled exactly once.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};
use support::{LogLine, TestHome, wait_until};

const SOON: Duration = Duration::from_secs(30);

/// A home with a sender, `boss`, and a worker, `temp`.
fn office(vars: &[(&str, &str)]) -> TestHome {
    let home = TestHome::new();
    home.parrot("boss", &[("PARROT_TURN_MS", "10")]);
    home.ok("iapeer", &["create", "temp", "--runtime", "parrot", "--ephemeral"]);
    home.launch_env("temp", vars);
    home
}

fn task(home: &TestHome, text: &str) {
    home.ok("iapeer-send", &["temp", "--from", "boss", "--no-wait", "-m", text]);
}

/// Changes one key of a peer's profile.
fn profile(home: &TestHome, name: &str, key: &str, value: Value) {
    let path = home.cwd(name).join(".iapeer/peer-profile.json");
    let mut profile: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    profile[key] = value;
    fs::write(path, profile.to_string()).unwrap();
}

fn events(home: &TestHome, ev: &str) -> Vec<LogLine> {
    home.log("lifecycle.log").into_iter().filter(|line| line["ev"] == ev).collect()
}

fn tick(home: &TestHome) {
    home.ok("iapeer-superviser", &[]);
}

#[test]
fn twenty_tasks_are_twenty_fresh_sessions_in_order_each_answered_once() {
    let home = office(&[("PARROT_TURN_MS", "50"), ("PARROT_REPLY", "1")]);
    let tasks: Vec<String> = (1..=20).map(|n| format!("task {n}")).collect();
    for text in &tasks {
        task(&home, text);
    }
    // No tick runs: the end of each turn starts the next task.
    wait_until("20 tasks", Duration::from_secs(100), || home.record("temp").len() >= 20);
    wait_until("20 answers", Duration::from_secs(60), || home.bodies("boss").len() >= 20);
    wait_until("the last session's end", SOON, || !home.state("parrot-temp", "session"));
    assert_eq!(home.bodies("temp"), tasks, "strict order");
    let sessions: BTreeSet<String> = home.record("temp").iter().map(|line| line["session"].to_string()).collect();
    assert_eq!(sessions.len(), 20, "a session each");
    assert_eq!(home.queue("parrot-temp"), (0, 0, 0));
    let mut answered = home.bodies("boss");
    answered.sort();
    let mut expected: Vec<String> = answered.clone();
    expected.dedup();
    assert_eq!(answered, expected, "each answered once");
    assert_eq!(answered.len(), 20);
    let wakes: Vec<LogLine> = events(&home, "wake").into_iter().filter(|l| l["identity"] == "parrot-temp").collect();
    assert!(
        wakes.len() == 20 && wakes.iter().all(|line| line["mode"] == "fresh" && line["cause"] == "ephemeral-policy")
    );
    assert_eq!(events(&home, "ephemeral-drain").len(), 20);
    let reaps = events(&home, "supervise");
    let done = |line: &&LogLine| line["outcome"] == "ephemeral-done" && line["reason"].starts_with("armed, quiet ");
    assert_eq!(reaps.iter().filter(done).count(), 20);
    // The bound for quiet workers is 20 s: it was waited for nowhere.
    let age = |line: &LogLine| line["age"].trim_end_matches('s').parse::<u64>().unwrap();
    assert!(reaps.iter().filter(done).all(|line| age(line) < 20), "{reaps:?}");
}

#[test]
fn a_worker_that_dies_in_its_task_makes_it_a_dead_letter_and_its_sender_is_told_once() {
    let home = office(&[("PARROT_CRASH", "turn"), ("PARROT_TURN_MS", "100")]);
    task(&home, "die");
    wait_until("the task taken", SOON, || home.record("temp").len() == 1);
    wait_until("its dead letter", SOON, || {
        tick(&home);
        home.queue("parrot-temp") == (0, 0, 1)
    });
    wait_until("the notice", SOON, || home.bodies("boss").len() == 1);
    tick(&home);
    tick(&home);
    let told = home.bodies("boss");
    assert!(told.len() == 1 && told[0].contains("ended before it answered"), "{told:?}");
    let listed = home.ok("iapeer-drain", &["--list", "parrot-temp"]).stdout;
    assert!(listed.contains("ended before it answered"), "{listed}");
    assert_eq!(home.record("temp").len(), 1, "it is not tried again");
}

#[test]
fn max_attempts_2_puts_the_task_back_to_the_head_once() {
    let home = office(&[("PARROT_CRASH", "turn"), ("PARROT_TURN_MS", "100")]);
    profile(&home, "temp", "max_attempts", 2.into());
    home.set("IAPEER_CRASHLOOP_MAX", "99");
    task(&home, "first");
    task(&home, "second");
    wait_until("both dead letters", Duration::from_secs(60), || {
        tick(&home);
        home.queue("parrot-temp") == (0, 0, 2)
    });
    assert_eq!(home.bodies("temp"), ["first", "first", "second", "second"]);
    let redelivered: Vec<bool> =
        home.record("temp").iter().map(|line| line["text"].as_str().unwrap().contains("redelivered=\"1\"")).collect();
    assert_eq!(redelivered, [false, true, false, true]);
}

#[test]
fn row_6_a_worker_that_never_answers_is_ended_by_the_unarmed_bound() {
    let home = office(&[("PARROT_TURN_MS", "10")]);
    home.set("IAPEER_EPHEMERAL_UNARMED_IDLE_SECS", "1");
    task(&home, "say nothing");
    wait_until("the task taken", SOON, || home.record("temp").len() == 1);
    wait_until("its dead letter", SOON, || {
        tick(&home);
        home.queue("parrot-temp") == (0, 0, 1)
    });
    assert!(!home.state("parrot-temp", "session") && !home.state("parrot-temp", "idle-reaped"));
    let row = events(&home, "supervise").into_iter().find(|line| line["action"] == "reaped-ephemeral").unwrap();
    assert_eq!(row["outcome"], "ephemeral-unarmed-bound");
    assert!(row["age"].ends_with('s') && !home.state("parrot-temp", "deaths"));
    wait_until("the notice", SOON, || home.bodies("boss").len() == 1);
    assert!(home.bodies("boss")[0].contains("did not answer in time"));
}

/// Something that started a worker and gave it no task left it: a drain that died in between, or a person's wake.
#[test]
fn a_worker_without_a_task_is_in_no_task_s_way() {
    let home = office(&[("PARROT_TURN_MS", "10"), ("PARROT_REPLY", "1")]);
    home.set("IAPEER_EPHEMERAL_QUIET_SECS", "1");
    home.ok("iapeer-wake", &["temp"]);
    let idle = home.server_pid("parrot-temp");
    tick(&home);
    assert!(idle.is_some() && home.server_pid("parrot-temp") == idle, "nothing is to be done: it may wait");
    task(&home, "one");
    wait_until("the task", SOON, || home.bodies("temp") == ["one"]);
    wait_until("the end", SOON, || !home.state("parrot-temp", "session"));
    assert_eq!(home.queue("parrot-temp"), (0, 0, 0));
    wait_until("the answer", SOON, || home.bodies("boss").len() == 1);
    let why: Vec<LogLine> =
        events(&home, "supervise").into_iter().filter(|line| line["action"] == "reaped-ephemeral").collect();
    assert_eq!(why.iter().map(|line| &*line["outcome"]).collect::<Vec<_>>(), ["task-not-taken", "ephemeral-done"]);
    assert!(!home.state("parrot-temp", "deaths"));
}

/// The drain died with the task in flight and nothing typed.
#[test]
fn a_task_in_flight_that_its_worker_never_saw_is_given_to_the_next_one() {
    let home = office(&[("PARROT_TURN_MS", "10"), ("PARROT_REPLY", "1")]);
    home.set("IAPEER_EPHEMERAL_QUIET_SECS", "1");
    home.ok("iapeer-wake", &["temp"]);
    let inflight = home.state_dir().join("parrot-temp.queue/inflight");
    fs::create_dir_all(&inflight).unwrap();
    let item = serde_json::json!({"v": 1, "id": "01M7YEQDPSFQ470K9N062NKM85", "task": "one", "from": "parrot-boss",
        "accepted": 1, "attempts": 0});
    fs::write(inflight.join("000001"), item.to_string()).unwrap();
    wait_until("the task", SOON, || {
        tick(&home);
        home.bodies("temp") == ["one"]
    });
    assert!(home.record("temp")[0]["text"].as_str().unwrap().contains("redelivered=\"1\""), "it may have been typed");
    wait_until("the end", SOON, || home.queue("parrot-temp") == (0, 0, 0));
}

/// A neighbour: the task was taken, and another one waits. However quiet the worker is, it is given its time.
#[test]
fn a_worker_that_took_its_task_is_not_ended_for_the_next_one() {
    let home = office(&[("PARROT_TURN_MS", "10")]);
    home.set("IAPEER_EPHEMERAL_QUIET_SECS", "1");
    task(&home, "one");
    wait_until("the task taken", SOON, || home.record("temp").len() == 1);
    home.at_rest("parrot-temp");
    let server = home.server_pid("parrot-temp");
    task(&home, "two");
    let since = Instant::now();
    wait_until("longer than it has to be quiet", SOON, || {
        tick(&home);
        since.elapsed() > Duration::from_secs(3)
    });
    assert_eq!((home.server_pid("parrot-temp"), home.queue("parrot-temp")), (server, (1, 1, 0)));
}

#[test]
fn self_done_settles_a_task_that_has_no_answer() {
    let home = office(&[("PARROT_TURN_MS", "10")]);
    home.set("IAPEER_EPHEMERAL_QUIET_SECS", "1");
    task(&home, "quiet work");
    wait_until("the task taken", SOON, || home.record("temp").len() == 1);
    // A process that outlived the worker's earlier session says nothing about this one's task.
    let mut done = home.cmd("iapeer");
    done.arg("self-done").env("PEER_IDENTITY", "parrot-temp").env("PEER_LAUNCH", "an-earlier-one");
    assert_eq!(home.start(done, None).wait(SOON).code, 69);
    assert_eq!((home.queue("parrot-temp"), home.state("parrot-temp", "ephemeral-armed")), ((0, 1, 0), false));
    let mut done = home.cmd("iapeer");
    done.arg("self-done").env("PEER_IDENTITY", "parrot-temp");
    let done = home.start(done, None).wait(SOON);
    assert_eq!(done.stdout, "self-done: armed parrot-temp for the quiet-window reap (no one woken)\n", "{done}");
    wait_until("the session's end", SOON, || !home.state("parrot-temp", "session"));
    assert_eq!((home.queue("parrot-temp"), home.bodies("boss").len()), ((0, 0, 0), 0));
}

#[test]
fn a_worker_cannot_send_to_itself() {
    let home = office(&[]);
    let refused = home.run("iapeer-send", &["temp", "--from", "temp", "--no-wait", "-m", "me"]);
    assert_eq!(refused.code, 69, "{refused}");
    assert_eq!(home.queue("parrot-temp"), (0, 0, 0));
}

#[test]
fn the_tick_does_what_a_killed_watcher_left() {
    let home = office(&[("PARROT_TURN_MS", "10"), ("PARROT_NOHOOKS", "1")]);
    // The watcher is not to do it before it is killed.
    home.set("IAPEER_EPHEMERAL_QUIET_SECS", "600");
    task(&home, "one");
    task(&home, "two");
    wait_until("the task taken", SOON, || home.record("temp").len() == 1);
    let mut done = home.cmd("iapeer");
    done.arg("self-done").env("PEER_IDENTITY", "parrot-temp");
    home.start(done, None).wait(SOON);
    // The watcher signs its lock file.
    let lock = home.state_dir().join("parrot-temp.watch.lock");
    let pid = support::wait_for("the watcher", SOON, || {
        let text = fs::read_to_string(&lock).ok()?;
        text.split(|c: char| !c.is_ascii_digit()).find(|word| !word.is_empty())?.parse::<i32>().ok()
    });
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
    assert!(home.state("parrot-temp", "session"), "the watcher was killed in time");
    home.set("IAPEER_EPHEMERAL_QUIET_SECS", "2");
    wait_until("the second task", SOON, || {
        tick(&home);
        home.bodies("temp") == ["one", "two"]
    });
}

#[test]
fn row_5_without_hooks_a_worker_that_answered_is_ended_when_transcript_and_window_are_quiet() {
    let home = office(&[("PARROT_TURN_MS", "50"), ("PARROT_REPLY", "1"), ("PARROT_NOHOOKS", "1")]);
    home.set("IAPEER_EPHEMERAL_QUIET_SECS", "1");
    task(&home, "one");
    task(&home, "two");
    wait_until("both answers", Duration::from_secs(60), || home.bodies("boss").len() == 2);
    wait_until("the end", SOON, || !home.state("parrot-temp", "session"));
    assert_eq!((home.bodies("temp"), home.queue("parrot-temp")), (vec!["one".into(), "two".into()], (0, 0, 0)));
}

#[test]
fn rows_5_and_6_a_worker_in_a_long_turn_is_never_reaped_one_that_repaints_after_it_is() {
    let home = office(&[("PARROT_TURN_MS", "6000"), ("PARROT_NOISE_MS", "300"), ("PARROT_REPLY", "1")]);
    home.set("IAPEER_EPHEMERAL_QUIET_SECS", "1");
    task(&home, "long");
    wait_until("the task taken", SOON, || home.record("temp").len() == 1);
    // Before the hook has told of the turn, a worker that was given its task a second ago is one that never began.
    let turn = home.state_dir().join("parrot-temp.turn");
    wait_until("the turn", SOON, || fs::read_to_string(&turn).is_ok_and(|text| text.contains("\"busy\"")));
    home.set("IAPEER_EPHEMERAL_UNARMED_IDLE_SECS", "1");
    let server = home.server_pid("parrot-temp").unwrap();
    wait_until("the answer", SOON, || {
        if home.bodies("boss").is_empty() {
            tick(&home);
        }
        !home.bodies("boss").is_empty()
    });
    assert!(
        events(&home, "supervise")
            .iter()
            .all(|line| line["action"] != "reaped-ephemeral" || line["outcome"] == "ephemeral-done")
    );
    // Its footer repaints three times a second, and its turn is over.
    wait_until("the end", SOON, || !home.state("parrot-temp", "session"));
    assert_ne!(home.server_pid("parrot-temp"), Some(server));
    assert_eq!(home.queue("parrot-temp"), (0, 0, 0));
}
