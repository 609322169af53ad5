//! The other states: what the owner is told, failed turns, limits, logins, hung turns, the list.

use crate::*;

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
    // Longer than it takes to pass.
    home.set("IAPEER_TELL_AFTER_SECS", "600");
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
        if hooks == "0" {
            turn_over(&home);
        }
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
            home_with(&[("PARROT_ATTENTION", "limited"), ("PARROT_LIMIT_MS", "10000"), ("PARROT_NOHOOKS", hooks)]);
        send(&home, "one");
        in_state(&home, "limited");
        send(&home, "two");
        home.set("IAPEER_IDLE_SECS", "0.1");
        home.ok("iapeer-drain", &[ANN]);
        tick(&home);
        assert_eq!(home.bodies("ann"), ["one"], "what waits is held");
        assert!(home.server_pid(ANN).is_some(), "and the session is not put to sleep before");
        assert!(home.ok("iapeer-drain", &["--list", ANN]).stdout.contains("held (limited)"));
        home.unset("IAPEER_IDLE_SECS");
        let until = limit_over(&home);
        wait_until("what waited", SOON, || {
            tick(&home);
            home.bodies("ann") == ["one", "two"]
        });
        assert!(home.record("ann")[1]["at"].as_u64().unwrap() >= until.0, "not before its end");
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
    let home = home_with(&[("PARROT_ATTENTION", "limit-menu"), ("PARROT_LIMIT_MS", "10000")]);
    send(&home, "one");
    in_state(&home, "limited");
    wait_until("the choice", SOON, || {
        tick(&home);
        chosen(&home) == ["Stop and wait"]
    });
    send(&home, "two");
    limit_over(&home);
    delivered(&home, &["one", "two"]);
}

/// As after a night in which the host slept: the menu stays, and nothing but an answer to it lets messages in.
#[test]
fn a_menu_whose_time_has_passed_is_answered_too() {
    let home = home_with(&[("PARROT_ATTENTION", "limit-menu"), ("PARROT_LIMIT_MS", "1")]);
    send(&home, "one");
    wait_until("the choice", SOON, || {
        tick(&home);
        chosen(&home) == ["Stop and wait"]
    });
    send(&home, "two");
    delivered(&home, &["one", "two"]);
    calm(&home);
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
    // Not on the screen too, which may show it before the hook says so.
    let home = home_with(&[("PARROT_ATTENTION", "approval-hidden")]);
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
