//! What an operator types, and what is said: names, verbs asked for twice, messages that are refused, dead letters.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use std::fs::{self, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::time::Duration;
use support::{TestHome, home_with, wait_until};

const SOON: Duration = Duration::from_secs(30);
const ANN: &str = "parrot-ann";

#[test]
fn create_and_init_say_what_they_changed_of_a_peer_that_was_there() {
    let home = TestHome::new();
    let create = |args: &[&str]| home.ok("iapeer", &[&["create", "ann", "--runtime", "parrot"], args].concat()).stdout;
    assert!(create(&[]).starts_with("created \"ann\" (parrot) at "));
    assert!(create(&[]).starts_with("there already, and unchanged: \"ann\" (parrot) at "));
    assert!(create(&["--description", "counts"]).starts_with("changed description of \"ann\""));
    assert!(create(&["--ephemeral"]).starts_with("changed wake_policy of \"ann\""));
    let folder = home.cwd("ann");
    let init = home.ok("iapeer", &["init", folder.to_str().unwrap(), "--json"]).json();
    assert_eq!((&init["existed"], init.get("changed")), (&json!(true), None), "{init}");
}

#[test]
fn a_live_session_is_served_while_its_programs_file_is_away() {
    let home = home_with(&[]);
    home.ok("iapeer-send", &["ann", "--from", "bob", "--require", "delivered", "-m", "one"]);
    home.at_rest(ANN);
    home.set("IAPEER_PARROT_BIN", home.dir().join("away"));
    home.ok("iapeer-send", &["ann", "--from", "bob", "--require", "delivered", "-m", "two"]);
    home.at_rest(ANN);
    home.ok("iapeer-reap", &[ANN]);
    assert_eq!(home.run("iapeer-send", &["ann", "--from", "bob", "-m", "three"]).code, 69, "nothing could start it");
}

#[test]
fn names_are_taken_as_people_write_them_and_the_one_that_was_meant_is_said() {
    let home = home_with(&[]);
    home.ok("iapeer", &["create", "code-review", "--runtime", "parrot"]);
    assert_eq!(home.ok("iapeer", &["stop", "Code Review"]).stdout, "code-review (parrot): stopped\n");
    assert_eq!(home.ok("iapeer", &["start", "parrot-code-review"]).stdout, "code-review (parrot): started\n");
    let nobody: [(&str, &[&str]); 9] = [
        ("iapeer", &["stop", "anm"]),
        ("iapeer", &["peek", "anm"]),
        ("iapeer", &["attach", "anm"]),
        ("iapeer", &["logs", "anm"]),
        ("iapeer-wake", &["anm"]),
        ("iapeer-reap", &["anm"]),
        ("iapeer-drain", &["--list", "anm"]),
        ("iapeer-superviser", &["--only", "anm"]),
        ("iapeer-send", &["anm", "--from", "bob", "-m", "x"]),
    ];
    for (program, args) in nobody {
        let said = home.run(program, args);
        assert!(said.code == 67 && said.stderr.contains("did you mean \"ann\"?"), "{program} {args:?}: {said}");
    }
    // A name stands for all its runtimes.
    home.ok("iapeer-wake", &["ann"]);
    assert_eq!(home.ok("iapeer-reap", &["ann"]).stdout, "parrot-ann reaped: operator\n");
    home.ok("iapeer-reap", &["--idle", "--older-than", "10m"]);
    assert_eq!(home.run("iapeer-reap", &["--idle", "--older-than", "soon"]).code, 64);
    assert!(home.ok("iapeer", &["help", "--help"]).stdout.contains("Usage"));
}

#[test]
fn a_message_that_is_not_kept_leaves_its_line_and_says_whether_it_was_refused_or_failed() {
    support::once_more_without_root(
        "a_message_that_is_not_kept_leaves_its_line_and_says_whether_it_was_refused_or_failed",
    );
    let home = home_with(&[]);
    home.ok("iapeer", &["stop", "ann"]);
    assert_eq!(home.run("iapeer-send", &["ann", "--from", "bob", "-m", "secret"]).code, 69);
    let line = home.log("delivery.log").pop().unwrap();
    let has = |key: &str, value: &str| assert_eq!(line[key], value, "{line:?}");
    for (key, value) in [("ok", "false"), ("path", "cli"), ("outcome", "refused"), ("to", "ann"), ("caller", "bob")] {
        has(key, value);
    }
    assert!(line["err"].contains("stopped") && !format!("{line:?}").contains("secret"), "{line:?}");
    if nix::unistd::geteuid().is_root() {
        return;
    }
    home.ok("iapeer", &["start", "ann"]);
    let queue = home.state_dir().join("parrot-ann.queue");
    fs::DirBuilder::new().mode(0o500).create(&queue).unwrap();
    let sent = home.run("iapeer-send", &["ann", "--from", "bob", "-m", "x"]);
    assert!(sent.code == 74 && sent.stderr.contains("failed"), "{sent}");
    fs::set_permissions(&queue, Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn dead_letters_are_shown_and_several_are_requeued_at_once() {
    let home = home_with(&[]);
    home.ok("iapeer", &["stop", "ann"]);
    let dead = home.state_dir().join("parrot-ann.queue/dead");
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&dead).unwrap();
    let ids = ["01M7YEQDPSFQ470K9N062NKM85", "01M7YEQE4913W1TH6Q9BF40QQC"];
    for (n, id) in ids.iter().enumerate() {
        let item = json!({"v": 1, "id": id, "task": format!("text {n}"), "reason": "\u{1b}[2J", "from": "parrot-bob", "accepted": 1, "attempts": 5});
        fs::write(dead.join(format!("00000{}", n + 1)), item.to_string()).unwrap();
        fs::set_permissions(dead.join(format!("00000{}", n + 1)), Permissions::from_mode(0o600)).unwrap();
    }
    let shown = home.ok("iapeer-drain", &["--show", ids[0]]).stdout;
    assert!(shown.contains("place: dead 000001") && shown.contains("text 0") && !shown.contains('\u{1b}'), "{shown}");
    let shown: Value = home.ok("iapeer-drain", &["--show", ids[1], "--json"]).json();
    assert_eq!((&shown["place"], &shown["item"]["task"]), (&json!("dead"), &json!("text 1")));
    assert_eq!(home.run("iapeer-drain", &["--show", "01M7YEQDPSFQ470K9N062NKM86"]).code, 66);
    let unknown = "01M7YEQDPSFQ470K9N062NKM86";
    let requeued = home.run("iapeer-drain", &["--requeue", ids[0], unknown, ids[1]]);
    assert_eq!(requeued.code, 66, "the others are requeued all the same: {requeued}");
    assert_eq!(home.queue(ANN), (2, 0, 0));
    home.ok("iapeer", &["start", "ann"]);
    wait_until("both", SOON, || home.bodies("ann").len() == 2);
}

#[test]
fn doctors_marks_are_coloured_where_that_is_asked_for() {
    let home = TestHome::new();
    home.set("IAPEER_SERVICE_MANAGER", "none");
    home.parrot("ann", &[]);
    let said = |args: &[&str]| home.run("iapeer", &[&["doctor"], args].concat()).stdout;
    assert!(said(&[]).starts_with("⚠ tick: never ran"), "no terminal, no colour");
    assert!(said(&["--color", "always"]).starts_with("\x1b[33m⚠\x1b[0m tick: never ran"));
    assert!(!said(&["--color", "always", "--json"]).contains('\x1b'));
}
