//! People take part: an inbox that is a folder, answers, questions.

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

#[test]
fn a_person_writes_to_an_agent_and_reads_its_answer() {
    let home = home();
    assert_eq!(home.ok("iapeer", &["owner"]).stdout, "me\n");
    // Outside any peer's folder the owner sends.
    let sent = home.ok("iapeer-send", &["bob", "--topic", "first", "-m", "hello bob"]);
    assert!(sent.stdout.starts_with("delivered to parrot-bob"), "{sent}");
    wait_until("the answer", PATIENCE, || files(&home, "me", "new").len() == 1);
    home.at_rest("person-me");
    let letters = inbox(&home, &[]);
    let keys: Vec<&String> = letters[0].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["id", "from", "ts", "topic", "re", "unread", "attachments", "body"]);
    assert_eq!((&letters[0]["from"], &letters[0]["body"]), (&"parrot-bob".into(), &"You said: hello bob".into()));
    assert_eq!((&letters[0]["topic"], &letters[0]["unread"]), (&"first".into(), &true.into()));
    let listed = home.ok("iapeer", &["list", "--json"]).json_lines();
    assert_eq!(listed.iter().find(|peer| peer["personality"] == "me").unwrap()["unread"], 1);
    let id = letters[0]["id"].as_str().unwrap();
    let name = files(&home, "me", "new")[0].file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(name, format!("{}-parrot-bob-{id}.md", letters[0]["ts"].as_str().unwrap()));
    // No session, no wake; one line in the history as for everything.
    let lines = history(&home, "person-me");
    assert_eq!((lines.len(), &lines[0]["landed"]["evidence"]), (1, &"mailbox".into()));
    assert!(!home.state("person-me", "session") && home.screen("person-me").is_empty());

    let read = home.ok("iapeer", &["read"]);
    assert!(read.stdout.ends_with("\n\nYou said: hello bob\n") && read.stdout.contains("topic: first"), "{read}");
    assert!(inbox(&home, &[]).is_empty());
    assert_eq!(inbox(&home, &["--all"])[0]["unread"], false);
    refused(&home.run("iapeer", &["read"]), 66, "nothing unread");
    let replied = home.ok("iapeer", &["reply", &id[10..], "-m", "thank you"]);
    assert!(replied.stdout.starts_with("delivered to parrot-bob"), "{replied}");
    wait_until("the reply", PATIENCE, || home.bodies("bob") == ["hello bob", "thank you"]);
    let line = history(&home, "parrot-bob").pop().unwrap();
    assert_eq!((&line["re"], &line["topic"], &line["from"]), (&id.into(), &"first".into(), &"person-me".into()));
}

#[test]
fn a_person_has_no_session_to_wake() {
    let home = home();
    refused(&home.run("iapeer-wake", &["me"]), 69, "mailbox and no session");
    refused(&home.run("iapeer", &["new", "me"]), 69, "mailbox and no session");
    refused(&home.run("iapeer", &["attach", "me"]), 69, "mailbox and no session");
    refused(&home.run("iapeer-run", &["person-me"]), 69, "not on an always-on runtime");
    refused(&home.run("iapeer", &["inbox", "bob"]), 69, "has no inbox");
    refused(&home.run("iapeer", &["create", "x", "--runtime", "person", "--intelligence", "artificial"]), 64, "person");
    home.ok("iapeer-superviser", &[]);
    home.ok("iapeer", &["verify"]);
    home.ok("iapeer", &["stop", "me"]);
    refused(&home.run("iapeer-send", &["me", "--from", "bob", "-m", "x"]), 69, "stopped");
    home.ok("iapeer", &["start", "me"]);
    let sent = home.ok("iapeer-send", &["me", "--from", "bob", "--require", "delivered", "-m", "x"]);
    assert!(sent.stdout.starts_with("delivered to person-me (filed)"), "{sent}");
}

#[test]
fn the_owner_follows_a_rename_and_goes_with_its_peer() {
    let home = home();
    home.ok("iapeer", &["create", "you", "--runtime", "person"]);
    assert_eq!(home.ok("iapeer", &["owner"]).stdout, "me\n");
    home.ok("iapeer", &["rename", "me", "ann"]);
    assert_eq!(home.ok("iapeer", &["owner"]).stdout, "ann\n");
    refused(&home.run("iapeer", &["owner", "bob"]), 69, "no person");
    assert_eq!(home.ok("iapeer", &["owner", "you"]).stdout, "you\n");
    home.ok("iapeer", &["remove", "you"]);
    refused(&home.run("iapeer", &["owner"]), 67, "no owner");
    refused(&home.run("iapeer-send", &["bob", "-m", "x"]), 64, "who sends this?");
}

#[test]
fn a_message_on_a_terminal_moves_nothing() {
    let home = home();
    home.ok("iapeer-send", &["me", "--from", "bob", "-m", "ok"]);
    home.at_rest("person-me");
    // Somebody put it there by hand: what is sent can't hold such a thing.
    let file = &files(&home, "me", "new")[0];
    let text = fs::read_to_string(file).unwrap().replace("ok", "a\u{1b}]0;x\u{7}b\u{202e}c");
    fs::write(file, text).unwrap();
    for output in [home.ok("iapeer", &["inbox"]), home.ok("iapeer", &["read"])] {
        assert!(output.stdout.contains(r"a\u{1b}]0;x\u{7}b\u{202e}c"), "{output}");
    }
}

#[test]
fn an_inbox_is_followed_as_messages_come() {
    let home = home();
    let follow = home.spawn("iapeer", &["inbox", "-f", "--json"]);
    home.ok("iapeer-send", &["me", "--from", "bob", "-m", "one"]);
    home.ok("iapeer-send", &["me", "--from", "bob", "-m", "two"]);
    wait_until("two lines", PATIENCE, || follow.stdout().lines().count() == 2);
    let bodies: Vec<Value> =
        follow.stdout().lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["body"].clone()).collect();
    assert_eq!(bodies, ["one", "two"]);
}

#[test]
fn a_message_that_was_filed_before_the_crash_is_not_filed_again() {
    let home = home();
    // The history can't be written: filed and not settled, which is what a kill in between leaves.
    let history_file = home.root().join("history/person-me.jsonl");
    fs::create_dir_all(&history_file).unwrap();
    home.ok("iapeer-send", &["me", "--from", "bob", "-m", "one"]);
    home.at_rest("person-me");
    assert_eq!((files(&home, "me", "new").len(), home.queue("person-me").0), (1, 1));
    // A later one does not wait for it.
    home.ok("iapeer-send", &["me", "--from", "bob", "-m", "two"]);
    home.at_rest("person-me");
    assert_eq!(files(&home, "me", "new").len(), 2);
    home.ok("iapeer", &["read"]);
    fs::remove_dir(&history_file).unwrap();
    home.ok("iapeer-drain", &["person-me"]);
    home.at_rest("person-me");
    assert_eq!(home.queue("person-me"), (0, 0, 0));
    assert_eq!((files(&home, "me", "new").len(), files(&home, "me", "read").len()), (1, 1));
    assert_eq!(history(&home, "person-me").len(), 2);
}

#[test]
fn a_full_disk_is_74_and_keeps_nothing() {
    let home = home();
    let state = home.state_dir().join("person-me.queue");
    let Some(_disk) = SmallDisk::mount(&state) else {
        return eprintln!("LEFT OUT: this user may not mount a small disk");
    };
    fs::write(state.join("filler"), vec![0; 1 << 20]).unwrap_err();
    let sent = home.run("iapeer-send", &["me", "--from", "bob", "-m", "x"]);
    refused(&sent, 74, "the disk is full");
    assert!(files(&home, "me", "new").is_empty());
}

#[test]
fn an_inbox_on_a_full_disk_keeps_the_message_in_the_queue() {
    let home = home();
    let new = home.cwd("me").join("inbox");
    let Some(_disk) = SmallDisk::mount(&new) else {
        return eprintln!("LEFT OUT: this user may not mount a small disk");
    };
    fs::write(new.join("filler"), vec![0; 1 << 20]).unwrap_err();
    let sent = home.ok("iapeer-send", &["me", "--from", "bob", "-m", "x"]);
    assert!(sent.stdout.starts_with("queued for person-me (1 waiting: cannot "), "{sent}");
    home.at_rest("person-me");
    fs::remove_file(new.join("filler")).unwrap();
    home.ok("iapeer-drain", &["person-me"]);
    home.at_rest("person-me");
    assert_eq!((files(&home, "me", "new").len(), home.queue("person-me")), (1, (0, 0, 0)));
}

/// Eight senders write `each` messages to a person; senders, drains and readers are killed at random.
fn kills(each: usize) {
    let home = home();
    let senders: Vec<String> = (0..8).map(|n| format!("s{n}")).collect();
    for sender in &senders {
        home.parrot(sender, &[]);
    }
    let accepted: BTreeMap<&str, Vec<String>> = std::thread::scope(|scope| {
        let send = |sender: &'static str, n: usize| {
            let body = format!("{sender} {n}");
            // Every third try is killed after a while that differs each time.
            for attempt in 0.. {
                let running = home.spawn("iapeer-send", &["me", "--from", sender, "--no-wait", "-m", &body]);
                if attempt == 0 && n.is_multiple_of(3) {
                    std::thread::sleep(Duration::from_micros((n as u64 * 7919) % 4000));
                    running.signal(Signal::SIGKILL);
                }
                if running.wait(PATIENCE).code == 0 {
                    return body;
                }
            }
            unreachable!()
        };
        let readers = scope.spawn(|| {
            for n in 0..each as u64 {
                let reader = home.spawn("iapeer", &["read"]);
                let drain = home.spawn("iapeer-drain", &["person-me"]);
                std::thread::sleep(Duration::from_micros((n * 104_729) % 6000));
                for one in [&reader, &drain] {
                    one.signal(Signal::SIGKILL);
                }
            }
        });
        let threads: Vec<_> = senders
            .iter()
            .map(|sender| {
                let name: &'static str = Box::leak(sender.clone().into_boxed_str());
                (sender.as_str(), scope.spawn(move || (0..each).map(|n| send(name, n)).collect::<Vec<_>>()))
            })
            .collect();
        let sent = threads.into_iter().map(|(sender, thread)| (sender, thread.join().unwrap())).collect();
        readers.join().unwrap();
        sent
    });
    wait_until("an empty queue", Duration::from_secs(120), || {
        home.run("iapeer-drain", &["person-me"]);
        home.queue("person-me") == (0, 0, 0)
    });
    home.at_rest("person-me");
    let letters = inbox(&home, &["--all"]);
    // A sender that was killed right after it had accepted sent the same text again: those are two messages.
    let ids: BTreeSet<&str> = letters.iter().map(|letter| letter["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), letters.len(), "a message was filed twice");
    let mut by_time: Vec<(&str, &str, &str)> = letters
        .iter()
        .map(|letter| {
            let text = |key: &str| letter[key].as_str().unwrap();
            (text("ts"), text("id"), text("body"))
        })
        .collect();
    by_time.sort();
    for (sender, bodies) in accepted {
        let mut found: Vec<&str> = Vec::new();
        for (_, _, body) in &by_time {
            if body.split(' ').next() == Some(sender) && found.last() != Some(body) {
                found.push(body);
            }
        }
        assert_eq!(found, bodies, "{sender}");
    }
}

#[test]
fn many_messages_to_a_person_and_kills_lose_and_double_nothing() {
    kills(12);
}

/// The long form: `cargo nextest run --test people --run-ignored only`.
#[test]
#[ignore = "a soak of minutes"]
fn a_thousand_messages_to_a_person_and_kills_lose_and_double_nothing() {
    kills(125);
}
