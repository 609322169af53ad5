//! Deliberate ends: of stopped and of idle peers, interrupted ones, and those of a plan.

use crate::*;

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
