//! `tests/fixtures/state-v1` is a root as the programs of the first version left it, and is never changed: two messages that
//! wait, a worker's task in flight and one behind it, a dead letter, sessions that are gone, histories. Today's programs
//! read it, and deliver what waits.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use serde_json::Value;
use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use support::{PATIENCE, TestHome, wait_until};

/// Copies the frozen root into `home`. Git keeps no modes and no empty folders.
fn thaw(home: &TestHome) {
    let frozen = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/state-v1");
    let (root, dir) = (home.root(), home.dir());
    let mut todo = vec![frozen.clone()];
    while let Some(from) = todo.pop() {
        let to = root.join(from.strip_prefix(&frozen).unwrap());
        if from.is_dir() {
            DirBuilder::new().recursive(true).mode(0o700).create(&to).unwrap();
            todo.extend(fs::read_dir(&from).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let text = fs::read_to_string(&from).unwrap();
            let text = text.replace("@ROOT@", root.to_str().unwrap()).replace("@DIR@", dir.to_str().unwrap());
            fs::write(&to, text).unwrap();
            fs::set_permissions(&to, Permissions::from_mode(0o600)).unwrap();
        }
    }
}

fn home() -> TestHome {
    let home = TestHome::new();
    home.set("IAPEER_SERVICE_MANAGER", "none").set("IAPEER_EPHEMERAL_QUIET_SECS", "1");
    thaw(&home);
    home
}

/// The files that were set aside.
fn set_aside(home: &TestHome) -> Vec<String> {
    let found =
        home.run("find", &[home.root().to_str().unwrap(), "-name", "*.corrupt-*", "-o", "-path", "*/corrupt/*"]);
    found.stdout.lines().map(str::to_owned).collect()
}

#[test]
fn it_is_read_as_it_is() {
    let home = home();
    let listed = home.ok("iapeer", &["list", "--json"]).json_lines();
    let names: Vec<&Value> = listed.iter().map(|peer| &peer["personality"]).collect();
    assert_eq!(names, ["al", "bob", "cyd", "me"]);
    assert_eq!(home.ok("iapeer", &["owner"]).stdout, "me\n");
    home.ok("iapeer", &["status"]);
    assert_eq!(home.ok("iapeer", &["verify"]).stderr, "");
    let queued = home.ok("iapeer-drain", &["--list"]).stdout;
    for id in ["01M8CFMN2NRWQDJCCTJW8HCQQH", "01M8CFMN3GFVC9YRY97B53058F", "01M8CFMJHMFYXR2ZK792TD5X1V"] {
        assert!(queued.contains(id), "{queued}");
    }
    assert!(home.ok("iapeer", &["history", "bob"]).stdout.contains("settled: delivered"));
    let found = home.run("iapeer", &["doctor", "--json"]).json_lines();
    let bad: Vec<&Value> =
        found.iter().filter(|line| line["severity"] == "error" && line["check"] != "units").collect();
    assert!(bad.is_empty(), "{bad:?}");
    assert_eq!(set_aside(&home), [""; 0], "nothing is unreadable");
}

#[test]
fn what_waits_in_it_is_delivered_once_and_what_was_settled_is_not() {
    let home = home();
    wait_until("what waits for bob", PATIENCE, || {
        home.ok("iapeer-superviser", &[]);
        home.bodies("bob") == ["waits first", "waits second"]
    });
    // The worker's session is gone: its task is a dead letter, the sender is told, and the next task comes.
    wait_until("the next task", PATIENCE, || {
        home.ok("iapeer-superviser", &[]);
        home.bodies("cyd") == ["the next task"]
    });
    assert_eq!(home.queue("parrot-cyd").2, 1);
    wait_until("the notice", PATIENCE, || {
        home.ok("iapeer-superviser", &[]);
        home.bodies("al").iter().any(|body| body.contains("01M8CFMP3M2M54PE9GV9MRJAN3"))
    });
    home.ok("iapeer-drain", &["--requeue", "01M8CFMJHMFYXR2ZK792TD5X1V"]);
    wait_until("the dead letter", PATIENCE, || {
        home.ok("iapeer-superviser", &[]);
        home.bodies("bob") == ["waits first", "waits second", "given up"]
    });
    let sent = home.ok("iapeer-send", &["bob", "--from", "al", "--require", "delivered", "-m", "and a new one"]);
    assert!(sent.stdout.starts_with("delivered"), "{sent}");
    let renamed = home.ok("iapeer", &["rename", "al", "ann", "--force"]);
    assert!(renamed.stdout.starts_with("renamed"), "{renamed}");
    home.ok("iapeer", &["remove", "cyd", "--force"]);
    assert_eq!(set_aside(&home), [""; 0], "nothing is unreadable");
}
