//! `iapeer doctor --runtime`: a scratch session, and what its screens were taken for.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use support::{TestHome, UNTIL_READ};

#[test]
fn it_says_which_rule_matched_and_leaves_nothing() {
    let home = TestHome::new();
    let output = home.ok("iapeer", &["doctor", "--runtime", "parrot", "--json"]);
    let last = output.json_lines().pop().unwrap();
    assert_eq!(last["what"], "composer empty", "{output}");
    let rules = last["rules"].as_array().unwrap();
    assert!(rules.contains(&json!({"rule": "ready[0]", "holds": true})), "{output}");
    assert_eq!(home.ok("iapeer", &["list", "--json"]).stdout, "");
}

#[test]
fn a_broken_manifest_is_named_where_it_can_be_mended() {
    let home = TestHome::new();
    let own = home.root().join("runtimes/parrot/runtime.json");
    fs::create_dir_all(own.parent().unwrap()).unwrap();
    fs::write(&own, r#"{"nonsense": 1}"#).unwrap();
    for words in [&["doctor", "--runtime", "parrot"], &["demo", "--runtime", "parrot"]] {
        let output = home.run("iapeer", words);
        assert!(output.code == 78 && output.stderr.contains(own.to_str().unwrap()), "{output}");
        assert_eq!(output.stderr.matches("iapeer: ").count(), 1, "{output}");
    }
}

#[test]
fn a_runtime_without_a_screen_or_unknown_is_refused() {
    let home = TestHome::new();
    for runtime in ["telegram", "nosuch"] {
        let output = home.run("iapeer", &["doctor", "--runtime", runtime]);
        assert_eq!(output.code, 69, "{output}");
    }
}

/// A program that logs in by its environment, and says and ends where it is not logged in.
fn with_a_login(home: &TestHome) {
    let program = home.dir().join("program/parrot");
    fs::create_dir_all(program.parent().unwrap()).unwrap();
    let parrot = support::bin("iapeer-parrot");
    let script = format!(
        "#!/bin/sh\n[ -n \"$TOKEN\" ] || {{ echo 'Nobody is logged in'; {UNTIL_READ}; exit 1; }}\nexec {} \"$@\"\n",
        parrot.display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    fs::write(program.with_file_name("package.json"), r#"{"version": "2.1.0"}"#).unwrap();
    let login = json!({"name": "login", "when": [{"contains": "Nobody is logged in"}], "state": "login",
        "answer": {"fail": "set TOKEN in the peer's launch.env"}});
    let rules =
        json!({"measured": ["1.0", "2.0.9"], "program": {"candidates": [program]}, "screen": {"dialogs": [login]}});
    let own = home.root().join("runtimes/parrot/runtime.json");
    fs::create_dir_all(own.parent().unwrap()).unwrap();
    fs::write(own, rules.to_string()).unwrap();
}

#[test]
fn what_a_program_said_that_ended_at_once_is_told_by_the_rules() {
    let home = TestHome::new();
    with_a_login(&home);
    let output = home.run("iapeer", &["doctor", "--runtime", "parrot"]);
    assert!(output.code != 0 && output.stderr.contains("set TOKEN in the peer's launch.env"), "{output}");
    home.ok("iapeer", &["create", "op", "--runtime", "parrot"]);
    home.ok("iapeer", &["create", "bob", "--runtime", "parrot"]);
    let sent = home.run("iapeer-send", &["bob", "--from", "op", "--wait", "20", "--json", "-m", "hello"]).json();
    assert!(sent["reason"].as_str().is_some_and(|why| why.contains("set TOKEN in the peer's launch.env")), "{sent}");
}

#[test]
fn it_uses_the_launch_env_of_a_peer_and_prints_what_an_issue_needs() {
    let home = TestHome::new();
    with_a_login(&home);
    home.ok("iapeer", &["create", "ann", "--runtime", "parrot"]);
    home.parrot("bob", &[("TOKEN", "x")]);
    // Each of them tells that the program is newer than its rules, until they have been tried.
    let newer = "parrot is version 2.1.0, newer than what the rules for its screens were measured with (1.0 to 2.0.9)";
    let listed = home.ok("iapeer", &["list"]);
    assert!(listed.stderr.contains(newer), "{listed}");
    let examined = home.run("iapeer", &["doctor"]);
    assert!(examined.stdout.contains("is version 2.1.0, newer than"), "{examined}");
    let output = home.ok("iapeer", &["doctor", "--runtime", "parrot"]);
    for part in
        ["iapeer 0.", "tmux 3", "parrot 2.1.0: /", "measured with 1.0 to 2.0.9", "launch.env of bob", "parrot: ready"]
    {
        assert!(output.stdout.contains(part), "{part} is missing: {output}");
    }
    assert!(!output.stdout.contains("TOKEN"), "{output}");
    let listed = home.ok("iapeer", &["list"]);
    assert!(!listed.stderr.contains("newer"), "{listed}");
}
