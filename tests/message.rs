//! The way of a message, end to end: accepted, delivered once, in order, whatever the session does meanwhile.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use iapeer::base::clock::SystemClock;
use iapeer::store::lock::FileLock;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::time::Duration;
use support::{Output, PATIENCE, TestHome, wait_until};

/// A home with a sender and a sleeping parrot.
fn home(vars: &[(&str, &str)]) -> TestHome {
    let home = TestHome::new();
    home.parrot("alice", &[]);
    home.parrot("bob", vars);
    home
}

#[track_caller]
fn send(home: &TestHome, body: &str) -> Output {
    home.run_with("iapeer-send", &["bob", "--from", "alice", "-f", "-"], body.as_bytes())
}

#[track_caller]
fn delivered(output: &Output) {
    assert!(output.code == 0 && output.stdout.starts_with("delivered to parrot-bob"), "{output}");
}

/// How often a session of bob was started.
fn wakes(home: &TestHome) -> usize {
    let is = |line: &support::LogLine, key: &str, value: &str| line.get(key).is_some_and(|found| found == value);
    home.log("lifecycle.log")
        .iter()
        .filter(|line| is(line, "ev", "wake") && is(line, "identity", "parrot-bob"))
        .filter(|line| is(line, "mode", "fresh") || is(line, "mode", "resume"))
        .count()
}

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
    let home = home(&[("PARROT_BOOT_MS", "1500"), ("PARROT_CRASH", "boot")]);
    let sender = home.spawn("iapeer-send", &["bob", "--from", "alice", "--wait", "60", "-m", "never mind"]);
    let waiting = home.state_dir().join("parrot-bob.queue/000001");
    wait_until("the boot", PATIENCE, || home.state("parrot-bob", "session") && waiting.exists());
    std::fs::remove_file(&waiting).unwrap();
    let output = sender.wait(PATIENCE);
    assert!(output.code == 0 && output.stdout.contains("no delivery of it on record"), "{output}");
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
    home.set("IAPEER_BOOT_DEADLINE_SECS", "1");
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

/// What bob's program has put into its own queue, behind a long turn.
#[track_caller]
fn passed(home: &TestHome, body: &str) {
    let sent = home.run("iapeer-send", &["bob", "--from", "alice", "--wait", "0.5", "-m", body]);
    assert!(sent.stdout.contains("in its own queue, behind the running turn"), "{sent}");
}

#[test]
fn what_stands_in_a_programs_own_queue_is_handed_over_again_when_the_program_dies() {
    let home = home(&[("PARROT_TURN_MS", "60000")]);
    let bob = "parrot-bob";
    delivered(&send(&home, "long"));
    for body in ["one", "two", "three"] {
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
    let manifest = include_str!("../src/lib/runtime/builtin/parrot.json");
    let mut manifest: serde_json::Value = serde_json::from_str(manifest).unwrap();
    manifest["runtime"] = "budgie".into();
    let folder = home.root().join("runtimes/budgie");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("runtime.json"), manifest.to_string()).unwrap();
    home.ok("iapeer", &["create", "joey", "--runtime", "budgie"]);
    let sent = home.run("iapeer-send", &["joey", "--from", "alice", "-m", "hello joey"]);
    assert!(sent.code == 0 && sent.stdout.starts_with("delivered to budgie-joey"), "{sent}");
    assert!(home.screen("budgie-joey").contains("hello joey"), "{}", home.screen("budgie-joey"));
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

/// Whether a message with this body stands in bob's queue.
fn is_queued(home: &TestHome, body: &str) -> bool {
    let queue = home.state_dir().join("parrot-bob.queue");
    let wanted = format!("\"task\":\"{body}\"");
    [queue.clone(), queue.join("inflight")]
        .iter()
        .flat_map(|dir| std::fs::read_dir(dir).into_iter().flatten().flatten())
        .filter(|entry| entry.file_name().to_string_lossy().starts_with('0'))
        .any(|entry| std::fs::read_to_string(entry.path()).is_ok_and(|text| text.contains(&wanted)))
}

#[test]
fn killing_the_sender_after_its_line_loses_nothing() {
    let home = home(&[("PARROT_BOOT_MS", "500")]);
    for n in 0..5 {
        let sender = home.spawn("iapeer-send", &["bob", "--from", "alice", "--wait", "30", "-m", &format!("m{n}")]);
        let body = format!("m{n}");
        wait_until("the item to be durable", PATIENCE, || {
            is_queued(&home, &body) || home.bodies("bob").contains(&body)
        });
        sender.signal(Signal::SIGKILL);
    }
    let expected: Vec<String> = (0..5).map(|n| format!("m{n}")).collect();
    wait_until("all of them", PATIENCE, || home.bodies("bob") == expected);
}

/// The pid of the drain that holds bob's lock.
fn drain_pid(home: &TestHome) -> Option<i32> {
    let text = std::fs::read_to_string(home.state_dir().join("parrot-bob.lock")).ok()?;
    text.contains("iapeer-drain").then_some(())?;
    text.split_whitespace().nth(1)?.parse().ok()
}

/// Kills a drain, and waits until its locks are gone with it.
fn kill_drain(home: &TestHome, pid: i32) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    home.at_rest("parrot-bob");
}

#[test]
fn whoever_held_the_lock_delivers_what_was_accepted_meanwhile_even_where_it_refuses() {
    for verb in ["interrupt", "compact", "remove"] {
        let home = home(&[]);
        std::fs::create_dir_all(home.state_dir()).unwrap();
        let path = home.state_dir().join("parrot-bob.lock");
        let lock = FileLock::acquire(&path, "a test", Duration::ZERO, &SystemClock::default()).unwrap();
        home.ok("iapeer-send", &["bob", "--from", "alice", "--no-wait", "-m", "meanwhile"]);
        assert!(is_queued(&home, "meanwhile"));
        drop(lock);
        let refused = home.run("iapeer", &[verb, "bob"]);
        assert_eq!(refused.code, 69, "{refused}");
        wait_until("the message", PATIENCE, || home.bodies("bob") == ["meanwhile"]);
    }
}

#[test]
fn killing_the_drain_in_the_middle_of_a_wake_loses_nothing_and_the_booting_session_is_adopted() {
    let home = home(&[("PARROT_BOOT_MS", "1500")]);
    home.ok("iapeer-send", &["bob", "--from", "alice", "--no-wait", "-m", "survivor"]);
    wait_until("the boot", PATIENCE, || {
        home.session_json("parrot-bob").is_some_and(|record| record["phase"] == "booting")
    });
    let drain = drain_pid(&home).expect("a drain boots the session");
    kill_drain(&home, drain);
    home.ok("iapeer-superviser", &[]);
    wait_until("the message", PATIENCE, || home.bodies("bob") == ["survivor"]);
    wait_until("the queue to be empty", PATIENCE, || home.queue("parrot-bob") == (0, 0, 0));
    assert_eq!(home.record("bob").len(), 1);
    assert_eq!(wakes(&home), 1, "the session that was booting is the one that got it");
}

#[test]
fn killing_the_drain_in_the_middle_of_a_delivery_delivers_at_most_twice_and_says_so() {
    let home = home(&[("PARROT_TURN_MS", "5")]);
    delivered(&send(&home, "wake up"));
    home.ok("iapeer-reap", &["parrot-bob", "--no-park"]);
    // The composer keeps the text: the drain presses its key in vain.
    home.launch_env("bob", &[("PARROT_SWALLOW", "4")]);
    home.ok("iapeer-send", &["bob", "--from", "alice", "--no-wait", "-m", "in the air"]);
    wait_until("the paste", PATIENCE, || home.screen("parrot-bob").contains("in the air"));
    if let Some(drain) = drain_pid(&home) {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(drain), Signal::SIGKILL);
    }
    wait_until("the message", PATIENCE, || {
        home.ok("iapeer-superviser", &[]);
        home.bodies("bob").len() >= 2 && home.queue("parrot-bob") == (0, 0, 0)
    });
    let seen: Vec<String> = home.record("bob").iter().map(|line| line["text"].as_str().unwrap().to_owned()).collect();
    let copies: Vec<&String> = seen.iter().filter(|text| text.contains("in the air")).collect();
    assert!((1..=2).contains(&copies.len()), "{seen:?}");
    assert!(copies.iter().skip(1).all(|text| text.contains("redelivered=\"")), "{seen:?}");
}

#[test]
fn a_server_that_does_not_answer_is_unknown_nothing_is_started_or_ended() {
    let home = home(&[("PARROT_TURN_MS", "5")]);
    delivered(&send(&home, "one"));
    let server = nix::unistd::Pid::from_raw(home.server_pid("parrot-bob").unwrap());
    home.set("IAPEER_TMUX_TIMEOUT_SECS", "0.3").set("IAPEER_IDLE_SECS", "0.1");
    nix::sys::signal::kill(server, Signal::SIGSTOP).unwrap();
    let output = home.run("iapeer-send", &["bob", "--from", "alice", "--wait", "20", "-m", "two"]);
    let tick = home.run("iapeer-superviser", &[]);
    nix::sys::signal::kill(server, Signal::SIGCONT).unwrap();
    assert!(output.code == 0 && output.stdout.starts_with("queued"), "{output}");
    assert!(!tick.stdout.contains("reaped"), "{tick}");
    home.unset("IAPEER_TMUX_TIMEOUT_SECS").unset("IAPEER_IDLE_SECS");
    wait_until("the message", PATIENCE, || {
        home.ok("iapeer-superviser", &[]);
        home.bodies("bob") == ["one", "two"]
    });
    assert_eq!(wakes(&home), 1);
    assert!(!home.state("parrot-bob", "deaths"));
}

#[test]
fn a_parked_peer_resumes_its_conversation() {
    let home = home(&[("PARROT_TURN_MS", "5")]);
    delivered(&send(&home, "remember this"));
    home.ok("iapeer-reap", &["parrot-bob"]);
    let output = send(&home, "and this");
    assert!(output.stdout.contains("(woke: resume, idle-reaped-resume)"), "{output}");
    let sessions: Vec<_> = home.record("bob").iter().map(|line| line["session"].clone()).collect();
    assert_eq!(sessions[0], sessions[1]);
}

#[test]
fn a_dead_letter_is_listed_told_to_its_sender_once_and_can_be_tried_again() {
    let home = home(&[("PARROT_CRASH", "boot")]);
    home.set("IAPEER_QUEUE_MAX_ATTEMPTS", "2").set("IAPEER_CRASHLOOP_MAX", "100");
    let output = send(&home, "doomed");
    assert!(output.stdout.starts_with("queued"), "{output}");
    wait_until("the dead letter", PATIENCE, || {
        home.ok("iapeer-superviser", &[]);
        home.queue("parrot-bob") == (0, 0, 1)
    });
    wait_until("the notice", PATIENCE, || home.bodies("alice").len() == 1);
    let notice = &home.record("alice")[0]["text"];
    assert!(notice.as_str().unwrap().contains("topic=\"delivery-failed\""), "{notice}");
    home.at_rest("parrot-alice");
    let row = home.ok("iapeer-drain", &["--list", "--json"]).json_lines().remove(0);
    assert_eq!((row["place"].as_str(), row["attempts"].as_u64()), (Some("dead"), Some(2)));
    home.launch_env("bob", &[]);
    home.ok("iapeer-drain", &["--requeue", row["id"].as_str().unwrap()]);
    wait_until("the second life", PATIENCE, || home.bodies("bob") == ["doomed"]);
    assert_eq!(home.bodies("alice").len(), 1);
}

#[test]
fn the_end_of_the_senders_terminal_does_not_end_the_delivery() {
    let home = home(&[("PARROT_TURN_MS", "0")]);
    delivered(&send(&home, "wake up"));
    // One in three drains was killed before it was one.
    for n in 1..=10 {
        home.at_rest("parrot-bob");
        let terminal = nix::pty::openpty(None, None).unwrap();
        let mut command = home.cmd("iapeer-send");
        command.args(["bob", "--from", "alice", "--no-wait", "-m", &format!("message {n}")]);
        let descriptor = terminal.slave.as_raw_fd();
        // SAFETY: both calls are safe between fork and exec.
        unsafe {
            command.pre_exec(move || {
                nix::unistd::setsid()?;
                nix::Error::result(nix::libc::ioctl(descriptor, nix::libc::TIOCSCTTY as _, 0))
                    .map(drop)
                    .map_err(Into::into)
            });
        }
        let output = home.start(command, None).wait(PATIENCE);
        assert_eq!(output.code, 0, "{output}");
        wait_until("the delivery", PATIENCE, || home.bodies("bob").len() == n + 1);
    }
}

/// The environment of a session's program, each variable ended by a NUL.
fn session_environment(home: &TestHome, identity: &str) -> String {
    let pane = home.session_json(identity).unwrap()["pane"]["pid"].as_i64().unwrap();
    String::from_utf8_lossy(&std::fs::read(format!("/proc/{pane}/environ")).unwrap()).into_owned()
}

#[test]
fn what_a_peers_launch_env_changes_does_not_travel_to_whom_it_writes() {
    let home = home(&[]);
    let vars = [("PARROT_REPLY", "1"), ("HOME", "/elsewhere"), ("TZ", "Asia/Tokyo"), ("IAPEER_IDLE_SECS", "7")];
    home.launch_env("alice", &vars);
    home.ok("iapeer-send", &["alice", "--from", "bob", "-m", "wake me with your answer"]);
    wait_until("the answer", PATIENCE, || home.bodies("bob").len() == 1);
    let (alice, bob) = (session_environment(&home, "parrot-alice"), session_environment(&home, "parrot-bob"));
    for changed in ["HOME=/elsewhere\0", "TZ=Asia/Tokyo\0", "IAPEER_IDLE_SECS=7\0"] {
        assert!(alice.contains(changed), "{changed} not in {alice:?}");
        assert!(!bob.contains(changed), "{changed} in {bob:?}");
    }
    assert!(bob.contains(&format!("HOME={}\0", home.home().display())), "{bob:?}");
    assert!(!bob.contains("TZ=") && !bob.contains("IAP_BASE_"), "{bob:?}");
}

#[test]
fn a_lock_that_the_caller_holds_is_not_held_by_the_session() {
    let home = home(&[]);
    let path = home.dir().join("cron.lock");
    let lock = support::hold(&path);
    let mut command = home.cmd("iapeer-send");
    command.args(["bob", "--from", "alice", "-m", "from cron"]);
    let descriptor = lock.file().as_raw_fd();
    // SAFETY: dup2 is safe between fork and exec.
    unsafe {
        command.pre_exec(move || nix::Error::result(nix::libc::dup2(descriptor, 9)).map(drop).map_err(Into::into))
    };
    delivered(&home.start(command, None).wait(PATIENCE));
    drop(lock);
    home.at_rest("parrot-bob");
    assert!(home.state("parrot-bob", "session"));
    assert!(path.exists() && !iapeer::store::lock::is_held(&path), "nobody holds it");
}

#[test]
fn nothing_of_the_senders_session_reaches_the_woken_one() {
    // What a launch.env may not say, with what it may.
    let home = home(&[
        ("PATH", "/nowhere"),
        ("IAPEER_ROOT", "/nowhere"),
        ("IAPEER_SOCK_DIR", "/nowhere"),
        ("PEER_IDENTITY", "parrot-alice"),
        ("TZ", "Asia/Tokyo"),
    ]);
    for (name, value) in [
        ("CLAUDECODE", "1"),
        ("CLAUDE_CODE_SESSION_ID", "s"),
        ("TMUX", "/tmp/x,1,0"),
        ("TMUX_PANE", "%9"),
        ("PEER_IDENTITY", "parrot-alice"),
        ("PEER_LAUNCH", "old"),
        ("CANARY_SECRET", "s3cret"),
        ("ANTHROPIC_API_KEY", "k"),
    ] {
        home.set(name, value);
    }
    delivered(&home.run("iapeer-send", &["bob", "-m", "who are you?"]));
    let environ = session_environment(&home, "parrot-bob");
    for absent in [
        "CLAUDECODE",
        "CLAUDE_CODE_",
        "TMUX=",
        "TMUX_PANE=",
        "CANARY_SECRET",
        "ANTHROPIC",
        "parrot-alice",
        "PEER_LAUNCH=old",
        "/nowhere",
    ] {
        assert!(!environ.contains(absent), "{absent} in {environ:?}");
    }
    for present in ["TZ=Asia/Tokyo\0", "PEER_IDENTITY=parrot-bob\0", "PEER_PERSONALITY=bob\0", "PEER_RUNTIME=parrot\0"]
    {
        assert!(environ.contains(present), "{present} not in {environ:?}");
    }
}

#[test]
fn the_demo_takes_a_runtime_of_ones_own_and_says_whose_failure_it_was_once() {
    let home = TestHome::new();
    let parrot = include_str!("../src/lib/runtime/builtin/parrot.json");
    let mut polly: Value = serde_json::from_str(parrot).unwrap();
    polly["runtime"] = json!("polly");
    polly["env"] = json!({"PARROT_REPLY": "1"});
    let folder = home.root().join("runtimes/polly");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("runtime.json"), polly.to_string()).unwrap();
    let output = home.ok("iapeer", &["demo", "--runtime", "polly"]);
    assert!(output.stdout.contains("woke: resume, idle-reaped-resume"), "{output}");
    polly["program"] = json!({"variable": "POLLY", "candidates": ["/nonexistent/polly"], "hint": "buy one"});
    std::fs::write(folder.join("runtime.json"), polly.to_string()).unwrap();
    let output = home.run("iapeer", &["demo", "--runtime", "polly"]);
    assert!(output.code == 69 && output.stderr.starts_with("iapeer: refused: "), "{output}");
}

#[test]
fn the_demo_ends_by_itself_and_leaves_nothing() {
    let home = TestHome::new();
    let output = home.run("iapeer", &["demo"]);
    assert_eq!(output.code, 0, "{output}");
    for line in ["woke: fresh, first-wake", "action=reaped-idle", "woke: resume, idle-reaped-resume", "resumed "] {
        assert!(output.stdout.contains(line), "{line} in {output}");
    }
    let root = output.stdout.split_whitespace().find(|word| word.contains("iapeer-demo.")).unwrap().to_owned();
    assert!(!std::path::Path::new(&root).exists(), "{root}");
    let of_the_demo = |pid: &std::fs::DirEntry| {
        std::fs::read(pid.path().join("environ")).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(&root))
    };
    wait_until("its processes to be gone", Duration::from_secs(5), || {
        !std::fs::read_dir("/proc").unwrap().flatten().any(|entry| of_the_demo(&entry))
    });
}
