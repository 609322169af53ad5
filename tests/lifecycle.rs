//! Wake and supervise with real sessions (spec 05, 06, 07, 12): steps, markers, bounds, logs.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod lifecycle {
    mod deaths;
    mod ends;
    mod tick;
    mod wake;
}
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
    without_helpers(home);
}

/// Waits until no hook and no drain runs: the hook of a turn that was over before its message was settled starts another
/// drain, which takes the lock once more.
fn without_helpers(home: &TestHome) {
    let helps = |(_, name): &(i32, String)| ["iapeer-turn", "iapeer-drain"].contains(&name.as_str());
    wait_until("hooks and drains to end", SOON, || !home.processes().iter().any(helps));
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
