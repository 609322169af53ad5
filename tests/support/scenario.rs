//! An office in which the programs do in short stories what they do all day: each story can be broken off anywhere, and
//! must come to a good end.

use super::rooms::{ROOMS, Rooms};
use super::stories::OFFICE;
use super::{TestHome, bodies_in, wait_until};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long everything may take to come to rest afterwards, with a tick after the other.
const REST: Duration = Duration::from_secs(40);
/// A message that went with its peer.
pub const GONE: &str = "went with its peer";
/// The killed program's exit code, as a shell shows it.
pub const KILLED: i32 = 134;

/// A message that was sent, and what its sender was told.
#[derive(Debug, Clone)]
pub struct Sent {
    pub to: &'static str,
    pub body: String,
    pub code: i32,
    pub said: String,
}

/// A home with a sender `ann`, a peer `bob` and a worker `wes`, and what was sent in it.
pub struct Office {
    pub home: TestHome,
    pub sent: Vec<Sent>,
    /// Where the steps are recorded: what senders are told is noted between them.
    pub trace: Option<PathBuf>,
    /// What else there is.
    pub rooms: Rooms,
}

/// A story: what is so when it begins, and what is done in it.
pub struct Scenario {
    pub name: &'static str,
    pub begin: fn(&mut Office),
    pub act: fn(&mut Office),
}

/// All stories.
pub fn scenarios() -> Vec<&'static Scenario> {
    OFFICE.iter().chain(ROOMS).collect()
}

impl Office {
    pub fn new() -> Office {
        let home = TestHome::new();
        for (name, value) in [
            ("IAPEER_QUEUE_MAX_ATTEMPTS", "3"),
            ("IAPEER_CRASHLOOP_MAX", "1000"),
            ("IAPEER_EPHEMERAL_QUIET_SECS", "1"),
            ("IAPEER_READY_GATE_SECS", "10"),
            ("IAPEER_BOOT_DEADLINE_SECS", "20"),
        ] {
            home.set(name, value);
        }
        home.parrot("ann", &[("PARROT_TURN_MS", "5")]);
        home.parrot("bob", &[("PARROT_TURN_MS", "5")]);
        home.ok("iapeer", &["create", "wes", "--runtime", "parrot", "--ephemeral"]);
        home.launch_env("wes", &[("PARROT_TURN_MS", "5"), ("PARROT_REPLY", "1")]);
        Office { home, sent: Vec::new(), trace: None, rooms: Rooms::default() }
    }

    /// One in which this story may begin: no program is at work in it.
    pub fn at_the_beginning_of(story: &Scenario) -> Office {
        let mut office = Office::new();
        (story.begin)(&mut office);
        wait_until("the programs of the beginning to end", REST, || office.is_idle());
        office
    }

    /// No program is at work, and no agent is in a turn, at whose end its hook would start one: it would do the story's
    /// work without the story's variables.
    fn is_idle(&self) -> bool {
        let in_a_turn = |name: &str| {
            let turn = fs::read(self.home.state_dir().join(format!("parrot-{name}.turn"))).unwrap_or_default();
            let turn: Value = serde_json::from_slice(&turn).unwrap_or_default();
            turn["state"] == "busy" && self.home.server_pid(&format!("parrot-{name}")).is_some()
        };
        !["ann", "bob", "wes", "dan"].iter().any(|name| {
            in_a_turn(name) || iapeer::store::lock::is_held(&self.home.state_dir().join(format!("parrot-{name}.lock")))
        }) && !self.home.is_at_work()
    }

    /// Runs a program, however it ends.
    pub fn run(&self, program: &str, args: &[&str]) -> i32 {
        self.home.run(program, args).code
    }

    pub fn tick(&self) {
        self.run("iapeer-superviser", &[]);
    }

    pub fn send(&mut self, to: &'static str, body: &str) {
        self.send_to(to, to, body);
    }

    /// The same for a peer that has another name by now: `record` is the one under which it takes notes.
    pub fn send_to(&mut self, name: &str, record: &'static str, body: &str) {
        let output = self.home.run("iapeer-send", &[name, "--from", "ann", "--wait", "10", "-m", body]);
        self.note(record, body, output.code, output.stderr);
    }

    /// A message with more words on the command line.
    pub fn send_with(&mut self, to: &'static str, body: &str, words: &[&str]) {
        let words = [&[to, "--from", "ann", "--wait", "10", "-m", body], words].concat();
        let output = self.home.run("iapeer-send", &words);
        self.note(to, body, output.code, output.stderr);
    }

    /// A verb, and once more: what was cut short is gone on with.
    pub fn twice(&self, words: &[&str]) {
        for _ in 0..2 {
            self.run("iapeer", words);
        }
    }

    fn launch_env(&self, name: &str) -> PathBuf {
        self.home.root().join(format!("peers/{name}/.iapeer/runtimes/parrot/launch.env"))
    }

    /// Lets nobody start this peer before [`Office::let_go`]: what is sent to it waits.
    pub fn hold(&self, name: &str) {
        fs::set_permissions(self.launch_env(name), Permissions::from_mode(0o666)).unwrap();
    }

    pub fn let_go(&self, names: &[&str]) {
        for path in names.iter().map(|name| self.launch_env(name)).filter(|path| path.exists()) {
            fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
        }
    }

    /// The identities that have state.
    fn identities(&self) -> BTreeSet<String> {
        let names = fs::read_dir(self.home.state_dir()).into_iter().flatten().flatten();
        let names = names.filter_map(|entry| entry.file_name().into_string().ok());
        names.filter_map(|name| name.split_once('.').map(|(identity, _)| identity.to_owned())).collect()
    }

    /// Notes a message that came in another way, and what its sender was told.
    pub fn noted(&mut self, to: &'static str, body: &str, code: i32) {
        self.note(to, body, code, String::new());
    }

    fn note(&mut self, to: &'static str, body: &str, code: i32, said: String) {
        if let (0, Some(trace)) = (code, &self.trace) {
            let line = serde_json::json!({ "op": "ack", "to": to, "body": body });
            let mut trace = fs::OpenOptions::new().append(true).create(true).open(trace).unwrap();
            trace.write_all(format!("{line}\n").as_bytes()).unwrap();
        }
        self.sent.push(Sent { to, body: body.to_owned(), code, said });
    }

    /// Sends messages without waiting for them, then waits a while for them to be settled.
    pub fn post(&mut self, messages: &[(&'static str, &str)]) {
        for (to, body) in messages {
            let output = self.home.run("iapeer-send", &[to, "--from", "ann", "--no-wait", "-m", body]);
            self.note(to, body, output.code, output.stderr);
        }
        self.a_while(|| self.is_quiet());
    }

    /// The texts by which `to` was given the message `body`.
    pub fn texts(&self, to: &str, body: &str) -> Vec<String> {
        if let Some(texts) = self.rooms.texts(&self.home, to, body) {
            return texts;
        }
        let record = self.home.record(to);
        let texts = record.iter().filter_map(|line| line["text"].as_str().map(str::to_owned));
        texts.filter(|text| bodies_in(text).iter().any(|found| found == body)).collect()
    }

    /// Waits a while for the worker's task to be settled, where that comes at all.
    pub fn answered(&self) {
        self.a_while(|| self.home.queue("parrot-wes") == (0, 0, 0));
    }

    /// Has the worker's task buried, with a tick after the other.
    pub fn buried(&self) {
        self.a_while(|| {
            self.tick();
            self.home.queue("parrot-wes").2 == 1
        });
    }

    pub fn a_while(&self, ready: impl Fn() -> bool) {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(3) && !ready() {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What lies in the queues: whose, where, and the item.
    pub fn items(&self) -> Vec<(String, &'static str, Value)> {
        let mut items = Vec::new();
        let own = self.identities().into_iter().map(|name| (self.home.state_dir().join(format!("{name}.queue")), name));
        let outbox = |host: &str| (self.home.root().join(format!("state/outbox/{host}.queue")), format!("@{host}"));
        for (queue, identity) in own.chain(["box", "gone"].map(outbox)) {
            for place in ["", "inflight", "dead", "corrupt"] {
                let dir = queue.join(place);
                for path in fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()) {
                    let is_item = path.file_name().is_some_and(|name| name.len() == 6);
                    if let Ok(bytes) = fs::read(&path).map_err(drop).and_then(|b| if is_item { Ok(b) } else { Err(()) })
                    {
                        items.push((identity.clone(), place, serde_json::from_slice(&bytes).unwrap_or_default()));
                    }
                }
            }
        }
        items
    }

    /// Nothing breaks any more: ticks bring everything to rest. Else says what does not.
    pub fn settle(&self) -> Result<(), String> {
        for name in ["IAPEER_FAILPOINT", "IAPEER_FAULT", "IAPEER_TRACE"] {
            self.home.unset(name);
        }
        let start = Instant::now();
        while !self.is_quiet() {
            if start.elapsed() > REST {
                let reasons: Vec<_> = self.items().iter().map(|(of, at, item)| format!("{of} {at} {item}")).collect();
                return Err(format!("it never comes to rest: {}", reasons.join(", ")));
            }
            self.tick();
            self.rooms.tick(&self.home);
        }
        Ok(())
    }

    fn is_quiet(&self) -> bool {
        // Verbs that are begun, and notices that the next tick gives: that of a dead letter whose sender's queue failed.
        let left = ["intents", "notices"].iter().any(|what| self.home.root().join("state").join(what).exists());
        !left
            && self.rooms.are_quiet(&self.home)
            && self.identities().into_iter().all(|identity| {
                let (waiting, inflight, _) = self.home.queue(&identity);
                let left =
                    ["teardown", "session.claimed", "new-eager"].iter().any(|kind| self.home.state(&identity, kind));
                let lock = self.home.state_dir().join(format!("{identity}.lock"));
                waiting + inflight == 0 && !left && !iapeer::store::lock::is_held(&lock)
            })
    }

    /// What is wrong with how it ended; empty where all is well.
    pub fn judge(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let items = self.items();
        for sent in &self.sent {
            let got = self.texts(sent.to, &sent.body);
            let unmarked = got.iter().filter(|text| !text.contains("redelivered=\"")).count();
            let dead = items.iter().any(|(_, place, item)| *place == "dead" && item["task"] == sent.body.as_str());
            let dropped = self.outcome(sent) == "dropped";
            match sent.code {
                0 if got.is_empty() && !dead && !dropped => wrong.push(format!("accepted and lost: {sent:?}")),
                0 | KILLED => {}
                _ if !got.is_empty() || dead => wrong.push(format!("refused and delivered or kept: {sent:?}")),
                _ => {}
            }
            if unmarked > 1 {
                wrong.push(format!("delivered {unmarked} times unmarked: {sent:?}"));
            }
        }
        if ["ann", "bob", "wes", "dan"].iter().any(|name| self.home.bodies(name).iter().any(|body| body == GONE)) {
            wrong.push("a message of a peer that was removed was delivered".to_owned());
        }
        let told: Vec<String> =
            self.home.bodies("ann").into_iter().filter(|body| body.contains("dead letter")).collect();
        let mut ids = BTreeMap::<&str, usize>::new();
        told.iter().filter_map(|body| body.split_whitespace().nth(2)).for_each(|id| *ids.entry(id).or_default() += 1);
        wrong.extend(
            ids.iter().filter(|(_, times)| **times > 1).map(|(id, times)| format!("{id} was told {times} times")),
        );
        for (_, _, item) in items.iter().filter(|(_, place, item)| *place == "dead" && item["from"] == "parrot-ann") {
            let id = item["id"].as_str().unwrap_or_default();
            if !ids.contains_key(id) {
                wrong.push(format!("nobody was told of the dead letter {id}"));
            }
        }
        // What the next tick mends is in order.
        let mut findings = self.findings();
        for _ in 0..3 {
            if findings.is_empty() {
                break;
            }
            self.tick();
            self.rooms.tick(&self.home);
            findings = self.findings();
        }
        wrong.extend(findings);
        wrong.extend(self.rooms.wrong(&self.home));
        wrong
    }

    /// What the doctor finds.
    fn findings(&self) -> Vec<String> {
        let homes = std::iter::once(&self.home).chain(&self.rooms.far);
        let found: Vec<Value> = homes.flat_map(|home| home.run("iapeer", &["doctor", "--json"]).json_lines()).collect();
        // What this machine lacks is no story's fault, and a dead letter is there on purpose.
        let fine = |line: &Value| {
            let what = line["what"].as_str().unwrap_or_default();
            // A disk of 64 KiB is full by any measure, and that is said.
            let small_disk = line["check"] == "files" && what.starts_with("its file system is full");
            let came_back = line["check"] == "host" && what.ends_with("dead letter(s)");
            line["check"] == "units"
                || came_back
                || line["check"] == "queue" && what.ends_with("dead letter(s)")
                || small_disk
        };
        let wrong = found.iter().filter(|line| line.get("check").is_some() && !fine(line));
        wrong.map(|line| format!("doctor: {line}")).collect()
    }

    /// The last line about a message in its history.
    fn outcome(&self, sent: &Sent) -> String {
        let files = fs::read_dir(self.home.root().join("history")).into_iter().flatten().flatten();
        // The older file of a history (`.jsonl.1`) comes first.
        let mut files: Vec<PathBuf> = files.map(|entry| entry.path()).collect();
        files.sort_by_key(|path| std::cmp::Reverse(path.as_os_str().len()));
        let lines: String = files.iter().map(|path| fs::read_to_string(path).unwrap_or_default()).collect();
        let mut parsed = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let own = parsed.rfind(|line| line["task"] == sent.body.as_str());
        own.and_then(|line| Some(line["outcome"].as_str()?.to_owned())).unwrap_or_default()
    }
}

/// Runs `each` over `all`, a few at a time, and gathers what they say.
pub fn at_once<T: Sync, R: Send>(all: &[T], each: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let results = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                while let Some(one) = all.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                    let result = each(one);
                    results.lock().unwrap().push(result);
                }
            });
        }
    });
    results.into_inner().unwrap()
}

/// Runs a story that `variables` (name and value) disturb, lets it come to rest, and says what is wrong then.
pub fn disturbed(story: &Scenario, variables: &[(&str, String)]) -> (Office, Vec<String>) {
    let mut office = Office::at_the_beginning_of(story);
    for (name, value) in variables {
        office.home.set(name, value);
    }
    (story.act)(&mut office);
    let settled = office.settle();
    let mut wrong = office.judge();
    wrong.extend(settled.err());
    let wrong = wrong.into_iter().map(|what| format!("{}, {variables:?}: {what}", story.name)).collect();
    (office, wrong)
}

/// Whether the long form is asked for (`make soak`).
pub fn is_soak() -> bool {
    std::env::var_os("IAPEER_SOAK").is_some_and(|asked| asked == "1")
}
