//! A peer whose program takes messages without typing: a double of such a program, whose terminal shows a parrot.

use super::{LogLine, PATIENCE, Terminal, TestHome, bin, wait_for, wait_until};
use serde_json::{Value, json};
use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};

/// Which double a test is about.
pub struct Double {
    /// Its runtime's id.
    pub runtime: &'static str,
    /// The way by which it takes messages, as the manifest names it.
    pub kind: &'static str,
    /// The double, in this folder.
    pub script: &'static str,
    /// How many milliseconds it is searched for what is not there, twice, where something goes wrong.
    pub patience_ms: &'static str,
}

/// A home with a sender, alice, and a sleeping bob, who runs a double.
pub struct Untyped {
    /// The home.
    pub home: TestHome,
    double: Double,
}

impl Untyped {
    /// `adapt` makes the parrot's manifest that of the double. It is given the home, and the folder by which the double is told
    /// what to do.
    pub fn new(double: Double, adapt: impl FnOnce(&TestHome, &Path, &mut Value)) -> Untyped {
        let home = TestHome::new();
        home.set("IAPEER_SERVICE_MANAGER", "none");
        home.set("IAPEER_CRASHLOOP_MAX", "1000");
        home.parrot("alice", &[]);
        let dir = home.dir().join("double");
        fs::create_dir(&dir).unwrap();
        let runtime = double.runtime;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support").join(double.script);
        let variable = format!("IAPEER_{}_BIN", runtime.to_uppercase());
        let mut manifest: Value =
            serde_json::from_str(include_str!("../../src/lib/runtime/builtin/parrot.json")).unwrap();
        manifest["runtime"] = runtime.into();
        manifest["program"] = json!({"variable": variable, "candidates": [script], "hint": "a part of the tests"});
        manifest["delivery"] = json!([double.kind, "type"]);
        adapt(&home, &dir, &mut manifest);
        let folder = home.root().join("runtimes").join(runtime);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("runtime.json"), manifest.to_string()).unwrap();
        home.ok("iapeer", &["create", "bob", "--runtime", runtime]);
        let folder = home.cwd("bob").join(".iapeer/runtimes").join(runtime);
        fs::create_dir_all(&folder).unwrap();
        let record = home.dir().join("bob.record");
        fs::write(folder.join("launch.env"), format!("PARROT_RECORD={}\n", record.display())).unwrap();
        Untyped { home, double }
    }

    /// The arguments of a double that becomes the parrot, of which `rest` are the parrot's.
    pub fn argv(dir: &Path, rest: &[&str]) -> Value {
        let parrot = bin("iapeer-parrot");
        let own = ["--parrot", &parrot.to_string_lossy(), "--turn", "{iapeer_turn}", "--dir", &dir.to_string_lossy()]
            .map(String::from);
        json!([&own[..], &rest.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()].concat())
    }

    /// Bob's identity.
    pub fn identity(&self) -> String {
        format!("{}-bob", self.double.runtime)
    }

    /// The folder by which the double is told what to do, and in which it says what it was asked.
    pub fn dir(&self) -> PathBuf {
        self.home.dir().join("double")
    }

    /// What goes wrong from now on.
    pub fn faults(&self, faults: Value) {
        let new = self.dir().join("faults.test");
        fs::write(&new, faults.to_string()).unwrap();
        fs::rename(new, self.dir().join("faults")).unwrap();
    }

    /// Lets turns that are held end.
    pub fn release(&self) {
        fs::write(self.dir().join("release"), "").unwrap();
    }

    /// What the double was asked, oldest first.
    pub fn asked(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.dir().join("asked")).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Sets a key of bob's profile.
    pub fn says(&self, key: &str, value: Value) {
        let path = self.home.cwd("bob").join(".iapeer/peer-profile.json");
        let mut profile: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        profile[key] = value;
        fs::write(&path, profile.to_string()).unwrap();
    }

    /// Sends with these options, of which the last word is the message.
    pub fn send(&self, words: &[&str]) -> Value {
        let (body, options) = words.split_last().unwrap();
        self.home.run("iapeer-send", &[&["bob", "--from", "alice", "--json"], options, &["-m", body]].concat()).json()
    }

    /// Sends, and has it be delivered.
    #[track_caller]
    pub fn delivered(&self, body: &str) -> Value {
        let sent = self.send(&[body]);
        assert_eq!(sent["outcome"], "delivered", "{sent}\n{}", self.screen());
        sent
    }

    /// What bob's terminal shows.
    pub fn screen(&self) -> String {
        self.home.screen(&self.identity())
    }

    /// Waits until bob's terminal shows `text`: what was typed is in the transcript a moment before it is drawn.
    #[track_caller]
    pub fn shows(&self, text: &str) {
        wait_until(text, PATIENCE, || self.screen().contains(text));
    }

    /// What waits for bob, what is in flight, and the dead letters.
    pub fn queue(&self) -> (usize, usize, usize) {
        self.home.queue(&self.identity())
    }

    /// Ticks until nothing waits.
    #[track_caller]
    pub fn settle(&self) {
        wait_until("the queue to be empty", PATIENCE, || {
            self.home.ok("iapeer-superviser", &["--only", &self.identity()]);
            self.queue() == (0, 0, 0)
        });
    }

    /// The lines of lifecycle.log that tell by which way messages go in.
    pub fn kinds(&self) -> Vec<LogLine> {
        self.home.log("lifecycle.log").into_iter().filter(|line| line["ev"] == "delivery-kind").collect()
    }

    /// By which way messages go in, as `iapeer status` says it.
    pub fn status(&self) -> String {
        let status = self.home.run("iapeer", &["status"]);
        status.stdout.lines().filter(|line| line.starts_with("delivery: ")).collect()
    }

    /// That line where messages are not typed.
    pub fn is_as_meant(&self) -> String {
        format!("delivery: {} by {}", self.identity(), self.double.kind)
    }

    /// Waits for the end of the turn.
    #[track_caller]
    pub fn idle(&self) {
        let turn = self.home.state_dir().join(format!("{}.turn", self.identity()));
        wait_until("the turn to end", PATIENCE, || {
            fs::read_to_string(&turn).is_ok_and(|text| text.contains("\"idle\""))
        });
    }

    /// A first message, and twenty beside what a person has half typed: all of them come, and the draft stays.
    pub fn twenty_beside_a_draft(&self) {
        let home = &self.home;
        self.delivered("first");
        self.idle();
        assert_eq!(self.status(), self.is_as_meant());
        let kinds = self.kinds();
        assert_eq!((kinds.len(), kinds[0]["kind"].as_str(), kinds[0].get("why")), (1, self.double.kind, None));
        let person = Terminal::running(home, &["iapeer", "attach", "bob"]);
        person.shows("parrot");
        person.types("half a thought");
        person.shows("half a thought");
        let mut bodies = vec!["first".to_owned()];
        for n in 0..20 {
            let body = if n == 7 { "long ".repeat(3_000).trim_end().to_owned() } else { format!("one\ntwo {n}") };
            self.delivered(&body);
            bodies.push(body);
            self.idle();
        }
        assert_eq!(home.bodies("bob"), bodies);
        let composed = self.screen().lines().filter(|line| line.trim_end() == "»\u{a0}half a thought").count();
        assert_eq!(composed, 1, "{}", self.screen());
        assert_eq!(self.kinds().len(), 1, "{:?}", self.kinds());
    }

    /// A message about which something goes wrong, after `begin`, is delivered once, `marked` where it may have come before.
    pub fn comes_once(&self, fault: &impl Display, marked: bool, begin: impl FnOnce()) {
        let home = &self.home;
        self.delivered("before");
        self.idle();
        begin();
        // Only what may be searched for in vain is searched for so shortly.
        let patience = self.double.patience_ms;
        home.set("IAP_TMUX_SUBMIT_TIMEOUT_MS", patience).set("IAP_LIVENESS_GRACE_MS", patience);
        let sent = self.send(&["--no-wait", "the message"]);
        let id = sent["id"].as_str().unwrap();
        self.settle();
        let texts: Vec<String> = home.record("bob").iter().map(|line| line["text"].to_string()).collect();
        let with: Vec<&String> = texts.iter().filter(|text| text.contains(id)).collect();
        assert_eq!(with.len(), 1, "{fault}: {texts:?}");
        assert_eq!(with[0].contains("redelivered"), marked, "{fault}: {texts:?}");
        self.no_turn_was_cut_short(fault);
        home.unset("IAP_TMUX_SUBMIT_TIMEOUT_MS").unset("IAP_LIVENESS_GRACE_MS");
        self.send(&["--no-wait", "after"]);
        self.settle();
        assert_eq!(home.bodies("bob"), ["before", "the message", "after"], "{fault}");
        // Nothing was typed.
        assert!(!self.screen().contains("the message"), "{fault}: {}", self.screen());
    }

    /// No message was given to the double while a turn ran.
    pub fn no_turn_was_cut_short(&self, fault: &impl Display) {
        let cut = |asked: &Value| asked.as_object().unwrap().values().any(|value| value == "CUT SHORT");
        assert!(!self.asked().iter().any(cut), "{fault}");
    }

    /// Where the double does this, a message is typed, the log and the status say `why`, and the next one is not typed.
    pub fn is_typed_and_says(&self, fault: Value, why: &str) {
        let (home, kind) = (&self.home, self.double.kind);
        self.delivered("before");
        self.idle();
        self.faults(json!([fault]));
        self.delivered("typed");
        self.shows("typed");
        let status = self.status();
        let begins = format!("{} ({kind}: ", self.is_as_meant());
        assert!(status.starts_with(&begins) && status.contains(why), "{status}");
        let kinds = self.kinds();
        assert_eq!((kinds.len(), kinds[1]["kind"].as_str()), (2, "type"), "{kinds:?}");
        assert!(kinds[1]["why"].contains(why), "{kinds:?}");
        self.idle();
        // It answers again.
        self.faults(json!([]));
        self.delivered("after");
        assert_eq!(self.status(), self.is_as_meant());
        assert_eq!(self.kinds().last().unwrap()["kind"], kind);
        assert_eq!(home.bodies("bob"), ["before", "typed", "after"]);
        assert!(!self.screen().contains("after"));
    }

    /// A turn runs, and two messages wait for its end.
    pub fn two_wait_for_a_turn(&self) {
        self.delivered("HOLD on");
        for body in ["one", "two"] {
            let sent = self.send(&["--wait", "0.3", body]);
            assert_eq!(sent["outcome"], "queued", "{sent}");
        }
        // A drain has seen them, and holds them.
        let held = || self.home.log("delivery.log").into_iter().find_map(|line| line.get("held").cloned());
        assert_eq!(wait_for("the hold", PATIENCE, held), "turn");
        // Ours, not in flight: what is in the program's own queue may be lost with the program, or outlive the session.
        wait_until("both to wait", PATIENCE, || self.queue() == (2, 0, 0));
    }

    /// The turn that runs is over, and what waited for it goes in.
    pub fn they_go_in_at_its_end(&self) {
        self.release();
        wait_until("the others", PATIENCE, || self.queue() == (0, 0, 0));
    }

    /// A turn is interrupted by the double, which counts how often that was `asked`, and what waited goes in.
    pub fn is_interrupted(&self, asked: impl Fn() -> usize) {
        let home = &self.home;
        self.delivered("before");
        self.idle();
        let idle = home.run("iapeer", &["interrupt", "bob"]);
        assert!(idle.code == 69 && idle.to_string().contains("no turn is running"), "{idle}");
        self.delivered("HOLD on");
        self.send(&["--no-wait", "waits"]);
        wait_until("it to wait", PATIENCE, || self.queue() == (1, 0, 0));
        home.ok("iapeer", &["interrupt", "bob"]);
        assert_eq!(asked(), 1);
        self.settle();
        assert_eq!(home.bodies("bob"), ["before", "HOLD on", "waits"]);
    }
}

/// Plays the cases, three at a time.
pub fn three_at_a_time<T: Sync>(cases: &[T], play: impl Fn(&T) + Sync) {
    for some in cases.chunks(3) {
        std::thread::scope(|scope| {
            for case in some {
                scope.spawn(|| play(case));
            }
        });
    }
}
