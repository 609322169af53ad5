//! How sessions end, and what is left to tell: pane exits that tmux does not report, last words, pane logs.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use std::fs;
use std::time::Duration;
use support::{TestHome, UNTIL_READ, home_with, wait_until};

const SOON: Duration = Duration::from_secs(30);
const ANN: &str = "parrot-ann";

fn deliver(home: &TestHome, text: &str) {
    home.ok("iapeer-send", &["ann", "--from", "bob", "--require", "delivered", "-m", text]);
    home.at_rest(ANN);
}

/// The pid of the agent's program.
fn agent(home: &TestHome) -> i32 {
    home.session_json(ANN).unwrap()["pane"]["pid"].as_i64().unwrap() as i32
}

fn kill(pid: i32) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
}

#[test]
fn an_exit_that_tmux_does_not_report_is_recorded_by_the_canary() {
    let home = home_with(&[]);
    deliver(&home, "one");
    let canary = home.state_dir().join(format!("{ANN}.canary.lock"));
    wait_until("the canary", SOON, || iapeer::store::lock::is_held(&canary));
    home.tmux(ANN, &["set-hook", "-gu", "pane-died"]);
    kill(agent(&home));
    wait_until("the session to be cleared away", SOON, || !home.state(ANN, "session"));
    let exits = home.log("exits.log");
    assert_eq!(exits.len(), 1, "{exits:?}");
    assert_eq!((exits[0]["ev"].as_str(), exits[0]["dead_signal"].as_str()), ("session-exit", "9"));
}

#[test]
fn an_exit_that_tmux_reports_is_recorded_once() {
    let home = home_with(&[]);
    deliver(&home, "one");
    let canary = home.state_dir().join(format!("{ANN}.canary.lock"));
    wait_until("the canary", SOON, || iapeer::store::lock::is_held(&canary));
    kill(agent(&home));
    wait_until("the session to be cleared away", SOON, || !home.state(ANN, "session"));
    wait_until("the canary's end", SOON, || !iapeer::store::lock::is_held(&canary));
    assert_eq!(home.log("exits.log").len(), 1, "{:?}", home.log("exits.log"));
}

#[test]
fn a_program_that_somebody_put_into_the_pane_is_a_session_still() {
    let home = home_with(&[]);
    deliver(&home, "one");
    let canary = home.state_dir().join(format!("{ANN}.canary.lock"));
    wait_until("the canary", SOON, || iapeer::store::lock::is_held(&canary));
    let before = agent(&home);
    home.tmux(ANN, &["respawn-pane", "-k", "-t", "%0", "sleep 600"]);
    wait_until("the first program's end", SOON, || iapeer::host::ProcessId::of(before).is_none());
    home.ok("iapeer-superviser", &[]);
    assert!(home.state(ANN, "session") && home.server_pid(ANN).is_some());
    assert!(home.log("exits.log").is_empty());
}

#[test]
fn the_last_words_of_a_program_that_does_not_start_are_told() {
    let home = home_with(&[]);
    let program = home.dir().join("broken");
    let words = "echo; echo 'error: unknown option --hook'; echo; echo \"  tip: see 'broken --help'\"";
    fs::write(&program, format!("#!/bin/sh\n{words}\n{UNTIL_READ}\nexit 2\n")).unwrap();
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    home.set("IAPEER_PARROT_BIN", &program);
    let woken = home.run("iapeer-wake", &["ann"]);
    let said = woken.stdout.clone() + &woken.stderr;
    assert!(woken.code == 75 && said.contains("error: unknown option --hook"), "{woken}");
    assert!(said.contains("tip: see 'broken --help'") && said.contains("status 2"), "{woken}");
    let failed = home.log("lifecycle.log").into_iter().rfind(|line| line["ev"] == "wake-failed").unwrap();
    assert!(failed["reason"].contains("unknown option"), "{failed:?}");
}

#[test]
fn a_pane_log_comes_back_wherever_it_went() {
    let home = home_with(&[("PARROT_TURN_MS", "10")]);
    deliver(&home, "one");
    let log = home.root().join("logs/lifecycle/parrot-ann.log");
    let size = || fs::metadata(&log).map_or(0, |meta| meta.len());
    let aside = log.with_extension("log.1");
    let acts: [(&str, &dyn Fn()); 3] = [
        ("moved", &|| fs::rename(&log, &aside).unwrap()),
        ("moved and made anew", &|| {
            fs::rename(&log, &aside).unwrap();
            fs::write(&log, "").unwrap();
        }),
        ("removed", &|| fs::remove_file(&log).unwrap()),
    ];
    for (what, act) in acts {
        act();
        deliver(&home, what);
        wait_until(what, SOON, || size() > 0);
    }
    // A link that somebody puts there is not followed.
    let victim = home.dir().join("victim");
    fs::write(&victim, "").unwrap();
    support::replacing::in_its_place(&log, || std::os::unix::fs::symlink(&victim, &log));
    deliver(&home, "linked");
    assert_eq!(fs::metadata(&victim).unwrap().len(), 0);
}

#[test]
fn a_flood_is_bounded_without_a_tick() {
    let home = home_with(&[]);
    deliver(&home, "one");
    let log = home.root().join("logs/lifecycle/parrot-ann.log");
    // Without an end: a cut that is made between two looks is not the last one.
    let flood = "exec tr '\\0' y </dev/zero";
    home.tmux(ANN, &["respawn-pane", "-k", "-t", "%0", flood]);
    let most = std::cell::Cell::new(0);
    let mut cut = false;
    wait_until("the flood to have been cut", Duration::from_secs(60), || {
        let size = fs::metadata(&log).map_or(0, |meta| meta.len());
        cut |= size < most.get();
        most.set(most.get().max(size));
        cut
    });
    assert!(most.get() <= 33 << 20, "{}", most.get());
}

#[test]
fn a_bridge_without_a_unit_is_never_put_to_sleep() {
    let home = TestHome::new();
    home.set("IAPEER_IDLE_SECS", "0.2").set("IAPEER_SERVICE_MANAGER", "none");
    let program = home.dir().join("bridge");
    fs::write(&program, "#!/bin/sh\nexec sleep 600\n").unwrap();
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    home.set("NOTIFIER_RUNTIME_BIN", &program);
    home.set("IAPEER_SYSTEMD_USER_DIR", home.dir().join("units"));
    home.set("IAPEER_LAUNCHAGENTS_DIR", home.dir().join("agents"));
    home.ok("iapeer", &["create", "bell", "--runtime", "notifier"]);
    for folder in ["units", "agents"] {
        let _ = fs::remove_dir_all(home.dir().join(folder));
    }
    let woken = home.run("iapeer-wake", &["bell"]);
    assert_eq!(woken.code, 0, "{woken}");
    let server = home.server_pid("notifier-bell").unwrap();
    let started = std::time::Instant::now();
    wait_until("well beyond the bound", SOON, || {
        home.ok("iapeer-superviser", &[]);
        started.elapsed() > Duration::from_secs(2)
    });
    let reaped = home.ok("iapeer-reap", &["--idle", "--older-than", "0.1"]);
    assert!(reaped.stdout.contains("a bridge is never idle"), "{reaped}");
    assert_eq!(home.server_pid("notifier-bell"), Some(server));
    home.ok("iapeer-reap", &["notifier-bell"]);
}
