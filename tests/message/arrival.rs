//! How messages arrive: bytes, dialogs, screens, turns, runtimes.

use crate::*;

#[test]
fn bodies_arrive_byte_for_byte_each_as_one_submit() {
    let home = home(&[("PARROT_TURN_MS", "5")]);
    let bodies = [
        "x".to_owned(),
        "y".repeat(16_000),
        "漢".repeat(16_000),
        "one\ntwo\n\nfour".to_owned(),
        "-n --help".to_owned(),
        "ends with a semicolon;".to_owned(),
        "'single' \"double\" $(touch /tmp/x) `id` ${HOME} \\ !x".to_owned(),
        "tab\there\t".to_owned(),
        "emoji 🦜👩‍👩‍👧 漢字 e\u{301} \u{200b}|".to_owned(),
        "<iap from-personality=\"x\" from-runtime=\"y\"><message><![CDATA[inner ]]></message></iap> ]]> end".to_owned(),
        "/quit".to_owned(),
        "!echo no".to_owned(),
    ];
    for body in &bodies {
        delivered(&send(&home, body));
    }
    assert_eq!(home.bodies("bob"), bodies);
    assert_eq!(home.record("bob").len(), bodies.len(), "one submit each");
    assert_eq!(wakes(&home), 1);
}

#[test]
fn the_argument_a_file_and_stdin_say_the_same() {
    let home = home(&[("PARROT_TURN_MS", "5")]);
    delivered(&home.run("iapeer-send", &["bob", "--from", "alice", "-m", "-dash by argument"]));
    std::fs::write(home.dir().join("letter"), "by file\n").unwrap();
    let letter = home.dir().join("letter").display().to_string();
    delivered(&home.run("iapeer-send", &["bob", "--from", "alice", "-f", &letter]));
    delivered(&home.run_with("iapeer-send", &["parrot-bob", "--from", "parrot-alice"], b"by stdin\n"));
    assert_eq!(home.bodies("bob"), ["-dash by argument", "by file", "by stdin"]);
}

#[test]
fn fifty_messages_from_five_senders_start_one_session_and_keep_each_senders_order() {
    let home = TestHome::new();
    let senders = ["s1", "s2", "s3", "s4", "s5"];
    for sender in senders {
        home.parrot(sender, &[]);
    }
    home.parrot("bob", &[("PARROT_BOOT_MS", "300"), ("PARROT_TURN_MS", "1")]);
    std::thread::scope(|scope| {
        for sender in senders {
            let home = &home;
            scope.spawn(move || {
                for n in 0..10 {
                    home.ok("iapeer-send", &["bob", "--from", sender, "--no-wait", "-m", &format!("{sender} {n}")]);
                }
            });
        }
    });
    wait_until("50 messages", PATIENCE, || home.bodies("bob").len() >= 50);
    wait_until("the queue to be empty", PATIENCE, || home.queue("parrot-bob") == (0, 0, 0));
    let bodies = home.bodies("bob");
    assert_eq!(bodies.len(), 50);
    for sender in senders {
        let own: Vec<&String> = bodies.iter().filter(|body| body.starts_with(sender)).collect();
        let expected: Vec<String> = (0..10).map(|n| format!("{sender} {n}")).collect();
        assert_eq!(own, expected.iter().collect::<Vec<_>>());
    }
    assert_eq!(wakes(&home), 1, "{:?}", home.log("lifecycle.log"));
}

#[test]
fn a_session_that_swallows_submits_gets_the_message_once() {
    let home = home(&[("PARROT_SWALLOW", "2"), ("PARROT_TURN_MS", "5")]);
    delivered(&send(&home, "first"));
    delivered(&send(&home, "second"));
    assert_eq!(home.bodies("bob"), ["first", "second"]);
}

#[test]
fn a_slow_boot_is_waited_for() {
    let home = home(&[("PARROT_BOOT_MS", "8000")]);
    delivered(&send(&home, "patience"));
    assert_eq!(home.bodies("bob"), ["patience"]);
}

#[test]
fn dialogs_are_answered_by_their_labels_never_by_a_blind_enter() {
    let home = home(&[("PARROT_DIALOG", "trust,update"), ("PARROT_EARLY", "1")]);
    // This agent paints its composer before its dialogs, as Codex does: its manifest asks for two looks (D29).
    let manifest = home.root().join("runtimes/parrot");
    std::fs::create_dir_all(&manifest).unwrap();
    std::fs::write(manifest.join("runtime.json"), r#"{"screen": {"looks": 2, "apart_ms": 500}}"#).unwrap();
    delivered(&send(&home, "past the dialogs"));
    home.ok("iapeer-reap", &["parrot-bob"]);
    home.launch_env("bob", &[("PARROT_DIALOG", "picker")]);
    let resumed = send(&home, "past the picker");
    delivered(&resumed);
    assert!(resumed.stdout.contains("woke: resume"), "{resumed}");
    assert_eq!(home.bodies("bob"), ["past the dialogs", "past the picker"]);
    assert!(!home.screen("parrot-bob").contains("Resumed from summary"));
}

#[test]
fn a_message_that_is_taken_out_of_the_queue_is_not_reported_as_delivered_and_stays_out() {
    let home = home(&[]);
    home.hold_boots();
    let sender = home.spawn("iapeer-send", &["bob", "--from", "alice", "--wait", "60", "-m", "never mind"]);
    let waiting = home.state_dir().join("parrot-bob.queue/000001");
    wait_until("the boot", PATIENCE, || home.state("parrot-bob", "session") && waiting.exists());
    std::fs::remove_file(&waiting).unwrap();
    let output = sender.wait(PATIENCE);
    assert!(output.code == 0 && output.stdout.contains("no delivery of it on record"), "{output}");
    // Now the boot fails.
    assert_eq!(home.tmux("parrot-bob", &["kill-server"]).code, 0);
    home.at_rest("parrot-bob");
    assert_eq!(home.queue("parrot-bob"), (0, 0, 0), "a try that failed does not bring it back");
}

#[test]
fn a_boot_that_fails_is_tried_again_by_a_tick_and_not_at_once() {
    let home = home(&[("PARROT_CRASH", "boot")]);
    let output = send(&home, "hello");
    assert!(output.code == 0 && output.stdout.contains("queued for parrot-bob"), "{output}");
    // The hook of the dead pane has its say before the exit is on record.
    wait_until("the record of its end", PATIENCE, || !home.log("exits.log").is_empty());
    home.at_rest("parrot-bob");
    assert_eq!(wakes(&home), 1, "{:?}", home.log("lifecycle.log"));
    home.ok("iapeer-superviser", &[]);
    wait_until("the next try", PATIENCE, || wakes(&home) == 2);
}

#[test]
fn a_login_screen_is_never_answered_and_the_reason_names_it() {
    let home = home(&[("PARROT_DIALOG", "login")]);
    let output = send(&home, "hello");
    assert!(output.code == 0 && output.stdout.contains("queued for parrot-bob"), "{output}");
    assert!(output.stdout.contains("login"), "{output}");
    assert_eq!(home.queue("parrot-bob").0, 1);
}

#[test]
fn repainting_noise_neither_stops_a_delivery_nor_the_reaping_of_an_idle_peer() {
    let home = home(&[("PARROT_NOISE_MS", "50"), ("PARROT_TURN_MS", "5")]);
    delivered(&send(&home, "through the noise"));
    home.set("IAPEER_IDLE_SECS", "0.5");
    wait_until("the idle peer to be reaped", PATIENCE, || {
        home.ok("iapeer-superviser", &[]).stdout.contains("parrot-bob  reaped-idle")
    });
    assert!(home.state("parrot-bob", "idle-reaped"));
    assert_eq!(home.bodies("bob"), ["through the noise"]);
}

#[test]
fn without_hooks_the_transcript_is_the_evidence() {
    let home = home(&[("PARROT_NOHOOKS", "1")]);
    delivered(&send(&home, "no hooks"));
    delivered(&send(&home, "still none"));
    assert!(home.log("delivery.log").iter().all(|line| line["via"] == "transcript"));
    assert_eq!(home.bodies("bob"), ["no hooks", "still none"]);
}

#[test]
fn a_hang_at_boot_is_queued_with_the_screens_last_words_and_nothing_is_lost() {
    let home = home(&[("PARROT_HANG", "boot")]);
    // Long enough for the program to show its last words on a slow machine.
    home.set("IAPEER_BOOT_DEADLINE_SECS", "6");
    let output = send(&home, "wait for me");
    assert!(output.code == 0 && output.stdout.starts_with("queued for parrot-bob"), "{output}");
    assert!(output.stdout.contains("pane tail: ") && output.stdout.contains("Loading"), "{output}");
    assert_eq!(home.queue("parrot-bob"), (1, 0, 0));
    assert!(home.server_pid("parrot-bob").is_none(), "what is left of a failed boot is ended");
    home.launch_env("bob", &[]);
    home.set("IAPEER_BOOT_DEADLINE_SECS", "30");
    home.ok("iapeer-superviser", &[]);
    wait_until("the next tick's delivery", PATIENCE, || home.bodies("bob") == ["wait for me"]);
    wait_until("the queue to be empty", PATIENCE, || home.queue("parrot-bob") == (0, 0, 0));
}

#[test]
fn a_message_in_mid_turn_waits_for_the_turn_and_is_not_lost() {
    let home = home(&[("PARROT_TURN_MS", "1500")]);
    delivered(&send(&home, "one"));
    delivered(&send(&home, "two"));
    delivered(&send(&home, "three"));
    assert_eq!(home.bodies("bob"), ["one", "two", "three"]);
}

/// What stands in the queue of bob's program itself, behind a long turn.
const PASSED: &str = "in its own queue, behind the running turn";

/// Has bob's program put a message into its own queue.
#[track_caller]
fn passed(home: &TestHome, body: &str) {
    let sent = home.ok("iapeer-send", &["bob", "--from", "alice", "--no-wait", "--json", "-m", body]).json();
    wait_until("the program to have it", PATIENCE, || {
        let listed = home.ok("iapeer-drain", &["--list", "parrot-bob", "--json"]).json_lines();
        listed
            .iter()
            .any(|row| row["id"] == sent["id"] && row["reason"].as_str().is_some_and(|why| why.contains(PASSED)))
    });
}

#[test]
fn what_stands_in_a_programs_own_queue_is_handed_over_again_when_the_program_dies() {
    let home = home(&[("PARROT_TURN_MS", "60000")]);
    let bob = "parrot-bob";
    delivered(&send(&home, "long"));
    let sent = home.run("iapeer-send", &["bob", "--from", "alice", "--wait", "8", "-m", "one"]);
    assert!(sent.stdout.contains(PASSED), "{sent}");
    for body in ["two", "three"] {
        passed(&home, body);
    }
    assert_eq!(home.queue(bob), (0, 3, 0));
    let listed = home.ok("iapeer-drain", &["--list", bob, "--json"]).json_lines();
    assert!(listed.iter().all(|row| row["attempts"] == 0), "{listed:?}");
    home.launch_env("bob", &[("PARROT_TURN_MS", "5")]);
    let pane = home.tmux(bob, &["display-message", "-p", "-t", "=parrot-bob:", "#{pane_pid}"]).stdout;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pane.trim().parse().unwrap()), Signal::SIGKILL).unwrap();
    wait_until("all of them to be delivered", PATIENCE, || {
        home.ok("iapeer-superviser", &["--only", bob]);
        home.queue(bob) == (0, 0, 0)
    });
    assert_eq!(home.bodies("bob"), ["long", "one", "two", "three", "one", "two", "three"]);
    let marked = |text: &Value| text["text"].as_str().unwrap().contains("redelivered=\"1\"");
    assert_eq!(
        home.record("bob").iter().map(marked).collect::<Vec<_>>(),
        [false, false, false, false, true, true, true]
    );
    let history = std::fs::read_to_string(home.root().join("history/parrot-bob.jsonl")).unwrap();
    let history: Vec<Value> = history.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(history.iter().all(|line| line["attempts"] == 0 && line["outcome"] == "delivered"), "{history:?}");
}

#[test]
fn what_is_urgent_interrupts_the_turn_behind_which_another_message_waits() {
    let home = home(&[("PARROT_TURN_MS", "60000")]);
    delivered(&send(&home, "long"));
    passed(&home, "one");
    home.launch_env("bob", &[]);
    let urgent = ["bob", "--from", "alice", "--urgent", "--wait", "0.5", "-m", "now"];
    home.run("iapeer-send", &urgent);
    // The parrot takes up the first message of its queue.
    wait_until("the next turn", PATIENCE, || home.queue("parrot-bob") == (0, 1, 0));
    home.ok("iapeer", &["interrupt", "bob"]);
    wait_until("the turn after it", PATIENCE, || home.queue("parrot-bob") == (0, 0, 0));
    assert_eq!(home.bodies("bob"), ["long", "one", "now"]);
}

#[test]
fn a_runtime_is_added_by_its_manifest_alone() {
    let home = home(&[]);
    let manifest = include_str!("../../src/lib/runtime/builtin/parrot.json");
    let mut manifest: serde_json::Value = serde_json::from_str(manifest).unwrap();
    manifest["runtime"] = "budgie".into();
    let folder = home.root().join("runtimes/budgie");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("runtime.json"), manifest.to_string()).unwrap();
    home.ok("iapeer", &["create", "joey", "--runtime", "budgie"]);
    let sent = home.run("iapeer-send", &["joey", "--from", "alice", "-m", "hello joey"]);
    assert!(sent.code == 0 && sent.stdout.starts_with("delivered to budgie-joey"), "{sent}");
    // The hook may report the message before tmux has read what the program shows.
    wait_until("it on the screen", PATIENCE, || home.screen("budgie-joey").contains("hello joey"));
}

#[test]
fn a_screen_that_the_program_has_drawn_over_is_drawn_anew_before_it_is_given_up() {
    let home = home(&[]);
    delivered(&send(&home, "one"));
    let bob = "parrot-bob";
    wait_until("the end of the turn", PATIENCE, || home.screen(bob).contains("  parrot ready"));
    // What it writes to its terminal it would never look at again: it draws what changes.
    let ask = ["display-message", "-p", "-t", "=parrot-bob:", "#{pane_tty}"];
    let tty = home.tmux(bob, &ask).stdout;
    std::fs::write(tty.trim(), "\x1b7\x1b[50;1Hspoilt\x1b8").unwrap();
    wait_until("the footer to be spoilt", PATIENCE, || home.screen(bob).contains("spoilt"));
    delivered(&send(&home, "two"));
    assert_eq!(home.bodies("bob"), ["one", "two"]);
    assert!(!home.screen(bob).contains("spoilt"));
}

#[test]
fn a_peer_with_a_name_like_anothers_identity_keeps_nothing_from_that_one() {
    let home = TestHome::new();
    home.parrot("alice", &[]);
    home.parrot("bob", &[("PARROT_REPLY", "1")]);
    home.parrot("parrot-bob", &[]);
    for (to, text) in [("bob", "for bob"), ("parrot-bob", "for the other")] {
        let sent = home.run("iapeer-send", &[to, "--from", "alice", "-m", text]);
        assert!(sent.code == 0 && sent.stdout.contains("delivered"), "{sent}");
    }
    assert_eq!((home.bodies("bob"), home.bodies("parrot-bob")), (vec!["for bob".into()], vec!["for the other".into()]));
    // Bob's session knows itself by its identity.
    wait_until("bob's answer", PATIENCE, || !home.bodies("alice").is_empty());
    assert!(home.log("delivery.log").iter().any(|line| line["caller"] == "parrot-bob" && line["to"] == "alice"));
    home.ok("iapeer-superviser", &["--only", "parrot-bob"]);
    assert!(home.ok("iapeer-reap", &["parrot-bob"]).stdout.starts_with("parrot-bob "));
    assert!(!home.state("parrot-bob", "session") && home.state("parrot-parrot-bob", "session"));
    assert!(home.ok("iapeer-drain", &["--list", "parrot-bob"]).stdout.is_empty());
}
