//! Every file of ours in every bad state: cut short, empty, NULs, a folder, a FIFO, a link to a device, to itself or to
//! nothing, somebody else's, closed to us, of a later version, and huge. Nothing hangs and nothing panics; an error is one line; the
//! peers whose file it is not are served; `iapeer doctor` names what is not in order.
//!
//! As root also as a user that is not: for root no mode counts.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use support::replacing::{clear, place, put, put_so};
use support::scenario::{at_once, is_soak};
use support::{Output, TestHome, once_more_without_root, wait_until};

/// Far under any time-out of ours: whoever takes longer waits for something.
const SOON: Duration = Duration::from_secs(20);
const ID: &str = "01M7YEQDPSFQ470K9N062NKM85";

/// Whom a bad file may keep from being served.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Costs {
    /// Nobody but bob.
    Bob,
    /// Anybody: everything is found by it. The error is one line and names the file.
    All,
}

/// What its content is to us.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    /// It is read: what can't be understood is named.
    Read,
    /// It says nothing that could be wrong: a marker, a lock, a line of text, or made anew at the next use.
    Free,
    /// The same, and it grows: however large it is, it is put aside or cut by who writes it next.
    Grows,
}

struct Kind {
    /// Below the root.
    path: &'static str,
    costs: Costs,
    content: Content,
    /// What it may hold, where nothing is there.
    sample: fn() -> String,
}

const fn kind(path: &'static str, costs: Costs, content: Content, sample: fn() -> String) -> Kind {
    Kind { path, costs, content, sample }
}

fn time() -> String {
    "2026-01-31T12:00:00.000Z\n".to_owned()
}

fn item() -> String {
    json!({"v": 1, "id": ID, "task": "x", "from": "parrot-al", "accepted": 1, "attempts": 5, "reason": "why"})
        .to_string()
}

fn ended() -> String {
    json!({"server": null, "by": "iapeer pid 1", "why": "x", "park": false, "at": 1}).to_string()
}

fn lines() -> String {
    "one\ntwo\n".to_owned()
}

use Content::{Free, Grows, Read};
use Costs::{All, Bob};

const FILES: &[Kind] = &[
    kind("peers-profiles.json", All, Read, || unreachable!("it is there")),
    kind("peers-profiles.json.bak", Bob, Free, || unreachable!("it is there")),
    kind("state/removed/zed", Bob, Free, || "/zed\n".into()),
    kind("owner", Bob, Free, || "al\n".into()),
    kind("runtimes/parrot/runtime.json", All, Read, || json!({"runtime": "parrot"}).to_string()),
    kind("schedules/pulse.json", Bob, Read, || json!({"v": 1, "name": "pulse"}).to_string()),
    kind("state/clock", Bob, Free, || json!({"wall": 1, "mono": 1}).to_string()),
    kind("state/due/parrot-bob", Bob, Free, String::new),
    kind("state/asks/al/01M7YEQDPSFQ470K9N062NKM85-1", Bob, Free, String::new),
    kind("state/notices/parrot-bob.01M7YEQDPSFQ470K9N062NKM85", Bob, Read, item),
    kind("state/intents/rename-bob", Bob, Read, || json!({"v": 1, "by": "iapeer", "at": 1, "verb": "x"}).to_string()),
    kind("state/lifecycle/parrot-bob.session", Bob, Read, || unreachable!("it is there")),
    kind("state/lifecycle/parrot-bob.session.reaping", Bob, Read, || json!({"identity": "parrot-bob"}).to_string()),
    kind("state/lifecycle/parrot-bob.stopped", Bob, Free, time),
    kind("state/lifecycle/parrot-bob.idle-reaped", Bob, Free, time),
    kind("state/lifecycle/parrot-bob.new-eager", Bob, Free, time),
    kind("state/lifecycle/parrot-bob.refresh", Bob, Free, time),
    kind("state/lifecycle/parrot-bob.ephemeral-armed", Bob, Free, time),
    kind("state/lifecycle/parrot-bob.deaths", Bob, Free, || "[1,2,3]\n".into()),
    kind("state/lifecycle/parrot-bob.topic", Bob, Free, lines),
    kind("state/lifecycle/parrot-bob.teardown", Bob, Read, ended),
    kind("state/lifecycle/parrot-bob.ended", Bob, Free, ended),
    kind("state/lifecycle/parrot-bob.turn", Bob, Free, || unreachable!("it is there")),
    kind("state/lifecycle/parrot-bob.attention", Bob, Free, || json!({"state": "limited", "since": 1}).to_string()),
    kind("state/lifecycle/parrot-bob.looked", Bob, Free, || json!({"printed": 1}).to_string()),
    kind("state/lifecycle/parrot-bob.tool", Bob, Free, lines),
    kind("state/lifecycle/parrot-bob.last-death", Bob, Free, || json!({"at": 1, "event": "server-exit"}).to_string()),
    kind("state/lifecycle/parrot-bob.draft", Bob, Free, || json!({"text": "x"}).to_string()),
    kind("state/lifecycle/parrot-bob.killed-by", Bob, Free, || "kill-server pid=1\n".into()),
    kind("state/lifecycle/parrot-bob.lock", Bob, Free, lines),
    kind("state/lifecycle/parrot-bob.canary.lock", Bob, Free, lines),
    kind("state/lifecycle/parrot-bob.watch.lock", Bob, Free, lines),
    kind("state/lifecycle/parrot-bob.queue/seq", Bob, Free, || "000007\n".into()),
    kind("state/lifecycle/parrot-bob.queue/000042", Bob, Read, item),
    kind("state/lifecycle/parrot-bob.queue/inflight/000042", Bob, Read, item),
    kind("state/lifecycle/parrot-bob.queue/dead/000042", Bob, Free, item),
    kind("history/parrot-bob.jsonl", Bob, Grows, || unreachable!("it is there")),
    kind("history/parrot-bob.jsonl.1", Bob, Grows, lines),
    kind("logs/iapeer/lifecycle.log", Bob, Grows, lines),
    kind("logs/iapeer/delivery.log", Bob, Grows, lines),
    kind("logs/lifecycle/parrot-bob.log", Bob, Grows, lines),
    kind("cache/iapeer/prompts/parrot-bob.md", Bob, Grows, lines),
    kind("peers/bob/.iapeer/peer-profile.json", Bob, Read, || unreachable!("it is there")),
    kind("peers/bob/.iapeer/IAPEER.md", Bob, Free, lines),
    kind("peers/bob/.iapeer/runtimes/parrot/launch.env", Bob, Free, || unreachable!("it is there")),
];

const BAD: &[&str] =
    &["cut", "empty", "nuls", "later", "folder", "fifo", "zero", "loop", "nothing", "huge", "foreign", "shut"];

/// Who looks at every peer.
const MOST: &[&[&str]] = &[&["iapeer", "list"], &["iapeer-superviser"], &["iapeer-drain", "--all"]];
/// The same, in the long form.
const MORE: &[&[&str]] = &[
    &["iapeer", "status"],
    &["iapeer", "verify"],
    &["iapeer", "logs"],
    &["iapeer", "history", "bob"],
    &["iapeer", "attention"],
    &["iapeer", "schedule", "list"],
    &["iapeer-drain", "--list"],
];

/// Makes the file bad. `false`: this user can't.
fn spoil(bad: &str, path: &Path, was: &[u8]) -> bool {
    match bad {
        "cut" => put(path, &was[..was.len() / 2]),
        "empty" => put(path, ""),
        "nuls" => put(path, vec![0; was.len().max(64)]),
        "later" => {
            let later: Option<Value> = serde_json::from_slice(was).ok().filter(Value::is_object);
            let mut later = later.unwrap_or(json!({}));
            for key in ["v", "version"] {
                later[key] = json!(99);
            }
            later["peers"] = json!({"of": ["another", "shape"]});
            put(path, later.to_string());
        }
        "folder" | "fifo" | "zero" | "loop" | "nothing" | "huge" => place(bad, path),
        "foreign" => {
            let give = |path: &Path| std::os::unix::fs::chown(path, Some(65_534), None).is_ok();
            return nix::unistd::geteuid().as_raw() != 65_534 && put_so(path, was, give);
        }
        // Nobody may read it, but root, who may read everything.
        "shut" => {
            let shut = |path: &Path| fs::set_permissions(path, Permissions::from_mode(0o000)).is_ok();
            return !nix::unistd::geteuid().is_root() && put_so(path, was, shut);
        }
        other => panic!("{other}"),
    }
    true
}

/// Whether a hook of bob's agent is still to come.
fn is_in_a_turn(home: &TestHome) -> bool {
    let turn = fs::read(home.state_dir().join("parrot-bob.turn")).unwrap_or_default();
    let turn: Value = serde_json::from_slice(&turn).unwrap_or_default();
    turn["state"] == "busy" && home.server_pid("parrot-bob").is_some()
}

/// What stands under the name, and how long it is: a lock is written anew where it stands.
fn node(path: &Path) -> Option<(u64, u64)> {
    path.symlink_metadata().ok().map(|meta| (meta.ino(), meta.len()))
}

/// Everything that was set aside for not being readable.
fn set_aside(home: &TestHome) -> Vec<PathBuf> {
    let (mut found, mut todo) = (Vec::new(), vec![home.root()]);
    while let Some(dir) = todo.pop() {
        for path in fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()) {
            let in_corrupt = path.parent().is_some_and(|dir| dir.ends_with("corrupt"));
            if in_corrupt || path.to_string_lossy().contains(".corrupt-") {
                found.push(path);
            } else if path.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
                todo.push(path);
            }
        }
    }
    found
}

/// Runs a program, which ends soon; says what is wrong with how it ends.
fn run(home: &TestHome, words: &[&str], wrong: &mut Vec<String>) -> Output {
    let output = home.spawn(words[0], &words[1..]).wait(SOON);
    let said = format!("{}{}", output.stdout, output.stderr);
    if said.contains("panicked") || output.code >= 100 {
        wrong.push(format!("{words:?} fell over: {output}"));
    }
    // What verify finds is its output.
    let found = output.stdout.lines().filter(|line| words.contains(&"verify") && line.starts_with('✗'));
    let errors = output.stderr.lines().filter(|line| !line.trim_start().starts_with("WARN")).chain(found).count();
    if output.code != 0 && words.get(1) != Some(&"doctor") && errors != 1 {
        wrong.push(format!("{words:?} does not say in one line what is wrong: {output}"));
    }
    output
}

fn try_all(bad: &str) -> Vec<String> {
    let home = TestHome::new();
    for name in ["al", "bob", "eve"] {
        home.parrot(name, &[("PARROT_TURN_MS", "1")]);
    }
    for name in ["bob", "eve"] {
        home.ok("iapeer-send", &[name, "--from", "al", "--topic", "t", "--require", "delivered", "-m", "first"]);
        home.at_rest(&format!("parrot-{name}"));
    }
    let mut wrong = Vec::new();
    for Kind { path: below, costs, content, sample } in FILES {
        wait_until("the end of bob's turn", SOON, || !is_in_a_turn(&home));
        let path = home.root().join(below);
        let before = fs::read(&path).ok();
        let was = before.clone().unwrap_or_else(|| sample().into_bytes());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if !spoil(bad, &path, &was) {
            continue;
        }
        let mut found = Vec::new();
        let placed = node(&path);
        let doctor = run(&home, &["iapeer", "doctor"], &mut found).stdout;
        let is_content = ["cut", "empty", "nuls", "later"].contains(&bad);
        let name = path.file_name().unwrap().to_str().unwrap();
        let named = doctor.contains(below) || doctor.contains(name);
        // What a later version wrote is read as far as it is understood.
        let has_to_be = match (bad, content) {
            ("later", _) => *costs == All && below.starts_with("peers-"),
            ("huge", Grows) => false,
            _ => !is_content || *content == Read,
        };
        // A program that was still at work may have written it anew, or taken it away.
        if !named && has_to_be && node(&path) == placed {
            found.push(format!("doctor does not name it: {doctor}"));
        }
        let more: &[&[&str]] = if is_soak() { MORE } else { &[] };
        for words in MOST.iter().chain(more) {
            let output = run(&home, words, &mut found);
            if *costs == Bob && output.code != 0 && ["list", "status"].contains(words.last().unwrap()) {
                found.push(format!("{words:?} fails for all: {output}"));
            }
        }
        let sent = run(&home, &["iapeer-send", "eve", "--from", "al", "-m", below], &mut found);
        match costs {
            Bob if !sent.stdout.starts_with("delivered") => found.push(format!("eve is not served: {sent}")),
            All if sent.code != 0 && !sent.stderr.contains(name) => found.push(format!("not named: {sent}")),
            _ => {}
        }
        run(&home, &["iapeer-send", "bob", "--from", "al", "--wait", "0", "-m", below], &mut found);
        home.at_rest("parrot-bob");
        // As it was.
        match &before {
            Some(before) => put(&path, before),
            None => {
                clear(&path);
                let above = path.parent().unwrap();
                if above.ends_with("intents") || above.ends_with("notices") {
                    let _ = fs::remove_dir(above);
                }
            }
        }
        set_aside(&home).iter().for_each(|path| clear(path));
        run(&home, &["iapeer-superviser"], &mut found);
        wrong.extend(found.into_iter().map(|what| format!("{bad} {below}: {what}")));
    }
    // Everybody is well again.
    home.run("iapeer", &["start", "bob"]);
    let sent = home.spawn("iapeer-send", &["bob", "--from", "al", "-m", "last"]).wait(SOON);
    let mut ready = || {
        home.run("iapeer-superviser", &[]);
        home.bodies("bob").contains(&"last".to_owned())
    };
    if sent.code != 0 {
        wrong.push(format!("{bad}: bob is not well afterwards: {sent}"));
    } else {
        wait_until("the last message", SOON, &mut ready);
    }
    wrong
}

#[test]
fn no_bad_file_hangs_panics_or_costs_another_peer_anything() {
    once_more_without_root("no_bad_file_hangs_panics_or_costs_another_peer_anything");
    let wrong: Vec<String> = at_once(BAD, |bad| try_all(bad)).concat();
    println!("bad state: {} files in {} states; wrong: {}", FILES.len(), BAD.len(), wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whoever can't read the registry knows of nobody whether they are a peer: no session is ended or started, nothing that
/// waits is given up, and the next tick that can read it goes on.
#[test]
fn while_the_registry_cannot_be_read_a_tick_says_so_and_acts_on_nobody() {
    let home = TestHome::new();
    for name in ["al", "bob", "eve"] {
        home.parrot(name, &[("PARROT_TURN_MS", "1")]);
    }
    home.ok("iapeer-send", &["bob", "--from", "al", "--require", "delivered", "-m", "first"]);
    home.at_rest("parrot-bob");
    wait_until("the end of bob's turn", SOON, || !is_in_a_turn(&home));
    let server = home.server_pid("parrot-bob");
    let (state, registry) = (home.root().join("state"), home.root().join("peers-profiles.json"));
    let notice = state.join(format!("notices/parrot-al.{ID}"));
    fs::create_dir_all(notice.parent().unwrap()).unwrap();
    let told = json!({"v": 1, "id": ID, "task": "told later", "from": "system-iapeer", "accepted": 1});
    fs::write(&notice, told.to_string()).unwrap();
    fs::write(home.state_dir().join("parrot-eve.new-eager"), time()).unwrap();
    fs::write(home.state_dir().join("parrot-bob.stopped"), time()).unwrap();
    let was = fs::read(&registry).unwrap();
    for bad in ["cut", "later", "folder", "loop"] {
        assert!(spoil(bad, &registry, &was));
        let tick = home.run("iapeer-superviser", &[]);
        let errors: Vec<&str> = tick.stderr.lines().filter(|line| !line.trim_start().starts_with("WARN")).collect();
        assert!(tick.code != 0 && errors.len() == 1 && errors[0].contains("peers-profiles.json"), "{bad}: {tick}");
        assert!(notice.exists(), "{bad}: the notice is lost");
        assert!(home.state("parrot-eve", "new-eager"), "{bad}: eve's wish is forgotten");
        assert_eq!(home.server_pid("parrot-bob"), server, "{bad}: bob's session was ended");
        put(&registry, &was);
    }
    wait_until("everything that waited", SOON, || {
        home.run("iapeer-superviser", &[]);
        home.server_pid("parrot-eve").is_some()
            && home.server_pid("parrot-bob").is_none()
            && home.bodies("al").contains(&"told later".to_owned())
    });
}
