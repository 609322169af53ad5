//! Verbs that move several things, killed before each step: the next program finishes them, and no accepted message is
//! lost, doubled or given to somebody else.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use support::killing::{has_strace, killed_at};
use support::{PATIENCE, TestHome, wait_until};

/// The system calls that change something, each of them a step to be killed before.
const CHANGES: [&str; 8] = ["rename", "link", "linkat", "unlink", "unlinkat", "mkdir", "fsync", "rmdir"];

/// A peer with one message that waits: it is not started before [`release`].
fn peer_with_a_message(home: &TestHome, name: &str) {
    home.parrot(name, &[]);
    hold(home, name);
    let sent = home.ok("iapeer-send", &[name, "--from", "zed", "--wait", "0", "-m", &format!("for {name}")]);
    assert!(sent.stdout.starts_with("queued"), "{sent}");
    home.all_done();
}

fn launch_env(home: &TestHome, name: &str) -> PathBuf {
    home.cwd(name).join(".iapeer/runtimes/parrot/launch.env")
}

fn hold(home: &TestHome, name: &str) {
    fs::set_permissions(launch_env(home, name), Permissions::from_mode(0o666)).unwrap();
}

/// Every file of a message, in whatever queue and place.
fn messages(home: &TestHome, body: &str) -> Vec<PathBuf> {
    let (mut found, mut todo) = (Vec::new(), vec![home.state_dir()]);
    while let Some(dir) = todo.pop() {
        for path in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            // A drain may be writing its reason.
            if name.starts_with(".tmp-") {
                continue;
            }
            if path.is_dir() {
                todo.push(path);
            } else if fs::read(&path)
                .is_ok_and(|text| serde_json::from_slice::<Value>(&text).is_ok_and(|item| item["task"] == body))
            {
                found.push(path);
            }
        }
    }
    found
}

fn names(home: &TestHome) -> Vec<String> {
    let listed = home.ok("iapeer", &["list", "--json"]).json_lines();
    listed.iter().map(|peer| peer["personality"].as_str().unwrap().to_owned()).collect()
}

/// Nothing is left of what was cut short, by what doctor says.
#[track_caller]
fn is_clean(home: &TestHome, what: &str, held: &str) {
    assert!(!home.root().join("state/intents").exists(), "{what}: an intent is left");
    let found = home.run("iapeer", &["doctor", "--json"]).json_lines();
    let about = |line: &Value| ["state", "queue", "session", "profile"].iter().any(|check| line["check"] == *check);
    // The peer is held back by its launch.env alone.
    let left: Vec<&Value> = found
        .iter()
        .filter(|line| about(line) && !(line["about"] == held && line["what"].as_str().unwrap().contains("launch.env")))
        .collect();
    assert!(left.is_empty(), "{what}: {left:?}");
}

/// Has `act` killed before the first, the second … of each of `calls`, until it says that it was killed no more. How often
/// it was.
fn killed_everywhere(calls: &[&str], mut act: impl FnMut(&str, u32) -> bool) -> usize {
    let mut killed = 0;
    for call in calls {
        killed += (1..).take_while(|n| act(call, *n)).count();
    }
    eprintln!("{killed} kills");
    killed
}

/// Kills a rename before each call of `calls`, and lets `finish` finish it.
fn rename_killed(calls: &[&str], finish: impl Fn(&TestHome, &str, &str)) {
    if !has_strace() {
        return;
    }
    let home = TestHome::new();
    home.set("IAPEER_SERVICE_MANAGER", "none");
    home.parrot("zed", &[]);
    let killed = killed_everywhere(calls, |call, n| {
        let (old, new) = (format!("o-{call}-{n}"), format!("n-{call}-{n}"));
        peer_with_a_message(&home, &old);
        let was_killed = killed_at(&home, call, n, &["rename", &old, &new]);
        let what = format!("killed before {call} {n}");
        let body = format!("for {old}");
        assert_eq!(messages(&home, &body).len(), 1, "{what}");
        let listed = names(&home);
        assert_eq!(listed.iter().filter(|name| [&old, &new].contains(name)).count(), 1, "{what}: {listed:?}");
        finish(&home, &old, &new);
        let retried = home.ok("iapeer", &["rename", &old, &new]);
        assert!(retried.stdout.starts_with("renamed"), "{what}: {retried}");
        let listed = names(&home);
        assert!(listed.contains(&new) && !listed.contains(&old), "{what}: {listed:?}");
        is_clean(&home, &what, &new);
        let found = messages(&home, &body);
        let queue = home.state_dir().join(format!("parrot-{new}.queue"));
        assert!(found.len() == 1 && found[0].starts_with(queue), "{what}: {found:?}");
        assert!(home.cwd(&new).ends_with(&new) && !home.root().join(format!("peers/{old}")).exists(), "{what}");
        // Whoever finished the rename started a drain: one that still looks would find the peer held.
        home.all_done();
        home.launch_env(&new, &[]);
        fs::set_permissions(launch_env(&home, &new), Permissions::from_mode(0o600)).unwrap();
        home.ok("iapeer-drain", &[&format!("parrot-{new}")]);
        wait_until("the message, once, under the new name", PATIENCE, || home.bodies(&new) == [body.as_str()]);
        home.ok("iapeer", &["remove", &new, "--force"]);
        was_killed
    });
    assert!(killed >= calls.len() / 2, "hardly anything was killed: {killed}");
}

#[test]
fn a_rename_that_is_killed_is_finished_by_the_next_tick() {
    rename_killed(&["rename", "fsync"], |home, _, _| drop(home.ok("iapeer-superviser", &[])));
}

#[test]
fn a_rename_that_is_killed_is_finished_by_the_next_send_and_the_old_name_is_gone() {
    rename_killed(&["unlink", "unlinkat", "mkdir", "rmdir", "link", "linkat"], |home, old, new| {
        let to_old = home.run("iapeer-send", &[old, "--from", "zed", "--wait", "0", "-m", "late"]);
        if home.root().join(format!("peers/{old}")).exists() {
            // Killed before anything had begun: it is its old self still.
            assert_eq!(to_old.code, 0, "{to_old}");
            home.all_done();
            let late = messages(home, "late");
            assert_eq!(late.len(), 1);
            fs::remove_file(&late[0]).unwrap();
        } else {
            assert_eq!(to_old.code, 67, "{to_old}");
            assert!(messages(home, "late").is_empty(), "refused is not kept");
            assert!(names(home).contains(&new.to_owned()));
        }
    });
}

#[test]
fn doctor_names_a_half_done_rename_and_fix_finishes_it_and_no_advice_deletes_a_message() {
    if !has_strace() {
        return;
    }
    let home = TestHome::new();
    home.set("IAPEER_SERVICE_MANAGER", "none");
    home.parrot("zed", &[]);
    let mut seen = 0;
    for n in 1.. {
        let (old, new) = (format!("o{n}"), format!("n{n}"));
        peer_with_a_message(&home, &old);
        let was_killed = killed_at(&home, "rename", n, &["rename", &old, &new]);
        if home.root().join("state/intents").join(format!("rename-{old}")).exists() {
            seen += 1;
            let found = home.run("iapeer", &["doctor"]);
            let said = format!("renaming {old} to {new} was begun");
            assert!(found.code != 0 && found.stdout.contains(&said), "{found}");
            assert!(!found.stdout.contains("remove ") && !found.stdout.contains("remove the"), "{found}");
            assert_eq!(messages(&home, &format!("for {old}")).len(), 1, "looking changes nothing");
            let fixed = home.run("iapeer", &["doctor", "--fix"]).stdout;
            assert!(fixed.lines().any(|line| line.starts_with('✓') && line.contains(&said)), "{fixed}");
            // What held the peer back was mended too, and a drain may be starting it.
            home.all_done();
            let identity = format!("parrot-{new}");
            let canary = home.state_dir().join(format!("{identity}.canary.lock"));
            let is_watched = || !home.state(&identity, "session") || iapeer::store::lock::is_held(&canary);
            wait_until("the canary", PATIENCE, is_watched);
            is_clean(&home, "fixed", &new);
            let body = format!("for {old}");
            assert!(messages(&home, &body).len() == 1 || home.bodies(&old) == [body], "lost, or there twice");
        } else {
            home.ok("iapeer", &["rename", &old, &new]);
        }
        home.ok("iapeer", &["remove", &new, "--force"]);
        if !was_killed {
            break;
        }
    }
    assert!(seen >= 3, "{seen} half-done renames were seen");
}

#[test]
fn a_create_that_is_killed_is_completed_by_a_retry_or_the_next_tick() {
    if !has_strace() {
        return;
    }
    let home = TestHome::new();
    home.set("IAPEER_SERVICE_MANAGER", "none");
    let killed = killed_everywhere(&CHANGES, |call, n| {
        let name = format!("p-{call}-{n}");
        let words = ["create", &name, "--runtime", "parrot", "--ephemeral", "--description", "counts sheep"];
        let was_killed = killed_at(&home, call, n, &words);
        let begun = home.root().join(format!("state/intents/create-{name}")).exists();
        let what = format!("killed before {call} {n}");
        if n % 2 == 0 && begun {
            home.ok("iapeer-superviser", &[]);
        } else {
            home.ok("iapeer", &words);
        }
        is_clean(&home, &what, &name);
        let record: Value =
            home.ok("iapeer", &["list", "--json"]).json_lines().into_iter().find(|p| p["personality"] == name).unwrap();
        assert_eq!(record["description"], "counts sheep", "{what}");
        let profile = home.cwd(&name).join(".iapeer/peer-profile.json");
        let profile: Value = serde_json::from_slice(&fs::read(profile).unwrap()).unwrap();
        assert_eq!(profile["wake_policy"], "ephemeral", "{what}");
        assert!(home.cwd(&name).join(".iapeer/IAPEER.md").exists(), "{what}");
        was_killed
    });
    assert!(killed >= 6, "{killed}");
}

#[test]
fn a_remove_that_is_killed_is_finished_and_a_namesake_inherits_nothing() {
    if !has_strace() {
        return;
    }
    let home = TestHome::new();
    home.set("IAPEER_SERVICE_MANAGER", "none");
    home.parrot("zed", &[]);
    let killed = killed_everywhere(&CHANGES, |call, n| {
        let name = format!("p-{call}-{n}");
        peer_with_a_message(&home, &name);
        let was_killed = killed_at(&home, call, n, &["remove", &name, "--force"]);
        let what = format!("killed before {call} {n}");
        if n % 2 == 0 {
            home.ok("iapeer-superviser", &[]);
        }
        home.ok("iapeer", &["remove", &name, "--force"]);
        is_clean(&home, &what, &name);
        assert!(!names(&home).contains(&name), "{what}");
        assert!(messages(&home, &format!("for {name}")).is_empty(), "{what}");
        fs::remove_dir_all(home.root().join(format!("peers/{name}"))).unwrap();
        home.ok("iapeer", &["create", &name, "--runtime", "parrot"]);
        assert_eq!(home.queue(&format!("parrot-{name}")), (0, 0, 0), "{what}");
        assert!(!home.state(&format!("parrot-{name}"), "stopped"), "{what}");
        home.ok("iapeer", &["remove", &name]);
        was_killed
    });
    assert!(killed >= 6, "{killed}");
}

#[test]
fn a_remove_without_force_leaves_a_peer_that_has_accepted_a_message_meanwhile() {
    let home = TestHome::new();
    home.set("IAPEER_SERVICE_MANAGER", "none");
    home.parrot("zed", &[]);
    peer_with_a_message(&home, "ann");
    let registry: Value = serde_json::from_slice(&fs::read(home.root().join("peers-profiles.json")).unwrap()).unwrap();
    let record = registry["peers"].as_array().unwrap().iter().find(|peer| peer["personality"] == "ann").unwrap();
    // As a kill leaves it behind the registry's write: the peer is out, stopped, and a sender was quicker.
    home.ok("iapeer", &["stop", "ann"]);
    let intent = json!({"v": 1, "by": "iapeer", "at": 1, "verb": "remove", "name": "ann", "record": record,
        "identities": ["parrot-ann"], "stopped": [], "force": false});
    let dir = home.root().join("state/intents");
    fs::create_dir(&dir).unwrap();
    fs::set_permissions(&dir, Permissions::from_mode(0o700)).unwrap();
    fs::write(dir.join("remove-ann"), intent.to_string()).unwrap();
    let others: Vec<&Value> =
        registry["peers"].as_array().unwrap().iter().filter(|peer| peer["personality"] != "ann").collect();
    fs::write(home.root().join("peers-profiles.json"), json!({"version": 2, "peers": others}).to_string()).unwrap();
    home.ok("iapeer-superviser", &[]);
    assert!(!dir.exists() && names(&home).contains(&"ann".to_owned()));
    assert!(!home.state("parrot-ann", "stopped"), "it was on the air before");
    assert_eq!(messages(&home, "for ann").len(), 1);
}

#[test]
fn an_intent_that_is_torn_is_said_once_in_a_line_and_holds_nobody_up() {
    let home = TestHome::new();
    home.set("IAPEER_SERVICE_MANAGER", "none");
    home.parrot("bob", &[]);
    home.parrot("ann", &[]);
    let dir = home.root().join("state/intents");
    fs::create_dir(&dir).unwrap();
    fs::set_permissions(&dir, Permissions::from_mode(0o700)).unwrap();
    fs::write(dir.join("rename-ann"), r#"{"v": 1, "by": "#).unwrap();
    fs::set_permissions(dir.join("rename-ann"), Permissions::from_mode(0o600)).unwrap();
    let warning = format!(" WARN {} is no intent: ", dir.join("rename-ann").display());
    for words in [&["iapeer-send", "ann", "--from", "bob", "-m", "hi"][..], &["iapeer", "tag", "bob", "add", "x"]] {
        let done = home.ok(words[0], &words[1..]);
        assert!(done.stderr.starts_with(&warning) && done.stderr.lines().count() == 1, "{done}");
    }
    home.set("IAPEER_LOG", "error");
    let quiet = home.ok("iapeer-send", &["ann", "--from", "bob", "-m", "hi"]);
    assert_eq!(quiet.stderr, "");
}

#[test]
fn an_error_behind_the_point_of_no_return_says_what_is_and_undoes_nothing() {
    if !has_strace() {
        return;
    }
    let home = TestHome::new();
    home.set("IAPEER_SERVICE_MANAGER", "none");
    home.parrot("zed", &[]);
    for n in 1.. {
        let (old, new) = (format!("o{n}"), format!("n{n}"));
        peer_with_a_message(&home, &old);
        let mut strace = home.cmd("strace");
        let inject = format!("inject=fsync:error=EIO:when={n}");
        strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync", "-e", &inject]);
        strace.arg(support::bin("iapeer")).args(["rename", &old, &new]);
        let failed = home.start(strace, None).wait(PATIENCE);
        // By now somebody else may have finished it.
        let begun = failed.stderr.contains("is begun and not finished");
        if failed.code != 0 {
            assert_eq!((failed.code, failed.stderr.lines().count()), (74, 1), "{failed}");
            assert!(!failed.stderr.contains("nothing was changed"), "{failed}");
        }
        if !begun && failed.code != 0 {
            assert!(names(&home).contains(&old), "fsync {n}: nothing had begun");
        }
        let retried = home.ok("iapeer", &["rename", &old, &new]);
        assert!(retried.stdout.starts_with("renamed"), "fsync {n}: {retried}");
        is_clean(&home, &format!("fsync {n} failed"), &new);
        assert_eq!(messages(&home, &format!("for {old}")).len(), 1, "fsync {n}");
        home.ok("iapeer", &["remove", &new, "--force"]);
        if failed.code == 0 && !failed.stderr.contains("its intent stays") {
            break;
        }
    }
}
