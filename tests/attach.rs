//! `iapeer attach` and a person at the terminal (06.4, D10). Each test drives it inside a tmux server of its own,
//! so that there is a terminal.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use std::time::Duration;
use support::{Terminal, TestHome, wait_until};

const SOON: Duration = Duration::from_secs(30);
const ANN: &str = "parrot-ann";

fn home() -> TestHome {
    let home = TestHome::new();
    home.parrot("bob", &[]);
    home.parrot("ann", &[]);
    home
}

fn delivered(home: &TestHome, text: &str) {
    home.ok("iapeer-send", &["ann", "--from", "bob", "--require", "delivered", "-m", text]);
    home.at_rest(ANN);
}

fn clients(home: &TestHome) -> usize {
    home.tmux(ANN, &["list-clients"]).stdout.lines().count()
}

#[test]
fn attach_fails_loudly_where_there_is_nothing_to_resume() {
    let home = home();
    let failed = home.run("iapeer", &["attach", "ann"]);
    assert!(failed.code == 69 && failed.stderr.contains("attach: parrot-ann: no transcript to resume"), "{failed}");
    assert_eq!(home.run("iapeer", &["attach", "nobody"]).code, 67);
    assert!(home.server_pid(ANN).is_none());
}

#[test]
fn attach_resumes_and_becomes_the_terminal_even_inside_another_tmux() {
    let home = home();
    delivered(&home, "one");
    home.ok("iapeer-reap", &[ANN]);
    let person = Terminal::running(&home, &["sh"]);
    person.types("iapeer attach ann; echo ended with $?");
    person.enter();
    wait_until("the client", SOON, || clients(&home) == 1);
    person.shows("parrot ready");
    let lines = home.log("lifecycle.log");
    let wake = lines.iter().rev().find(|line| line["ev"] == "wake" && line["identity"] == ANN).unwrap();
    assert_eq!((wake["mode"].as_str(), wake["cause"].as_str()), ("resume", "attach"));
    let attach = lines.iter().rev().find(|line| line["ev"] == "attach").unwrap();
    assert_eq!((attach["identity"].as_str(), attach["woke"].as_str()), (ANN, "true"));
    home.tmux(ANN, &["detach-client", "-s", ANN]);
    person.shows("ended with 0");
    let end = home.log("lifecycle.log").into_iter().rfind(|line| line["ev"] == "attach-end").unwrap();
    assert_eq!((end["identity"].as_str(), end["rc"].as_str()), (ANN, "0"));
    assert!(home.server_pid(ANN).is_some(), "detaching ends nothing");
}

#[test]
fn row_7_a_person_who_types_is_never_reaped_and_one_who_left_is() {
    let home = home();
    home.set("IAPEER_IDLE_SECS", "4");
    delivered(&home, "one");
    let server = home.server_pid(ANN);
    let person = Terminal::running(&home, &["sh"]);
    person.types("iapeer attach ann");
    person.enter();
    wait_until("the client", SOON, || clients(&home) == 1);
    let started = std::time::Instant::now();
    // Twice the bound and more: only the keystrokes speak for it.
    wait_until("a while of typing", SOON, || {
        person.types("x");
        home.ok("iapeer-superviser", &[]);
        assert_eq!(home.server_pid(ANN), server, "somebody types");
        started.elapsed() > Duration::from_secs(9)
    });
    wait_until("the end", SOON, || {
        home.ok("iapeer-superviser", &[]);
        !home.state(ANN, "session")
    });
    assert!(home.state(ANN, "idle-reaped"));
}

#[test]
fn attach_to_a_live_session_waits_for_nobody_and_asks_no_service_manager() {
    let home = home();
    delivered(&home, "one");
    let agents = home.dir().join("agents");
    std::fs::create_dir_all(&agents).unwrap();
    home.set("IAPEER_LAUNCHAGENTS_DIR", &agents);
    std::fs::write(agents.join("com.iapeer.ann.plist"), "").unwrap();
    let _lock = support::hold(&home.state_dir().join(format!("{ANN}.lock")));
    let person = Terminal::running(&home, &["sh"]);
    person.types("iapeer attach ann");
    person.enter();
    wait_until("the client", SOON, || clients(&home) == 1);
    let attach = home.log("lifecycle.log").into_iter().rfind(|line| line["ev"] == "attach").unwrap();
    assert_eq!((attach["identity"].as_str(), attach["woke"].as_str()), (ANN, "false"));
}
