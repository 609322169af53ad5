//! Output that can't be written: the work is done all the same, and only the exit code tells of it.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use serde_json::json;
use std::fs;
use std::path::Path;
use std::time::Duration;
use support::{Output, PATIENCE, Running, TestHome};

/// A pipe that nobody reads any more, as after `| true`.
const CLOSED: &str = "mkfifo closed; exec 3<>closed 4>closed 3<&-; rm closed; exec \"$0\" \"$@\" >&4 4>&-";
/// A full disk.
const FULL: &str = "exec \"$0\" \"$@\" >/dev/full";
/// No room even for what goes wrong.
const ALL_FULL: &str = "exec \"$0\" \"$@\" >/dev/full 2>/dev/full";

/// Runs a program with its output led by a shell's `script`.
#[track_caller]
fn run(home: &TestHome, script: &str, words: &[&str]) -> Output {
    start(home, script, words).wait(PATIENCE)
}

fn start(home: &TestHome, script: &str, words: &[&str]) -> Running {
    home.spawn("sh", &[&["-c", script], words].concat())
}

fn has_full_device() -> bool {
    Path::new("/dev/full").exists()
}

#[test]
fn a_reader_that_has_gone_stops_no_work_and_changes_no_code() {
    let home = TestHome::new();
    let names = ["ann", "bob", "eve"];
    for name in names {
        home.parrot(name, &[]);
    }
    assert_eq!(run(&home, CLOSED, &["iapeer", "stop", "--all"]).code, 0);
    for name in names {
        assert!(home.state(&format!("parrot-{name}"), "stopped"), "{name}");
    }
    let unknown = run(&home, CLOSED, &["iapeer-send", "nobody", "--from", "bob", "--json", "-m", "x"]);
    assert!(unknown.code == 67 && unknown.stderr.lines().count() == 1, "{unknown}");
}

#[test]
fn a_tick_without_a_reader_puts_to_sleep_and_starts_the_drains() {
    let home = TestHome::new();
    for name in ["ann", "bob", "eve"] {
        home.parrot(name, &[]);
    }
    home.set("IAPEER_IDLE_SECS", "0.001");
    for name in ["ann", "bob"] {
        home.ok("iapeer-wake", &[name]);
        // Its hook is a sign of life, also when it comes late.
        support::wait_until("the start hook", PATIENCE, || home.state(&format!("parrot-{name}"), "turn"));
    }
    let queue = home.state_dir().join("parrot-eve.queue");
    fs::create_dir_all(&queue).unwrap();
    fs::write(queue.join("000001"), json!({"task": "hello"}).to_string()).unwrap();
    assert_eq!(run(&home, CLOSED, &["iapeer-superviser"]).code, 0);
    for identity in ["parrot-ann", "parrot-bob"] {
        assert!(home.state(identity, "idle-reaped"), "{identity}");
    }
    support::wait_until("the drain", PATIENCE, || home.bodies("eve") == ["hello"]);
}

#[test]
fn results_that_are_lost_turn_a_success_into_74_and_keep_the_code_of_a_failure() {
    if !has_full_device() {
        return;
    }
    let home = TestHome::new();
    home.parrot("ann", &[]);
    home.parrot("bob", &[]);
    for (words, code) in [
        (&["iapeer", "list"][..], 74),
        (&["iapeer", "--help"], 74),
        (&["iapeer-send", "nobody", "--from", "ann", "--json", "-m", "x"], 67),
        (&["iapeer-send", "bob", "--from", "ann", "--no-wait", "--require", "delivered", "-m", "x"], 75),
        (&["iapeer", "stop", "--all"], 74),
    ] {
        let output = run(&home, FULL, words);
        assert_eq!(output.code, code, "{words:?}: {output}");
        assert_eq!(output.stderr.lines().count(), 1, "{words:?}: {output}");
        assert!(code == 67 || output.stderr.contains("cannot write to stdout"), "{words:?}: {output}");
    }
    assert!(home.state("parrot-ann", "stopped") && home.state("parrot-bob", "stopped"));
    fs::write(home.cwd("bob").join(".iapeer/peer-profile.json"), "{ torn").unwrap();
    assert_eq!(home.run("iapeer", &["verify"]).code, 78);
    assert_eq!(run(&home, FULL, &["iapeer", "verify"]).code, 78);
}

#[test]
fn a_dropped_letter_is_gone_only_when_it_was_printed() {
    let home = TestHome::new();
    home.parrot("ann", &[]);
    let dead = home.state_dir().join("parrot-ann.queue/dead");
    fs::create_dir_all(&dead).unwrap();
    let id = "01M7YEQDPSFQ470K9N062NKM85";
    let item = json!({"v": 1, "id": id, "task": "mind me", "from": "parrot-bob", "accepted": 1, "attempts": 5});
    fs::write(dead.join("000001"), item.to_string()).unwrap();
    let drop = ["iapeer-drain", "--drop", id];
    let scripts = if has_full_device() { &[CLOSED, FULL][..] } else { &[CLOSED] };
    for script in scripts {
        let lost = run(&home, script, &drop);
        assert!(lost.code == 74 && lost.stderr.contains(&format!("{id} stays")), "{lost}");
        assert_eq!(home.queue("parrot-ann").2, 1);
    }
    assert!(home.ok("iapeer-drain", &drop[1..]).stdout.contains("mind me"));
    assert_eq!(home.queue("parrot-ann").2, 0);
}

#[test]
fn what_goes_wrong_keeps_its_code_where_it_can_not_be_said() {
    if !has_full_device() {
        return;
    }
    let home = TestHome::new();
    home.parrot("ann", &[]);
    home.parrot("bob", &[]);
    assert_eq!(run(&home, ALL_FULL, &["iapeer", "stop", "nobody"]).code, 67);
    assert_eq!(run(&home, ALL_FULL, &["iapeer-send", "--nonsense"]).code, 64);
    assert_eq!(run(&home, ALL_FULL, &["iapeer-drain", "parrot-nobody"]).code, 67);
    // A warning: bob's card can't be read.
    fs::write(home.cwd("bob").join(".iapeer/peer-profile.json"), "{ torn").unwrap();
    assert!(home.ok("iapeer", &["start", "bob"]).stderr.contains("WARN"));
    let warned = run(&home, "exec \"$0\" \"$@\" 2>/dev/full", &["iapeer", "start", "bob"]);
    assert!(warned.code == 0 && warned.stdout.contains("started"), "{warned}");
}

#[test]
fn a_hook_prints_nothing_and_succeeds_whatever_happens() {
    let home = TestHome::new();
    home.parrot("ann", &[]);
    home.set("PEER_IDENTITY", "parrot-ann");
    // Beside this one there is no drain to start for what waits, which is a warning.
    let alone = home.dir().join("iapeer-turn");
    fs::copy(support::bin("iapeer-turn"), &alone).unwrap();
    let queue = home.state_dir().join("parrot-ann.queue");
    fs::create_dir_all(&queue).unwrap();
    fs::write(queue.join("000001"), json!({"task": "x"}).to_string()).unwrap();
    let stop = [alone.to_str().unwrap(), "stop"];
    let quiet = |what: &str| {
        let output = home.run(stop[0], &stop[1..]);
        assert_eq!((output.code, output.stdout.as_str(), output.stderr.as_str()), (0, "", ""), "{what}");
    };
    quiet("a warning");
    home.set("IAPEER_LOG", "bogus");
    quiet("a bad setting");
    home.set("IAPEER_LOG", "warn");
    assert!(home.ok(stop[0], &stop[1..]).stderr.contains("cannot start iapeer-drain"), "nothing was to be warned of");
    if has_full_device() {
        assert_eq!(run(&home, ALL_FULL, &stop).code, 0);
    }
}

#[test]
fn following_the_logs_ends_with_its_reader() {
    let home = TestHome::new();
    home.parrot("ann", &[]);
    home.ok("iapeer", &["stop", "ann"]);
    let all = start(&home, CLOSED, &["iapeer", "logs", "--follow"]);
    assert_eq!(all.wait(Duration::from_secs(30)).code, 0);
    // Nothing to print, so that only looking at the reader helps.
    let none = start(&home, CLOSED, &["iapeer", "logs", "--follow", "--since", "2999-01-01T00:00:00Z"]);
    assert_eq!(none.wait(Duration::from_secs(30)).code, 0);
}
