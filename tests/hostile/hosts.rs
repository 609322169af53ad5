//! Other hosts: their files, their names, what they say, and a full disk.

use crate::*;

#[test]
fn files_about_other_hosts_may_be_anything() {
    let home = home();
    let root = home.root();
    fs::create_dir_all(root.join("hosts")).unwrap();
    for name in ["hosts/box.json", "hostname", "nats.json", "owner", "hosts/box.removed"] {
        let path = root.join(name);
        let before = fs::read(&path).ok();
        for kind in KINDS {
            place(kind, &path);
            let what = format!("{name} is a {kind}");
            for words in [
                &["iapeer", "list"][..],
                &["iapeer", "host", "list"],
                &["iapeer", "doctor"],
                &["iapeer", "attention"],
                &["iapeer-relay", "push", "box"],
                &["iapeer-relay", "peers", "box"],
                &["iapeer-send", "me@box", "--from", "al", "--wait", "1", "-m", "x"],
            ] {
                let said = soon(&home, words);
                assert!(said.stderr.lines().count() <= 2, "{what}: {words:?}: {said}");
            }
            let served = home.run_with("iapeer-relay", &["receive", "--host", "box"], b"\n");
            fine(&served, &["receive"]);
            bob_is_served(&home, &what);
            clear(&path);
        }
        if let Some(before) = before {
            fs::write(&path, before).unwrap();
        }
    }
}

#[test]
fn names_of_hosts_are_checked() {
    let home = home();
    for host in ["../x", "a/b", "", "@", "a\nb", "\u{202e}box", "-oProxyCommand=x", &"x".repeat(300)] {
        let sent = soon(&home, &["iapeer-send", &format!("me@{host}"), "--from", "al", "-m", "x"]);
        assert!([64, 67].contains(&sent.code), "{host:?}: {sent}");
        for words in [&["host", "add", host, "me@there"][..], &["host", "remove", host], &["host", "test", host]] {
            let said = soon(&home, &[&["iapeer"], words].concat());
            assert!([64, 67].contains(&said.code), "{words:?}: {said}");
        }
    }
    // What is known stays known when a new way to it is refused.
    home.ok("iapeer", &["host", "add", "box", "me@there"]);
    let file = home.root().join("hosts/box.json");
    let before = fs::read(&file).unwrap();
    for bad in [" ", "a\nb", "me@there\u{7f}"] {
        let said = soon(&home, &["iapeer", "host", "add", "box", bad]);
        assert_eq!((said.code, said.stderr.lines().count()), (64, 1), "{bad:?}: {said}");
        assert_eq!(fs::read(&file).unwrap(), before, "{bad:?}");
    }
}

/// What `iapeer-relay receive` answers to `text` behind a hello.
fn receive(home: &TestHome, text: &[u8]) -> (Output, Vec<Value>) {
    let hello = json!({"hello": {"host": "laptop", "version": "9", "protocol": [1, 1]}});
    let input = [format!("{hello}\n").as_bytes(), text].concat();
    let said = home.run_with("iapeer-relay", &["receive", "--host", "laptop"], &input);
    fine(&said, &["iapeer-relay", "receive"]);
    let lines = said.json_lines().into_iter().skip(1).collect();
    (said, lines)
}

#[test]
fn whatever_another_host_says_is_taken_once_or_refused() {
    let home = home();
    fs::create_dir_all(home.root().join("hosts")).unwrap();
    fs::write(home.root().join("hosts/laptop.json"), r#"{"transport":"ssh"}"#).unwrap();
    let id = |n: u32| format!("01ARZ3NDEKTSV4RRFFQ6{n:06}");
    let message = |n: u32, more: Value| {
        let mut message = json!({"id": id(n), "seq": n, "to": "me", "from": "person-me", "from_intelligence": "natural", "sent": 1, "body": "x"});
        message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        format!("{}\n", json!({ "message": message }))
    };
    let part = |n: u32, more: Value| {
        let mut part = json!({"id": id(n), "file": 0, "name": "f", "offset": 0, "data": "eA=="});
        part.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        format!("{}\n", json!({ "part": part }))
    };
    // Foreign, torn and oversized lines end the conversation; what was taken before stays.
    let long = "x".repeat(3 << 20);
    let deep = "[".repeat(200_000);
    for bad in
        [&b"\xff\xfe\0\n"[..], b"{}\n", b"{\"message\":", long.as_bytes(), deep.as_bytes(), b"\"done\" \"done\"\n"]
    {
        let (said, _) = receive(&home, &[message(1, json!({})).as_bytes(), bad].concat());
        assert!(said.stderr.len() < 2000, "{said}");
    }
    // Numbers at their ends, pieces that belong nowhere, receipts of what was never sent, a message to itself.
    let odd = [
        part(2, json!({"offset": u64::MAX})),
        part(2, json!({"file": usize::MAX})),
        part(2, json!({"name": "../../x", "data": "not base64"})),
        message(2, json!({"files": [{"name": "f", "size": u64::MAX}, {"name": "f", "size": u64::MAX}]})),
        message(3, json!({"files": [{"name": "f", "size": 1}], "body": ""})),
        message(4, json!({"seq": u64::MAX, "sent": u64::MAX})),
        message(5, json!({"to": "me\nx"})),
        message(6, json!({"to": "", "errand": {"receipt": {"about": id(9), "seq": u64::MAX, "outcome": "delivered"}}})),
        message(
            7,
            json!({"to": "", "errand": {"receipt": {"about": id(9), "seq": 0, "outcome": "dead", "reason": "\u{1b}[2J"}}}),
        ),
        message(8, json!({"body": "x".repeat(16_001)})),
        message(9, json!({"to": "me@laptop"})),
    ];
    let (_, acks) = receive(&home, odd.concat().as_bytes());
    assert!(acks.iter().all(|ack| ack["ack"]["outcome"].is_string() || ack["bye"].is_string()), "{acks:?}");
    // The memory of one conversation has a bound, however fast the other end talks.
    let flood: String = (0..400).map(|n| part(1000 + n, json!({"data": "eHh4".repeat(150_000)}))).collect();
    let limited = home.root().parent().unwrap().join("limited");
    let relay = support::bin("iapeer-relay");
    fs::write(&limited, format!("#!/bin/sh\nulimit -v 800000\nexec {} \"$@\"\n", relay.display())).unwrap();
    let mut command = home.cmd("sh");
    command.arg(&limited).args(["receive", "--host", "laptop"]);
    let hello = json!({"hello": {"host": "laptop", "version": "9", "protocol": [1, 1]}});
    let said = home.start(command, Some(format!("{hello}\n{flood}").as_bytes())).wait(SOON * 3);
    assert_eq!(said.code, 0, "{said}");
    wait_until("the letters", SOON, || matches!(home.queue("person-me"), (0, 0, _)));
    let letters = support::mail::letters(&home);
    assert!(letters.iter().filter(|letter| letter["id"] == id(1)).count() == 1, "{letters:?}");
    assert!(letters.iter().all(|letter| letter["from"] == "person-me@laptop"), "{letters:?}");
    bob_is_served(&home, "after all that");
}

#[test]
fn a_full_disk_accepts_nothing_for_another_host() {
    let home = TestHome::new();
    let Some(disk) = SmallDisk::mount_with(&home.root(), "size=400k,mode=700") else {
        return eprintln!("SKIPPED: this user may not mount a small disk");
    };
    home.set("IAPEER_SERVICE_MANAGER", "none");
    home.ok("iapeer", &["create", "me", "--runtime", "person"]);
    home.ok("iapeer", &["host", "add", "box"]);
    let file = home.dir().join("f");
    fs::write(&file, vec![b'x'; 300_000]).unwrap();
    let attach =
        ["iapeer-send", "me@box", "--from", "me", "--wait", "0", "-m", "x", "--attach", file.to_str().unwrap()];
    let mut accepted = 0;
    let full = loop {
        let sent = soon(&home, &attach);
        match sent.code {
            0 => accepted += 1,
            _ => break sent,
        }
        assert!(accepted < 3, "300 kB fit three times into 400 kB");
    };
    assert!([73, 74].contains(&full.code) && full.stderr.lines().count() == 1, "{full}");
    let (waiting, inflight, dead) = support::mail::outbox(&home, "box");
    assert_eq!((waiting, inflight, dead), (accepted, 0, 0), "what was refused is not kept");
    let copies = fs::read_dir(home.root().join("state/outbox/box.files")).map_or(0, |all| all.count());
    assert_eq!(copies, accepted, "nor are its files");
    soon(&home, &["iapeer-superviser"]);
    drop(disk);
}
