//! Messages by a program's own HTTP server, against a double of one (tests/support/http_double.py): nothing is typed,
//! nothing is doubled, and where the server fails messages are typed.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use std::fs;
use std::ops::Deref;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use support::untyped::{Double, Untyped, three_at_a_time};
use support::{PATIENCE, bin, wait_for, wait_until};

const BOB: &str = "toucan-bob";

/// A program whose terminal shows a parrot, with an HTTP server of its own.
struct Toucan(Untyped);

impl Deref for Toucan {
    type Target = Untyped;
    fn deref(&self) -> &Untyped {
        &self.0
    }
}

impl Toucan {
    fn new() -> Toucan {
        let double = Double { runtime: "toucan", kind: "http", script: "http_double.py", patience_ms: "1000" };
        Toucan(Untyped::new(double, |home, dir, manifest| {
            manifest["argv"] = Untyped::argv(dir, &["{@http}", "{@resume}", "{@prompt}", "{@hooks}", "{@extra}"]);
            manifest["groups"]["http"] = json!(["--port", "{http_port}"]);
            manifest["groups"]["resume"] = json!(["--session", "{session}"]);
            manifest["group_env"] = json!({"http": {"OPENCODE_SERVER_PASSWORD": "{http_password}"}});
            // As the program's plugin, it says which conversation it shows only once a turn has begun.
            let hook = home.dir().join("hook.sh");
            let turn = bin("iapeer-turn");
            fs::write(&hook, format!("#!/bin/sh\n[ $1 = start ] || exec {} \"$@\"\n", turn.display())).unwrap();
            fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
            manifest["groups"]["hooks"] = json!(["--hook", hook]);
        }))
    }

    /// How often the server was asked for a path that ends so.
    fn asked(&self, end: &str) -> usize {
        self.0.asked().iter().filter(|asked| asked["path"].as_str().unwrap().ends_with(end)).count()
    }

    fn channel(&self) -> PathBuf {
        self.home.state_dir().join(format!("{BOB}.channel"))
    }
}

#[test]
fn twenty_messages_leave_a_half_typed_draft_as_it_is() {
    let toucan = Toucan::new();
    toucan.twenty_beside_a_draft();
    // One conversation, shown in the terminal.
    assert_eq!((toucan.asked("prompt_async"), toucan.asked("/session"), toucan.asked("select-session")), (21, 1, 1));
}

#[test]
fn the_password_is_in_no_command_line_and_no_file_that_others_may_read() {
    let toucan = Toucan::new();
    let home = &toucan.home;
    toucan.delivered("first");
    // Nothing is written any more that is there under another name for a moment.
    toucan.idle();
    home.at_rest(BOB);
    let channel: Value = serde_json::from_slice(&fs::read(toucan.channel()).unwrap()).unwrap();
    let password = channel["http"]["password"].as_str().unwrap().to_owned();
    assert_eq!(password.len(), 32);
    for (pid, _) in home.processes() {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&line).contains(&password), "{}", String::from_utf8_lossy(&line));
    }
    let mut folders = vec![home.root().to_owned()];
    let mut found = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            // A program of the live session may just have moved it.
            let (Ok(meta), read) = (entry.metadata(), || fs::read(entry.path()).unwrap_or_default()) else { continue };
            if meta.is_dir() {
                folders.push(entry.path());
            } else if meta.is_file() && String::from_utf8_lossy(&read()).contains(&password) {
                assert_eq!(meta.permissions().mode() & 0o077, 0, "{}", entry.path().display());
                found += 1;
            }
        }
    }
    assert_eq!(found, 1, "its channel alone");
    assert!(!home.run("iapeer", &["status", "--json"]).stdout.contains(&password));
    // The next launch has another one.
    home.ok("iapeer-reap", &[BOB]);
    toucan.delivered("second");
    assert!(!fs::read_to_string(toucan.channel()).unwrap().contains(&password));
}

/// A message that the server fails at in this way is delivered once, `marked` where it may have come before.
fn comes_once(fault: &Value, marked: bool) {
    let toucan = Toucan::new();
    toucan.comes_once(fault, marked, || {
        // A fault at the search needs a message to search for.
        let lost = json!({"path": "/prompt_async", "do": "lose", "quiet": true});
        toucan.faults(if fault["path"] == "/prompt_async" { json!([fault]) } else { json!([fault, lost]) });
    });
}

#[test]
fn a_message_comes_once_whatever_the_server_does_about_it() {
    let give = |what: &str, quiet: bool| json!({"path": "/prompt_async", "do": what, "quiet": quiet});
    let cases = [
        // Taken, and the answer is lost, or says that it failed: found in the transcript, or in the conversation alone.
        (give("lose", false), false),
        (give("lose", true), false),
        (give("take-and-error", false), false),
        (give("take-and-error", true), false),
        (give("take-and-die", false), false),
        // Whoever gives it is killed before the server takes it, and after that.
        (give("kill", false), true),
        (give("take-and-kill", false), false),
        (give("take-and-kill", true), false),
        // Not taken, and no answer: given once more, marked.
        (give("silent", false), true),
        (give("die", false), true),
        // Taken, and the server that is asked for it does not answer at first.
        (json!({"path": "/message", "do": "silent"}), false),
    ];
    three_at_a_time(&cases, |(fault, marked)| comes_once(fault, *marked));
}

#[test]
fn where_the_server_does_not_answer_messages_are_typed_and_the_log_and_the_status_say_why() {
    for (fault, why) in [
        (json!({"path": "/status", "do": "silent", "times": 0}), "no answer to GET /session/status: it is silent"),
        (json!({"path": "/prompt_async", "do": "refuse", "times": 0}), "with 400: {\"error\": \"the double"),
        (json!({"path": "/prompt_async", "do": "error", "times": 0}), "with 500: {\"error\": \"the double"),
    ] {
        Toucan::new().is_typed_and_says(fault, why);
    }
}

#[test]
fn a_session_without_its_server_is_typed_into_and_says_why() {
    let toucan = Toucan::new();
    let home = &toucan.home;
    fs::write(toucan.dir().join("missing"), "").unwrap();
    toucan.delivered("typed");
    toucan.shows("typed");
    assert!(toucan.status().contains("by http (http: no connection to it: "), "{}", toucan.status());
    toucan.idle();
    toucan.delivered("typed too");
    toucan.idle();
    // The next launch tries it again; a profile may do without, and so do arguments that are in the way.
    fs::remove_file(toucan.dir().join("missing")).unwrap();
    home.ok("iapeer-reap", &[BOB]);
    toucan.delivered("by the server");
    assert_eq!(toucan.status(), "delivery: toucan-bob by http");
    for (key, word, why) in [
        ("args", json!(["--port", "1"]), "the peer's argument \"--port\" is in the way"),
        ("delivery", json!("type"), "the profile says so"),
    ] {
        home.ok("iapeer-reap", &[BOB]);
        toucan.says(key, word);
        toucan.delivered(why);
        assert_eq!(toucan.status(), format!("delivery: toucan-bob by type ({why})"));
        toucan.says(key, Value::Null);
    }
}

#[test]
fn in_mid_turn_a_message_is_held_an_urgent_one_aborts_and_the_order_is_kept() {
    let toucan = Toucan::new();
    let home = &toucan.home;
    toucan.two_wait_for_a_turn();
    let urgent = toucan.send(&["--urgent", "HOLD now"]);
    assert_eq!(urgent["outcome"], "delivered", "{urgent}");
    assert_eq!(home.bodies("bob"), ["HOLD on", "HOLD now"]);
    assert_eq!(toucan.asked("/abort"), 1);
    toucan.they_go_in_at_its_end();
    assert_eq!(home.bodies("bob"), ["HOLD on", "HOLD now", "one", "two"]);
    toucan.no_turn_was_cut_short(&"");
    assert_eq!(toucan.asked("prompt_async"), 4);
}

#[test]
fn a_turn_is_interrupted_by_the_server_and_what_waited_goes_in() {
    let toucan = Toucan::new();
    toucan.is_interrupted(|| toucan.asked("/abort"));
}

#[test]
fn what_comes_while_a_permission_is_asked_for_waits() {
    let toucan = Toucan::new();
    let home = &toucan.home;
    toucan.delivered("ASK me");
    wait_until("the question", PATIENCE, || toucan.dir().join("permissions").exists());
    let sent = toucan.send(&["--wait", "0.5", "meanwhile"]);
    assert_eq!(sent["outcome"], "queued", "{sent}");
    let held = wait_for("it to be held", PATIENCE, || {
        home.log("delivery.log").into_iter().find(|line| line.contains_key("held"))
    });
    assert_eq!(held["held"], "attention", "{held:?}");
    assert_eq!(home.bodies("bob"), ["ASK me"]);
    home.ok("iapeer", &["interrupt", "bob"]);
    toucan.settle();
    assert_eq!(home.bodies("bob"), ["ASK me", "meanwhile"]);
}

#[test]
fn a_conversation_is_resumed_by_its_name() {
    let toucan = Toucan::new();
    let home = &toucan.home;
    toucan.delivered("first");
    toucan.idle();
    let channel = || serde_json::from_slice::<Value>(&fs::read(toucan.channel()).unwrap()).unwrap();
    let session = channel()["http"]["session"].clone();
    home.set("IAPEER_IDLE_SECS", "1");
    wait_until("the idle reap", PATIENCE, || {
        home.ok("iapeer-superviser", &["--only", BOB]);
        home.state(BOB, "idle-reaped")
    });
    home.unset("IAPEER_IDLE_SECS");
    let sent = toucan.delivered("second");
    assert_eq!(sent["mode"], "resume", "{sent}");
    assert_eq!(channel()["http"]["session"], session);
    assert_eq!((toucan.asked("/session"), home.bodies("bob").len()), (1, 2));
}
