//! The connection between two hosts: kept, cut, in one direction only, to an older version, to a host that is away.

use crate::*;

#[test]
fn a_kept_connection_is_used_again_and_one_that_dies_is_replaced() {
    let (laptop, there) = two();
    laptop.knows(&there, json!({"keep_secs": 60}));
    let send = || {
        laptop.home.ok("iapeer-send", &["me@box", "--require", "delivered", "-m", "x"]);
        // The program that has handed it over would take the next message too, over the connection that it has.
        let relays = || laptop.home.processes().into_iter().filter(|(_, name)| name == "iapeer-relay").count();
        wait_until("the end of the relay", PATIENCE, || relays() == 0);
    };
    let master = || {
        let running = laptop.home.processes().into_iter().filter(|(_, name)| name == "ssh").map(|(pid, _)| pid);
        running.collect::<Vec<i32>>()
    };
    let idle = || wait_for("the kept connection alone", PATIENCE, || <[i32; 1]>::try_from(master()).ok());
    (0..3).for_each(|_| send());
    assert_eq!(there.logins(), 1);
    // Killed, it leaves its socket behind.
    let [pid] = idle();
    kill(pid);
    wait_until("its end", PATIENCE, || !master().contains(&pid));
    let sockets = || {
        let names = fs::read_dir(laptop.home.sockets()).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().starts_with("ssh-")).count()
    };
    assert_eq!(sockets(), 1);
    (0..2).for_each(|_| send());
    assert_eq!((there.logins(), sockets()), (2, 1));
    // Cut from the other side.
    let before = idle();
    there.connections().into_iter().for_each(kill);
    wait_until("its end", PATIENCE, || master() != before);
    (0..2).for_each(|_| send());
    assert_eq!(there.logins(), 3);

    // Where no socket can be, each message has a connection of its own, and `host add` says so.
    let deep = laptop.home.dir().join("x".repeat(60));
    fs::create_dir(&deep).unwrap();
    fs::set_permissions(&deep, fs::Permissions::from_mode(0o700)).unwrap();
    laptop.home.set("IAPEER_SOCK_DIR", deep);
    (0..2).for_each(|_| send());
    assert_eq!(there.logins(), 5);
    refused(&laptop.home.run("iapeer", &["host", "add", "far", "me@far", "--keep", "60"]), 78, "IAPEER_SOCK_DIR");
}

/// The long form: IAPEER_LINK_CUT=60, a minute (`make soak`).
#[test]
fn a_link_that_is_cut_costs_nothing_but_the_time() {
    let base = TestHome::new();
    let Some(cable) = Cable::new(&base) else { return };
    let (laptop, there) = apart(&cable);
    cut_while_both_write(&cable, [(&laptop.home, "laptop"), (&there.home, "box")]);
}

#[test]
fn an_older_far_end_is_refused_by_name_and_nothing_is_lost() {
    let (laptop, there) = two();
    let old =
        r#"echo Welcome; echo {\"hello\":{\"host\":\"box\",\"version\":\"0.0.9\",\"protocol\":[0,0]}}; cat >/dev/null"#;
    there.script("relay", old);
    let sent = laptop.home.ok("iapeer-send", &["me@box", "-m", "x"]);
    assert!(sent.stdout.contains("upgrade iapeer on box (version 0.0.9)"), "{sent}");
    refused(&laptop.home.run("iapeer-relay", &["push", "box"]), 69, "upgrade iapeer on box (version 0.0.9)");
    there.script("relay", &format!("exec {} \"$@\"", support::bin("iapeer-relay").display()));
    laptop.home.ok("iapeer-relay", &["push", "box"]);
    wait_until("the letter", PATIENCE, || letters(&there.home).len() == 1);
}

#[test]
fn a_host_that_is_away_is_named_with_since_when_and_gets_all_when_it_is_back() {
    let (laptop, mut there) = two();
    there.kill_sshd();
    for n in 0..3 {
        let sent = laptop.home.ok("iapeer-send", &["me@box", "-m", &n.to_string()]);
        assert!(sent.stdout.contains("box is away since ") && sent.stdout.contains("Connection refused"), "{sent}");
    }
    let listed = laptop.home.ok("iapeer", &["list"]);
    assert!(listed.stdout.contains("3 waiting for box, which is away since "), "{listed}");
    let rows = laptop.home.ok("iapeer", &["host", "list", "--json"]).json_lines();
    assert_eq!((&rows[0]["host"], &rows[1]["host"], &rows[1]["waiting"]), (&"laptop".into(), &"box".into(), &3.into()));
    assert!(rows[1]["away"]["tries"].as_u64().unwrap() >= 1, "{rows:?}");
    refused(&laptop.home.run("iapeer", &["host", "test", "box", "--wait", "20"]), 75, "Connection refused");
    refused(&laptop.home.run("iapeer", &["host", "remove", "box"]), 69, "3 messages wait for box");
    let found = laptop.home.run("iapeer", &["doctor"]);
    assert!(found.stdout.contains("@box: away for ") && found.stdout.contains("3 waiting"), "{found}");
    assert!(!found.stdout.contains("state/outbox"), "{found}");
    there.start();
    // What tried before waits a few seconds at most, and needs nobody.
    wait_until("all of it", PATIENCE, || letters(&there.home).len() == 3);
    wait_until("the receipts", PATIENCE, || laptop.outbox("box") == (0, 0, 0));
    let probed = laptop.home.ok("iapeer", &["host", "test", "box"]);
    assert!(probed.stdout.starts_with("box answers by ssh in "), "{probed}");
    let peers = laptop.home.ok("iapeer", &["list", "--hosts", "--json"]).json_lines();
    assert_eq!((peers.len(), &peers[0]["address"], &peers[0]["runtime"]), (1, &"me@box".into(), &"person".into()));
    laptop.home.ok("iapeer", &["host", "remove", "box"]);
    refused(&laptop.home.run("iapeer-send", &["me@box", "-m", "x"]), 67, "no host named \"box\"");
}

#[test]
fn a_host_that_calls_and_is_never_called_gets_receipts_and_answers_by_its_own_calls() {
    let (laptop, there) = two();
    there.write_host("laptop", &json!({"transport": "ssh"}));
    there.home.parrot("bob", &[("PARROT_TURN_MS", "5")]);
    laptop.home.ok("iapeer-send", &["bob@box", "--require", "delivered", "-m", "hello"]);
    // Whatever comes after the receipts comes with the next call, which a tick makes where the file says so.
    laptop.knows(&there, json!({"fetch": true}));
    wait_until("the answer", PATIENCE, || {
        laptop.home.ok("iapeer-superviser", &[]);
        letters(&laptop.home).iter().any(|letter| letter["body"] == "You said: hello")
    });
    wait_until("nothing to wait", PATIENCE, || there.outbox("laptop") == (0, 0, 0));
}

#[test]
fn what_waits_too_long_comes_back_to_its_sender() {
    let (laptop, mut there) = two();
    there.kill_sshd();
    laptop.home.set("IAPEER_OUTBOX_DAYS", "0.000001");
    laptop.home.ok("iapeer-send", &["me@box", "--no-wait", "-m", "x"]);
    wait_until("the notice", PATIENCE, || {
        laptop.home.run("iapeer-relay", &["push", "box"]);
        letters(&laptop.home).iter().any(|letter| letter["topic"] == "delivery-failed")
    });
    assert_eq!(laptop.outbox("box"), (0, 0, 1));
}
