//! The tick: whom it is for, enrolment, its log, the peers that it looks at, and what it leaves alone.

use crate::*;

#[test]
fn a_second_tick_says_who_is_at_it_and_leaves() {
    let home = home_with(&[]);
    let lock = home.root().join("state/superviser.lock");
    let _held = FileLock::acquire(&lock, "a test", Duration::ZERO, &SystemClock::default()).unwrap();
    let holder = format!("pid {} (a test)", std::process::id());
    assert_eq!(home.ok("iapeer-superviser", &["--json"]).json(), json!({"tick": {"busy": holder}}));
    assert!(home.ok("iapeer-superviser", &[]).stdout.contains(&holder));
}

#[test]
fn a_tick_for_somebody_unknown_is_refused() {
    let home = home_with(&[]);
    let ticked = home.run("iapeer-superviser", &["--only", "parrot-nobody", "--json"]);
    assert_eq!((ticked.code, ticked.stdout.as_str()), (67, ""), "{ticked}");
    assert!(
        ticked.stderr.contains("no peer named \"parrot-nobody\"") && ticked.stderr.lines().count() == 1,
        "{ticked}"
    );
    assert_eq!(home.ok("iapeer-superviser", &["--only", ANN]).stderr, "");
}

#[test]
fn a_session_whose_socket_was_removed_is_reached_all_the_same() {
    let home = home_with(&[]);
    delivered(&home, "one", &[]);
    let server = home.server_pid(ANN);
    fs::remove_file(home.sockets().join("tmux-iap-parrot-ann.sock")).unwrap();
    delivered(&home, "two", &[]);
    assert_eq!(home.server_pid(ANN), server, "the same session");
    assert_eq!(home.bodies("ann"), ["one", "two"]);
}

#[test]
fn a_window_that_somebody_opens_beside_the_agent_is_left_alone() {
    let home = home_with(&[]);
    delivered(&home, "one", &[]);
    home.tmux(ANN, &["new-window", "-t", "=parrot-ann:", "cat"]);
    delivered(&home, "two", &[]);
    let current = |what: &str| home.tmux(ANN, &["display-message", "-p", "-t", "=parrot-ann:", what]).stdout;
    kill(current("#{pane_pid}").trim().parse().unwrap());
    wait_until("the end of its program", SOON, || current("#{pane_dead}").trim() == "1");
    delivered(&home, "three", &[]);
    assert_eq!(home.bodies("ann"), ["one", "two", "three"]);
    assert!(home.log("exits.log").is_empty(), "the agent lives: {:?}", home.log("exits.log"));
}

#[test]
fn compact_refuses_a_session_that_has_had_no_turn() {
    let home = home_with(&[]);
    delivered(&home, "one", &[]);
    home.ok("iapeer", &["new", "ann"]);
    let refused = home.run("iapeer", &["compact", "ann"]);
    assert!(refused.code == 69 && refused.stderr.contains("nothing to compact"), "{refused}");
}

#[test]
fn a_session_without_a_record_is_enrolled() {
    let home = home_with(&[]);
    delivered(&home, "one", &[]);
    let server = home.server_pid(ANN);
    fs::remove_file(home.state_dir().join(format!("{ANN}.session"))).unwrap();
    let ticked = home.ok("iapeer-superviser", &["--json"]).json_lines();
    assert!(ticked.iter().any(|line| line["identity"] == ANN && line["action"] == "enrolled"), "{ticked:?}");
    assert_eq!(home.session_json(ANN).unwrap()["server"]["pid"], json!(server));
    delivered(&home, "two", &[]);
    assert_eq!(home.server_pid(ANN), server);
}

#[test]
fn a_dry_run_changes_nothing_at_all() {
    let home = home_with(&[]);
    delivered(&home, "one", &[]);
    home.ok("iapeer", &["create", "eve", "--runtime", "parrot"]);
    home.ok("iapeer-wake", &["eve"]);
    // Hooks that still run would write.
    calm(&home);
    wait_until("the hook of eve", SOON, || home.state("parrot-eve", "turn"));
    for identity in [ANN, "parrot-eve"] {
        let lock = home.state_dir().join(format!("{identity}.canary.lock"));
        wait_until("its canary, which signs its lock", SOON, || {
            fs::read_to_string(&lock).is_ok_and(|text| text.ends_with('\n'))
        });
    }
    let agent = home.session_json(ANN).unwrap()["pane"]["pid"].as_i64().unwrap() as i32;
    die(&home);
    // The agent calls a hook at its end.
    wait_until("the agent's end", SOON, || iapeer::host::ProcessId::of(agent).is_none());
    without_helpers(&home);
    // Its canary writes down why: it holds its lock until that is done.
    wait_until("the canary's end", SOON, || {
        let lock = home.state_dir().join(format!("{ANN}.canary.lock"));
        assert!(lock.exists(), "a lock file stays");
        !is_held(&lock)
    });
    home.set("IAPEER_IDLE_SECS", "0.001");
    // What an agent's screen logs is not ours; everything else is.
    let ours = || {
        let mut all = listing(&home.root());
        all.retain(|path, _| !path.contains("/logs/lifecycle") && !path.ends_with(".sock"));
        all
    };
    let before = ours();
    let said = home.ok("iapeer-superviser", &["--dry-run", "--json"]).json_lines();
    assert_eq!(ours(), before);
    let actions: Vec<&str> = said.iter().filter_map(|line| line["action"].as_str()).collect();
    assert_eq!(actions, ["reaped-gone", "reaped-idle"], "{said:?}");
}

#[test]
fn every_decision_leaves_its_line_with_the_fields_of_12() {
    let home = home_with(&[]);
    delivered(&home, "one", &["--topic", "t"]);
    let wake = events(&home, "wake").into_iter().find(|line| line["identity"] == ANN).unwrap();
    for (key, value) in [("personality", "ann"), ("runtime", "parrot"), ("mode", "fresh"), ("cause", "first-wake")] {
        assert_eq!(wake[key], value);
    }
    let delivery = home.log("delivery.log").pop().unwrap();
    for (key, value) in [
        ("ev", "delivery"),
        ("caller", "parrot-bob"),
        ("to", "ann"),
        ("rt", "parrot"),
        ("ok", "true"),
        ("outcome", "delivered"),
        ("woke", "true"),
        ("topic", "t"),
        ("len", "3"),
    ] {
        assert_eq!(delivery[key], value, "{key}");
    }
    assert!(wake["ts"] <= delivery["ts"] && wake["ts"].ends_with('Z'));
    assert!(delivery.contains_key("id") && delivery.contains_key("via") && delivery.contains_key("ms"));
    // The decision is on record although the launch fails.
    home.ok("iapeer-reap", &[ANN, "--no-park", "--reason", "why not"]);
    let reap = events(&home, "reap").pop().unwrap();
    assert_eq!((reap["reason"].as_str(), reap["park"].as_str()), ("why not", "false"));
    home.launch_env("ann", &[("PARROT_CRASH", "boot")]);
    assert_eq!(home.run("iapeer-wake", &["ann"]).code, 75);
    let kinds: Vec<String> = home.log("lifecycle.log").into_iter().map(|line| line["ev"].clone()).collect();
    let wake = kinds.iter().rposition(|ev| ev == "wake").unwrap();
    let failed = kinds.iter().rposition(|ev| ev == "wake-failed").unwrap();
    assert!(wake < failed);
    let text = fs::read_to_string(home.root().join("logs/iapeer/delivery.log")).unwrap();
    assert!(!text.contains("one"), "no body text in a log");
}

#[test]
fn row_0_of_07_2_one_peer_that_cannot_be_judged_stops_no_other() {
    let home = home_with(&[]);
    delivered(&home, "one", &[]);
    calm(&home);
    home.ok("iapeer-wake", &["bob"]);
    // A session of a peer that nobody knows any more: its registry entry was lost.
    let registry = home.root().join("peers-profiles.json");
    let mut all: Value = serde_json::from_slice(&fs::read(&registry).unwrap()).unwrap();
    all["peers"].as_array_mut().unwrap().retain(|peer| peer["personality"] != "ann");
    fs::write(&registry, all.to_string()).unwrap();
    home.set("IAPEER_IDLE_SECS", "0.001");
    wait_until("the end of bob", SOON, || {
        let ticked = home.ok("iapeer-superviser", &["--json"]).json_lines();
        let line = ticked.iter().find(|line| line["identity"] == ANN).expect("it is said each time");
        assert_eq!((&line["action"], &line["outcome"]), (&json!("skipped-error"), &json!("peer-error-isolated")));
        !home.state("parrot-bob", "session")
    });
    let logged = events(&home, "supervise").into_iter().find(|line| line["action"] == "skipped-error").unwrap();
    assert!(logged["outcome"] == "peer-error-isolated" && logged["reason"].contains("ann"), "{logged:?}");
    assert!(home.server_pid(ANN).is_some(), "what can't be judged is not ended");
}

#[test]
fn row_1_of_07_2_what_the_service_manager_holds_is_looked_at_only() {
    let home = home_with(&[]);
    let (agents, units) = service_folders(&home);
    delivered(&home, "one", &[]);
    calm(&home);
    home.set("IAPEER_IDLE_SECS", "0.001");
    let state = || {
        let mut all = listing(&home.state_dir());
        all.retain(|path, _| path.contains(&format!("{ANN}.")) && !path.contains(".canary"));
        all
    };
    let before = state();
    for (file, by) in [
        (agents.join("com.iapeer.ann.plist"), "launchd"),
        (units.join(format!("iapeer-peer@{ANN}.service")), "systemd"),
    ] {
        fs::write(&file, "").unwrap();
        let ticked = home.ok("iapeer-superviser", &["--json", "-v"]).json_lines();
        let line = ticked.iter().find(|line| line["identity"] == ANN).unwrap();
        assert_eq!(
            (&line["action"], &line["outcome"], &line["by"]),
            (&json!("skipped-launchd"), &json!("read-only-h4"), &json!(by))
        );
        assert_eq!(events(&home, "supervise").pop().unwrap()["by"], by);
        let quiet = home.ok("iapeer-superviser", &["--json"]).json_lines();
        assert!(quiet.iter().all(|line| line["identity"] != ANN), "only with -v: {quiet:?}");
        assert_eq!(home.ok("iapeer-reap", &[ANN, "--json"]).json()["action"], "skipped");
        assert!(home.server_pid(ANN).is_some());
        assert_eq!(state(), before, "nothing is done about it");
        fs::remove_file(&file).unwrap();
    }
    // Dead and held: still nothing.
    fs::write(agents.join("com.iapeer.ann.plist"), "").unwrap();
    die(&home);
    tick(&home);
    assert!(home.state(ANN, "session") && deaths(&home) == 0, "its death is the service manager's to mend");
    fs::remove_file(agents.join("com.iapeer.ann.plist")).unwrap();
    tick(&home);
    assert_eq!((home.state(ANN, "session"), deaths(&home)), (false, 1), "held no more, it is judged again");
}

#[test]
fn row_8_of_07_2_a_session_that_lives_is_told_of_with_v_only() {
    let home = home_with(&[]);
    delivered(&home, "one", &[]);
    // A tick sees to a session whose canary is not there yet.
    let canary = home.state_dir().join(format!("{ANN}.canary.lock"));
    wait_until("its canary", SOON, || iapeer::store::lock::is_held(&canary));
    let quiet = home.ok("iapeer-superviser", &["--json"]).json_lines();
    assert!(quiet.iter().all(|line| line["identity"] != ANN), "{quiet:?}");
    assert!(events(&home, "supervise").iter().all(|line| line["action"] != "alive"));
    let told = home.ok("iapeer-superviser", &["--json", "-v"]).json_lines();
    let line = told.iter().find(|line| line["identity"] == ANN && line["action"] == "alive").expect("told");
    assert!(line["age_secs"].is_u64(), "{line}");
    let logged = events(&home, "supervise").pop().unwrap();
    assert!(logged["action"] == "alive" && logged["age"].ends_with('s'), "{logged:?}");
    home.set("IAPEER_SUPERVISE_LOG_VERBOSE", " Yes ");
    let told = home.ok("iapeer-superviser", &["--json"]).json_lines();
    assert!(told.iter().any(|line| line["action"] == "alive"), "{told:?}");
}

/// A tick looks at what is marked as due; what came about past the marks is found by a look at everything.
#[test]
fn a_peer_at_rest_loses_its_mark_and_a_full_look_finds_what_was_moved_by_hand() {
    let home = home_with(&[]);
    let due = home.root().join("state/due");
    let marked = || due.join(ANN).exists();
    delivered(&home, "one", &[]);
    assert!(marked(), "its session lives");
    tick(&home);
    assert!(marked(), "its session lives still");
    home.ok("iapeer-reap", &[ANN]);
    tick(&home);
    assert!(!marked(), "it sleeps, and nothing waits");

    // The way in of an operator: past every program of ours.
    let item = json!({"task": "by hand", "from": "parrot-bob"}).to_string();
    fs::write(home.state_dir().join(format!("{ANN}.queue/000777")), item).unwrap();
    assert!(tick(&home).stdout.contains("0 drains started"));
    assert_eq!(home.queue(ANN), (1, 0, 0));
    fs::remove_dir_all(&due).unwrap();
    assert!(tick(&home).stdout.contains("1 drains started"));
    wait_until("what was put there by hand", SOON, || home.bodies("ann").contains(&"by hand".to_owned()));
    home.at_rest(ANN);
    assert!(marked(), "the wake marked it");
}
