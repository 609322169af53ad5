//! What iapeer itself says to peers, and what becomes of an answer.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use serde_json::json;
use std::fs;
use support::{PATIENCE, TestHome, wait_until};

/// Al writes to bob, whose program can't be started: the message becomes a dead letter while `meanwhile` holds.
fn a_dead_letter(home: &TestHome, meanwhile: impl Fn()) {
    home.set("IAPEER_QUEUE_MAX_ATTEMPTS", "1").set("IAPEER_CRASHLOOP_MAX", "99");
    home.set("IAPEER_BOOT_DEADLINE_SECS", "2");
    for name in ["al", "bob"] {
        home.parrot(name, &[]);
    }
    home.launch_env("bob", &[("PARROT_CRASH", "boot")]);
    // Held until the sender is as it shall be.
    let queue = home.state_dir().join("parrot-bob.queue");
    home.ok("iapeer", &["stop", "bob"]);
    fs::create_dir_all(&queue).unwrap();
    let item = json!({"v": 1, "id": "01M7YEQDPSFQ470K9N062NKM85", "task": "x", "from": "parrot-al",
        "from_intelligence": "artificial", "accepted": 1_795_273_907_006_u64, "attempts": 0});
    fs::write(queue.join("000001"), item.to_string()).unwrap();
    meanwhile();
    home.ok("iapeer", &["start", "bob"]);
    wait_until("the dead letter", PATIENCE, || home.queue("parrot-bob") == (0, 0, 1));
    home.at_rest("parrot-bob");
    // The sender's own session may take its time, and its message is not given up for that.
    home.unset("IAPEER_BOOT_DEADLINE_SECS").unset("IAPEER_QUEUE_MAX_ATTEMPTS");
}

fn notices(home: &TestHome) -> Vec<String> {
    home.bodies("al").into_iter().filter(|body| body.contains("is kept as a dead letter")).collect()
}

#[test]
fn a_sender_that_is_stopped_is_told_once_after_its_start() {
    let home = TestHome::new();
    a_dead_letter(&home, || drop(home.ok("iapeer", &["stop", "al"])));
    assert_eq!(home.queue("parrot-al"), (0, 0, 0), "a stopped peer accepts nothing");
    home.ok("iapeer-superviser", &[]);
    assert_eq!(home.queue("parrot-al"), (0, 0, 0));
    assert_eq!(fs::read_dir(home.root().join("state/notices")).unwrap().count(), 1);
    home.ok("iapeer", &["start", "al"]);
    wait_until("the notice", PATIENCE, || notices(&home).len() == 1);
    assert!(!home.root().join("state/notices").exists(), "nothing is left to be told");
    home.ok("iapeer-superviser", &[]);
    home.at_rest("parrot-al");
    assert_eq!(notices(&home).len(), 1);
}

#[test]
fn a_sender_whose_queue_can_not_be_written_is_told_by_a_later_tick() {
    let home = TestHome::new();
    let queue = home.state_dir().join("parrot-al.queue");
    a_dead_letter(&home, || fs::write(&queue, "no folder").unwrap());
    assert_eq!(fs::read_dir(home.root().join("state/notices")).unwrap().count(), 1, "it is findable");
    home.run("iapeer-superviser", &[]);
    fs::remove_file(&queue).unwrap();
    home.ok("iapeer-superviser", &[]);
    wait_until("the notice", PATIENCE, || notices(&home).len() == 1);
    assert!(!home.root().join("state/notices").exists());
}

#[test]
fn a_notice_that_was_given_before_a_crash_is_not_given_twice_and_follows_a_rename() {
    let home = TestHome::new();
    a_dead_letter(&home, || drop(home.ok("iapeer", &["stop", "al"])));
    let dir = home.root().join("state/notices");
    let waiting = fs::read_dir(&dir).unwrap().next().unwrap().unwrap().path();
    let copy = fs::read(&waiting).unwrap();
    home.ok("iapeer", &["rename", "al", "ann"]);
    let name = waiting.file_name().unwrap().to_str().unwrap().replace("parrot-al.", "parrot-ann.");
    assert!(dir.join(&name).exists(), "it waits for the new name");
    home.launch_env("ann", &[]);
    home.ok("iapeer", &["start", "ann"]);
    let told = || home.bodies("ann").iter().filter(|body| body.contains("dead letter")).count();
    wait_until("the notice", PATIENCE, || told() == 1);
    home.at_rest("parrot-ann");
    // As a crash between giving it and forgetting it leaves it.
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join(&name), &copy).unwrap();
    home.ok("iapeer-superviser", &[]);
    assert!(!dir.exists());
    home.at_rest("parrot-ann");
    assert_eq!((told(), home.queue("parrot-ann")), (1, (0, 0, 0)));
}

#[test]
fn iapeer_is_no_peers_name() {
    let home = TestHome::new();
    home.parrot("al", &[]);
    let folder = home.home().join("iapeer");
    fs::create_dir(&folder).unwrap();
    for words in [
        &["create", "iapeer", "--runtime", "parrot"][..],
        &["create", "IAPeer", "--runtime", "parrot"],
        &["init", folder.to_str().unwrap(), "--runtime", "parrot"],
        &["rename", "al", "iapeer"],
    ] {
        let refused = home.run("iapeer", words);
        assert!([64, 69].contains(&refused.code), "{words:?}: {refused}");
        assert!(refused.stderr.contains("reserved") && refused.stderr.lines().count() == 1, "{words:?}: {refused}");
    }
    assert!(!folder.join(".iapeer").exists() && !home.root().join("peers/iapeer").exists());
    let listed = home.ok("iapeer", &["list", "--json"]).json_lines();
    assert_eq!(listed.len(), 1);
    home.ok("iapeer", &["create", "iapeer2", "--runtime", "parrot"]);
}

#[test]
fn an_answer_to_a_notice_is_noted_or_goes_to_the_owner() {
    let home = TestHome::new();
    home.parrot("al", &[]);
    for to in ["iapeer", "system-iapeer"] {
        for more in [&[][..], &["--json"], &["--require", "delivered"]] {
            let noted = home.ok("iapeer-send", &[&[to, "--from", "al", "-m", "thanks"], more].concat());
            assert_eq!((noted.stdout.lines().count(), noted.stderr.as_str()), (1, ""), "{noted}");
            assert!(noted.stdout.contains("noted"), "{noted}");
        }
        // The limits of a message hold all the same.
        assert_eq!(home.run("iapeer-send", &[to, "--from", "al", "-m", " "]).code, 65);
        assert_eq!(home.run("iapeer-send", &[to, "--from", "nobody", "-m", "x"]).code, 67);
    }
    home.ok("iapeer", &["create", "olga", "--runtime", "person"]);
    for to in ["iapeer", "system-iapeer"] {
        let sent = home.ok("iapeer-send", &[to, "--from", "al", "-m", &format!("thanks, {to}")]);
        assert!(sent.stdout.starts_with("delivered to person-olga"), "{sent}");
    }
    // The owner has nobody to give it to but herself.
    let own = home.ok("iapeer-send", &["iapeer", "--from", "olga", "-m", "x"]);
    assert!(own.stdout.starts_with("noted"), "{own}");
}
