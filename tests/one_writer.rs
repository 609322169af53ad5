//! The registry and each profile have one writer at a time, and the registry remembers what a profile said.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use support::{PATIENCE, TestHome, wait_until};

fn profile_path(home: &TestHome, name: &str) -> PathBuf {
    home.cwd(name).join(".iapeer/peer-profile.json")
}

fn profile(home: &TestHome, name: &str) -> Value {
    serde_json::from_slice(&fs::read(profile_path(home, name)).unwrap()).unwrap()
}

fn record(home: &TestHome, name: &str) -> Value {
    let registry: Value = serde_json::from_slice(&fs::read(home.root().join("peers-profiles.json")).unwrap()).unwrap();
    let found = registry["peers"].as_array().unwrap().iter().find(|peer| peer["personality"] == name);
    found.unwrap_or_else(|| panic!("{name} in {registry}")).clone()
}

fn runtimes(value: &Value) -> Vec<String> {
    let mut all: Vec<String> =
        value["runtimes"].as_array().unwrap().iter().map(|runtime| runtime.as_str().unwrap().to_owned()).collect();
    all.sort();
    all
}

#[test]
fn runtimes_that_are_declared_at_once_are_all_declared() {
    let home = TestHome::new();
    home.parrot("bob", &[]);
    for round in 0..8 {
        let running: Vec<_> = ["claude", "codex", "gemini", "opencode"]
            .iter()
            .map(|runtime| home.spawn("iapeer", &["add-runtime", runtime, "--peer", "bob"]))
            .collect();
        for one in running {
            let done = one.wait(PATIENCE);
            assert!(done.code == 0 && done.stdout.contains("added"), "{done}");
        }
        let all = ["claude", "codex", "gemini", "opencode", "parrot"];
        assert_eq!(runtimes(&profile(&home, "bob")), all, "round {round}");
        assert_eq!(runtimes(&record(&home, "bob")), all, "round {round}");
        home.ok("iapeer", &["remove", "bob"]);
        fs::remove_dir_all(home.root().join("peers/bob")).unwrap();
        home.parrot("bob", &[]);
    }
}

#[test]
fn what_different_verbs_change_in_one_profile_at_once_is_all_there() {
    let home = TestHome::new();
    home.parrot("bob", &[]);
    for round in 0..6 {
        // A legacy key that `verify --fix` takes out, beside everything else.
        let mut raw = profile(&home, "bob");
        raw["runtime"] = raw["default_runtime"].clone();
        fs::write(profile_path(&home, "bob"), raw.to_string()).unwrap();
        let cwd = home.cwd("bob");
        let words: [&[&str]; 4] = [
            &["add-runtime", "claude", "--peer", "bob"],
            &["add-runtime", "codex", "--peer", "bob"],
            &["init", cwd.to_str().unwrap(), "--description", "minds the shop"],
            &["verify", "--fix"],
        ];
        let running: Vec<_> = words.iter().map(|words| home.spawn("iapeer", words)).collect();
        for one in running {
            let done = one.wait(PATIENCE);
            assert_eq!(done.code, 0, "{done}");
        }
        for value in [profile(&home, "bob"), record(&home, "bob")] {
            assert_eq!(runtimes(&value), ["claude", "codex", "parrot"], "round {round}: {value}");
            assert_eq!(value["description"], "minds the shop", "round {round}: {value}");
        }
        let mut raw = profile(&home, "bob");
        assert_eq!(raw.get("runtime"), None, "round {round}");
        raw["runtimes"] = serde_json::json!(["parrot"]);
        raw["description"] = "".into();
        fs::write(profile_path(&home, "bob"), raw.to_string()).unwrap();
        home.ok("iapeer", &["verify", "--fix"]);
    }
}

/// How a worker's profile gets lost, and whether a task that comes meanwhile finds a worker.
#[test]
fn a_worker_whose_profile_is_gone_or_torn_stays_a_worker() {
    let home = TestHome::new();
    home.set("IAPEER_EPHEMERAL_QUIET_SECS", "1");
    home.parrot("al", &[]);
    for what in ["gone", "torn", "empty", "open to others", "folder"] {
        let name = format!("w-{}", what.split(' ').next().unwrap());
        let identity = format!("parrot-{name}");
        home.ok("iapeer", &["create", &name, "--runtime", "parrot", "--ephemeral"]);
        home.launch_env(&name, &[]);
        let first = home.ok("iapeer-send", &[&name, "--from", "al", "-m", "task 1"]);
        assert!(first.stdout.starts_with("delivered"), "{what}: {first}");
        let path = profile_path(&home, &name);
        match what {
            "gone" => fs::remove_dir_all(path.parent().unwrap()).unwrap(),
            "torn" => fs::write(&path, "{ torn").unwrap(),
            "empty" => fs::write(&path, "").unwrap(),
            "folder" => {
                fs::remove_file(&path).unwrap();
                fs::create_dir(&path).unwrap();
            }
            _ => fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap(),
        }
        let second = home.ok("iapeer-send", &[&name, "--from", "al", "--wait", "1", "-m", "task 2"]);
        assert!(second.stdout.starts_with("queued"), "{what}: typed into the session of the task before: {second}");
        assert_eq!(home.bodies(&name), ["task 1"], "{what}");
        let mut done = home.cmd("iapeer");
        done.arg("self-done").env("PEER_IDENTITY", &identity);
        let done = home.start(done, None).wait(PATIENCE);
        assert!(done.code == 0 && !done.stdout.contains("inert"), "{what}: {done}");
        if ["open to others", "folder"].contains(&what) {
            continue;
        }
        // The environment went with the folder: the second task is recorded by the screen of its own session alone.
        if what == "gone" {
            wait_until("a worker of its own for the second task", PATIENCE, || home.queue(&identity) == (0, 1, 0));
        } else {
            wait_until("a worker of its own for the second task", PATIENCE, || home.bodies(&name).len() == 2);
        }
        let launches = home.log("lifecycle.log");
        let of_the_worker = |line: &&support::LogLine| line["ev"] == "launch" && line["identity"] == identity;
        let fresh = launches.iter().filter(of_the_worker).count();
        assert_eq!(fresh, 2, "{what}: each task has a session of its own");
    }
}

#[test]
fn a_policy_that_was_written_by_hand_is_remembered_by_the_next_wake_or_look_at_everything() {
    let home = TestHome::new();
    for name in ["ann", "bob"] {
        home.parrot(name, &[]);
        let mut raw = profile(&home, name);
        raw["resume"] = "never".into();
        raw["max_attempts"] = 3.into();
        raw["initial_prompt"] = "read the manual".into();
        raw["limits"] = serde_json::json!({"memory_max": "2G"});
        fs::write(profile_path(&home, name), raw.to_string()).unwrap();
        assert_eq!(record(&home, name).get("resume"), None);
    }
    assert_eq!(home.ok("iapeer", &["verify"]).code, 0, "what is not remembered yet is no drift");
    home.ok("iapeer-wake", &["ann"]);
    fs::remove_dir_all(home.root().join("state/due")).unwrap();
    home.ok("iapeer-superviser", &[]);
    for name in ["ann", "bob"] {
        let record = record(&home, name);
        for key in ["resume", "max_attempts", "initial_prompt", "limits"] {
            assert_eq!(record[key], profile(&home, name)[key], "{name}: {key}");
        }
    }
    // What is taken out of the profile is forgotten.
    let mut raw = profile(&home, "bob");
    raw.as_object_mut().unwrap().remove("resume");
    fs::write(profile_path(&home, "bob"), raw.to_string()).unwrap();
    home.ok("iapeer-wake", &["bob"]);
    assert_eq!(record(&home, "bob").get("resume"), None);
}

#[test]
fn init_brings_a_profile_back_as_far_as_the_registry_knows_it() {
    let home = TestHome::new();
    home.ok("iapeer", &["create", "w", "--runtime", "parrot", "--ephemeral", "--description", "counts sheep"]);
    home.ok("iapeer", &["add-runtime", "claude", "--peer", "w"]);
    let (before, cwd) = (profile(&home, "w"), home.cwd("w"));
    fs::remove_dir_all(cwd.join(".iapeer")).unwrap();
    home.ok("iapeer", &["init", cwd.to_str().unwrap()]);
    assert_eq!(profile(&home, "w"), before);
    assert_eq!(home.ok("iapeer", &["verify"]).code, 0);
}
