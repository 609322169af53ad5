//! Inboxes, owners, being told at once, schedules, and kills.

use crate::*;

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
    fs::remove_file(state.join("filler")).unwrap();
    assert_eq!(home.queue("person-me"), (0, 0, 0));
    home.ok("iapeer-send", &["me", "--from", "bob", "--require", "delivered", "-m", "y"]);
    home.at_rest("person-me");
    let bodies: Vec<Value> = inbox(&home, &[]).iter().map(|letter| letter["body"].clone()).collect();
    assert_eq!(bodies, ["y"]);
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

/// Writes `<root>/notify`.
fn notifier(home: &TestHome, script: &str) {
    use std::os::unix::fs::PermissionsExt;
    let path = home.root().join("notify");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn people_are_told_at_once_of_messages_and_dead_letters() {
    let home = home();
    refused(&home.run("iapeer", &["notify", "--test"]), 66, "no executable");
    let out = home.dir().join("told");
    notifier(&home, &format!("cat >> {0}; echo \" $IAPEER_EVENT/$IAPEER_PEER/$IAPEER_TEXT\" >> {0}", out.display()));
    home.ok("iapeer", &["notify", "--test"]);
    home.ok("iapeer-send", &["me", "--from", "bob", "--topic", "t", "-m", "hello\nyou"]);
    let told = || fs::read_to_string(&out).unwrap_or_default();
    wait_until("the message", PATIENCE, || told().matches('\n').count() == 2);
    home.parrot("carol", &[("PARROT_CRASH", "boot")]);
    home.set("IAPEER_QUEUE_MAX_ATTEMPTS", "1");
    home.ok("iapeer-send", &["carol", "--from", "bob", "-m", "x"]);
    wait_until("the dead letter", PATIENCE, || told().matches('\n').count() >= 3);
    let events: Vec<(Value, String)> = told()
        .lines()
        .map(|line| {
            let (json, env) = line.rsplit_once("} ").unwrap();
            (serde_json::from_str(&format!("{json}}}")).unwrap(), env.to_owned())
        })
        .collect();
    assert_eq!((&events[0].0["event"], events[0].1.as_str()), (&"test".into(), "test//a test of iapeer"));
    assert_eq!(events[1].1, "message/person-me/parrot-bob: hello you");
    let message = &events[1].0;
    assert_eq!(
        (&message["peer"], &message["body"], &message["topic"]),
        (&"person-me".into(), &"hello\nyou".into(), &"t".into())
    );
    let dead = &events[2].0;
    assert_eq!(
        (&dead["event"], &dead["peer"], &dead["from"]),
        (&"dead-letter".into(), &"parrot-carol".into(), &"parrot-bob".into())
    );
    wait_until("nothing left on its way", PATIENCE, || {
        home.root().join("state/notify").read_dir().unwrap().next().is_none()
    });
    // What fails is in the log and keeps nobody.
    notifier(&home, "echo 'no luck' >&2; exit 3");
    refused(&home.run("iapeer", &["notify", "--test"]), 69, "no luck");
    home.ok("iapeer-send", &["me", "--from", "bob", "--require", "delivered", "-m", "more"]);
    wait_until("the failure in the log", PATIENCE, || {
        home.log("lifecycle.log").iter().any(|line| line["ev"] == "notify" && line["reason"].contains("no luck"))
    });
}

#[test]
fn a_schedule_without_a_service_manager_is_a_line_for_a_crontab() {
    use std::os::unix::fs::PermissionsExt;
    let home = home();
    home.ok("iapeer", &["create", "ann", "--runtime", "person"]);
    let add = |more: &[&str]| home.run("iapeer", &[&["schedule", "add", "pulse", "--to", "ann"], more].concat());
    refused(&add(&["-m", "x"]), 64, "required");
    refused(&add(&["--every", "0s", "-m", "x"]), 64, "a second at least");
    refused(
        &home.run("iapeer", &["schedule", "add", "p", "--to", "nobody", "--every", "1h", "-m", "x"]),
        67,
        "no peer",
    );
    let added = add(&["--every", "10m", "--topic", "t", "-m", "a secret"]);
    assert!(added.code == 0 && added.stdout.contains("crontab") && !added.stdout.contains("a secret"), "{added}");
    let line = added.stdout.lines().last().unwrap();
    assert!(line.starts_with("*/10 * * * * ") && line.contains("--from=schedule-pulse"), "{line}");
    let text = home.root().join("schedules/pulse.txt");
    assert_eq!(fs::read_to_string(&text).unwrap(), "a secret");
    assert_eq!(fs::metadata(&text).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(home.ok("iapeer", &["schedule", "list", "--json"]).json()["when"]["every"], 600);

    // What cron would run.
    let command = line.strip_prefix("*/10 * * * * ").unwrap();
    let ran = home.ok("sh", &["-c", command]);
    assert!(ran.stdout.starts_with("queued for person-ann"), "{ran}");
    wait_until("the message", PATIENCE, || files(&home, "ann", "new").len() == 1);
    let letter = home.ok("iapeer", &["inbox", "ann", "--json"]).json();
    assert_eq!(
        (&letter["from"], &letter["body"], &letter["topic"]),
        (&"system-schedule-pulse".into(), &"a secret".into(), &"t".into())
    );
    // An answer goes to the owner.
    home.ok("iapeer", &["reply", letter["id"].as_str().unwrap(), "-m", "noted"]);
    wait_until("the answer", PATIENCE, || files(&home, "me", "new").len() == 1);

    // One that waits is not doubled, unless that is asked for.
    home.at_rest("person-ann");
    let lock = home.state_dir().join("person-ann.lock");
    let clock = iapeer::base::clock::SystemClock::default();
    let held = iapeer::store::lock::FileLock::acquire(&lock, "test", PATIENCE, &clock).unwrap();
    assert!(home.ok("iapeer", &["schedule", "run", "pulse"]).stdout.starts_with("queued"));
    let skipped = home.ok("iapeer", &["schedule", "run", "pulse"]);
    assert!(skipped.stdout.starts_with("skipped for person-ann (1 waiting"), "{skipped}");
    assert_eq!(home.queue("person-ann").0, 1);
    assert_eq!(add(&["--every", "10m", "--pile", "-m", "more"]).code, 0);
    assert!(home.ok("iapeer", &["schedule", "run", "pulse"]).stdout.starts_with("queued"));
    assert_eq!(home.queue("person-ann").0, 2);
    drop(held);

    home.ok("iapeer", &["schedule", "remove", "pulse"]);
    assert!(!text.exists());
    refused(&home.run("iapeer", &["schedule", "run", "pulse"]), 66, "no schedule");
    refused(&home.run("iapeer-send", &["ann", "--from", "schedule-pulse", "-m", "x"]), 67, "unknown caller");
}

#[test]
fn a_schedule_that_cannot_be_read_hides_no_other_and_is_removed_or_made_anew() {
    let home = home();
    for name in ["first", "pulse", "second"] {
        home.ok("iapeer", &["schedule", "add", name, "--to", "me", "--every", "10m", "-m", "x"]);
    }
    let file = home.root().join("schedules/pulse.json");
    let list = || home.ok("iapeer", &["schedule", "list", "--json"]).json_lines();
    for what in ["fifo", "loop", "nothing", "huge", "torn"] {
        match what {
            "torn" => fs::write(&file, "{").unwrap(),
            other => crate::support::replacing::place(other, &file),
        }
        let rows = list();
        let names: Vec<&str> = rows.iter().map(|row| row["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["first", "pulse", "second"], "{what}");
        let reason = rows[1]["reason"].as_str().unwrap();
        assert!(reason.contains("pulse.json") && reason.contains("`iapeer schedule remove pulse`"), "{what}: {reason}");
        let text = home.ok("iapeer", &["schedule", "list"]).stdout;
        assert!(text.contains("\npulse  can't be read: "), "{what}: {text}");
        // A fleet file can't be written without it; one that names it makes it anew.
        let exported = home.run("iapeer", &["export"]);
        assert!(exported.code != 0 && exported.stderr.contains("pulse.json"), "{what}: {exported}");
        home.ok("iapeer", &["schedule", "remove", "pulse"]);
        assert_eq!(list().len(), 2, "{what}");
        home.ok("iapeer", &["schedule", "add", "pulse", "--to", "me", "--every", "10m", "-m", "x"]);
    }
    let fleet = home.dir().join("fleet.toml");
    let schedule = "[schedules.pulse]\nto = \"me\"\nevery = \"20m\"\nmessage = \"x\"\n";
    fs::write(&fleet, format!("[fleet]\nname = \"f\"\n\n{schedule}")).unwrap();
    let fleet = fleet.to_str().unwrap();
    fs::write(&file, "{").unwrap();
    home.ok("iapeer", &["up", fleet]);
    assert_eq!(list()[1]["when"]["every"], 1200);
    fs::write(&file, "{").unwrap();
    home.ok("iapeer", &["down", fleet]);
    assert_eq!(list().len(), 2);
}

/// Eight senders write `each` messages to a person; senders, drains and readers are killed at random.
fn kills(each: usize) {
    let (home, started) = (home(), std::time::Instant::now());
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
    println!(
        "{} messages of 8 senders, {} senders, readers and drains killed, {:?}",
        each * 8,
        each.div_ceil(3) * 8 + each * 2,
        started.elapsed()
    );
}

/// `IAPEER_INBOX_STORM=N` has each sender write N messages (`make soak`: 125, which are 1,000); else it is a few.
#[test]
fn many_messages_to_a_person_and_kills_lose_and_double_nothing() {
    kills(std::env::var("IAPEER_INBOX_STORM").ok().and_then(|n| n.parse().ok()).unwrap_or(12));
}
