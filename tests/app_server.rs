//! Messages by an app-server beside the terminal, against a double of one (tests/support/app_server_double.py): nothing is
//! typed, nothing is doubled, and where the server fails messages are typed.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

use support::{LogLine, Output, PATIENCE, TestHome, bin, wait_for, wait_until};

const BOB: &str = "macaw-bob";

/// A home with a sender and a sleeping macaw: a program whose terminal shows a parrot, with an app-server beside it.
struct Macaw(TestHome);

impl Macaw {
    fn new() -> Macaw {
        let home = TestHome::new();
        home.set("IAPEER_SERVICE_MANAGER", "none");
        // What is not there is not searched for for long.
        home.set("IAP_TMUX_SUBMIT_TIMEOUT_MS", "1000").set("IAP_LIVENESS_GRACE_MS", "1000");
        home.set("IAPEER_CRASHLOOP_MAX", "1000");
        home.parrot("alice", &[]);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/app_server_double.py");
        let dir = home.dir().join("double");
        fs::create_dir(&dir).unwrap();
        let mut manifest: Value = serde_json::from_str(include_str!("../src/lib/runtime/builtin/parrot.json")).unwrap();
        manifest["runtime"] = "macaw".into();
        manifest["program"] =
            json!({"variable": "IAPEER_MACAW_BIN", "candidates": [script], "hint": "a part of the tests"});
        let parrot = bin("iapeer-parrot");
        manifest["argv"] = json!(["--parrot", parrot, "{@resume}", "{@prompt}", "{@hooks}", "{@extra}"]);
        manifest["delivery"] = json!(["app-server", "type"]);
        manifest["app_server"] = json!({
            "argv": ["--app-server", "--listen", "{app_socket}", "--hook", "{iapeer_turn}", "--dir", dir],
            "attach": ["--parrot", parrot, "{@prompt}", "{@hooks}"],
            "options": ["-c"],
        });
        let folder = home.root().join("runtimes/macaw");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("runtime.json"), manifest.to_string()).unwrap();
        home.ok("iapeer", &["create", "bob", "--runtime", "macaw"]);
        let folder = home.cwd("bob").join(".iapeer/runtimes/macaw");
        fs::create_dir_all(&folder).unwrap();
        let record = home.dir().join("bob.record");
        fs::write(folder.join("launch.env"), format!("PARROT_RECORD={}\n", record.display())).unwrap();
        Macaw(home)
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

    /// What the server was asked, by method.
    fn asked(&self, method: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.dir().join("asked")).unwrap_or_default();
        let all = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        all.filter(|asked| asked["method"] == method).collect()
    }

    /// Sends with these options, of which the last word is the message.
    fn send(&self, words: &[&str]) -> Value {
        let (body, options) = words.split_last().unwrap();
        self.0.run("iapeer-send", &[&["bob", "--from", "alice", "--json"], options, &["-m", body]].concat()).json()
    }

    #[track_caller]
    fn delivered(&self, body: &str) -> Value {
        let sent = self.send(&[body]);
        assert_eq!(sent["outcome"], "delivered", "{sent}");
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

    /// By what evidence the messages were delivered, in order.
    fn evidence(&self) -> Vec<String> {
        let lines = self.0.log("delivery.log");
        lines.iter().filter(|line| line["outcome"] == "delivered").map(|line| line["via"].clone()).collect()
    }

    /// The lines of lifecycle.log that tell by which way messages go in.
    fn kinds(&self) -> Vec<LogLine> {
        self.0.log("lifecycle.log").into_iter().filter(|line| line["ev"] == "delivery-kind").collect()
    }

    fn status(&self) -> String {
        let status: Output = self.0.run("iapeer", &["status"]);
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
    let macaw = Macaw::new();
    let home = &macaw.0;
    macaw.delivered("first");
    macaw.idle();
    assert_eq!(macaw.status(), "delivery: macaw-bob by app-server");
    let kinds = macaw.kinds();
    assert_eq!((kinds.len(), kinds[0]["kind"].as_str(), kinds[0].get("why")), (1, "app-server", None));
    let person = support::Terminal::running(home, &["iapeer", "attach", "bob"]);
    person.shows("parrot");
    person.types("half a thought");
    person.shows("half a thought");
    let mut bodies = vec!["first".to_owned()];
    for n in 0..20 {
        let body = if n == 7 { "long ".repeat(3_000).trim_end().to_owned() } else { format!("one\ntwo {n}") };
        macaw.delivered(&body);
        bodies.push(body);
        macaw.idle();
    }
    assert_eq!(home.bodies("bob"), bodies);
    let composed = home.screen(BOB).lines().filter(|line| line.trim_end() == "»\u{a0}half a thought").count();
    assert_eq!(composed, 1, "{}", home.screen(BOB));
    assert_eq!(macaw.kinds().len(), 1, "{:?}", macaw.kinds());
    assert_eq!(macaw.asked("turn/start").len(), 21);
}

/// A message that the server fails at in this way is delivered once, `marked` where it may have come before.
fn comes_once(fault: &Value, marked: bool) {
    let macaw = Macaw::new();
    let home = &macaw.0;
    macaw.delivered("before");
    macaw.idle();
    // A fault at the search needs a message to search for.
    let lost = json!({"method": "turn/start", "do": "lose", "quiet": true});
    macaw.faults(if fault["method"] == "turn/start" { json!([fault]) } else { json!([fault, lost]) });
    let sent = macaw.send(&["--no-wait", "the message"]);
    let id = sent["id"].as_str().unwrap();
    macaw.settle();
    let texts: Vec<String> = home.record("bob").iter().map(|line| line["text"].to_string()).collect();
    let with: Vec<&String> = texts.iter().filter(|text| text.contains(id)).collect();
    assert_eq!(with.len(), 1, "{fault}: {texts:?}");
    assert_eq!(with[0].contains("redelivered"), marked, "{fault}: {texts:?}");
    assert!(macaw.asked("CUT SHORT").is_empty(), "{fault}");
    macaw.send(&["--no-wait", "after"]);
    macaw.settle();
    assert_eq!(home.bodies("bob"), ["before", "the message", "after"], "{fault}");
    // Nothing was typed.
    assert!(!home.screen(BOB).contains("the message"), "{fault}: {}", home.screen(BOB));
}

#[test]
fn a_message_comes_once_whatever_the_server_does_about_it() {
    let give = |what: &str, quiet: bool| json!({"method": "turn/start", "do": what, "quiet": quiet});
    let cases = [
        // Taken, and the answer is lost: found in the transcript, or by its id in the conversation alone.
        (give("lose", false), false),
        (give("lose", true), false),
        (give("take-and-die", false), false),
        // Whoever gives it is killed before the server takes it, and after that.
        (give("kill", false), true),
        (give("take-and-kill", false), false),
        (give("take-and-kill", true), false),
        // Not taken, and no answer: given once more, marked.
        (give("silent", false), true),
        (give("die", false), true),
        // Taken, and the server that is asked for the id does not answer at first.
        (json!({"method": "thread/items/list", "do": "silent"}), false),
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
        (json!({"method": "initialize", "do": "silent", "times": 0}), "no answer to initialize: it is silent"),
        (json!({"method": "turn/start", "do": "error", "times": 0}), "it refuses turn/start: the double"),
        (json!({"method": "thread/loaded/list", "do": "error", "times": 0}), "it refuses thread/loaded/list"),
    ] {
        let macaw = Macaw::new();
        let home = &macaw.0;
        macaw.delivered("before");
        macaw.idle();
        macaw.faults(json!([fault]));
        macaw.delivered("typed");
        assert!(home.screen(BOB).contains("typed"), "{}", home.screen(BOB));
        let status = macaw.status();
        assert!(
            status.starts_with("delivery: macaw-bob by app-server (app-server: ") && status.contains(why),
            "{status}"
        );
        let kinds = macaw.kinds();
        assert_eq!((kinds.len(), kinds[1]["kind"].as_str()), (2, "type"), "{kinds:?}");
        assert!(kinds[1]["why"].contains(why), "{kinds:?}");
        macaw.idle();
        // It answers again.
        macaw.faults(json!([]));
        macaw.delivered("after");
        assert_eq!(macaw.status(), "delivery: macaw-bob by app-server");
        assert_eq!(macaw.kinds().last().unwrap()["kind"], "app-server");
        assert_eq!(home.bodies("bob"), ["before", "typed", "after"]);
        assert!(!home.screen(BOB).contains("after"));
    }
}

#[test]
fn a_session_without_its_server_is_typed_into_and_says_why() {
    let macaw = Macaw::new();
    let home = &macaw.0;
    fs::write(macaw.dir().join("missing"), "").unwrap();
    macaw.delivered("typed");
    assert!(home.screen(BOB).contains("typed"));
    let why = "the app-server did not start: it ended at once (the double does not start)";
    assert_eq!(macaw.status(), format!("delivery: macaw-bob by type ({why})"));
    let kinds = macaw.kinds();
    assert_eq!((kinds.len(), kinds[0]["kind"].as_str(), kinds[0]["why"].as_str()), (1, "type", why));
    macaw.idle();
    macaw.delivered("typed too");
    // The next launch tries it again; a profile may do without.
    fs::remove_file(macaw.dir().join("missing")).unwrap();
    home.ok("iapeer-reap", &[BOB]);
    macaw.delivered("by the server");
    assert_eq!(macaw.status(), "delivery: macaw-bob by app-server");
    home.ok("iapeer-reap", &[BOB]);
    wait_until("the server's end with its session", PATIENCE, || {
        home.processes().iter().all(|(_, name)| name != "python3")
    });
    let path = home.cwd("bob").join(".iapeer/peer-profile.json");
    let mut profile: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    profile["delivery"] = "type".into();
    fs::write(&path, profile.to_string()).unwrap();
    macaw.delivered("typed again");
    assert_eq!(macaw.status(), "delivery: macaw-bob by type (the profile says so)");
    assert_eq!(home.bodies("bob"), ["typed", "typed too", "by the server", "typed again"]);
}

#[test]
fn a_server_that_dies_is_the_death_of_its_session_and_the_next_message_wakes_it() {
    let macaw = Macaw::new();
    let home = &macaw.0;
    macaw.delivered("first");
    macaw.idle();
    let (server, _) = home.processes().into_iter().find(|(_, name)| name == "python3").unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(server), nix::sys::signal::Signal::SIGKILL).unwrap();
    wait_until("the session's end", PATIENCE, || home.server_pid(BOB).is_none());
    let ended = home.log("lifecycle.log").into_iter().find(|line| line["ev"] == "app-server-ended").unwrap();
    assert_eq!(ended["outcome"], "session-ended");
    let sent = wait_for("the next message", PATIENCE, || {
        Some(macaw.send(&["second"])).filter(|sent| sent["outcome"] == "delivered")
    });
    assert_eq!((&sent["woke"], &sent["mode"]), (&json!(true), &json!("fresh")), "as after any death: {sent}");
    assert_eq!(home.bodies("bob"), ["first", "second"]);
}

#[test]
fn in_mid_turn_a_message_is_held_an_urgent_one_steers_and_the_order_is_kept() {
    let macaw = Macaw::new();
    let home = &macaw.0;
    macaw.delivered("HOLD on");
    for body in ["one", "two"] {
        let sent = macaw.send(&["--wait", "0.3", body]);
        assert_eq!(sent["outcome"], "queued", "{sent}");
    }
    // Ours, not in flight: the server's own queue would outlive the session.
    wait_until("both to wait", PATIENCE, || home.queue(BOB) == (2, 0, 0));
    let held = home.run("iapeer", &["queue", "bob", "--json"]);
    let lines = home.log("delivery.log");
    assert!(lines.iter().any(|line| line.get("held").is_some_and(|held| held == "turn")), "{lines:?}\n{held}");
    let urgent = macaw.send(&["--urgent", "now"]);
    assert_eq!(urgent["outcome"], "delivered", "{urgent}");
    assert_eq!(home.bodies("bob"), ["HOLD on", "now"]);
    assert_eq!(macaw.asked("turn/steer").len(), 1);
    macaw.release();
    wait_until("the others", PATIENCE, || home.queue(BOB) == (0, 0, 0));
    assert_eq!(home.bodies("bob"), ["HOLD on", "now", "one", "two"]);
    assert!(macaw.asked("CUT SHORT").is_empty());
    assert_eq!(macaw.asked("turn/start").len(), 3);
}

#[test]
fn a_turn_is_interrupted_by_the_server_and_what_waited_goes_in() {
    let macaw = Macaw::new();
    let home = &macaw.0;
    macaw.delivered("before");
    macaw.idle();
    let idle = home.run("iapeer", &["interrupt", "bob"]);
    assert!(idle.code == 69 && idle.to_string().contains("no turn is running"), "{idle}");
    macaw.delivered("HOLD on");
    macaw.send(&["--no-wait", "waits"]);
    wait_until("it to wait", PATIENCE, || home.queue(BOB) == (1, 0, 0));
    home.ok("iapeer", &["interrupt", "bob"]);
    assert_eq!(macaw.asked("turn/interrupt").len(), 1);
    macaw.settle();
    assert_eq!(home.bodies("bob"), ["before", "HOLD on", "waits"]);
}

#[test]
fn an_approval_is_answered_and_what_comes_meanwhile_waits() {
    let macaw = Macaw::new();
    let home = &macaw.0;
    macaw.send(&["--no-wait", "ASK me"]);
    let rows = || home.run("iapeer", &["attention", "--json"]).json_lines();
    let row = wait_for("the approval", PATIENCE, || rows().into_iter().find(|row| row["peer"] == "bob"));
    assert_eq!((&row["state"], &row["text"]), (&json!("approval"), &json!("rm crackers")), "{row}");
    let sent = macaw.send(&["--wait", "0.3", "meanwhile"]);
    assert_eq!(sent["outcome"], "queued", "{sent}");
    assert_eq!(home.bodies("bob"), ["ASK me"]);
    home.ok("iapeer", &["answer", "bob", "deny"]);
    wait_until("the decision", PATIENCE, || {
        fs::read_to_string(macaw.dir().join("decisions")).is_ok_and(|text| text == "\"deny\"\n")
    });
    macaw.settle();
    assert_eq!(home.bodies("bob"), ["ASK me", "meanwhile"]);
    assert!(rows().is_empty());
}

#[test]
fn a_limit_is_told_by_the_transcript_that_the_server_writes() {
    let macaw = Macaw::new();
    let home = &macaw.0;
    macaw.delivered("LIMIT");
    let rows = || home.run("iapeer", &["attention", "--json"]).json_lines();
    let row = wait_for("the limit", PATIENCE, || rows().into_iter().find(|row| row["peer"] == "bob"));
    assert_eq!((&row["state"], &row["evidence"]), (&json!("limited"), &json!("transcript")), "{row}");
    let sent = macaw.send(&["--wait", "0.3", "waits for its end"]);
    assert_eq!(sent["outcome"], "queued", "{sent}");
    assert_eq!(home.bodies("bob"), ["LIMIT"]);
}

#[test]
fn arguments_that_the_server_does_not_take_have_messages_typed() {
    let macaw = Macaw::new();
    let home = &macaw.0;
    let path = home.cwd("bob").join(".iapeer/peer-profile.json");
    let mut profile: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    profile["args"] = json!(["crackers"]);
    fs::write(&path, profile.to_string()).unwrap();
    macaw.delivered("typed");
    let why = "the app-server does not take the peer's argument \"crackers\"";
    assert_eq!(macaw.status(), format!("delivery: macaw-bob by type ({why})"));
    assert!(macaw.evidence().iter().all(|via| via != "app-server"));
}
