//! Messages by a program's own HTTP server, against a double of one (tests/support/http_double.py): nothing is typed,
//! nothing is doubled, and where the server fails messages are typed.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use support::{LogLine, PATIENCE, TestHome, bin, wait_for, wait_until};

const BOB: &str = "toucan-bob";

/// A home with a sender and a sleeping toucan: a program whose terminal shows a parrot, with an HTTP server of its own.
struct Toucan(TestHome);

impl Toucan {
    fn new() -> Toucan {
        let home = TestHome::new();
        home.set("IAPEER_SERVICE_MANAGER", "none");
        // What is not there is not searched for for long.
        home.set("IAP_TMUX_SUBMIT_TIMEOUT_MS", "1000").set("IAP_LIVENESS_GRACE_MS", "1000");
        home.set("IAPEER_CRASHLOOP_MAX", "1000");
        home.parrot("alice", &[]);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/http_double.py");
        let dir = home.dir().join("double");
        fs::create_dir(&dir).unwrap();
        let mut manifest: Value = serde_json::from_str(include_str!("../src/lib/runtime/builtin/parrot.json")).unwrap();
        manifest["runtime"] = "toucan".into();
        manifest["program"] =
            json!({"variable": "IAPEER_TOUCAN_BIN", "candidates": [script], "hint": "a part of the tests"});
        let own =
            ["--parrot", &bin("iapeer-parrot").to_string_lossy(), "--turn", "{iapeer_turn}", "--dir"].map(String::from);
        let rest = ["{@http}", "{@resume}", "{@prompt}", "{@hooks}", "{@extra}"].map(String::from);
        manifest["argv"] = json!([&own[..], &[dir.to_string_lossy().into_owned()], &rest[..]].concat());
        manifest["delivery"] = json!(["http", "type"]);
        manifest["groups"]["http"] = json!(["--port", "{http_port}"]);
        manifest["groups"]["resume"] = json!(["--session", "{session}"]);
        manifest["group_env"] = json!({"http": {"OPENCODE_SERVER_PASSWORD": "{http_password}"}});
        // As the program's plugin, it says which conversation it shows only once a turn has begun.
        let hook = home.dir().join("hook.sh");
        let turn = bin("iapeer-turn");
        fs::write(&hook, format!("#!/bin/sh\n[ $1 = start ] || exec {} \"$@\"\n", turn.display())).unwrap();
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
        manifest["groups"]["hooks"] = json!(["--hook", hook]);
        let folder = home.root().join("runtimes/toucan");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("runtime.json"), manifest.to_string()).unwrap();
        home.ok("iapeer", &["create", "bob", "--runtime", "toucan"]);
        let folder = home.cwd("bob").join(".iapeer/runtimes/toucan");
        fs::create_dir_all(&folder).unwrap();
        let record = home.dir().join("bob.record");
        fs::write(folder.join("launch.env"), format!("PARROT_RECORD={}\n", record.display())).unwrap();
        Toucan(home)
    }

    fn dir(&self) -> PathBuf {
        self.0.dir().join("double")
    }

    /// What goes wrong from now on.
    fn faults(&self, faults: Value) {
        let new = self.dir().join("faults.test");
        fs::write(&new, faults.to_string()).unwrap();
        fs::rename(new, self.dir().join("faults")).unwrap();
    }

    /// Lets turns that are held end.
    fn release(&self) {
        fs::write(self.dir().join("release"), "").unwrap();
    }

    /// How often the server was asked for a path that ends so.
    fn asked(&self, end: &str) -> usize {
        let text = fs::read_to_string(self.dir().join("asked")).unwrap_or_default();
        let all = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        all.filter(|asked| asked["path"].as_str().unwrap().ends_with(end)).count()
    }

    /// Sends with these options, of which the last word is the message.
    fn send(&self, words: &[&str]) -> Value {
        let (body, options) = words.split_last().unwrap();
        self.0.run("iapeer-send", &[&["bob", "--from", "alice", "--json"], options, &["-m", body]].concat()).json()
    }

    #[track_caller]
    fn delivered(&self, body: &str) -> Value {
        let sent = self.send(&[body]);
        assert_eq!(sent["outcome"], "delivered", "{sent}\n{}", self.0.screen(BOB));
        sent
    }

    /// Ticks until nothing waits.
    #[track_caller]
    fn settle(&self) {
        wait_until("the queue to be empty", PATIENCE, || {
            self.0.ok("iapeer-superviser", &["--only", BOB]);
            self.0.queue(BOB) == (0, 0, 0)
        });
    }

    /// The lines of lifecycle.log that tell by which way messages go in.
    fn kinds(&self) -> Vec<LogLine> {
        self.0.log("lifecycle.log").into_iter().filter(|line| line["ev"] == "delivery-kind").collect()
    }

    fn status(&self) -> String {
        let status = self.0.run("iapeer", &["status"]);
        status.stdout.lines().filter(|line| line.starts_with("delivery: ")).collect()
    }

    fn channel(&self) -> PathBuf {
        self.0.state_dir().join(format!("{BOB}.channel"))
    }

    #[track_caller]
    fn idle(&self) {
        let turn = self.0.state_dir().join(format!("{BOB}.turn"));
        wait_until("the turn to end", PATIENCE, || {
            fs::read_to_string(&turn).is_ok_and(|text| text.contains("\"idle\""))
        });
    }
}

#[test]
fn twenty_messages_leave_a_half_typed_draft_as_it_is() {
    let toucan = Toucan::new();
    let home = &toucan.0;
    toucan.delivered("first");
    toucan.idle();
    assert_eq!(toucan.status(), "delivery: toucan-bob by http");
    let kinds = toucan.kinds();
    assert_eq!((kinds.len(), kinds[0]["kind"].as_str(), kinds[0].get("why")), (1, "http", None));
    let person = support::Terminal::running(home, &["iapeer", "attach", "bob"]);
    person.shows("parrot");
    person.types("half a thought");
    person.shows("half a thought");
    let mut bodies = vec!["first".to_owned()];
    for n in 0..20 {
        let body = if n == 7 { "long ".repeat(3_000).trim_end().to_owned() } else { format!("one\ntwo {n}") };
        toucan.delivered(&body);
        bodies.push(body);
        toucan.idle();
    }
    assert_eq!(home.bodies("bob"), bodies);
    let composed = home.screen(BOB).lines().filter(|line| line.trim_end() == "»\u{a0}half a thought").count();
    assert_eq!(composed, 1, "{}", home.screen(BOB));
    assert_eq!(toucan.kinds().len(), 1, "{:?}", toucan.kinds());
    // One conversation, shown in the terminal.
    assert_eq!((toucan.asked("prompt_async"), toucan.asked("/session"), toucan.asked("select-session")), (21, 1, 1));
}

#[test]
fn the_password_is_in_no_command_line_and_no_file_that_others_may_read() {
    let toucan = Toucan::new();
    let home = &toucan.0;
    toucan.delivered("first");
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
            let meta = entry.metadata().unwrap();
            if meta.is_dir() {
                folders.push(entry.path());
            } else if meta.is_file() && String::from_utf8_lossy(&fs::read(entry.path()).unwrap()).contains(&password) {
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
    let home = &toucan.0;
    toucan.delivered("before");
    toucan.idle();
    // A fault at the search needs a message to search for.
    let lost = json!({"path": "/prompt_async", "do": "lose", "quiet": true});
    toucan.faults(if fault["path"] == "/prompt_async" { json!([fault]) } else { json!([fault, lost]) });
    let sent = toucan.send(&["--no-wait", "the message"]);
    let id = sent["id"].as_str().unwrap();
    toucan.settle();
    let texts: Vec<String> = home.record("bob").iter().map(|line| line["text"].to_string()).collect();
    let with: Vec<&String> = texts.iter().filter(|text| text.contains(id)).collect();
    assert_eq!(with.len(), 1, "{fault}: {texts:?}");
    assert_eq!(with[0].contains("redelivered"), marked, "{fault}: {texts:?}");
    assert_eq!(toucan.asked("CUT SHORT"), 0, "{fault}");
    toucan.send(&["--no-wait", "after"]);
    toucan.settle();
    assert_eq!(home.bodies("bob"), ["before", "the message", "after"], "{fault}");
    // Nothing was typed.
    assert!(!home.screen(BOB).contains("the message"), "{fault}: {}", home.screen(BOB));
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
    for some in cases.chunks(3) {
        std::thread::scope(|scope| {
            for (fault, marked) in some {
                scope.spawn(|| comes_once(fault, *marked));
            }
        });
    }
}

#[test]
fn where_the_server_does_not_answer_messages_are_typed_and_the_log_and_the_status_say_why() {
    for (fault, why) in [
        (json!({"path": "/status", "do": "silent", "times": 0}), "no answer to GET /session/status: it is silent"),
        (json!({"path": "/prompt_async", "do": "refuse", "times": 0}), "with 400: {\"error\": \"the double"),
        (json!({"path": "/prompt_async", "do": "error", "times": 0}), "with 500: {\"error\": \"the double"),
    ] {
        let toucan = Toucan::new();
        let home = &toucan.0;
        toucan.delivered("before");
        toucan.idle();
        toucan.faults(json!([fault]));
        toucan.delivered("typed");
        assert!(home.screen(BOB).contains("typed"), "{}", home.screen(BOB));
        let status = toucan.status();
        assert!(status.starts_with("delivery: toucan-bob by http (http: ") && status.contains(why), "{status}");
        let kinds = toucan.kinds();
        assert_eq!((kinds.len(), kinds[1]["kind"].as_str()), (2, "type"), "{kinds:?}");
        assert!(kinds[1]["why"].contains(why), "{kinds:?}");
        toucan.idle();
        // It answers again.
        toucan.faults(json!([]));
        toucan.delivered("after");
        assert_eq!(toucan.status(), "delivery: toucan-bob by http");
        assert_eq!(toucan.kinds().last().unwrap()["kind"], "http");
        assert_eq!(home.bodies("bob"), ["before", "typed", "after"]);
        assert!(!home.screen(BOB).contains("after"));
    }
}

#[test]
fn a_session_without_its_server_is_typed_into_and_says_why() {
    let toucan = Toucan::new();
    let home = &toucan.0;
    fs::write(toucan.dir().join("missing"), "").unwrap();
    toucan.delivered("typed");
    assert!(home.screen(BOB).contains("typed"));
    assert!(toucan.status().contains("by http (http: no connection to it: "), "{}", toucan.status());
    toucan.idle();
    toucan.delivered("typed too");
    toucan.idle();
    // The next launch tries it again; a profile may do without, and so do arguments that are in the way.
    fs::remove_file(toucan.dir().join("missing")).unwrap();
    home.ok("iapeer-reap", &[BOB]);
    toucan.delivered("by the server");
    assert_eq!(toucan.status(), "delivery: toucan-bob by http");
    let path = home.cwd("bob").join(".iapeer/peer-profile.json");
    let mut profile: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    for (key, word, why) in [
        ("args", json!(["--port", "1"]), "the peer's argument \"--port\" is in the way"),
        ("delivery", json!("type"), "the profile says so"),
    ] {
        home.ok("iapeer-reap", &[BOB]);
        profile[key] = word;
        fs::write(&path, profile.to_string()).unwrap();
        toucan.delivered(why);
        assert_eq!(toucan.status(), format!("delivery: toucan-bob by type ({why})"));
        profile[key] = Value::Null;
    }
}

#[test]
fn in_mid_turn_a_message_is_held_an_urgent_one_aborts_and_the_order_is_kept() {
    let toucan = Toucan::new();
    let home = &toucan.0;
    toucan.delivered("HOLD on");
    for body in ["one", "two"] {
        let sent = toucan.send(&["--wait", "0.3", body]);
        assert_eq!(sent["outcome"], "queued", "{sent}");
    }
    // Ours, not in flight: the program's own queue would be lost with it.
    wait_until("both to wait", PATIENCE, || home.queue(BOB) == (2, 0, 0));
    let lines = home.log("delivery.log");
    assert!(lines.iter().any(|line| line.get("held").is_some_and(|held| held == "turn")), "{lines:?}");
    let urgent = toucan.send(&["--urgent", "HOLD now"]);
    assert_eq!(urgent["outcome"], "delivered", "{urgent}");
    assert_eq!(home.bodies("bob"), ["HOLD on", "HOLD now"]);
    assert_eq!(toucan.asked("/abort"), 1);
    toucan.release();
    wait_until("the others", PATIENCE, || home.queue(BOB) == (0, 0, 0));
    assert_eq!(home.bodies("bob"), ["HOLD on", "HOLD now", "one", "two"]);
    assert_eq!((toucan.asked("CUT SHORT"), toucan.asked("prompt_async")), (0, 4));
}

#[test]
fn a_turn_is_interrupted_by_the_server_and_what_waited_goes_in() {
    let toucan = Toucan::new();
    let home = &toucan.0;
    toucan.delivered("before");
    toucan.idle();
    let idle = home.run("iapeer", &["interrupt", "bob"]);
    assert!(idle.code == 69 && idle.to_string().contains("no turn is running"), "{idle}");
    toucan.delivered("HOLD on");
    toucan.send(&["--no-wait", "waits"]);
    wait_until("it to wait", PATIENCE, || home.queue(BOB) == (1, 0, 0));
    home.ok("iapeer", &["interrupt", "bob"]);
    assert_eq!(toucan.asked("/abort"), 1);
    toucan.settle();
    assert_eq!(home.bodies("bob"), ["before", "HOLD on", "waits"]);
}

#[test]
fn what_comes_while_a_permission_is_asked_for_waits() {
    let toucan = Toucan::new();
    let home = &toucan.0;
    toucan.delivered("ASK me");
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
    let home = &toucan.0;
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
