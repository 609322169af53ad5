//! What each peer waits for: states by hooks, transcript and screen, approvals and their answers, what waits meanwhile,
//! and the owner who is told.

#![allow(unreachable_pub, clippy::unwrap_used)]

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

#[test]
fn an_approval_is_answered_through_the_hook() {
    for kind in ["approval", "approval-hidden"] {
        for (args, became) in [(&["allow"][..], "Yes"), (&["deny", "-m", "not on a Friday"], "No: not on a Friday")] {
            let home = home_with(&[("PARROT_ATTENTION", kind)]);
            send(&home, "hello");
            let row = in_state(&home, "approval");
            assert_eq!(
                (&row["tool"], &row["text"], &row["evidence"]),
                (&"Shell".into(), &"touch approved".into(), &"hook".into())
            );
            assert_eq!(row["answers"], serde_json::json!(["allow", "deny"]));
            let input = home.state_dir().join(format!("{ANN}.approval/{}.json", row["id"].as_str().unwrap()));
            // The request is announced a moment before its input is filed.
            wait_until("the request's input", SOON, || input.exists());
            assert_eq!(fs::metadata(&input).unwrap().permissions().mode() & 0o777, 0o600);
            let listed = home.ok("iapeer", &["list", "--json", "--trouble"]).json();
            assert_eq!((&listed["personality"], &listed["state"]), (&"ann".into(), &"approval".into()), "{listed}");
            let answered = home.ok("iapeer", &[&["answer", "ann"], args].concat());
            assert_eq!(answered.stdout, format!("ann: approval answered: {}\n", args[0]));
            wait_until("the tool's fate", SOON, || chosen(&home) == [became]);
            calm(&home);
            delivered(&home, &["hello"]);
            let audit = events(&home, "answer").pop().unwrap();
            assert_eq!(
                (audit["answer"].as_str(), audit["tool"].as_str(), audit["taken"].as_str()),
                (args[0], "Shell", "true")
            );
            assert_eq!((audit["id"].as_str(), audit["what"].as_str()), (row["id"].as_str().unwrap(), "touch approved"));
            // The request is over: an answer to it is refused, and so is one to nothing.
            let late = home.run("iapeer", &["answer", "ann", row["id"].as_str().unwrap(), "allow"]);
            assert!(late.code == 69 && late.stderr.contains("has no request"), "{late}");
            let late = home.run("iapeer", &["answer", "ann", "allow"]);
            assert!(late.code == 69 && late.stderr.contains("waits for no answer"), "{late}");
            assert_eq!(chosen(&home).len(), 1);
        }
    }
}

#[test]
fn an_approval_on_the_screen_alone_is_answered_by_its_label() {
    for (word, became) in [("allow", "Yes"), ("deny", "No")] {
        let home = home_with(&[("PARROT_ATTENTION", "approval"), ("PARROT_NOHOOKS", "1")]);
        send(&home, "hello");
        let row = in_state(&home, "approval");
        assert_eq!(
            (&row["evidence"], &row["id"], &row["text"]),
            (&"screen".into(), &Value::Null, &"$ touch approved".into())
        );
        let wrong = home.run("iapeer", &["answer", "ann", "perhaps"]);
        assert!(wrong.code == 64 && wrong.stderr.contains("allow, deny"), "{wrong}");
        assert_eq!(home.run("iapeer", &["answer", "ann", "deny", "-m", "why"]).code, 64, "no words on a screen");
        assert_eq!(home.run("iapeer", &["answer", "ann", "zzzzzz", "allow"]).code, 69, "no such request");
        assert!(chosen(&home).is_empty());
        let answered = home.ok("iapeer", &["answer", "ann", word]).stdout;
        assert!(answered.contains("answered on its screen: ") && answered.contains(became), "{answered}");
        wait_until("the tool's fate", SOON, || chosen(&home) == [became]);
        calm(&home);
        delivered(&home, &["hello"]);
        assert_eq!(events(&home, "answer").pop().unwrap()["pressed"], if word == "allow" { "1. Yes" } else { "3. No" });
    }
}

#[test]
fn a_question_is_answered_by_a_choice_of_its_own() {
    for hooks in ["0", "1"] {
        let home = home_with(&[("PARROT_ATTENTION", "question"), ("PARROT_NOHOOKS", hooks)]);
        send(&home, "hello");
        in_state(&home, "question");
        // A hook says so before the screen does what can be answered.
        let asks = |row: &Value| row["answers"].as_array().is_some_and(|all| !all.is_empty());
        let row = wait_for("the answers", SOON, || rows(&home).into_iter().find(asks));
        assert!(row["text"].as_str().unwrap().contains("What is for dinner?"), "{row}");
        assert_eq!(row["answers"], serde_json::json!(["crackers", "seeds"]));
        home.ok("iapeer", &["answer", "ann", "seeds"]);
        wait_until("the choice", SOON, || chosen(&home) == ["Seeds"]);
        calm(&home);
        delivered(&home, &["hello"]);
    }
}

#[test]
fn a_dialog_and_a_strange_screen_are_named_and_looked_at_without_attaching() {
    for (kind, state) in [("dialog", "dialog"), ("strange", "strange")] {
        let home = home_with(&[("PARROT_ATTENTION", kind)]);
        send(&home, "hello");
        in_state(&home, state);
        let refused = home.run("iapeer", &["answer", "ann", "allow"]);
        assert!(refused.code == 69 && refused.stderr.contains("iapeer attach ann"), "{refused}");
        let peeked = home.ok("iapeer", &["peek", "ann"]).stdout;
        let shown = if kind == "dialog" { "Choose a perch" } else { "@@@ squawk @@@" };
        assert!(peeked.contains(shown), "{peeked}");
        assert_eq!(home.ok("iapeer", &["peek", "ann", "-n", "1"]).stdout.lines().count(), 1);
        let found = home.run("iapeer", &["doctor"]).stdout;
        assert!(found.contains(state) && found.contains("iapeer attach ann"), "{found}");
        home.tmux(ANN, &["send-keys", "-t", &format!("={ANN}:"), "Enter"]);
        calm(&home);
        delivered(&home, &["hello"]);
    }
    let home = home_with(&[]);
    assert_eq!(home.run("iapeer", &["peek", "ann"]).code, 69, "it sleeps");
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

/// Eight messages to a peer at an approval, and an hour of ticks: none is given up, and their order stays.
#[test]
fn what_waits_at_an_approval_is_held_and_goes_on_in_order() {
    for hooks in ["0", "1"] {
        let home = home_with(&[("PARROT_ATTENTION", "approval"), ("PARROT_NOHOOKS", hooks)]);
        let mut bodies = vec!["zero".to_owned()];
        send(&home, "zero");
        in_state(&home, "approval");
        for n in 1..=8 {
            bodies.push(format!("message {n}"));
            send(&home, &bodies[n]);
        }
        for _ in 0..60 {
            tick(&home);
            minute_passes(&home);
        }
        home.at_rest(ANN);
        let (waiting, inflight, dead) = home.queue(ANN);
        assert_eq!((waiting, inflight, dead), (8, 0, 0), "hooks off: {hooks}");
        let items = home.ok("iapeer-drain", &["--list", ANN]).stdout;
        let first = items.lines().find(|line| line.contains("waiting")).unwrap();
        assert!(first.contains("attempts:0") && first.contains("held (approval)"), "{items}");
        home.ok("iapeer", &["answer", "ann", "deny"]);
        delivered(&home, &bodies.iter().map(String::as_str).collect::<Vec<_>>());
        let delivery = home.log("delivery.log");
        assert!(delivery.iter().all(|line| line["outcome"] != "dead"), "{delivery:?}");
    }
}

/// The hook's process, as the file names it.
fn hook(home: &TestHome) -> Pid {
    let pid = wait_for("the hook", SOON, || attention_file(home)?["hook"]["pid"].as_i64());
    Pid::from_raw(pid as i32)
}

#[test]
fn a_killed_hook_allows_nothing_and_leaves_the_programs_own_dialog() {
    for kind in ["approval", "approval-hidden"] {
        let home = home_with(&[("PARROT_ATTENTION", kind)]);
        send(&home, "hello");
        let id = in_state(&home, "approval")["id"].as_str().unwrap().to_owned();
        kill(hook(&home), Signal::SIGKILL).unwrap();
        let row = wait_for("the screen to ask", SOON, || {
            rows(&home).into_iter().find(|row| row["state"] == "approval" && row["evidence"] == "screen")
        });
        assert_eq!((&row["id"], row["answers"].as_array().unwrap().len()), (&Value::Null, 2));
        let old = home.run("iapeer", &["answer", "ann", &id, "allow"]);
        assert!(old.code == 69, "{old}");
        tick(&home);
        assert!(chosen(&home).is_empty(), "nothing was allowed");
        home.ok("iapeer", &["answer", "ann", "deny"]);
        wait_until("the denial", SOON, || chosen(&home) == ["No"]);
        calm(&home);
        delivered(&home, &["hello"]);
    }
}

#[test]
fn a_torn_a_foreign_and_an_old_answer_allow_nothing() {
    let home = home_with(&[("PARROT_ATTENTION", "approval-hidden")]);
    send(&home, "hello");
    let id = in_state(&home, "approval")["id"].as_str().unwrap().to_owned();
    let dir = home.state_dir().join(format!("{ANN}.approval"));
    let good = |id: &str| format!(r#"{{"id":"{id}","decision":"allow","by":"x","at":1}}"#);
    let put = |text: String| {
        // As a crash of `iapeer answer` may leave it: whole under another name, or never there.
        fs::write(dir.join("tmp"), text).unwrap();
        fs::rename(dir.join("tmp"), dir.join(format!("{id}.answer"))).unwrap();
    };
    for bad in [good(&id)[..20].to_owned(), good("others"), good(&id).replace("allow", "maybe"), String::new()] {
        put(bad);
        fs::write(dir.join("other"), "wakes the hook").unwrap();
        fs::remove_file(dir.join("other")).unwrap();
        tick(&home);
        assert!(chosen(&home).is_empty(), "nothing was allowed");
        fs::remove_file(dir.join(format!("{id}.answer"))).unwrap();
    }
    assert_eq!(in_state(&home, "approval")["id"], id.as_str());
    home.ok("iapeer", &["answer", "ann", &id, "allow"]);
    wait_until("the tool's fate", SOON, || chosen(&home) == ["Yes"]);
}

/// `iapeer answer` killed at some moment: the tool runs only where the answer was published, and the hook never hangs.
#[test]
fn a_killed_answer_is_given_whole_or_not_at_all() {
    let home = home_with(&[("PARROT_ATTENTION", "approval-hidden")]);
    send(&home, "hello");
    in_state(&home, "approval");
    for pause in 0..40 {
        let answering = home.spawn("iapeer", &["answer", "ann", "deny"]);
        std::thread::sleep(Duration::from_micros(pause * 250)); // the moment is what is tried
        answering.signal(Signal::SIGKILL);
        answering.wait(SOON);
        if !chosen(&home).is_empty() {
            break;
        }
    }
    if chosen(&home).is_empty() {
        home.run("iapeer", &["answer", "ann", "deny"]);
    }
    wait_until("the denial", SOON, || chosen(&home) == ["No"]);
    calm(&home);
    delivered(&home, &["hello"]);
}

#[test]
fn nobody_answers_in_time_and_the_program_asks_itself() {
    let home = home_with(&[("PARROT_ATTENTION", "approval-hidden")]);
    home.set("IAPEER_APPROVAL_SECS", "1");
    send(&home, "hello");
    in_state(&home, "approval");
    let asks =
        |row: &Value| row["evidence"] == "screen" && row["answers"].as_array().is_some_and(|all| !all.is_empty());
    let row = wait_for("the screen to ask", SOON, || rows(&home).into_iter().find(asks));
    assert_eq!(row["state"], "approval");
    assert_eq!(events(&home, "approval").pop().unwrap()["outcome"], "unanswered");
    home.ok("iapeer", &["answer", "ann", "allow"]);
    wait_until("the tool's fate", SOON, || chosen(&home) == ["Yes"]);
}

#[test]
fn somebody_answers_on_the_screen_while_the_hook_waits() {
    let home = home_with(&[("PARROT_ATTENTION", "approval")]);
    send(&home, "hello");
    in_state(&home, "approval");
    let hook = hook(&home);
    home.tmux(ANN, &["send-keys", "-t", &format!("={ANN}:"), "Enter"]);
    wait_until("the tool's fate", SOON, || chosen(&home) == ["Yes"]);
    wait_until("the hook's end", SOON, || kill(hook, None).is_err());
    calm(&home);
    delivered(&home, &["hello"]);
}

fn owner(home: &TestHome) -> PathBuf {
    home.parrot("op", &[]);
    fs::write(home.root().join("owner"), "op\n").unwrap();
    let (hook, log) = (home.root().join("notify"), home.dir().join("notified"));
    fs::write(&hook, format!("#!/bin/sh\ncat >> {}\n", log.display())).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o700)).unwrap();
    log
}

#[test]
fn the_owner_is_told_once_of_what_lasts() {
    for kind in ["approval", "question", "failing", "dialog"] {
        let home = home_with(&[("PARROT_ATTENTION", kind)]);
        let log = owner(&home);
        home.set("IAPEER_TELL_AFTER_SECS", "0.5");
        send(&home, "hello");
        in_state(&home, kind);
        let told = wait_for("the owner to be told", SOON, || {
            tick(&home);
            home.bodies("op").first().cloned()
        });
        assert!(told.starts_with(&format!("ann ({ANN}) — {kind}")), "{told}");
        for _ in 0..5 {
            tick(&home);
        }
        home.at_rest("parrot-op");
        wait_until("the program of the owner's", SOON, || {
            fs::read_to_string(&log).is_ok_and(|text| text.ends_with('\n'))
        });
        assert_eq!((home.bodies("op").len(), home.queue("parrot-op")), (1, (0, 0, 0)));
        let events: Vec<Value> =
            fs::read_to_string(&log).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(events.len(), 1, "{events:?}");
        assert_eq!((&events[0]["peer"], &events[0]["state"]), (&"ann".into(), &kind.into()));
    }
}

#[test]
fn the_owner_hears_nothing_of_what_passes() {
    let home = home_with(&[("PARROT_ATTENTION", "approval")]);
    owner(&home);
    send(&home, "hello");
    in_state(&home, "approval");
    home.ok("iapeer", &["answer", "ann", "allow"]);
    calm(&home);
    tick(&home);
    home.set("IAPEER_TELL_AFTER_SECS", "0.01");
    tick(&home);
    assert!(home.bodies("op").is_empty() && events(&home, "told").is_empty());
}

#[test]
fn a_failed_turn_ends_a_turn() {
    for hooks in ["0", "1"] {
        let home = home_with(&[("PARROT_ATTENTION", "failing"), ("PARROT_NOHOOKS", hooks)]);
        send(&home, "hello");
        let row = in_state(&home, "failing");
        assert!(row["text"].as_str().unwrap().contains("529 overloaded"), "{row}");
        wait_until("the queue to be settled", SOON, || home.queue(ANN) == (0, 0, 0));
        home.at_rest(ANN);
        let interrupted = home.run("iapeer", &["interrupt", "ann"]);
        assert!(interrupted.code == 69 && interrupted.stderr.contains("no turn is running"), "{interrupted}");
        assert_eq!(home.ok("iapeer", &["compact", "ann"]).stdout, "compact → ann (parrot)\n");
        // Nothing is held: the next message tries again, and ends it.
        send(&home, "again");
        delivered(&home, &["hello", "again"]);
        calm(&home);
        home.set("IAPEER_IDLE_SECS", "0.2");
        wait_until("it to be put to sleep", SOON, || {
            tick(&home);
            !home.state(ANN, "session")
        });
        assert_eq!(home.ok("iapeer", &["list", "--json"]).json_lines()[0]["state"], "asleep");
    }
}

/// No other hook tells the end of a turn that a person has cancelled.
#[test]
fn a_notice_that_it_waits_for_its_next_message_ends_a_turn() {
    let home = home_with(&[("PARROT_TURN_MS", "600000")]);
    let turn = || fs::read_to_string(home.state_dir().join(format!("{ANN}.turn"))).unwrap_or_default();
    let says = |event: &str, input: &str| {
        let record = fs::read(home.state_dir().join(format!("{ANN}.session"))).unwrap();
        let record: Value = serde_json::from_slice(&record).unwrap();
        let mut command = home.cmd("iapeer-turn");
        command.arg(event).env("PEER_IDENTITY", ANN).env("PEER_LAUNCH", record["launch"].as_str().unwrap());
        assert_eq!(home.start(command, Some(input.as_bytes())).wait(SOON).code, 0);
    };
    let waits = r#"{"notification_type": "idle_prompt"}"#;
    send(&home, "one");
    wait_until("a turn", SOON, || turn().contains("\"busy\"") && home.screen(ANN).contains("esc to interrupt"));
    // Its screen shows that it works: the notice was about the turn before.
    says("notice", waits);
    assert!(turn().contains("\"busy\""), "{}", turn());
    home.ok("iapeer", &["interrupt", "ann"]);
    wait_until("its end", SOON, || !home.screen(ANN).contains("esc to interrupt"));
    says("prompt", r#"{"prompt": "typed by a person, who cancels it"}"#);
    assert!(turn().contains("\"busy\""), "{}", turn());
    says("notice", waits);
    assert!(turn().contains("\"idle\""), "{}", turn());
}

#[test]
fn a_failed_session_is_put_to_sleep_too() {
    let home = home_with(&[("PARROT_ATTENTION", "failing")]);
    send(&home, "hello");
    in_state(&home, "failing");
    home.set("IAPEER_IDLE_SECS", "0.2");
    wait_until("it to be put to sleep", SOON, || {
        tick(&home);
        !home.state(ANN, "session")
    });
    assert!(home.state(ANN, "idle-reaped"));
    calm(&home);
}

#[test]
fn a_workers_failed_turn_gives_its_task_back() {
    let home = home_with(&[("PARROT_ATTENTION", "failing")]);
    let path = home.cwd("ann").join(".iapeer/peer-profile.json");
    let mut profile: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    profile["wake_policy"] = "ephemeral".into();
    profile["max_attempts"] = 2.into();
    fs::write(path, profile.to_string()).unwrap();
    send(&home, "work");
    wait_until("the task to be given up", SOON, || home.queue(ANN).2 == 1);
    let dead = home.ok("iapeer-drain", &["--list", ANN]).stdout;
    assert!(dead.contains("attempts:2") && dead.contains("529 overloaded"), "{dead}");
    assert_eq!(home.bodies("ann"), ["work", "work"]);
    wait_until("the sender to be told", SOON, || home.bodies("bob").iter().any(|body| body.contains("dead letter")));
    assert_eq!(home.bodies("bob").len(), 1);
}

#[test]
fn a_limit_holds_what_waits_until_it_is_over() {
    for hooks in ["0", "1"] {
        let home =
            home_with(&[("PARROT_ATTENTION", "limited"), ("PARROT_LIMIT_MS", "3000"), ("PARROT_NOHOOKS", hooks)]);
        send(&home, "one");
        let row = in_state(&home, "limited");
        let until = EpochMs::parse(row["until"].as_str().expect("it says when")).unwrap();
        send(&home, "two");
        home.set("IAPEER_IDLE_SECS", "0.1");
        home.ok("iapeer-drain", &[ANN]);
        tick(&home);
        assert_eq!(home.bodies("ann"), ["one"], "what waits is held");
        assert!(home.server_pid(ANN).is_some(), "and the session is not put to sleep before");
        assert!(home.ok("iapeer-drain", &["--list", ANN]).stdout.contains("held (limited)"));
        home.unset("IAPEER_IDLE_SECS");
        wait_until("the limit's end", SOON, || {
            tick(&home);
            home.bodies("ann") == ["one", "two"]
        });
        assert!(EpochMs::from(SystemTime::now()) >= until);
        calm(&home);
    }
}

#[test]
fn a_limit_without_an_end_is_tried_now_and_then() {
    let home = home_with(&[("PARROT_ATTENTION", "limited")]);
    send(&home, "one");
    assert_eq!(in_state(&home, "limited")["until"], Value::Null, "never guessed");
    send(&home, "two");
    home.ok("iapeer-drain", &[ANN]);
    assert_eq!(home.bodies("ann"), ["one"]);
    home.set("IAPEER_LIMIT_LOOK_SECS", "0.1");
    delivered(&home, &["one", "two"]);
    calm(&home);
}

#[test]
fn a_menu_that_offers_to_wait_is_answered_so() {
    let home = home_with(&[("PARROT_ATTENTION", "limit-menu"), ("PARROT_LIMIT_MS", "1500")]);
    send(&home, "one");
    in_state(&home, "limited");
    wait_until("the choice", SOON, || {
        tick(&home);
        chosen(&home) == ["Stop and wait"]
    });
    send(&home, "two");
    delivered(&home, &["one", "two"]);
}

#[test]
fn a_login_is_no_death_and_costs_no_try() {
    let home = home_with(&[("PARROT_DIALOG", "login")]);
    let sent = home.run("iapeer-send", &["ann", "--from", "bob", "--wait", "20", "--json", "-m", "hello"]).json();
    assert_eq!(sent["outcome"], "queued", "{sent}");
    home.at_rest(ANN);
    for _ in 0..6 {
        tick(&home);
        home.run("iapeer-drain", &[ANN]);
    }
    let row = in_state(&home, "login");
    assert!(row["text"].as_str().unwrap().contains("login"), "{row}");
    assert!(!home.state(ANN, "deaths") && home.server_pid(ANN).is_none());
    let items = home.ok("iapeer-drain", &["--list", ANN]).stdout;
    assert!(items.contains("attempts:0") && items.contains("held (login)"), "{items}");
    let wakes = events(&home, "wake").len();
    assert_eq!(wakes, 1, "it is not started again and again");
    let found = home.run("iapeer", &["doctor"]).stdout;
    assert!(found.contains("iapeer-wake ann"), "{found}");
    home.launch_env("ann", &[]);
    home.ok("iapeer-wake", &["ann"]);
    delivered(&home, &["hello"]);
    calm(&home);
}

#[test]
fn the_crash_loop_guard_says_when_and_what_lies_below() {
    let home = home_with(&[("PARROT_CRASH", "boot")]);
    home.set("IAPEER_QUEUE_MAX_ATTEMPTS", "9");
    send(&home, "hello");
    wait_until("three deaths", SOON, || {
        home.run("iapeer-drain", &[ANN]);
        home.ok("iapeer-drain", &["--list", ANN]).stdout.contains("crash-loop guard")
    });
    let reason = home.ok("iapeer-drain", &["--list", ANN]).stdout;
    let (guard, below) = reason.split_once("; before that: ").expect("the reason below it");
    assert!(guard.contains("it may be woken again from 2") && below.contains("ended during boot"), "{reason}");
    tick(&home);
    let row = in_state(&home, "crash-loop");
    assert!(row["until"].is_string() && !row["text"].as_str().unwrap().is_empty(), "{row}");
    home.launch_env("ann", &[]);
    home.ok("iapeer", &["new", "ann"]);
    delivered(&home, &["hello"]);
    calm(&home);
}

#[test]
fn a_turn_without_a_sign_of_life_is_hung() {
    let home = home_with(&[("PARROT_HANG", "turn")]);
    home.set("IAPEER_HUNG_SECS", "1");
    send(&home, "hello");
    let row = in_state(&home, "hung");
    assert_eq!(row["evidence"], "process");
    home.set("IAPEER_IDLE_SECS", "0.1");
    tick(&home);
    assert!(home.server_pid(ANN).is_some(), "and it is not ended by itself");
    home.ok("iapeer", &["interrupt", "ann"]);
    calm(&home);
}

#[test]
fn following_tells_each_change_once() {
    let home = home_with(&[("PARROT_ATTENTION", "approval")]);
    let following = home.spawn("iapeer", &["attention", "-f", "--json"]);
    send(&home, "hello");
    wait_until("the first line", SOON, || following.stdout().lines().count() == 1);
    home.ok("iapeer", &["answer", "ann", "allow"]);
    wait_until("the second line", SOON, || following.stdout().lines().count() == 2);
    let lines: Vec<Value> = following.stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["state"], &lines[1]["was"]), (&"approval".into(), &"approval".into()));
    following.signal(Signal::SIGTERM);
}

#[test]
fn the_list_is_an_aligned_table_with_trouble_first() {
    let home = TestHome::new();
    for n in 0..50 {
        let name = if n == 7 { "a-name-as-long-as-they-can-be-x".to_owned() } else { format!("peer{n}") };
        home.ok("iapeer", &["create", &name, "--runtime", "parrot"]);
    }
    let write = |name: &str, kind: &str, text: &str| {
        fs::write(home.state_dir().join(format!("parrot-{name}.{kind}")), text).unwrap();
    };
    fs::create_dir_all(home.state_dir()).unwrap();
    write("peer3", "stopped", "2026-01-01T00:00:00.000Z\n");
    write("peer5", "attention", r#"{"state":"login","since":1795692470000,"evidence":"screen","text":"log in"}"#);
    write("peer9", "attention", r#"{"state":"limited","since":1795692470000,"evidence":"screen","text":"wait"}"#);
    home.launch_env("peer40", &[("PARROT_ATTENTION", "approval")]);
    home.ok("iapeer-send", &["peer40", "--from", "peer1", "--no-wait", "-m", "x"]);
    wait_until("the approval", SOON, || rows(&home).iter().any(|row| row["state"] == "approval"));
    let table = home.ok("iapeer", &["list"]).stdout;
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 51);
    assert!(lines.iter().all(|line| line.chars().count() <= 80), "{table}");
    let at = lines[0].find("STATE").unwrap();
    let states: Vec<&str> = lines[1..]
        .iter()
        .map(|line| line.char_indices().nth(at).map_or("", |(at, _)| &line[at..]).split(' ').next().unwrap())
        .collect();
    assert_eq!(states[..3], ["approval", "login", "limited"]);
    assert_eq!((states[3], states[49]), ("asleep", "stopped"), "{table}");
    let coloured = home.ok("iapeer", &["list", "--color", "always", "--state", "approval"]).stdout;
    assert!(coloured.contains("\u{1b}[1;31mapproval\u{1b}[0m") && coloured.lines().count() == 2, "{coloured:?}");
    assert_eq!(home.run("iapeer", &["list", "--state", "happy"]).code, 64);
    let status = home.ok("iapeer", &["status"]).stdout;
    assert!(status.contains("states: 1 approval, 1 login, 1 limited, 46 asleep, 1 stopped"), "{status}");
}

/// A peer whose tools wait for yes or no does not run them unasked because its profile can't be read: the registry has a
/// copy of what it said.
#[test]
fn a_profile_that_cannot_be_read_allows_nothing() {
    let home = home_with(&[]);
    let dir = home.root().join("runtimes/parrot");
    fs::create_dir_all(&dir).unwrap();
    let argv = r#"{"argv":["{@resume}","{@prompt}","{@hooks}","{@bypass}","{@ask}","{@extra}"],"groups":{"bypass":["--","unasked"],"ask":["--","asking"]}}"#;
    fs::write(dir.join("runtime.json"), argv).unwrap();
    let path = home.cwd("ann").join(".iapeer/peer-profile.json");
    let mut profile: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    profile["approvals"] = "ask".into();
    fs::write(&path, profile.to_string()).unwrap();
    home.ok("iapeer", &["verify", "--fix"]);
    for profile in [profile.to_string(), "{torn".to_owned()] {
        fs::write(&path, profile).unwrap();
        home.ok("iapeer-wake", &["ann"]);
        let pane = home.session_json(ANN).unwrap()["pane"]["pid"].as_i64().unwrap();
        let line = home.run("ps", &["-o", "args=", "-p", &pane.to_string()]).stdout;
        assert!(line.contains("asking") && !line.contains("unasked"), "{line}");
        home.ok("iapeer-reap", &[ANN]);
    }
}

/// A figure, for the eye: from the hook's start to its being known.
#[test]
fn an_approval_is_known_at_once() {
    let home = home_with(&[("PARROT_ATTENTION", "approval")]);
    send(&home, "hello");
    let started =
        wait_for("the dialog", SOON, || home.screen(ANN).contains("Do you want to run this?").then(Instant::now));
    wait_until("the file", SOON, || attention_file(&home).is_some());
    eprintln!("the approval was known {} ms after its dialog was seen", started.elapsed().as_millis());
}
