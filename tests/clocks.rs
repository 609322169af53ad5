//! Clocks that are wrong, jump, and are set back.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use std::fs;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use support::{TestHome, wait_until};

const SOON: Duration = Duration::from_secs(30);
const ANN: &str = "parrot-ann";
const DAY: u64 = 86_400_000;

fn home() -> TestHome {
    let home = TestHome::new();
    home.parrot("bob", &[]);
    home.parrot("ann", &[("PARROT_TURN_MS", "10")]);
    home
}

fn deliver(home: &TestHome, text: &str) {
    home.ok("iapeer-send", &["ann", "--from", "bob", "--require", "delivered", "-m", text]);
    home.at_rest(ANN);
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

fn clocks(home: &TestHome) -> Value {
    serde_json::from_slice(&fs::read(home.root().join("state/clock")).unwrap()).unwrap()
}

/// Has everything look as if the clock had been set forward by `days` since the last tick.
fn set_forward(home: &TestHome, days: u64) {
    let mut noted = clocks(home);
    noted["wall"] = json!(noted["wall"].as_u64().unwrap() - days * DAY);
    fs::write(home.root().join("state/clock"), noted.to_string()).unwrap();
    let path = home.state_dir().join(format!("{ANN}.session"));
    let mut record: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    record["wokeAt"] = json!(record["wokeAt"].as_u64().unwrap() - days * DAY);
    fs::write(&path, record.to_string()).unwrap();
}

#[test]
fn days_that_a_clock_was_set_forward_by_put_nobody_to_sleep_and_bury_nothing() {
    let home = home();
    home.set("IAPEER_IDLE_SECS", "2");
    deliver(&home, "one");
    home.ok("iapeer-superviser", &[]);
    let idle = home.state_dir().join(format!("{ANN}.idle-reaped"));
    set_forward(&home, 400);
    // Idle for two seconds and more by every clock but the one that counts: the time since it was set.
    let turn = home.state_dir().join(format!("{ANN}.turn"));
    wait_until("the end of the turn", SOON, || fs::read_to_string(&turn).is_ok_and(|text| text.contains("\"idle\"")));
    let mut event: Value = serde_json::from_slice(&fs::read(&turn).unwrap()).unwrap();
    event["at"] = json!(now() - 400 * DAY);
    fs::write(&turn, event.to_string()).unwrap();
    let tick = home.ok("iapeer-superviser", &["--json"]);
    assert!(!tick.stdout.contains("reaped-idle"), "{tick}");
    assert!(clocks(&home)["set_at"].as_u64().is_some_and(|at| at + DAY > now()));
    wait_until("two seconds of idleness since", SOON, || {
        home.ok("iapeer-superviser", &[]);
        idle.exists()
    });
}

#[test]
fn what_is_held_does_not_age_by_a_clock_that_was_set_forward() {
    let home = home();
    deliver(&home, "one");
    home.ok("iapeer-superviser", &[]);
    home.launch_env("ann", &[("PARROT_DIALOG", "login")]);
    home.ok("iapeer-reap", &[ANN]);
    home.ok("iapeer-send", &["ann", "--from", "bob", "--wait", "20", "-m", "two"]);
    home.at_rest(ANN);
    let item = home.state_dir().join(format!("{ANN}.queue/000002"));
    let mut held: Value = serde_json::from_slice(&fs::read(&item).unwrap()).unwrap();
    held["held"]["since"] = json!(now() - 400 * DAY);
    fs::write(&item, held.to_string()).unwrap();
    let mut noted = clocks(&home);
    noted["wall"] = json!(noted["wall"].as_u64().unwrap() - 400 * DAY);
    fs::write(home.root().join("state/clock"), noted.to_string()).unwrap();
    home.ok("iapeer-drain", &[ANN]);
    assert_eq!(home.queue(ANN), (1, 0, 0), "held, not buried");
    // Without a sign that the clock was set, four hundred days are four hundred days.
    fs::remove_file(home.root().join("state/clock")).unwrap();
    held["held"]["since"] = json!(now() - 400 * DAY);
    fs::write(&item, held.to_string()).unwrap();
    home.ok("iapeer-drain", &[ANN]);
    assert_eq!(home.queue(ANN), (0, 0, 1));
}

#[test]
fn deaths_dated_in_the_future_leave_nobody_asleep() {
    let home = home();
    for (ahead, code) in [(DAY, 0), (301_000, 0)] {
        let deaths: Vec<u64> = (0..3).map(|n| now() + ahead + n * 10_000).collect();
        fs::create_dir_all(home.state_dir()).unwrap();
        fs::write(home.state_dir().join(format!("{ANN}.deaths")), json!(deaths).to_string()).unwrap();
        let woken = home.run("iapeer-wake", &["ann"]);
        assert_eq!(woken.code, code, "{ahead}: {woken}");
        assert!(!home.state(ANN, "deaths"), "they are forgotten when it is well");
        home.ok("iapeer-reap", &[ANN]);
    }
    // Just ahead, as after a small correction, they are deaths of now.
    let deaths: Vec<u64> = (0..3).map(|n| now() + 20_000 + n).collect();
    fs::write(home.state_dir().join(format!("{ANN}.deaths")), json!(deaths).to_string()).unwrap();
    let before = now();
    let refused = home.run("iapeer-wake", &["ann"]);
    assert_eq!(refused.code, 69, "{refused}");
    let said = refused.stdout + &refused.stderr;
    let times = (before / 1000 + 300..=now() / 1000 + 302).map(|at| iapeer::base::EpochMs(at * 1000).utc_seconds());
    assert!(times.into_iter().any(|at| said.contains(&format!("again from {at} on"))), "{said}");
}

/// Runs a tick; the status says that it was a moment ago: no longer than this has taken.
fn tick_is_now(home: &TestHome) {
    let began = Instant::now();
    home.ok("iapeer-superviser", &[]);
    let status = home.ok("iapeer", &["status"]).stdout;
    let ago = status.strip_prefix("tick: ").and_then(|rest| rest.split_once("s ago")?.0.parse::<u64>().ok());
    assert!(ago.is_some_and(|ago| ago <= began.elapsed().as_secs()), "{status}");
}

#[test]
fn a_ticks_stamp_in_the_future_is_not_now() {
    let home = home();
    tick_is_now(&home);
    let stamp = fs::File::options().write(true).open(home.root().join("state/superviser.lock")).unwrap();
    stamp.set_modified(SystemTime::now() + Duration::from_secs(90_000)).unwrap();
    let status = home.run("iapeer", &["status", "--json"]).json();
    assert_eq!((status["ticking"].clone(), status.get("tick_age_secs")), (json!(false), None), "{status}");
    assert!(status["tick_ahead_secs"].as_u64().is_some_and(|ahead| ahead > 80_000), "{status}");
    assert!(home.run("iapeer", &["status"]).stdout.contains("in the future"));
    assert!(home.run("iapeer", &["doctor"]).stdout.contains("in the future"));
    tick_is_now(&home);
}
