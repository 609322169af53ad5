//! The tick: deaths, ends, enrolment, plans, and what it leaves alone.

use crate::*;

#[test]
fn row_4_a_death_is_counted_once_by_concurrent_programs() {
    let home = home_with(&[]);
    delivered(&home, "one", &[]);
    die(&home);
    let all: Vec<_> = (0..4)
        .flat_map(|_| {
            [
                home.spawn("iapeer-superviser", &[]),
                home.spawn("iapeer-drain", &[ANN]),
                home.spawn("iapeer-superviser", &["--only", ANN]),
                home.spawn("iapeer-reap", &[ANN]),
            ]
        })
        .collect();
    for running in all {
        running.wait(SOON);
    }
    assert_eq!(deaths(&home), 1);
    let rows: Vec<LogLine> =
        events(&home, "supervise").into_iter().filter(|line| line["action"] == "reaped-gone").collect();
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!((rows[0]["death"].as_str(), rows[0]["outcome"].as_str()), ("server-dead", "fresh-next-msg"));
    assert!(!home.state(ANN, "session") && !home.state(ANN, "idle-reaped") && !home.state(ANN, "session.reaping"));
}

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
fn row_2_a_stopped_peer_that_is_gone_is_parked_and_row_4_5_one_that_lives_is_ended() {
    let home = home_with(&[]);
    delivered(&home, "one", &[]);
    let stopped = home.state_dir().join(format!("{ANN}.stopped"));
    fs::write(&stopped, "2026-01-01T00:00:00.000Z\n").unwrap();
    let ticked = home.ok("iapeer-superviser", &["--json"]).json_lines();
    assert_eq!(
        (ticked[0]["action"].as_str(), ticked[0]["outcome"].as_str()),
        (Some("reaped-idle"), Some("operator-halt-enforced"))
    );
    assert_eq!(events(&home, "supervise").pop().unwrap()["reason"], "alive-but-stopped");
    assert!(home.server_pid(ANN).is_none() && home.state(ANN, "idle-reaped") && !home.state(ANN, "session"));
    fs::remove_file(&stopped).unwrap();
    delivered(&home, "two", &[]);
    assert_eq!(last_wake(&home), is("resume", "idle-reaped-resume"));
    fs::write(&stopped, "2026-01-01T00:00:00.000Z\n").unwrap();
    die(&home);
    let ticked = home.ok("iapeer-superviser", &["--json"]).json_lines();
    assert_eq!(
        (ticked[0]["action"].as_str(), ticked[0]["outcome"].as_str()),
        (Some("skipped-stopped"), Some("resume-on-start"))
    );
    assert!(home.state(ANN, "idle-reaped") && deaths(&home) == 0);
}

#[test]
fn row_4_tells_a_session_that_ended_from_a_server_that_died() {
    let home = home_with(&[]);
    delivered(&home, "one", &[]);
    let death = |home: &TestHome| events(home, "supervise").into_iter().find_map(|line| line.get("death").cloned());
    let pane = home.session_json(ANN).unwrap()["pane"]["pid"].as_i64().unwrap();
    kill(pane as i32);
    // tmux tells of it, and a tick of its own ends what is left; where tmux lost the news (D32), the next one does.
    let seen = wait_for("its death on record", SOON, || {
        tick(&home);
        death(&home)
    });
    assert_eq!(seen, "session-gone");
    wait_until("the end of the rest", SOON, || !home.state(ANN, "session"));
}

#[test]
fn an_agent_that_outlives_its_server_is_ended_when_the_death_is_recorded() {
    let home = home_with(&[("PARROT_IGNORE_HUP", "1")]);
    delivered(&home, "one", &[]);
    let agent = home.session_json(ANN).unwrap()["pane"]["pid"].as_i64().unwrap() as i32;
    let lives = || nix::sys::signal::kill(nix::unistd::Pid::from_raw(agent), None).is_ok();
    kill(home.server_pid(ANN).unwrap());
    assert!(lives(), "it ignores the end of its terminal");
    wait_until("its death on record", SOON, || {
        tick(&home);
        !home.state(ANN, "session")
    });
    wait_until("the agent's end", SOON, || !lives());
    assert_eq!(deaths(&home), 1);
}

#[test]
fn a_socket_that_nobody_listens_on_is_gone_after_the_tick_that_finds_it() {
    let home = home_with(&[]);
    delivered(&home, "one", &[]);
    let socket = home.sockets().join("tmux-iap-parrot-ann.sock");
    let left = home.sockets().join("tmux-iap-parrot-bob.sock");
    drop(std::os::unix::net::UnixListener::bind(&left).unwrap());
    assert!(socket.exists() && left.exists());
    kill(home.server_pid(ANN).unwrap());
    wait_until("the traces of both to be gone", SOON, || {
        tick(&home);
        !home.state(ANN, "session") && !socket.exists() && !left.exists()
    });
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
fn a_boot_whose_launcher_was_killed_is_found_by_the_tick() {
    let home = home_with(&[("PARROT_HANG", "boot")]);
    let launcher = home.spawn("iapeer-wake", &["ann"]);
    wait_until("the boot", SOON, || home.session_json(ANN).is_some_and(|record| record["phase"] == "booting"));
    kill(launcher.pid());
    launcher.wait(SOON);
    tick(&home);
    assert!(home.state(ANN, "session"), "it may still come up");
    home.set("IAPEER_BOOT_DEADLINE_SECS", "0.01").set("IAPEER_READY_GATE_SECS", "0.01");
    wait_until("the tick to find it", SOON, || {
        tick(&home);
        !home.state(ANN, "session")
    });
    assert_eq!(deaths(&home), 1);
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
fn row_7_idle_is_parked_a_long_turn_is_not() {
    let home = home_with(&[("PARROT_TURN_MS", "5000"), ("PARROT_NOISE_MS", "200")]);
    home.set("IAPEER_IDLE_SECS", "1");
    delivered(&home, "long", &[]);
    let server = home.server_pid(ANN);
    let busy = || fs::read_to_string(home.state_dir().join(format!("{ANN}.turn"))).is_ok_and(|t| t.contains("busy"));
    wait_until("the turn's end", SOON, || {
        tick(&home);
        // Between the look at the turn and the tick it may have ended; then the session may end too.
        !busy() || {
            assert_eq!(home.server_pid(ANN), server, "a running turn is never idle");
            false
        }
    });
    // From now on the footer repaints five times a second.
    wait_until("its end", SOON, || {
        tick(&home);
        !home.state(ANN, "session")
    });
    assert!(home.state(ANN, "idle-reaped"));
    let row = events(&home, "supervise").into_iter().find(|line| line["action"] == "reaped-idle").unwrap();
    assert_eq!(row["outcome"], "resume-eligible");
    assert!(row["reason"].starts_with("idle ") && row["age"].ends_with('s'));
}

#[test]
fn an_interrupted_teardown_is_finished_exactly_once() {
    let home = home_with(&[]);
    delivered(&home, "one", &[]);
    let record = home.session_json(ANN).unwrap();
    let intent = json!({"server": record["server"], "pane": record["pane"], "by": "a test", "why": "idle", "park": true, "at": record["wokeAt"]});
    fs::write(home.state_dir().join(format!("{ANN}.teardown")), intent.to_string()).unwrap();
    let ticks: Vec<_> = (0..3).map(|_| home.spawn("iapeer-superviser", &["--only", ANN])).collect();
    for running in ticks {
        running.wait(SOON);
    }
    assert!(home.server_pid(ANN).is_none() && !home.state(ANN, "teardown") && !home.state(ANN, "session"));
    assert!(home.state(ANN, "idle-reaped") && deaths(&home) == 0);
    let rows = events(&home, "supervise");
    assert_eq!(rows.iter().filter(|line| line["action"] == "finished-teardown").count(), 1, "{rows:?}");
}

#[test]
fn a_reaper_killed_in_the_middle_leaves_nothing_that_a_tick_does_not_finish() {
    let home = home_with(&[("PARROT_IGNORE_HUP", "1")]);
    delivered(&home, "one", &[]);
    let reaper = home.spawn("iapeer-reap", &[ANN]);
    wait_until("the intent", SOON, || home.state(ANN, "teardown"));
    kill(reaper.pid());
    drop(reaper);
    tick(&home);
    wait_until("the end", SOON, || {
        tick(&home);
        !home.state(ANN, "teardown")
    });
    assert!(home.server_pid(ANN).is_none() && !home.state(ANN, "session"));
    assert!(home.state(ANN, "idle-reaped") && deaths(&home) == 0);
    home.launch_env("ann", &[]);
    delivered(&home, "two", &[]);
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
    die(&home);
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
fn a_plan_goes_through_a_pipe_and_skips_what_changed() {
    let home = home_with(&[]);
    delivered(&home, "one", &[]);
    calm(&home);
    let pipe = "iapeer-superviser --dry-run --json | iapeer-reap --plan - --json";
    home.set("IAPEER_IDLE_SECS", "0.001");
    let reaped = home.ok("sh", &["-c", pipe]).json_lines();
    assert!(reaped.iter().any(|line| line["identity"] == ANN && line["action"] == "reaped"), "{reaped:?}");
    assert!(home.state(ANN, "idle-reaped"));
    home.unset("IAPEER_IDLE_SECS");
    delivered(&home, "two", &[]);
    calm(&home);
    home.set("IAPEER_IDLE_SECS", "0.001");
    let plan = home.ok("iapeer-superviser", &["--dry-run", "--json"]).stdout;
    home.unset("IAPEER_IDLE_SECS");
    home.ok("iapeer", &["new", "ann"]);
    let server = home.server_pid(ANN);
    let skipped = home.run_with("iapeer-reap", &["--plan", "-", "--json"], plan.as_bytes()).json_lines();
    let line = skipped.iter().find(|line| line["identity"] == ANN).unwrap();
    assert_eq!(line["action"], "skipped", "{skipped:?}");
    assert_eq!(home.server_pid(ANN), server);
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
fn row_3_of_07_2_a_session_that_ended_itself_to_come_back_fresh_does_so_in_the_same_tick() {
    let home = home_with(&[]);
    delivered(&home, "one", &[]);
    fs::write(home.state_dir().join(format!("{ANN}.new-eager")), "2026-01-01T00:00:00.000Z\n").unwrap();
    die(&home);
    let ticked = home.ok("iapeer-superviser", &["--json"]).json_lines();
    let line = ticked.iter().find(|line| line["identity"] == ANN).unwrap();
    assert_eq!((&line["action"], &line["outcome"]), (&json!("needs-eager-fresh"), &json!("eager-fresh")));
    let logged = events(&home, "supervise").into_iter().find(|line| line["action"] == "needs-eager-fresh").unwrap();
    assert_eq!((logged["reason"].as_str(), logged["outcome"].as_str()), ("/new eager mark", "eager-fresh"));
    assert_eq!(home.session_json(ANN).unwrap()["phase"], "ready");
    assert_eq!(last_wake(&home), is("fresh", "folder-launch"));
    assert!(!home.state(ANN, "new-eager") && deaths(&home) == 0, "no fault (D4), and not repeated");
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
