//! The end of a server: signals, commands, sweeps, deliberate ends.

use crate::*;

/// SIGKILL, SIGSEGV, SIGTERM: the class, the line's fields, the forensics file, the list and the next wake.
#[test]
fn a_signal_to_the_server_is_recorded_once_with_its_forensics() {
    for (signal, cause, wait_rc) in [
        (Signal::SIGKILL, "signaled", "1"),
        (Signal::SIGSEGV, "signaled", "1"),
        (Signal::SIGTERM, "signaled-server-gone", "0"),
    ] {
        let bob = Watched::new(&[]);
        let server = bob.server();
        send(server, signal);
        let line = bob.server_exit();
        assert_eq!((line["cause"].as_str(), line["wait_rc"].as_str()), (cause, wait_rc), "{signal}: {line:?}");
        assert_eq!(line["server_pid"], server.to_string());
        let keys = ["ts", "ev", "identity", "server_pid", "wait_rc", "cause", "forensics"];
        assert!(line.len() == keys.len() && keys.iter().all(|key| line.contains_key(*key)), "{line:?}");
        let forensics = fs::read_to_string(&line["forensics"]).unwrap();
        assert!(forensics.starts_with("server-death identity=parrot-bob ts="), "{forensics}");
        for section in ["evidence", "meminfo", "ps-top-rss", "last-screen", "lifecycle"] {
            assert!(forensics.contains(&format!("\n--- {section}\n")), "no {section} in {forensics}");
        }
        if cause == "signaled" {
            assert!(forensics.contains(signal.as_str()), "{forensics}");
        }
        // The tick counts the death and adds no second record.
        bob.tick();
        assert_eq!(bob.exits("server-exit").len(), 1);
        let listed = bob.home.ok("iapeer", &["list", "--json"]).json();
        assert_eq!((listed["state"].as_str(), listed["text"].as_str()), (Some("dead"), Some(cause)), "{listed}");
        let report = bob.home.ok("iapeer-canary", &["--report", "--json"]).json();
        assert_eq!((report["cause"].as_str(), report["event"].as_str()), (Some(cause), Some("server-exit")));
        assert!(report["evidence"].is_string(), "{report}");
        bob.wake();
        let wakes = bob.home.log("lifecycle.log");
        let wake = wakes.iter().rfind(|line| line["ev"] == "wake").unwrap();
        assert_eq!(wake.get("last_death").map(String::as_str), Some(cause), "{wake:?}");
        let listed = bob.home.ok("iapeer", &["list", "--json"]).json();
        assert!(listed["state"] != "dead" && listed["runtimes"][0].get("last_death").is_none(), "{listed}");
    }
}

#[test]
fn a_command_that_ends_the_server_is_told_from_a_signal() {
    for command in ["kill-server", "kill-session", "kill-pane", "kill-window"] {
        let bob = Watched::new(&[]);
        let target = format!("={}:", bob.identity);
        let words = if command == "kill-server" { vec![command] } else { vec![command, "-t", &target] };
        assert_eq!(bob.home.tmux(&bob.identity, &words).code, 0);
        let line = bob.server_exit();
        assert_eq!(line["cause"], "killed-by-command", "{command}: {line:?}");
        assert!(fs::read_to_string(&line["forensics"]).unwrap().contains(command));
    }
}

/// A command that ended nothing is no evidence against what comes later.
#[test]
fn a_command_that_failed_is_not_blamed() {
    let bob = Watched::new(&[]);
    assert_ne!(bob.home.tmux(&bob.identity, &["kill-session", "-t", "=nobody"]).code, 0);
    send(bob.server(), Signal::SIGKILL);
    assert_eq!(bob.server_exit()["cause"], "signaled");
}

/// A command that can't write itself down does what it is to do all the same; who did it is then not known.
#[test]
fn a_command_that_leaves_no_trail_still_works() {
    for command in ["kill-server", "kill-session"] {
        let bob = Watched::new(&[]);
        crate::support::replacing::place("folder", &bob.state("killed-by"));
        bob.home.tmux(&bob.identity, &[command]);
        assert_eq!(bob.server_exit()["cause"], "signaled-server-gone", "{command}");
    }
}

/// One pattern takes the server and the canary's client together: the record is written all the same.
#[test]
fn a_sweep_of_server_and_client_is_recorded() {
    for (signal, cause) in [(Signal::SIGTERM, "signaled-server-gone"), (Signal::SIGKILL, "client-killed-server-gone")] {
        let bob = Watched::new(&[]);
        for pid in [bob.client(), bob.server()] {
            send(pid, signal);
        }
        assert_eq!(bob.server_exit()["cause"], cause, "{signal}");
    }
}

/// A pattern that takes the canary too: it stays long enough to write down what it sees.
#[test]
fn a_sweep_of_server_client_and_canary_is_recorded() {
    let bob = Watched::new(&[]);
    for pid in [bob.canary(), bob.client(), bob.server()] {
        send(pid, Signal::SIGTERM);
    }
    assert_eq!(bob.server_exit()["cause"], "signaled-server-gone");
}

/// A canary that is dismissed goes without a word, and the next tick sets another.
#[test]
fn a_dismissed_canary_is_silent() {
    let bob = Watched::new(&[]);
    let canary = bob.canary();
    send(canary, Signal::SIGTERM);
    bob.silent(canary);
    assert!(bob.tick().iter().any(|line| line["action"] == "canary"));
    assert_ne!(bob.canary(), canary);
}

/// A client that was killed alone says nothing about a server that dies later.
#[test]
fn a_client_killed_alone_is_no_evidence_later() {
    let bob = Watched::new(&[]);
    let client = bob.client();
    send(client, Signal::SIGKILL);
    wait_until("the client to be collected", PATIENCE, || cmdline(client).is_empty());
    assert!(bob.exits("server-exit").is_empty());
    // Longer than what counts as together.
    std::thread::sleep(Duration::from_millis(2300));
    send(bob.server(), Signal::SIGKILL);
    assert_eq!(bob.server_exit()["cause"], "signaled");
}

#[test]
fn a_deliberate_end_is_silent() {
    for verb in [&["iapeer-reap", "parrot-bob"][..], &["iapeer", "stop", "bob"], &["iapeer", "new", "bob"]] {
        let bob = Watched::new(&[]);
        let canary = bob.canary();
        bob.home.ok(verb[0], &verb[1..]);
        bob.silent(canary);
    }
}

#[test]
fn an_idle_reap_is_silent() {
    let bob = Watched::new(&[]);
    let canary = bob.canary();
    bob.home.set("IAPEER_IDLE_SECS", "0.001");
    wait_until("the idle reap", PATIENCE, || bob.tick().iter().any(|line| line["action"] == "reaped-idle"));
    bob.silent(canary);
}

#[test]
fn a_canary_that_was_killed_is_armed_again_without_a_record() {
    let bob = Watched::new(&[]);
    let lifecycle = bob.home.log("lifecycle.log");
    assert!(
        lifecycle.iter().any(|line| line["ev"] == "canary" && line["origin"] == "launch" && line["state"] == "spawned")
    );
    assert_eq!(bob.home.ok("iapeer-canary", &["--ensure", &bob.identity]).stdout.trim(), "parrot-bob  already");
    let (canary, client) = (bob.canary(), bob.client());
    send(canary, Signal::SIGKILL);
    wait_until("the client to go with its canary", PATIENCE, || cmdline(client).is_empty());
    let lines = bob.tick();
    let armed = lines.iter().find(|line| line["action"] == "canary").expect("the tick says so");
    assert_eq!(armed["outcome"], "spawned");
    let lifecycle = bob.home.log("lifecycle.log");
    let line = lifecycle.iter().rfind(|line| line.get("action").is_some_and(|action| action == "canary")).unwrap();
    assert_eq!((line["state"].as_str(), line["origin"].as_str()), ("spawned", "retrofit"));
    bob.client();
    assert!(!bob.tick().iter().any(|line| line["action"] == "canary"));
    assert!(bob.home.log("exits.log").is_empty());
    send(bob.server(), Signal::SIGKILL);
    assert_eq!(bob.server_exit()["cause"], "signaled");
}

#[test]
fn a_server_that_died_unwatched_is_recorded_by_the_tick_once() {
    let bob = Watched::new(&[]);
    let canary = bob.canary();
    send(canary, Signal::SIGKILL);
    wait_until("the canary's end", PATIENCE, || cmdline(canary).is_empty());
    // What nobody watched, its unit knows where it has one.
    let has_unit = bob.home.session_json(&bob.identity).unwrap()["unit"].is_string();
    let server = bob.server();
    send(server, Signal::SIGKILL);
    // A tick that still sees it alive would set a new canary on it.
    wait_until("the server's end", PATIENCE, || cmdline(server).is_empty());
    wait_until("the tick to see it", PATIENCE, || bob.tick().iter().any(|line| line["action"] == "reaped-gone"));
    bob.tick();
    let line = bob.server_exit();
    let cause = if has_unit { "signaled" } else { "server-vanished" };
    assert_eq!((line["cause"].as_str(), line["wait_rc"].as_str()), (cause, "unknown"));
}

#[test]
fn a_session_of_another_boot_died_with_the_host() {
    let bob = Watched::new(&[]);
    let (canary, server) = (bob.canary(), bob.server());
    send(canary, Signal::SIGKILL);
    wait_until("the canary's end", PATIENCE, || cmdline(canary).is_empty());
    let path = bob.state("session");
    let mut record = bob.home.session_json(&bob.identity).unwrap();
    record["boot_id"] = "another".into();
    fs::write(&path, record.to_string()).unwrap();
    send(server, Signal::SIGKILL);
    // A tick that still sees it alive would set a new canary on it.
    wait_until("the server's end", PATIENCE, || cmdline(server).is_empty());
    wait_until("the tick to see it", PATIENCE, || bob.tick().iter().any(|line| line["action"] == "reaped-gone"));
    assert_eq!(bob.server_exit()["cause"], "host-reboot");
}

/// A new server on the same socket at once: the old one's end is still seen, and the new one is watched.
#[test]
fn a_successor_on_the_same_socket_hides_nothing() {
    let bob = Watched::new(&[]);
    let old = bob.server();
    send(old, Signal::SIGKILL);
    wait_until("the signal to have its effect", PATIENCE, || cmdline(old).is_empty());
    bob.wake();
    let new = bob.server();
    assert_ne!(old, new);
    wait_until("the first record", PATIENCE, || !bob.exits("server-exit").is_empty());
    send(new, Signal::SIGTERM);
    wait_until("the second record", PATIENCE, || bob.exits("server-exit").len() == 2);
    let found: Vec<_> =
        bob.exits("server-exit").iter().map(|line| (line["server_pid"].clone(), line["cause"].clone())).collect();
    assert_eq!(found, [(old.to_string(), "signaled".into()), (new.to_string(), "signaled-server-gone".into())]);
    assert_ne!(bob.exits("server-exit")[0]["forensics"], bob.exits("server-exit")[1]["forensics"]);
}

/// The socket file proves nothing: without it the server lives and is watched.
#[test]
fn an_unlinked_socket_is_no_death() {
    let bob = Watched::new(&[]);
    fs::remove_file(bob.home.sockets().join("tmux-iap-parrot-bob.sock")).unwrap();
    let lines = bob.tick();
    assert!(!lines.iter().any(|line| line["action"] == "reaped-gone"), "{lines:?}");
    assert!(bob.home.log("exits.log").is_empty());
    send(bob.server(), Signal::SIGTERM);
    assert_eq!(bob.server_exit()["cause"], "signaled-server-gone");
}
