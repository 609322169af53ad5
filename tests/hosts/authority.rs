//! What a host may say and write: for its own peers alone, under the name that its key is bound to.

use crate::*;

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
