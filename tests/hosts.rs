//! Peers on other hosts: two roots that reach each other by a real sshd.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use support::mail::{delivered, letters};
use support::netns::{Cable, cut_while_both_write};
use support::ssh::{SshHome, apart, kill, two};
use support::telegram::{Telegram, connect};
use support::{Chance, Output, PATIENCE, TestHome, wait_for, wait_until};

/// The letters of the person `me` of a home, read or not, in the order of their arrival.
#[track_caller]
fn refused(output: &Output, code: i32, why: &str) {
    assert!(output.code == code && output.stderr.contains(why), "{output}");
}

#[test]
fn a_message_goes_to_another_host_and_its_answer_comes_back() {
    let (laptop, there) = two();
    there.home.parrot("bob", &[("PARROT_TURN_MS", "5")]);
    let sent = laptop.home.ok("iapeer-send", &["bob@box", "--topic", "t", "--require", "delivered", "-m", "hello"]);
    assert!(sent.stdout.starts_with("delivered to bob@box (woke: fresh, first-wake) "), "{sent}");
    let answer = wait_for("the answer", PATIENCE, || letters(&laptop.home).pop());
    assert_eq!((&answer["from"], &answer["body"]), (&"parrot-bob@box".into(), &"You said: hello".into()));
    let envelope = there.home.record("bob")[0]["text"].as_str().unwrap().to_owned();
    assert!(envelope.contains("from-personality=\"me@laptop\""), "{envelope}");
    assert!(envelope.contains("iapeer-send me@laptop --re "), "{envelope}");

    // A reply finds its way by what it answers.
    let id = answer["id"].as_str().unwrap();
    let replied = laptop.home.ok("iapeer", &["reply", id, "-m", "thanks"]);
    assert!(replied.stdout.starts_with("delivered to bob@box (warm)"), "{replied}");
    assert_eq!(there.home.bodies("bob"), ["hello", "thanks"]);
    let said = laptop.home.ok("iapeer", &["history", "--json"]).json_lines();
    let to_bob: Vec<&Value> = said.iter().filter(|line| line["to"] == "bob@box").collect();
    assert_eq!((to_bob.len(), &to_bob[0]["outcome"]), (2, &"delivered".into()), "{said:?}");
    wait_until("nothing to wait", PATIENCE, || {
        laptop.outbox("box") == (0, 0, 0) && there.outbox("laptop") == (0, 0, 0)
    });
}

#[test]
fn what_the_other_host_refuses_comes_back_with_its_words() {
    let (laptop, there) = two();
    refused(&laptop.home.run("iapeer-send", &["bob@nowhere", "-m", "x"]), 67, "no host named \"nowhere\"");
    refused(&laptop.home.run("iapeer-send", &["bob@../x", "-m", "x"]), 64, "not a host's name");
    let sent = laptop.home.run("iapeer-send", &["bob@box", "--require", "delivered", "-m", "x"]);
    assert!(sent.code == 75 && sent.stdout.contains("dead letter: box: no peer named \"bob\""), "{sent}");
    let notice = wait_for("the notice", PATIENCE, || letters(&laptop.home).pop());
    assert!(notice["from"] == "system-iapeer" && notice["topic"] == "delivery-failed", "{notice}");
    assert!(notice["body"].as_str().unwrap().contains("box: no peer named \"bob\""), "{notice}");
    let rows = laptop.home.ok("iapeer-drain", &["--list", "--json"]).json_lines();
    assert_eq!((rows.len(), &rows[0]["identity"], &rows[0]["place"]), (1, &"@box".into(), &"dead".into()), "{rows:?}");
    // Once there is such a peer, the dead letter goes the same way again.
    there.home.ok("iapeer", &["create", "bob", "--runtime", "person"]);
    laptop.home.ok("iapeer-drain", &["--requeue", rows[0]["id"].as_str().unwrap()]);
    wait_until("the letter", PATIENCE, || there.home.ok("iapeer", &["inbox", "bob", "--json"]).json_lines().len() == 1);
    wait_until("its receipt", PATIENCE, || laptop.outbox("box") == (0, 0, 0));
    there.home.ok("iapeer", &["stop", "bob"]);
    let sent = laptop.home.run("iapeer-send", &["bob@box", "-m", "x"]);
    assert!(sent.stdout.contains("dead letter: box: ") && sent.stdout.contains("stopped"), "{sent}");
}

#[test]
fn a_question_is_answered_across_hosts() {
    let (laptop, there) = two();
    there.home.parrot("bob", &[("PARROT_TURN_MS", "5")]);
    let asked = laptop.home.ok("iapeer-send", &["bob@box", "--ask", "-m", "how are you?"]);
    assert_eq!(asked.stdout, "You said: how are you?\n", "{asked}");
    // By its identity, too, where the answer names no question.
    let asked = laptop.home.ok("iapeer-send", &["parrot-bob@box", "--ask", "-m", "and now?"]);
    assert_eq!(asked.stdout, "You said: and now?\n", "{asked}");
    // It was printed, and is filed as read.
    assert!(letters(&laptop.home).iter().all(|letter| letter["unread"] == false));
}

#[test]
fn a_schedule_may_write_to_a_peer_of_a_known_host() {
    let (laptop, _there) = two();
    laptop.home.set("IAPEER_SERVICE_MANAGER", "none");
    let add =
        |to: &str| laptop.home.run("iapeer", &["schedule", "add", "daily", "--to", to, "--every", "1h", "-m", "x"]);
    let refused = add("bob@nowhere");
    assert!(refused.code == 67 && refused.stderr.contains("nowhere"), "{refused}");
    let added = add("bob@box");
    assert!(added.code == 0 && added.stdout.starts_with("scheduled daily  to bob@box"), "{added}");
}

#[test]
fn files_go_along_and_land_below_their_message() {
    let (laptop, there) = two();
    let file = laptop.home.dir().join("a b.bin");
    let bytes: Vec<u8> = (0..700_000_u32).map(|n| (n % 251) as u8).collect();
    fs::write(&file, &bytes).unwrap();
    let empty = laptop.home.dir().join("empty");
    fs::write(&empty, "").unwrap();
    // The sender may take them away as soon as the message is accepted.
    there.authorize(&[]);
    let path = |file: &std::path::Path| file.to_str().unwrap().to_owned();
    let sent =
        laptop.home.ok("iapeer-send", &["me@box", "--attach", &path(&file), "--attach", &path(&empty), "-m", "x"]);
    assert!(sent.stdout.starts_with("queued for me@box (1 waiting: box is away since "), "{sent}");
    fs::remove_file(&file).unwrap();
    let found = laptop.home.run("iapeer", &["doctor"]);
    assert!(!found.stdout.contains("state/outbox"), "{found}");
    there.authorize(&[(&laptop, "")]);
    laptop.home.ok("iapeer-relay", &["push", "box"]);
    let letter = wait_for("the letter", PATIENCE, || letters(&there.home).pop());
    let landed: Vec<&str> =
        letter["attachments"].as_array().unwrap().iter().map(|path| path.as_str().unwrap()).collect();
    let id = letter["id"].as_str().unwrap();
    let below = there.home.root().join("cache/iapeer/attachments").join(id);
    assert_eq!(landed, [path(&below.join("0/a b.bin")), path(&below.join("1/empty"))]);
    assert_eq!(fs::read(landed[0]).unwrap(), bytes);
    assert_eq!(fs::metadata(landed[0]).unwrap().permissions().mode() & 0o777, 0o600);
    wait_until("the copies to go", PATIENCE, || {
        laptop.home.run("iapeer-relay", &["push", "box"]);
        fs::read_dir(laptop.home.root().join("state/outbox/box.files")).is_ok_and(|mut dir| dir.next().is_none())
    });
    laptop.home.set("IAPEER_ATTACHMENTS_MAX_BYTES", "1000");
    fs::write(&file, vec![0; 1001]).unwrap();
    refused(&laptop.home.run("iapeer-send", &["me@box", "--attach", &path(&file), "-m", "x"]), 65, "1000 bytes");
}

/// What `iapeer-relay receive --host laptop` says to `lines`.
fn receive(there: &SshHome, lines: &[Value]) -> Vec<Value> {
    receive_from("laptop", there, lines)
}

fn receive_from(host: &str, there: &SshHome, lines: &[Value]) -> Vec<Value> {
    let hello = json!({"hello": {"host": host, "version": "9", "protocol": [1, 1]}});
    let text: String = std::iter::once(&hello).chain(lines).map(|line| format!("{line}\n")).collect();
    let said = there.home.run_with("iapeer-relay", &["receive", "--host", host], text.as_bytes());
    said.json_lines().into_iter().skip(1).collect()
}

#[test]
fn a_host_speaks_for_its_own_peers_alone_and_writes_nowhere_else() {
    let (_laptop, there) = two();
    let id = |n: u8| format!("01ARZ3NDEKTSV4RRFFQ69G5F{n:02}");
    let message = |n: u8, more: Value| {
        let mut message = json!({"id": id(n), "seq": n, "to": "me", "from": "person-me", "from_intelligence": "natural", "sent": 1, "body": "x"});
        message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"message": message})
    };
    let part = |n: u8, name: &str| json!({"part": {"id": id(n), "file": 0, "name": name, "offset": 0, "data": "eA=="}});
    let file = |name: &str| json!({"files": [{"name": name, "size": 1}]});
    let acks = receive(
        &there,
        &[
            message(10, json!({})),
            message(10, json!({})),
            message(11, json!({"from": "claude-alice@other"})),
            message(12, json!({"to": "me@other"})),
            part(13, "../../../x"),
            message(13, file("../../../x")),
            part(14, "/tmp/x"),
            message(14, file("/tmp/x")),
            part(15, ".ssh"),
            message(15, file(".ssh")),
            message(16, file("missing")),
            message(17, json!({"body": "\u{1b}[2J"})),
        ],
    );
    // The one with a host in its sender is no line of ours: the conversation ends there.
    assert_eq!(acks.len(), 2, "{acks:?}");
    let acks = receive(
        &there,
        &[
            message(12, json!({"to": "me@other"})),
            part(13, "../../../x"),
            message(13, file("../../../x")),
            part(14, "/tmp/x"),
            message(14, file("/tmp/x")),
            part(15, ".ssh"),
            message(15, file(".ssh")),
            message(17, json!({"body": "\u{1b}[2J"})),
            message(16, file("missing")),
        ],
    );
    let outcomes: Vec<&str> = acks.iter().map(|ack| ack["ack"]["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["refused", "refused", "refused", "refused", "refused", "later"], "{acks:?}");
    assert!(acks[0]["ack"]["reason"].as_str().unwrap().contains("passes nothing on"), "{acks:?}");
    let letters = wait_for("the letter", PATIENCE, || Some(letters(&there.home)).filter(|all| !all.is_empty()));
    assert_eq!((letters.len(), &letters[0]["from"]), (1, &"person-me@laptop".into()), "{letters:?}");
    let cache = there.home.root().join("cache/iapeer/attachments");
    let left = fs::read_dir(&cache).map(|dir| dir.count()).unwrap_or_default();
    assert_eq!(left, 0, "what was refused leaves nothing");

    let stranger = there.home.run_with("iapeer-relay", &["receive", "--host", "stranger"], b"");
    assert!(stranger.code == 69 && stranger.stdout.contains("box does not know the host stranger"), "{stranger}");
}

#[test]
fn no_host_changes_the_files_that_came_with_anothers_message() {
    let (laptop, there) = two();
    there.write_host("desk", &json!({"transport": "ssh"}));
    let file = laptop.home.dir().join("plan");
    fs::write(&file, "of laptop").unwrap();
    laptop.home.ok("iapeer-send", &["me@box", "--require", "delivered", "--attach", file.to_str().unwrap(), "-m", "x"]);
    let letter = letters(&there.home).pop().unwrap();
    let (id, path) = (letter["id"].as_str().unwrap(), letter["attachments"][0].as_str().unwrap());
    let forged = |size: u64| {
        json!({"message": {"id": id, "seq": 1, "to": "me", "from": "person-me", "from_intelligence": "natural", "sent": 1,
            "files": [{"name": "plan", "size": size}], "body": "x"}})
    };
    let part = json!({"part": {"id": id, "file": 0, "name": "plan", "offset": 0, "data": "Zm9yZ2VkIQ=="}});
    let acks = receive_from("desk", &there, &[part, forged(7), forged(u64::MAX)]);
    let outcomes: Vec<&str> = acks.iter().map(|ack| ack["ack"]["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["refused", "refused"], "{acks:?}");
    assert_eq!(fs::read_to_string(path).unwrap(), "of laptop");
    assert_eq!(letters(&there.home).len(), 1);
}

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
fn a_person_is_reached_by_telegram_from_another_host_and_answers_there() {
    let (laptop, there) = two();
    laptop.home.parrot("bob", &[("PARROT_TURN_MS", "5")]);
    let telegram = Telegram::start(&there.home);
    connect(&there.home, &telegram, &[]);
    let bob = ["--from", "bob"];
    let send = |more: &[&str]| laptop.home.ok("iapeer-send", &[&["me@box"], &bob[..], more].concat());
    send(&["--require", "delivered", "-m", "may I merge it?"]);
    let asked = telegram.calls("sendMessage").into_iter().find(|call| call["text"] == "bob@laptop: may I merge it?");
    let asked = asked.unwrap_or_else(|| panic!("{:?}", telegram.texts()));
    telegram.push(json!({ "text": "yes", "reply_to_message": { "message_id": asked["number"] } }));
    wait_until("the answer", PATIENCE, || laptop.home.bodies("bob") == ["yes"]);
    let envelope = laptop.home.record("bob")[0]["text"].as_str().unwrap().to_owned();
    assert!(
        envelope.contains("from-personality=\"me@box\"") && envelope.contains("from-runtime=\"telegram\""),
        "{envelope}"
    );
    // What follows is for him, too; and he is written to by his name.
    telegram.write("today");
    telegram.write("/to bob@laptop please");
    wait_until("both", PATIENCE, || laptop.home.bodies("bob") == ["yes", "today", "please"]);
    // Who asks is told the answer.
    let mut asking = laptop.home.cmd("iapeer-send");
    asking.args(["me@box", "--from", "bob", "--ask", "-m", "how many?"]);
    let asking = laptop.home.start(asking, None);
    let question = wait_for("the question", PATIENCE, || {
        telegram.calls("sendMessage").into_iter().find(|call| call["text"] == "bob@laptop: how many?")
    });
    telegram.push(json!({ "text": "three", "reply_to_message": { "message_id": question["number"] } }));
    let answered = asking.wait(PATIENCE);
    assert!(answered.code == 0 && answered.stdout == "three\n", "{answered}");
}

#[test]
fn a_key_that_is_bound_to_a_host_speaks_for_no_other() {
    let (mut laptop, there) = two();
    let bound = |host: &str| {
        format!(
            "command=\"{} receive --host {host}\",restrict",
            there.script("relay", &format!("exec {} \"$@\"", support::bin("iapeer-relay").display())).display()
        )
    };
    there.authorize(&[(&laptop, &bound("laptop"))]);
    laptop.home.ok("iapeer-send", &["me@box", "--require", "delivered", "-m", "x"]);
    // The same key for another host's name: what it claims to be does not count.
    there.write_host("desk", &json!({"transport": "ssh"}));
    there.authorize(&[(&laptop, &bound("desk"))]);
    let pushed = laptop.home.run("iapeer-relay", &["push", "box"]);
    refused(&pushed, 69, "this way into box is for desk, and laptop came");
    laptop.kill_sshd();
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

/// The long form: IAPEER_HOSTS_STORM=250, a thousand messages of four senders (`make soak`).
#[test]
fn nothing_is_lost_or_doubled_whoever_is_killed() {
    let given = std::env::var("IAPEER_HOSTS_STORM").ok().and_then(|n| n.parse().ok());
    let each: usize = given.unwrap_or(25);
    let (laptop, there) = two();
    for host in [&laptop, &there] {
        host.home.ok("iapeer", &["create", "ann", "--runtime", "person"]);
    }
    let over = AtomicBool::new(false);
    let mut chance = Chance(0x9E37_79B9_7F4A_7C15 ^ u64::from(std::process::id()));
    let mut killed = BTreeMap::<String, usize>::new();
    std::thread::scope(|scope| {
        let ways = [(&laptop, "me@box"), (&there, "me@laptop")];
        let writers: Vec<_> = ways
            .iter()
            .flat_map(|(host, to)| ["me", "ann"].map(|from| (*host, *to, from)))
            .map(|(host, to, from)| {
                scope.spawn(move || {
                    for n in 0..each {
                        host.home.ok("iapeer-send", &[to, "--from", from, "--no-wait", "-m", &n.to_string()]);
                    }
                })
            })
            .collect();
        // What a tick does each minute.
        for (host, to) in [(&laptop, "box"), (&there, "laptop")] {
            let over = &over;
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    host.home.run("iapeer-relay", &["push", to]);
                    std::thread::sleep(Duration::from_millis(100));
                }
            });
        }
        let at_work = || writers.iter().any(|writer| !writer.is_finished());
        let mut rounds = 0;
        while at_work() || rounds < each.max(20) {
            rounds += 1;
            std::thread::sleep(Duration::from_millis(50 + chance.below(150)));
            let mut all: Vec<(i32, String)> = Vec::new();
            for host in [&laptop, &there] {
                let processes = host.home.processes().into_iter();
                all.extend(processes.filter(|(_, name)| name == "iapeer-relay" || name == "ssh"));
                all.extend(host.connections().into_iter().map(|pid| (pid, "sshd".into())));
            }
            if !all.is_empty() {
                let (pid, name) = all.swap_remove(chance.below(all.len() as u64) as usize);
                kill(pid);
                *killed.entry(name).or_default() += 1;
            }
        }
        for writer in writers {
            writer.join().unwrap();
        }
        over.store(true, Ordering::Relaxed);
    });
    let wanted: Vec<String> = (0..each).map(|n| n.to_string()).collect();
    wait_until("all to be settled", Duration::from_secs(240), || {
        laptop.home.run("iapeer-relay", &["push", "box"]);
        there.home.run("iapeer-relay", &["push", "laptop"]);
        laptop.outbox("box") == (0, 0, 0) && there.outbox("laptop") == (0, 0, 0)
    });
    for (host, other) in [(&laptop, "box"), (&there, "laptop")] {
        host.home.at_rest("person-me");
        let mut got = delivered(&host.home);
        for from in ["me", "ann"] {
            let got = got.remove(&format!("person-{from}@{other}")).unwrap_or_default();
            assert!(got == wanted, "{} of {from}@{other}: {} of {each}: {got:?}", host.name, got.len());
        }
        assert!(got.is_empty(), "{got:?}");
    }
    println!("hosts: {} messages, 0 lost, 0 twice; killed: {killed:?}", each * 4);
}
