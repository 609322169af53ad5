//! Messages by a file that a program reads while it runs, against a double of one (tests/support/file_double.py): nothing
//! is typed, nothing is doubled, and where the program does not read messages are typed.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use support::untyped::{Double, Untyped, three_at_a_time};

const BOB: &str = "heron-bob";

/// A program whose terminal shows a parrot, and which reads a file.
fn heron() -> Untyped {
    let double = Double { runtime: "heron", kind: "file", script: "file_double.py", patience_ms: "500" };
    Untyped::new(double, |_, dir, manifest| {
        manifest["argv"] = Untyped::argv(dir, &["{@file}", "{@prompt}", "{@hooks}", "{@extra}"]);
        manifest["groups"]["file"] = json!(["--input-file", "{command_file}", "--json-file", "{echo_file}"]);
    })
}

#[test]
fn twenty_messages_leave_a_half_typed_draft_as_it_is() {
    let heron = heron();
    heron.twenty_beside_a_draft();
    // What is said there is nobody else's business.
    for file in ["commands.jsonl", "echoes.jsonl"] {
        let path = heron.home.root().join("cache/iapeer/launch").join(BOB).join(file);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o077, 0, "{file}");
    }
}

/// A message about which this goes wrong is delivered once, `marked` where it may have come before.
fn comes_once(fault: &str, marked: bool) {
    let heron = heron();
    heron.comes_once(&fault, marked, || fs::write(heron.dir().join("fault"), fault).unwrap());
}

#[test]
fn a_message_comes_once_whatever_the_program_does_about_it() {
    let cases = [
        // Taken, and only the echo says so; taken late, or at the program's end: found, and not given again.
        ("quiet", false),
        ("late", false),
        ("take-and-die", false),
        // Not taken: given once more, marked.
        ("deaf", true),
        ("die", true),
    ];
    three_at_a_time(&cases, |(fault, marked)| comes_once(fault, *marked));
}

#[test]
fn a_session_that_reads_no_file_is_typed_into_and_says_why() {
    let heron = heron();
    let home = &heron.home;
    fs::write(heron.dir().join("missing"), "").unwrap();
    heron.delivered("typed");
    heron.shows("typed");
    assert!(heron.status().contains("by file (file: no file of events: "), "{}", heron.status());
    heron.idle();
    // The next launch tries it again; a profile may do without.
    fs::remove_file(heron.dir().join("missing")).unwrap();
    home.ok("iapeer-reap", &[BOB]);
    heron.delivered("by the file");
    assert_eq!(heron.status(), "delivery: heron-bob by file");
    home.ok("iapeer-reap", &[BOB]);
    heron.says("delivery", json!("type"));
    heron.delivered("typed again");
    assert_eq!(heron.status(), "delivery: heron-bob by type (the profile says so)");
    assert_eq!(home.bodies("bob"), ["typed", "by the file", "typed again"]);
}

#[test]
fn a_screen_that_is_drawn_anew_is_no_reason_to_type() {
    let heron = heron();
    heron.delivered("first");
    heron.idle();
    fs::write(heron.dir().join("repaint"), "").unwrap();
    support::wait_until("the blank screen", support::PATIENCE, || heron.dir().join("blank").exists());
    heron.delivered("second");
    assert_eq!(heron.status(), "delivery: heron-bob by file");
    assert_eq!(heron.home.bodies("bob"), ["first", "second"]);
}

#[test]
fn in_mid_turn_a_message_is_held_and_goes_in_at_the_end() {
    let heron = heron();
    let home = &heron.home;
    heron.two_wait_for_a_turn();
    assert_eq!(home.bodies("bob"), ["HOLD on"]);
    heron.they_go_in_at_its_end();
    assert_eq!(home.bodies("bob"), ["HOLD on", "one", "two"]);
}
