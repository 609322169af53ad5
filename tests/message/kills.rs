//! What is killed or does not answer, what a session inherits, and the demo.

use crate::*;

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
    let home = home(&[]);
    let go = home.hold_boots();
    home.ok("iapeer-send", &["bob", "--from", "alice", "--no-wait", "-m", "survivor"]);
    wait_until("the boot", PATIENCE, || {
        home.session_json("parrot-bob").is_some_and(|record| record["phase"] == "booting")
    });
    let drain = drain_pid(&home).expect("a drain boots the session");
    kill_drain(&home, drain);
    std::fs::write(go, "").unwrap();
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
    let parrot = include_str!("../../src/lib/runtime/builtin/parrot.json");
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
    wait_until("its processes to be gone", PATIENCE, || {
        !std::fs::read_dir("/proc").unwrap().flatten().any(|entry| of_the_demo(&entry))
    });
}
