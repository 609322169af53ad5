//! A storm: sixteen writers and four peers, while programs, agents and tmux servers are killed (SIGKILL) at random, peers
//! are stopped, started and renamed, logs are rotated, and ticks run. Afterwards: what was acknowledged was delivered,
//! once, or again and then marked; what was refused never was; nothing is wedged; the doctor finds nothing.
//!
//! `IAPEER_STORM=N` has each writer send N messages (`make soak`: 200); else it is a few.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use iapeer::base::clock::Clock;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use support::{Chance, TestHome, bodies_in};

const WRITERS: u64 = 16;
const PEERS: [&str; 4] = ["ada", "bea", "cyd", "dee"];
/// The other name of `dee`.
const OTHER: &str = "day";
/// How many messages each writer sends in the short form.
const SHORT: u64 = 60;
/// How long all may take to come to rest afterwards, with a tick after the other.
const REST: Duration = Duration::from_secs(120);

/// A message that was sent: its text, and the code its sender got.
struct Sent {
    body: String,
    code: i32,
    said: String,
}

fn seed() -> u64 {
    let given = std::env::var("IAPEER_STORM_SEED").ok().and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(|| iapeer::base::clock::SystemClock::default().now().0) | 1
}

fn office() -> TestHome {
    let home = TestHome::new();
    for (name, value) in [
        ("IAPEER_SERVICE_MANAGER", "none"),
        ("IAPEER_CRASHLOOP_MAX", "1000000"),
        ("IAPEER_QUEUE_MAX_ATTEMPTS", "1000"),
        ("IAPEER_READY_GATE_SECS", "10"),
        ("IAPEER_BOOT_DEADLINE_SECS", "20"),
        ("IAPEER_LIFECYCLE_LOG_MAX_BYTES", "20000"),
        ("IAPEER_DELIVERY_LOG_MAX_BYTES", "20000"),
    ] {
        home.set(name, value);
    }
    home.parrot("ann", &[("PARROT_TURN_MS", "1")]);
    // Besides those that are killed wherever they are, each dies now and then of a message that it has taken and nobody
    // can know it has: whether it gets that once more, and marked, is no matter of luck.
    PEERS.iter().for_each(|name| drop(home.parrot(name, &[("PARROT_TURN_MS", "5"), ("PARROT_CRASH_AT", "25")])));
    home
}

/// Sends this writer's messages to one peer after the other.
fn write(home: &TestHome, writer: u64, messages: u64, seed: u64, sent: &Mutex<Vec<Sent>>) {
    let mut chance = Chance(seed ^ (writer + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    for n in 0..messages {
        let to = match PEERS[chance.below(4) as usize] {
            "dee" if chance.below(2) == 0 => OTHER,
            name => name,
        };
        let body = format!("writer {writer} message {n}");
        let output = home.run("iapeer-send", &[to, "--from", "ann", "--no-wait", "-m", &body]);
        sent.lock().unwrap().push(Sent { body, code: output.code, said: output.stderr });
    }
}

/// Kills one process of the home. Says what kind it was.
fn kill_one(home: &TestHome, chance: &mut Chance) -> String {
    // One kind of program first, then one of that kind: there are more senders than servers.
    let mut by_name = BTreeMap::<String, Vec<i32>>::new();
    for (pid, name) in home.processes().into_iter().filter(|(_, name)| !name.is_empty()) {
        let kind = if name.starts_with("tmux") { "tmux".to_owned() } else { name };
        by_name.entry(kind).or_default().push(pid);
    }
    let names: Vec<&String> = by_name.keys().collect();
    let Some(name) = chance.of(&names) else { return "killed nobody".to_owned() };
    if let Some(pid) = chance.of(&by_name[*name]) {
        let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
    }
    std::thread::sleep(Duration::from_millis(chance.below(20)));
    format!("killed {name}")
}

/// Does what operators and the machine do. Says what.
fn operate(home: &TestHome, chance: &mut Chance, dee: &mut &'static str) -> String {
    let peers = ["ada", "bea", "cyd", *dee];
    match chance.below(8) {
        0..2 => {
            let name = chance.of(&peers).unwrap();
            home.run("iapeer", &["stop", name]);
            home.run("iapeer", &["start", name]);
            "stopped and started"
        }
        2 => {
            let to = if *dee == OTHER { "dee" } else { OTHER };
            if home.run("iapeer", &["rename", *dee, to, "--force"]).code == 0 {
                *dee = to;
                "renamed"
            } else {
                "rename was killed or refused"
            }
        }
        3..5 => {
            let logs = home.root().join("logs");
            let all: Vec<PathBuf> = ["iapeer", "lifecycle"]
                .iter()
                .flat_map(|folder| fs::read_dir(logs.join(folder)).into_iter().flatten().flatten())
                .map(|entry| entry.path())
                .filter(|path| path.extension().is_some_and(|kind| kind == "log"))
                .collect();
            if let Some(log) = chance.of(&all) {
                let _ = fs::rename(log, log.with_extension("log.aside"));
            }
            "rotated a log"
        }
        _ => {
            home.run("iapeer-superviser", &[]);
            "ticked"
        }
    }
    .to_owned()
}

fn is_at_rest(home: &TestHome) -> bool {
    let left = ["intents", "notices"].iter().any(|left| home.root().join("state").join(left).exists());
    !left
        && PEERS.iter().chain(&["ann", OTHER]).all(|name| {
            let identity = format!("parrot-{name}");
            let (waiting, inflight, _) = home.queue(&identity);
            let lock = home.state_dir().join(format!("{identity}.lock"));
            waiting + inflight == 0 && !iapeer::store::lock::is_held(&lock) && !home.state(&identity, "teardown")
        })
}

/// Lets everything come to rest: peers are started, and a tick follows the other.
fn settle(home: &TestHome) -> Duration {
    let start = Instant::now();
    for name in PEERS.iter().chain(&[OTHER]) {
        home.run("iapeer", &["start", name]);
    }
    while !is_at_rest(home) {
        assert!(start.elapsed() < REST, "it never comes to rest: {}", home.ok("iapeer-drain", &["--list"]).stdout);
        home.ok("iapeer-superviser", &[]);
    }
    start.elapsed()
}

/// What the doctor finds once the ticks have had their turn; a message that was given up is there on purpose.
fn findings(home: &TestHome) -> Vec<String> {
    let found = home.run("iapeer", &["doctor", "--json"]).json_lines();
    let fine = |line: &serde_json::Value| {
        let what = line["what"].as_str().unwrap_or_default();
        line["check"] == "units" || line["check"] == "queue" && what.ends_with("dead letter(s)")
    };
    let wrong = found.iter().filter(|line| line.get("check").is_some() && !fine(line));
    wrong.map(|line| format!("doctor: {line}")).collect()
}

#[test]
fn a_storm_of_writers_and_kills_loses_nothing_and_doubles_nothing_unmarked() {
    let messages = std::env::var("IAPEER_STORM").ok().and_then(|n| n.parse().ok()).unwrap_or(SHORT);
    let (seed, home, start) = (seed(), office(), Instant::now());
    let (sent, over, at_work) = (Mutex::new(Vec::new()), AtomicBool::new(false), AtomicUsize::new(WRITERS as usize));
    let mut disturbances = BTreeMap::<String, u32>::new();
    std::thread::scope(|scope| {
        let (home, sent, over, at_work) = (&home, &sent, &over, &at_work);
        for writer in 0..WRITERS {
            scope.spawn(move || {
                // Counted down also where the thread panics: the storm has an end.
                struct Leaves<'a>(&'a AtomicUsize, &'a AtomicBool);
                impl Drop for Leaves<'_> {
                    fn drop(&mut self) {
                        if self.0.fetch_sub(1, Ordering::SeqCst) == 1 {
                            self.1.store(true, Ordering::SeqCst);
                        }
                    }
                }
                let _leaves = Leaves(at_work, over);
                write(home, writer, messages, seed, sent);
            });
        }
        let killer = scope.spawn(move || {
            let (mut chance, mut kills) = (Chance(seed ^ 0xFF), Vec::new());
            while !over.load(Ordering::SeqCst) {
                kills.push(kill_one(home, &mut chance));
            }
            kills
        });
        let (mut chance, mut dee) = (Chance(seed), "dee");
        let mut note = |what: String| *disturbances.entry(what).or_default() += 1;
        while !over.load(Ordering::SeqCst) {
            note(operate(home, &mut chance, &mut dee));
        }
        killer.join().unwrap().into_iter().for_each(note);
    });
    let rest = settle(&home);

    let (mut texts, mut wrong) = (BTreeMap::<String, Vec<bool>>::new(), Vec::new());
    for name in PEERS {
        for text in home.record(name).iter().filter_map(|line| line["text"].as_str()) {
            let marked = text.contains("redelivered=\"");
            bodies_in(text).into_iter().for_each(|body| texts.entry(body).or_default().push(marked));
        }
    }
    let mut dead = BTreeSet::new();
    for name in PEERS.iter().chain(&[OTHER]) {
        let folder = home.state_dir().join(format!("parrot-{name}.queue/dead"));
        for path in fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
            let item: serde_json::Value =
                fs::read(path).ok().and_then(|b| serde_json::from_slice(&b).ok()).unwrap_or_default();
            dead.extend(item["task"].as_str().map(str::to_owned));
        }
    }
    let (mut accepted, mut refused, mut killed, mut again) = (0, 0, 0, 0);
    for Sent { body, code, said } in sent.into_inner().unwrap() {
        let got = texts.get(&body).map_or(&[][..], Vec::as_slice);
        match code {
            0 => accepted += 1,
            137 => killed += 1,
            _ => refused += 1,
        }
        match code {
            0 if got.is_empty() && !dead.contains(&body) => wrong.push(format!("accepted and lost: {body}")),
            0 | 137 => {}
            _ if !got.is_empty() || dead.contains(&body) => {
                wrong.push(format!("refused ({code}) and kept: {body}: {said}"))
            }
            _ => {}
        }
        again += usize::from(got.len() > 1);
        if got.iter().filter(|marked| !**marked).count() > 1 {
            wrong.push(format!("delivered {} times, and not marked: {body}", got.len()));
        }
        if said.contains("panicked") {
            wrong.push(format!("panicked: {said}"));
        }
    }
    for _ in 0..3 {
        if !findings(&home).is_empty() {
            home.ok("iapeer-superviser", &[]);
        }
    }
    wrong.extend(findings(&home));
    println!(
        "storm: seed {seed}, {} messages: {accepted} accepted, {refused} refused, {killed} senders killed; {} delivered, \
         {again} of them again and marked, {} dead letters; {disturbances:?}; {:.0} s of storm, {:.0} s to rest; wrong: {}",
        WRITERS * messages,
        texts.len(),
        dead.len(),
        (start.elapsed() - rest).as_secs_f64(),
        rest.as_secs_f64(),
        wrong.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(again > 0, "no agent died of a message that it had taken");
}
