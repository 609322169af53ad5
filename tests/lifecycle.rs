//! Wake and supervise with real sessions (spec 05, 06, 07, 12): steps, markers, bounds, logs.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use iapeer::base::SystemClock;
use iapeer::store::FileLock;
use iapeer::store::lock::is_held;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use support::{LogLine, Output, TestHome, home_with, wait_for, wait_until};

const SOON: Duration = Duration::from_secs(30);
const ANN: &str = "parrot-ann";

fn send(home: &TestHome, text: &str, extra: &[&str]) -> Output {
    let args = [&["ann", "--from", "bob", "-m", text], extra].concat();
    home.run("iapeer-send", &args)
}

fn delivered(home: &TestHome, text: &str, extra: &[&str]) {
    let sent = send(home, text, &[&["--require", "delivered"], extra].concat());
    assert_eq!(sent.code, 0, "{sent}");
    home.at_rest(ANN);
}

fn events(home: &TestHome, ev: &str) -> Vec<LogLine> {
    home.log("lifecycle.log").into_iter().filter(|line| line["ev"] == ev).collect()
}

fn last_wake(home: &TestHome) -> (String, String) {
    let wakes: Vec<LogLine> = events(home, "wake").into_iter().filter(|line| line["identity"] == ANN).collect();
    let last = wakes.last().expect("it was woken");
    (last["mode"].clone(), last["cause"].clone())
}

/// Waits until the session's hooks say that its turn is over.
fn calm(home: &TestHome) {
    let turn = home.state_dir().join(format!("{ANN}.turn"));
    wait_until("the turn's end", SOON, || fs::read_to_string(&turn).is_ok_and(|text| text.contains("idle")));
}

fn is(mode: &str, cause: &str) -> (String, String) {
    (mode.to_owned(), cause.to_owned())
}

fn tick(home: &TestHome) -> Output {
    home.ok("iapeer-superviser", &[])
}

fn profile(home: &TestHome, key: &str, value: Value) {
    let path = home.cwd("ann").join(".iapeer/peer-profile.json");
    let mut profile: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    profile[key] = value;
    fs::write(path, profile.to_string()).unwrap();
}

fn kill(pid: i32) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
}

fn deaths(home: &TestHome) -> usize {
    let bytes = fs::read(home.state_dir().join(format!("{ANN}.deaths"))).unwrap_or_else(|_| b"[]".to_vec());
    serde_json::from_slice::<Vec<u64>>(&bytes).unwrap().len()
}

fn die(home: &TestHome) {
    let pid = home.server_pid(ANN).expect("it lives");
    kill(pid);
    wait_until("its server's end", SOON, || home.server_pid(ANN).is_none());
}

fn woke_at(home: &TestHome) -> u64 {
    home.session_json(ANN).unwrap()["wokeAt"].as_u64().unwrap()
}

fn wake_lines(home: &TestHome) -> Vec<LogLine> {
    events(home, "wake").into_iter().filter(|line| line["identity"] == ANN).collect()
}

/// Holds the identity's lock until it is dropped.
fn hold_lock(home: &TestHome) -> FileLock {
    fs::create_dir_all(home.state_dir()).unwrap();
    support::hold(&home.state_dir().join(format!("{ANN}.lock")))
}

/// Whether the process has the lock file open: it waits for the lock, or holds it.
fn is_at_the_lock(home: &TestHome, pid: i32) -> bool {
    let name = format!("{ANN}.lock");
    match fs::read_dir(format!("/proc/{pid}/fd")) {
        Ok(open) => open.flatten().filter_map(|fd| fs::read_link(fd.path()).ok()).any(|path| path.ends_with(&name)),
        Err(_) => home.run("lsof", &["-p", &pid.to_string()]).stdout.contains(&name),
    }
}

/// Runs a wake that finds the lock taken, and does `meanwhile` once it has passed all checks before that.
fn wake_behind_the_lock(home: &TestHome, meanwhile: impl FnOnce()) -> Output {
    let lock = hold_lock(home);
    let waking = home.spawn("iapeer-wake", &["ann"]);
    wait_until("it at the lock", SOON, || is_at_the_lock(home, waking.pid()));
    meanwhile();
    drop(lock);
    waking.wait(SOON)
}

/// Folders for service files of this home only.
fn service_folders(home: &TestHome) -> (PathBuf, PathBuf) {
    let (agents, units) = (home.dir().join("agents"), home.dir().join("units"));
    for (dir, variable) in [(&agents, "IAPEER_LAUNCHAGENTS_DIR"), (&units, "IAPEER_SYSTEMD_USER_DIR")] {
        fs::create_dir_all(dir).unwrap();
        home.set(variable, dir);
    }
    (agents, units)
}

/// Every file below a folder: content and time of change.
fn listing(dir: &Path) -> BTreeMap<String, (Vec<u8>, std::time::SystemTime)> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let (path, meta) = (entry.path(), entry.metadata().unwrap());
        if meta.is_dir() {
            all.extend(listing(&path));
        }
        let bytes = if meta.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
        all.insert(path.display().to_string(), (bytes, meta.modified().unwrap()));
    }
    all
}

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
    home.set("IAPEER_BOOT_DEADLINE_SECS", "1");
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
