//! Wake and supervise with real sessions (spec 05, 06, 07, 12): steps, markers, bounds, logs.

mod support;

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;
use support::{LogLine, Output, TestHome, wait_until};

const SOON: Duration = Duration::from_secs(30);
const ANN: &str = "parrot-ann";

fn home_with(vars: &[(&str, &str)]) -> TestHome {
    let home = TestHome::new();
    home.parrot("bob", &[]);
    home.parrot("ann", vars);
    home
}

fn send(home: &TestHome, text: &str, extra: &[&str]) -> Output {
    let args = [&["ann", "--from", "bob", "-m", text], extra].concat();
    home.run("iapeer-send", &args)
}

fn delivered(home: &TestHome, text: &str, extra: &[&str]) {
    let sent = send(home, text, &[&["--require", "delivered"], extra].concat());
    assert_eq!(sent.code, 0, "{sent}");
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
fn the_initial_prompt_is_told_once_per_fresh_session() {
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
fn step_order_of_06_3() {
    let home = home_with(&[]);
    // 2: an unknown peer leaves no line.
    assert_eq!(home.run("iapeer-wake", &["nobody"]).code, 67);
    assert_eq!(events(&home, "wake").len(), 0);
    // 4: a runtime that is not declared.
    assert_eq!(home.run("iapeer-wake", &["ann", "--runtime", "claude"]).code, 64);
    // 6: stopped, before the lock is even tried.
    home.ok("iapeer", &["stop", "ann"]);
    let lock = home.state_dir().join(format!("{ANN}.lock"));
    let holder = home.spawn("flock", &[lock.to_str().unwrap(), "sleep", "60"]);
    wait_until("the lock held", SOON, || home.run("flock", &["-n", lock.to_str().unwrap(), "true"]).code != 0);
    let refused = home.run("iapeer-wake", &["ann", "--json"]);
    assert_eq!((refused.code, refused.json()["status"].clone()), (69, json!("refused")), "{refused}");
    assert_eq!(last_wake(&home), is("refused", "stopped"));
    // 7: a wake that does not get the lock says so.
    fs::remove_file(home.state_dir().join(format!("{ANN}.stopped"))).unwrap();
    home.set("IAPEER_LOCK_WAIT_SECS", "0.1").set("IAPEER_BOOT_DEADLINE_SECS", "0.1");
    assert_eq!(home.run("iapeer-wake", &["ann"]).code, 75);
    assert_eq!(last_wake(&home), is("refused", "wake-lock-held"));
    drop(holder);
}

#[test]
fn step_8_a_live_session_is_left_as_it_is_and_step_9_a_folder_must_be_there() {
    let home = home_with(&[]);
    delivered(&home, "one", &[]);
    let server = home.server_pid(ANN);
    let wakes = events(&home, "wake").len();
    let again = home.ok("iapeer-wake", &["ann", "--fresh", "--json"]).json();
    assert_eq!((again["status"].clone(), again["woke"].clone()), (json!("ready"), json!(false)));
    assert_eq!((home.server_pid(ANN), events(&home, "wake").len()), (server, wakes));
    home.ok("iapeer-reap", &[ANN]);
    let cwd = home.cwd("ann");
    fs::rename(&cwd, cwd.with_extension("away")).unwrap();
    let refused = home.run("iapeer-wake", &["ann"]);
    assert!(refused.code == 69 && format!("{refused}").contains("does not exist"), "{refused}");
    assert_eq!(events(&home, "wake").len(), wakes, "no line");
    fs::rename(cwd.with_extension("away"), &cwd).unwrap();
    delivered(&home, "two", &[]);
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
fn the_crash_loop_guard_refuses_the_fourth_wake_and_lets_go_after_its_window() {
    let home = home_with(&[("PARROT_CRASH", "boot")]);
    home.set("IAPEER_CRASHLOOP_WINDOW_SECS", "12");
    assert_eq!(send(&home, "hello", &["--no-wait"]).code, 0);
    wait_until("three deaths", SOON, || {
        let _ = home.run("iapeer-drain", &[ANN]);
        deaths(&home) == 3
    });
    let refusal = || events(&home, "wake").into_iter().find(|line| line["cause"] == "crash-loop");
    wait_until("the guard", SOON, || {
        // A drain that finds another one at work leaves.
        home.ok("iapeer-drain", &[ANN]);
        refusal().is_some()
    });
    let refused = refusal().expect("it was there");
    assert_eq!((refused["mode"].as_str(), refused["reason"].as_str()), ("refused", "3 deaths in 12s"));
    assert_eq!((deaths(&home), home.queue(ANN)), (3, (1, 0, 0)), "the message stays queued");
    let waiting = home.run("iapeer-wake", &["ann"]);
    assert!(waiting.code == 69 && format!("{waiting}").contains("iapeer new ann"), "{waiting}");
    home.launch_env("ann", &[]);
    wait_until("the window's end", SOON, || {
        tick(&home);
        home.bodies("ann") == ["hello"]
    });
    assert_eq!(last_wake(&home), is("fresh", "first-wake"));
}

#[test]
fn new_passes_the_guard_and_says_so() {
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
        let lock = fs::File::open(home.state_dir().join(format!("{ANN}.canary.lock"))).unwrap();
        fs2::FileExt::try_lock_shared(&lock).is_ok()
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
