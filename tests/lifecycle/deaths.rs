//! Deaths: counted once, by whichever program finds them, and what a dead server leaves is ended.

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
