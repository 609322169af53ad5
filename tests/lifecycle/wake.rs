//! Waking a peer: the wake rule, the steps of a wake, the crash-loop guard.

use crate::*;

#[test]
fn rows_3_of_06_2_by_messages() {
    let home = home_with(&[]);
    delivered(&home, "one", &[]);
    assert_eq!(last_wake(&home), is("fresh", "first-wake"), "3a'");
    home.ok("iapeer-reap", &[ANN]);
    delivered(&home, "two", &[]);
    assert_eq!(last_wake(&home), is("resume", "idle-reaped-resume"), "D1 without a topic");
    assert!(!home.state(ANN, "idle-reaped"), "consumed by READY");
    die(&home);
    delivered(&home, "three", &["--topic", "t1"]);
    assert_eq!(last_wake(&home), is("fresh", "crash-or-self-close"), "3a");
    home.ok("iapeer-reap", &[ANN]);
    delivered(&home, "four", &["--topic", "t2"]);
    assert_eq!(last_wake(&home), is("fresh", "idle-reaped-new-topic"), "3b-t");
    delivered(&home, "five", &["--topic", "t3"]);
    let note = events(&home, "topic-note").pop().unwrap();
    assert_eq!((note["identity"].as_str(), note["topic"].as_str()), (ANN, "t3"));
    home.ok("iapeer-reap", &[ANN]);
    delivered(&home, "six", &["--topic", "t2"]);
    assert_eq!(last_wake(&home), is("resume", "idle-reaped-resume"), "3b-r: the set holds more than the last");
    home.ok("iapeer-reap", &[ANN, "--no-park"]);
    delivered(&home, "seven", &[]);
    assert_eq!(last_wake(&home), is("fresh", "crash-or-self-close"), "not parked");
    let topics = home.state_dir().join(format!("{ANN}.topic"));
    assert!(!topics.exists(), "a fresh wake without a topic has none");
    home.ok("iapeer-reap", &[ANN]);
    home.set("IAPEER_RESUME_MAX_AGE_SECS", "0.01");
    std::thread::sleep(Duration::from_millis(20)); // the age itself is what is tested
    delivered(&home, "eight", &[]);
    assert_eq!(last_wake(&home), is("fresh", "idle-reaped-stale"), "D1 too old");
}

#[test]
fn resume_policies_and_people() {
    let home = home_with(&[]);
    delivered(&home, "one", &["--topic", "t"]);
    for (key, value, topic, expected) in [
        ("resume", json!("topic"), None, is("fresh", "idle-reaped-no-topic")),
        ("resume", json!("never"), Some("t"), is("fresh", "idle-reaped-never")),
        ("resume", json!("always"), Some("other"), is("resume", "idle-reaped-resume")),
        ("interfaces", json!({"telegram": {}}), Some("another"), is("resume", "idle-reaped-human")),
    ] {
        profile(&home, key, value.clone());
        home.ok("iapeer-reap", &[ANN]);
        let extra: Vec<&str> = topic.into_iter().flat_map(|topic| ["--topic", topic]).collect();
        delivered(&home, "more", &extra);
        assert_eq!(last_wake(&home), expected, "{key} {value}");
    }
}

#[test]
fn row_3s_refresh_is_consumed_by_ready_only() {
    let home = home_with(&[]);
    delivered(&home, "one", &[]);
    home.ok("iapeer-reap", &[ANN]);
    assert_eq!(home.ok("iapeer", &["refresh", "ann"]).stdout, "ann (parrot): refresh-armed\n");
    home.launch_env("ann", &[("PARROT_CRASH", "boot")]);
    let failed = home.run("iapeer-wake", &["ann"]);
    assert_eq!(failed.code, 75, "{failed}");
    assert!(home.state(ANN, "refresh") && home.state(ANN, "idle-reaped"), "a launch that failed leaves them");
    home.launch_env("ann", &[]);
    delivered(&home, "two", &[]);
    assert_eq!(last_wake(&home), is("fresh", "soft-reload"));
    assert!(!home.state(ANN, "refresh") && !home.state(ANN, "idle-reaped"));
}

#[test]
fn step_13_of_06_3_the_initial_prompt_is_told_once_per_fresh_session() {
    let home = home_with(&[]);
    profile(&home, "initial_prompt", json!("read the manual"));
    let told = |home: &TestHome| home.bodies("ann").iter().filter(|body| *body == "read the manual").count();
    delivered(&home, "one", &[]);
    assert_eq!(home.bodies("ann"), ["read the manual", "one"], "with the message");
    home.ok("iapeer-reap", &[ANN]);
    delivered(&home, "two", &[]);
    assert_eq!(told(&home), 1, "not when it resumes");
    home.ok("iapeer", &["new", "ann"]);
    wait_until("the seed of new", SOON, || told(&home) == 2);
    home.ok("iapeer-reap", &[ANN]);
    let mut launch = home.cmd("iapeer");
    launch.arg("parrot").current_dir(home.cwd("ann"));
    let launched = home.start(launch, None).wait(SOON);
    assert_eq!(launched.stdout, "launched parrot-ann (fresh)\n", "{launched}");
    wait_until("the seed of a folder launch", SOON, || told(&home) == 3);
    assert_eq!(last_wake(&home), is("fresh", "folder-launch"));
    delivered(&home, "three", &[]);
    assert_eq!(told(&home), 3);
}

#[test]
fn step_1_of_06_3_a_wake_first_mends_what_it_finds() {
    let home = home_with(&[]);
    delivered(&home, "one", &[]);
    die(&home);
    home.ok("iapeer-wake", &["ann"]);
    let lines = home.log("lifecycle.log");
    let death = lines.iter().rposition(|line| line["ev"] == "supervise" && line["action"] == "reaped-gone");
    let wake = lines.iter().rposition(|line| line["ev"] == "wake");
    assert!(death.is_some() && death < wake, "the death is recorded before the decision");
    assert_eq!((last_wake(&home), events(&home, "supervise").len()), (is("fresh", "crash-or-self-close"), 1));
}

#[test]
fn step_2_of_06_3_an_unknown_peer_leaves_no_line() {
    let home = home_with(&[]);
    let refused = home.run("iapeer-wake", &["nobody"]);
    assert!(refused.code == 67 && refused.stderr.contains("nobody"), "{refused}");
    let refused = home.run("iapeer-wake", &["nobody", "--json"]);
    assert!(refused.code == 67 && refused.stderr.starts_with("iapeer-wake: refused: no peer"), "{refused}");
    let object = refused.json();
    assert_eq!(object["status"], "refused");
    assert!(object["reason"].as_str().unwrap().contains("nobody"), "{object}");
    assert_eq!(home.log("lifecycle.log").len(), 0);
}

#[test]
fn step_3_of_06_3_what_the_service_manager_holds_is_refused_before_anything_else() {
    let home = home_with(&[]);
    let (agents, units) = service_folders(&home);
    // Stopped too, and its lock is held: step 3 comes first.
    home.ok("iapeer", &["stop", "ann"]);
    let _holder = hold_lock(&home);
    for (file, by) in [
        (agents.join("com.iapeer.ann.plist"), "launchd"),
        (units.join(format!("iapeer-peer@{ANN}.service")), "systemd"),
    ] {
        fs::write(&file, "whatever it says").unwrap();
        let refused = home.run("iapeer-wake", &["ann"]);
        assert!(refused.code == 69 && refused.stderr.contains("launchd-managed"), "{refused}");
        let line = wake_lines(&home).pop().unwrap();
        assert_eq!((last_wake(&home), line["by"].as_str()), (is("refused", "launchd-managed"), by));
        fs::remove_file(&file).unwrap();
    }
    // Enabled is held too, wherever the unit itself may be; another peer's file holds nobody else.
    fs::create_dir_all(units.join("default.target.wants")).unwrap();
    let enabled = units.join("default.target.wants").join(format!("iapeer-peer@{ANN}.service"));
    std::os::unix::fs::symlink("/nonexistent", &enabled).unwrap();
    assert!(home.run("iapeer-wake", &["ann"]).stderr.contains("launchd-managed"));
    fs::remove_file(&enabled).unwrap();
    fs::write(agents.join("com.iapeer.ann2.plist"), "").unwrap();
    assert!(home.run("iapeer-wake", &["ann"]).stderr.contains("stopped"));
}

#[test]
fn step_4_of_06_3_an_undeclared_runtime_leaves_no_line() {
    let home = home_with(&[]);
    let refused = home.run("iapeer-wake", &["ann", "--runtime", "claude"]);
    assert!(refused.code == 64 && refused.stderr.contains("does not declare runtime \"claude\""), "{refused}");
    assert_eq!(home.log("lifecycle.log").len(), 0);
}

#[test]
fn step_5_of_06_3_a_runtime_that_cannot_be_read_leaves_no_line() {
    let home = home_with(&[]);
    let manifest = home.root().join("runtimes/parrot/runtime.json");
    fs::create_dir_all(manifest.parent().unwrap()).unwrap();
    fs::write(&manifest, "{").unwrap();
    let failed = home.run("iapeer-wake", &["ann"]);
    assert!(failed.code == 78 && failed.stderr.contains("runtime.json"), "{failed}");
    assert_eq!(home.log("lifecycle.log").len(), 0);
}

#[test]
fn step_6_of_06_3_a_stopped_peer_is_refused_before_its_lock_is_tried() {
    let home = home_with(&[]);
    home.ok("iapeer", &["stop", "ann"]);
    let _holder = hold_lock(&home);
    let refused = home.run("iapeer-wake", &["ann", "--json"]);
    assert_eq!((refused.code, refused.json()["status"].clone()), (69, json!("refused")), "{refused}");
    assert!(refused.json()["reason"].as_str().unwrap().contains("is stopped and not accepting messages"));
    assert!(refused.stderr.starts_with("iapeer-wake: refused: "), "{refused}");
    assert_eq!(last_wake(&home), is("refused", "stopped"));
}

#[test]
fn step_7_of_06_3_a_wake_that_does_not_get_the_lock_says_so() {
    let home = home_with(&[]);
    let _holder = hold_lock(&home);
    home.set("IAPEER_LOCK_WAIT_SECS", "0.1").set("IAPEER_BOOT_DEADLINE_SECS", "0.1");
    assert_eq!(home.run("iapeer-wake", &["ann"]).code, 75);
    assert_eq!(last_wake(&home), is("refused", "wake-lock-held"));
}

#[test]
fn step_7a_of_06_3_stopped_while_the_lock_was_waited_for() {
    let home = home_with(&[]);
    let stopped = home.state_dir().join(format!("{ANN}.stopped"));
    let refused = wake_behind_the_lock(&home, || fs::write(&stopped, "2026-01-01T00:00:00.000Z\n").unwrap());
    assert_eq!(refused.code, 69, "{refused}");
    assert_eq!(last_wake(&home), is("refused", "stopped-mid-wake"));
    assert!(home.server_pid(ANN).is_none() && !home.state(ANN, "session") && !home.state(ANN, "deaths"));
}

#[test]
fn step_7b_of_06_3_managed_while_the_lock_was_waited_for() {
    let home = home_with(&[]);
    let (agents, _) = service_folders(&home);
    let refused = wake_behind_the_lock(&home, || fs::write(agents.join("com.iapeer.ann.plist"), "").unwrap());
    assert!(refused.code == 69 && refused.stderr.contains("launchd-managed"), "{refused}");
    assert_eq!(last_wake(&home), is("refused", "launchd-managed-mid-wake"));
    assert!(home.server_pid(ANN).is_none() && !home.state(ANN, "session"));
}

#[test]
fn step_8_of_06_3_a_live_session_is_left_as_it_is_and_counts_as_woken_now() {
    let home = home_with(&[]);
    delivered(&home, "one", &[]);
    let (server, wakes, before) = (home.server_pid(ANN), wake_lines(&home).len(), woke_at(&home));
    let again = home.ok("iapeer-wake", &["ann", "--fresh", "--json"]).json();
    assert_eq!((again["status"].clone(), again["woke"].clone()), (json!("ready"), json!(false)));
    assert_eq!((home.server_pid(ANN), wake_lines(&home).len()), (server, wakes), "no line, the same session");
    assert!(woke_at(&home) > before);
}

#[test]
fn step_9_of_06_3_a_missing_folder_leaves_no_line() {
    let home = home_with(&[]);
    let cwd = home.cwd("ann");
    fs::rename(&cwd, cwd.with_extension("away")).unwrap();
    let refused = home.run("iapeer-wake", &["ann"]);
    assert!(refused.code == 69 && format!("{refused}").contains("does not exist"), "{refused}");
    assert_eq!(home.log("lifecycle.log").len(), 0);
    fs::rename(cwd.with_extension("away"), &cwd).unwrap();
    delivered(&home, "two", &[]);
}

#[test]
fn step_11_of_06_3_the_decision_is_logged_before_the_launch() {
    let home = home_with(&[("PARROT_BOOT_MS", "60000")]);
    let waking = home.spawn("iapeer-wake", &["ann", "--topic", "t"]);
    wait_until("the boot", SOON, || home.session_json(ANN).is_some_and(|record| record["phase"] == "booting"));
    let line = wake_lines(&home).pop().expect("the decision is on record while it boots");
    for (key, value) in
        [("personality", "ann"), ("runtime", "parrot"), ("mode", "fresh"), ("cause", "first-wake"), ("topic", "t")]
    {
        assert_eq!(line[key], value, "{key}");
    }
    home.ok("iapeer", &["stop", "ann"]);
    assert_eq!(waking.wait(SOON).code, 69);
}

#[test]
fn step_12_of_06_3_the_system_prompt_is_written_where_the_folder_has_doctrine() {
    let home = home_with(&[]);
    let prompt = home.root().join(format!("cache/iapeer/prompts/{ANN}.md"));
    let doctrine = home.cwd("ann").join(".iapeer/IAPEER.md");
    let _ = fs::remove_file(&doctrine);
    home.ok("iapeer-wake", &["ann"]);
    assert!(!prompt.exists(), "no doctrine, no prompt");
    home.ok("iapeer-reap", &[ANN]);
    fs::write(&doctrine, "Be brief.").unwrap();
    home.ok("iapeer-wake", &["ann"]);
    let meta = fs::metadata(&prompt).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o777, 0o600);
    assert!(fs::read_to_string(&prompt).unwrap().contains("Be brief."));
}

#[test]
fn step_14_of_06_3_with_d4_a_launch_that_failed_is_a_death_and_nothing_of_it_lives() {
    let home = home_with(&[("PARROT_CRASH", "boot")]);
    // A second try would have a server too, for a moment.
    home.set("IAPEER_BOOT_DEADLINE_SECS", "1").set("IAPEER_CRASHLOOP_MAX", "1");
    assert_eq!(send(&home, "hello", &["--wait", "30"]).code, 0);
    wait_until("the failed launch", SOON, || deaths(&home) == 1);
    wait_until("its end", SOON, || !home.state(ANN, "session") && !home.state(ANN, "teardown"));
    assert!(home.server_pid(ANN).is_none());
    assert!(events(&home, "wake-failed").pop().unwrap().contains_key("reason"));
    assert_eq!(home.queue(ANN), (1, 0, 0), "the message stays at the head");
}

#[test]
fn step_15_of_06_3_ready_leaves_the_files_as_a_new_session_needs_them() {
    let home = home_with(&[]);
    fs::create_dir_all(home.state_dir()).unwrap();
    let write = |kind: &str, text: &str| fs::write(home.state_dir().join(format!("{ANN}.{kind}")), text).unwrap();
    write("ephemeral-armed", "2026-01-01T00:00:00.000Z\n");
    write("topic", "old\n");
    write("deaths", "[1,2]\n");
    home.ok("iapeer-wake", &["ann", "--topic", "new"]);
    let record = home.session_json(ANN).unwrap();
    assert_eq!((record["phase"].clone(), record["cause"].clone()), (json!("ready"), json!("first-wake")));
    assert_eq!(record["server"]["pid"], json!(home.server_pid(ANN)));
    assert!(!home.state(ANN, "ephemeral-armed"), "armed is of an earlier session");
    assert_eq!(fs::read_to_string(home.state_dir().join(format!("{ANN}.topic"))).unwrap(), "new\n");
    assert!(!home.state(ANN, "deaths"), "deaths beyond the window are trimmed");
    delivered(&home, "something to resume", &[]);
    home.ok("iapeer-reap", &[ANN]);
    home.ok("iapeer-wake", &["ann", "--resume", "--topic", "more"]);
    assert_eq!(fs::read_to_string(home.state_dir().join(format!("{ANN}.topic"))).unwrap(), "new\nmore\n");
}

#[test]
fn rows_2a_and_2b_resume_or_a_loud_failure() {
    let home = home_with(&[]);
    let nothing = home.run("iapeer-wake", &["ann", "--resume"]);
    assert_eq!(nothing.code, 69, "{nothing}");
    assert_eq!(last_wake(&home), is("fail", "attach-nothing-to-resume"));
    delivered(&home, "one", &[]);
    home.ok("iapeer-reap", &[ANN]);
    let woken = home.ok("iapeer-wake", &["ann", "--resume", "--json"]).json();
    assert_eq!((woken["mode"].clone(), woken["cause"].clone()), (json!("resume"), json!("attach")));
    assert!(home.state(ANN, "idle-reaped"), "2b consumes nothing");
    assert!(events(&home, "wake").pop().unwrap().contains_key("ref"));
}

#[test]
fn step_10_of_06_3_the_crash_loop_guard_refuses_the_fourth_wake_and_lets_go_after_its_window() {
    let home = home_with(&[("PARROT_CRASH", "boot")]);
    assert_eq!(send(&home, "hello", &["--no-wait"]).code, 0);
    // A death is counted before its drain lets go: another one is refused only after that.
    let refused = wait_for("the guard", SOON, || {
        let _ = home.run("iapeer-drain", &[ANN]);
        events(&home, "wake").into_iter().find(|line| line["cause"] == "crash-loop")
    });
    assert_eq!((refused["mode"].as_str(), refused["reason"].as_str()), ("refused", "3 deaths in 5m"));
    assert_eq!((deaths(&home), home.queue(ANN)), (3, (1, 0, 0)), "the message stays queued");
    let waiting = home.run("iapeer-wake", &["ann"]);
    assert!(waiting.code == 69 && format!("{waiting}").contains("iapeer new ann"), "{waiting}");
    home.launch_env("ann", &[]);
    tick(&home);
    assert_eq!(home.queue(ANN), (1, 0, 0), "within the window a tick does not wake it");
    // The window passes.
    let path = home.state_dir().join(format!("{ANN}.deaths"));
    let ring: Vec<u64> = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let aged: Vec<u64> = ring.iter().map(|at| at - 301_000).collect();
    fs::write(&path, serde_json::to_string(&aged).unwrap()).unwrap();
    // The drain of the tick before may still be at it, refused; the one that finds it so leaves the message to it.
    wait_until("the message", SOON, || {
        tick(&home);
        home.bodies("ann") == ["hello"]
    });
    assert_eq!(last_wake(&home), is("fresh", "first-wake"));
}

#[test]
fn step_10_of_06_3_with_d4_new_passes_the_guard_and_says_so() {
    let home = home_with(&[]);
    fs::create_dir_all(home.state_dir()).unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
    fs::write(home.state_dir().join(format!("{ANN}.deaths")), json!([now, now, now]).to_string()).unwrap();
    assert_eq!(home.run("iapeer-wake", &["ann"]).code, 69);
    assert_eq!(home.ok("iapeer", &["new", "ann"]).stdout, "new: parrot-ann fresh session up\n");
    assert_eq!(events(&home, "wake").pop().unwrap()["guard"], "passed-by-operator");
}
