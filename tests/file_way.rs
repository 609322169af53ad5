//! Messages by a file that a program reads while it runs, against a double of one (tests/support/file_double.py): nothing
//! is typed, nothing is doubled, and where the program does not read messages are typed.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use support::{LogLine, PATIENCE, TestHome, bin, wait_until};

const BOB: &str = "heron-bob";

/// A home with a sender and a sleeping heron: a program whose terminal shows a parrot, and which reads a file.
struct Heron(TestHome);

impl Heron {
    fn new() -> Heron {
        let home = TestHome::new();
        home.set("IAPEER_SERVICE_MANAGER", "none");
        // What is not there is not searched for for long.
        home.set("IAP_TMUX_SUBMIT_TIMEOUT_MS", "500").set("IAP_LIVENESS_GRACE_MS", "500");
        home.set("IAPEER_CRASHLOOP_MAX", "1000");
        home.parrot("alice", &[]);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/file_double.py");
        let dir = home.dir().join("double");
        fs::create_dir(&dir).unwrap();
        let mut manifest: Value = serde_json::from_str(include_str!("../src/lib/runtime/builtin/parrot.json")).unwrap();
        manifest["runtime"] = "heron".into();
        manifest["program"] =
            json!({"variable": "IAPEER_HERON_BIN", "candidates": [script], "hint": "a part of the tests"});
        let parrot = bin("iapeer-parrot");
        manifest["argv"] = json!([
            "--parrot",
            parrot,
            "--turn",
            "{iapeer_turn}",
            "--dir",
            dir,
            "{@file}",
            "{@prompt}",
            "{@hooks}",
            "{@extra}"
        ]);
        manifest["delivery"] = json!(["file", "type"]);
        manifest["groups"]["file"] = json!(["--input-file", "{command_file}", "--json-file", "{echo_file}"]);
        let folder = home.root().join("runtimes/heron");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("runtime.json"), manifest.to_string()).unwrap();
        home.ok("iapeer", &["create", "bob", "--runtime", "heron"]);
        let folder = home.cwd("bob").join(".iapeer/runtimes/heron");
        fs::create_dir_all(&folder).unwrap();
        let record = home.dir().join("bob.record");
        fs::write(folder.join("launch.env"), format!("PARROT_RECORD={}\n", record.display())).unwrap();
        Heron(home)
    }

    fn dir(&self) -> PathBuf {
        self.0.dir().join("double")
    }

    /// What goes wrong with the next message.
    fn fault(&self, word: &str) {
        fs::write(self.dir().join("fault"), word).unwrap();
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
    let heron = Heron::new();
    let home = &heron.0;
    heron.delivered("first");
    heron.idle();
    assert_eq!(heron.status(), "delivery: heron-bob by file");
    let kinds = heron.kinds();
    assert_eq!((kinds.len(), kinds[0]["kind"].as_str(), kinds[0].get("why")), (1, "file", None));
    // What is said there is nobody else's business.
    for file in ["commands.jsonl", "echoes.jsonl"] {
        let path = home.root().join("cache/iapeer/launch").join(BOB).join(file);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o077, 0, "{file}");
    }
    let person = support::Terminal::running(home, &["iapeer", "attach", "bob"]);
    person.shows("parrot");
    person.types("half a thought");
    person.shows("half a thought");
    let mut bodies = vec!["first".to_owned()];
    for n in 0..20 {
        let body = if n == 7 { "long ".repeat(3_000).trim_end().to_owned() } else { format!("one\ntwo {n}") };
        heron.delivered(&body);
        bodies.push(body);
        heron.idle();
    }
    assert_eq!(home.bodies("bob"), bodies);
    let composed = home.screen(BOB).lines().filter(|line| line.trim_end() == "»\u{a0}half a thought").count();
    assert_eq!(composed, 1, "{}", home.screen(BOB));
    assert_eq!(heron.kinds().len(), 1, "{:?}", heron.kinds());
}

/// A message about which this goes wrong is delivered once, `marked` where it may have come before.
fn comes_once(fault: &str, marked: bool) {
    let heron = Heron::new();
    let home = &heron.0;
    heron.delivered("before");
    heron.idle();
    heron.fault(fault);
    let sent = heron.send(&["--no-wait", "the message"]);
    let id = sent["id"].as_str().unwrap();
    heron.settle();
    let texts: Vec<String> = home.record("bob").iter().map(|line| line["text"].to_string()).collect();
    let with: Vec<&String> = texts.iter().filter(|text| text.contains(id)).collect();
    assert_eq!(with.len(), 1, "{fault}: {texts:?}");
    assert_eq!(with[0].contains("redelivered"), marked, "{fault}: {texts:?}");
    heron.send(&["--no-wait", "after"]);
    heron.settle();
    assert_eq!(home.bodies("bob"), ["before", "the message", "after"], "{fault}");
    // Nothing was typed.
    assert!(!home.screen(BOB).contains("the message"), "{fault}: {}", home.screen(BOB));
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
    for some in cases.chunks(3) {
        std::thread::scope(|scope| {
            for (fault, marked) in some {
                scope.spawn(|| comes_once(fault, *marked));
            }
        });
    }
}

#[test]
fn a_session_that_reads_no_file_is_typed_into_and_says_why() {
    let heron = Heron::new();
    let home = &heron.0;
    fs::write(heron.dir().join("missing"), "").unwrap();
    heron.delivered("typed");
    assert!(home.screen(BOB).contains("typed"));
    assert!(heron.status().contains("by file (file: no file of events: "), "{}", heron.status());
    heron.idle();
    // The next launch tries it again; a profile may do without.
    fs::remove_file(heron.dir().join("missing")).unwrap();
    home.ok("iapeer-reap", &[BOB]);
    heron.delivered("by the file");
    assert_eq!(heron.status(), "delivery: heron-bob by file");
    home.ok("iapeer-reap", &[BOB]);
    let path = home.cwd("bob").join(".iapeer/peer-profile.json");
    let mut profile: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    profile["delivery"] = "type".into();
    fs::write(&path, profile.to_string()).unwrap();
    heron.delivered("typed again");
    assert_eq!(heron.status(), "delivery: heron-bob by type (the profile says so)");
    assert_eq!(home.bodies("bob"), ["typed", "by the file", "typed again"]);
}

#[test]
fn in_mid_turn_a_message_is_held_and_goes_in_at_the_end() {
    let heron = Heron::new();
    let home = &heron.0;
    heron.delivered("HOLD on");
    for body in ["one", "two"] {
        let sent = heron.send(&["--wait", "0.3", body]);
        assert_eq!(sent["outcome"], "queued", "{sent}");
    }
    // Ours, not in flight: the program's own queue would be lost with it.
    wait_until("both to wait", PATIENCE, || home.queue(BOB) == (2, 0, 0));
    assert_eq!(home.bodies("bob"), ["HOLD on"]);
    fs::write(heron.dir().join("release"), "").unwrap();
    wait_until("the others", PATIENCE, || home.queue(BOB) == (0, 0, 0));
    assert_eq!(home.bodies("bob"), ["HOLD on", "one", "two"]);
}
