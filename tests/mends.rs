//! Whatever breaks is named by `iapeer doctor`, with the command that mends it; following that advice word for word,
//! round after round, leaves nothing to say, and a message that was accepted before is delivered in the end.
//!
//! Each scenario is a row: how the home is before, what is broken, by which words doctor names it, and, for the one thing
//! that no command can decide, what a person does with what the advised command prints.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::panic::catch_unwind;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};
use support::{SmallDisk, TestHome, hold, wait_until};

const ANN: &str = "parrot-ann";
const WAITING: &str = "accepted before";
/// As long as following all advice may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether Ann has a session when it breaks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ann {
    Sleeps,
    Lives,
}

struct Scenario {
    name: &'static str,
    ann: Ann,
    /// Its root is a small file system of its own.
    disk: bool,
    /// Breaks it. `false`: this user can't.
    damage: fn(&TestHome) -> bool,
    /// How one of doctor's findings names it, before anything mends it.
    named: &'static str,
    /// What a person does with what the advised command prints.
    then: fn(&TestHome, &str),
}

fn nothing(_: &TestHome, _: &str) {}

const fn row(name: &'static str, ann: Ann, named: &'static str, damage: fn(&TestHome) -> bool) -> Scenario {
    Scenario { name, ann, disk: false, damage, named, then: nothing }
}

use Ann::{Lives, Sleeps};

const SCENARIOS: &[Scenario] = &[
    row("the registry is deleted", Sleeps, "is missing", |home| fs::remove_file(registry(home)).is_ok()),
    row("the registry is deleted, a session lives", Lives, "is missing", |home| {
        fs::remove_file(registry(home)).is_ok()
    }),
    row("the registry is emptied", Sleeps, "corrupted", |home| fs::write(registry(home), "").is_ok()),
    row("the registry names nobody", Lives, "names nobody", |home| {
        fs::write(registry(home), r#"{"version":2,"peers":[]}"#).is_ok()
    }),
    row("the registry is cut", Sleeps, "corrupted", |home| cut(&registry(home))),
    row("the registry is cut and its copy gone", Lives, "corrupted", |home| {
        fs::remove_file(copy(home)).unwrap();
        cut(&registry(home))
    }),
    row("the registry and its copy are gone", Sleeps, "the registry does not name it", |home| {
        fs::remove_file(copy(home)).unwrap();
        fs::remove_file(registry(home)).is_ok()
    }),
    row("a profile is cut", Sleeps, "not valid JSON", |home| cut(&profile(home))),
    row("a profile is gone", Sleeps, "is missing", |home| fs::remove_file(profile(home)).is_ok()),
    row("a session record is cut", Lives, "can't be understood", |home| {
        cut(&home.state_dir().join("parrot-ann.session"))
    }),
    row("a socket is deleted", Lives, "has no socket", |home| {
        fs::remove_file(home.sockets().join("tmux-iap-parrot-ann.sock")).is_ok()
    }),
    row("a server is killed", Lives, "names a session that is gone", |home| {
        let server = home.server_pid(ANN).unwrap();
        kill(Pid::from_raw(server), Signal::SIGKILL).unwrap();
        wait_until("its end", PATIENCE, || iapeer::host::ProcessId::of(server).is_none());
        true
    }),
    row("a folder is moved", Sleeps, "is gone", |home| {
        fs::rename(home.root().join("peers/ann"), home.root().join("peers/elsewhere")).is_ok()
    }),
    row("a history is gone", Lives, "its history is gone", |home| {
        fs::remove_file(home.root().join("history/parrot-ann.jsonl")).is_ok()
    }),
    row("a log is a folder", Sleeps, "can't be written", |home| {
        support::replacing::place("folder", &home.root().join("logs/iapeer/delivery.log"));
        true
    }),
    row("a lock's holder is stopped", Sleeps, "which a signal has stopped", |home| {
        let go = home.hold_boots();
        let waker = home.spawn("iapeer-wake", &["ann"]);
        wait_until("its boot", PATIENCE, || home.state(ANN, "session"));
        waker.signal(Signal::SIGSTOP);
        fs::write(go, "").unwrap();
        // It is ended with its home.
        std::mem::forget(waker);
        true
    }),
    row("a tick hangs", Sleeps, "hangs, in pid", |home| {
        let lock = home.root().join("state/superviser.lock");
        let script = "exec 9>>\"$0\"; flock 9; echo \"pid $$ (iapeer-superviser)\" >\"$0\"; touch -d '1 hour ago' \"$0\"; exec sleep 600";
        let mut holder = home.cmd("sh");
        holder.args(["-c", script]).arg(&lock);
        std::mem::forget(home.start(holder, None));
        let old = || fs::metadata(&lock).unwrap().modified().unwrap().elapsed().unwrap_or_default();
        wait_until("the holder", PATIENCE, || old() > Duration::from_secs(3000));
        true
    }),
    row("a tick of cron's can't run", Sleeps, "none has run since one failed", |home| {
        // As a line in a crontab may set it.
        home.set("IAPEER_IDLE_SECS", "soon");
        let failed = home.run("iapeer-superviser", &[]).code;
        home.unset("IAPEER_IDLE_SECS");
        failed == 78
    }),
    row("the clock was set a day back", Lives, "in the future", |home| shift_stamp(home, 86_400)),
    row("the clock was set a day forward", Lives, "the last one was", |home| {
        let clock = home.root().join("state/clock");
        let mut noted: Value = serde_json::from_slice(&fs::read(&clock).unwrap()).unwrap();
        noted["wall"] = (noted["wall"].as_u64().unwrap() - 86_400_000).into();
        fs::write(&clock, noted.to_string()).unwrap();
        shift_stamp(home, -86_400)
    }),
    row("a program is gone", Sleeps, "no program for runtime", |home| {
        home.set("IAPEER_PARROT_BIN", home.dir().join("no-parrot"));
        true
    }),
    row("tmux is away", Sleeps, "tmux", |home| {
        home.set("IAPEER_TMUX_BIN", home.dir().join("no-tmux"));
        true
    }),
    row("a program ends at once", Sleeps, "crash-loop", |home| {
        let program = home.dir().join("parrot");
        fs::write(&program, "#!/bin/sh\necho 'a library is missing' >&2\nexit 127\n").unwrap();
        fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
        home.set("IAPEER_PARROT_BIN", program);
        wait_until("the guard", PATIENCE, || {
            home.run("iapeer-drain", &[ANN]);
            home.run("iapeer-superviser", &[]);
            findings(home).iter().any(|finding| word(finding, "what").starts_with("crash-loop"))
        });
        true
    }),
    row("a login screen", Sleeps, "login for", |home| {
        home.launch_env("ann", &[("PARROT_DIALOG", "login")]);
        home.run("iapeer-drain", &[ANN]);
        true
    }),
    row("a rename was killed", Sleeps, "renaming ann to eve", |home| {
        let peers = home.root().join("peers");
        let intent = serde_json::json!({"v": 1, "by": "iapeer", "at": 1, "verb": "rename", "old": "ann", "new": "eve",
            "from": peers.join("ann"), "to": peers.join("eve"),
            "identities": [{"from": ANN, "to": "parrot-eve", "parked": true, "forgets": false}]});
        let dir = home.root().join("state/intents");
        fs::create_dir_all(&dir).unwrap();
        fs::set_permissions(&dir, Permissions::from_mode(0o700)).unwrap();
        fs::write(dir.join("rename-ann"), intent.to_string()).unwrap();
        fs::set_permissions(dir.join("rename-ann"), Permissions::from_mode(0o600)).unwrap();
        fs::rename(peers.join("ann"), peers.join("eve")).is_ok()
    }),
    row("the intent of a rename is cut", Sleeps, "how far the verb came is not known", |home| {
        let dir = home.root().join("state/intents");
        fs::create_dir_all(&dir).unwrap();
        fs::set_permissions(&dir, Permissions::from_mode(0o700)).unwrap();
        let intent = dir.join("rename-ann");
        fs::write(&intent, r#"{"v":1,"by":"iapeer","at":1,"verb":"ren"#).unwrap();
        fs::set_permissions(&intent, Permissions::from_mode(0o600)).unwrap();
        fs::rename(home.root().join("peers/ann"), home.root().join("peers/eve")).is_ok()
    }),
    Scenario {
        disk: true,
        // The largest file that is named, which somebody has to decide about.
        then: |home, printed| {
            let paths = printed.lines().filter_map(|line| line.split_once('\t')).map(|(_, path)| PathBuf::from(path));
            let largest = paths.rev().find(|path| path.is_file());
            if let Some(largest) = largest {
                assert_eq!(largest, home.root().join("fill"));
                fs::remove_file(largest).unwrap();
            }
        },
        ..row("the disk is full", Lives, "its file system is full", |home| {
            let mut file = fs::File::create(home.root().join("fill")).unwrap();
            while file.write_all(&[0; 4096]).is_ok() {}
            true
        })
    },
    row("the owner is nobody", Sleeps, "is no person here", |home| put(&home.root().join("owner"), "ghost\n")),
    row("a schedule writes to nobody", Sleeps, "can send nothing", |home| {
        home.ok("iapeer", &["create", "eve", "--runtime", "parrot"]);
        home.ok("iapeer", &["schedule", "add", "daily", "--to", "eve", "--on-calendar", "03:30", "-m", "x"]);
        home.run("iapeer", &["remove", "eve"]).code == 0
    }),
    row("the prices are cut", Sleeps, "`iapeer usage` fails until then", |home| {
        put(&home.root().join("prices.json"), r#"{"currency": "USD", "mod"#)
    }),
    row("the prices are a folder", Sleeps, "is a folder, not a regular file", |home| {
        fs::create_dir(home.root().join("prices.json")).is_ok()
    }),
    row("a schedule is cut", Sleeps, "schedules/daily.json: ", |home| {
        home.ok("iapeer", &["schedule", "add", "daily", "--to", "ann", "--on-calendar", "03:30", "-m", "x"]);
        cut(&home.root().join("schedules/daily.json"))
    }),
    row("the notifier is not executable", Sleeps, "is not executable", |home| {
        put(&home.root().join("notify"), "#!/bin/sh\n")
    }),
    row("a person's inbox is a file", Sleeps, "is not a folder", |home| {
        home.ok("iapeer", &["create", "me", "--runtime", "person"]);
        put(&home.root().join("peers/me/inbox"), "")
    }),
    row("a line of launch.env says nothing", Sleeps, "neither NAME=VALUE nor a comment", |home| {
        let path = home.root().join("peers/ann/.iapeer/runtimes/parrot/launch.env");
        let text = fs::read_to_string(&path).unwrap();
        put(&path, &format!("{text}PARROT_TURN_MS 5\n"))
    }),
    row("a queue is a file", Lives, "parrot-bob.queue", |home| put(&home.state_dir().join("parrot-bob.queue"), "")),
    row("the histories are a file", Lives, "/history", |home| a_file(&home.root().join("history"))),
    row("the cache is a file", Sleeps, "/cache", |home| a_file(&home.root().join("cache"))),
    row("the logs are a file", Lives, "/logs", |home| a_file(&home.root().join("logs"))),
    row("the root is open to others", Sleeps, "is open to others", |home| {
        fs::set_permissions(home.root(), Permissions::from_mode(0o755)).is_ok()
    }),
];

fn registry(home: &TestHome) -> PathBuf {
    home.root().join("peers-profiles.json")
}

fn copy(home: &TestHome) -> PathBuf {
    home.root().join("peers-profiles.json.bak")
}

fn profile(home: &TestHome) -> PathBuf {
    home.root().join("peers/ann/.iapeer/peer-profile.json")
}

/// Writes a file as private as ours are.
fn put(path: &std::path::Path, text: &str) -> bool {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).is_ok()
}

/// Has a file stand where a folder was.
fn a_file(path: &std::path::Path) -> bool {
    fs::rename(path, path.with_extension("kept")).unwrap();
    put(path, "")
}

/// Cuts a file in the middle.
fn cut(path: &std::path::Path) -> bool {
    let whole = fs::read(path).unwrap();
    fs::write(path, &whole[..whole.len() / 2]).is_ok()
}

/// Has the last tick's stamp lie `by` seconds ahead.
fn shift_stamp(home: &TestHome, by: i64) -> bool {
    let stamp = fs::File::options().write(true).open(home.root().join("state/superviser.lock")).unwrap();
    let way = Duration::from_secs(by.unsigned_abs());
    let now = SystemTime::now();
    stamp.set_modified(if by < 0 { now - way } else { now + way }).is_ok()
}

/// The findings now.
fn findings(home: &TestHome) -> Vec<Value> {
    let said = home.run("iapeer", &["doctor", "--json"]);
    said.json_lines().into_iter().filter(|line| line.get("check").is_some()).collect()
}

fn word<'a>(finding: &'a Value, key: &str) -> &'a str {
    finding[key].as_str().unwrap()
}

/// Follows the advice of one finding: its commands, word for word.
fn follow(home: &TestHome, scenario: &Scenario, finding: &Value) -> String {
    let todo = word(finding, "todo");
    assert!(!todo.is_empty(), "{}: nothing to do about {finding}", scenario.name);
    let all: Vec<&str> = finding["commands"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    assert!(!all.is_empty(), "{}: no command in {finding}", scenario.name);
    let run = |command: &&str| {
        let mut shell = home.cmd("sh");
        shell.args(["-c", command]);
        let ran = home.start(shell, None).wait(PATIENCE);
        (scenario.then)(home, &ran.stdout);
        format!("{command}: {ran}")
    };
    all.iter().map(run).collect()
}

fn play(scenario: &Scenario) {
    // Advice is followed by a shell: each path in it has to be quoted.
    let home = TestHome::named("it's `a` $root.");
    home.set("IAPEER_SERVICE_MANAGER", "none");
    let disk = scenario.disk.then(|| SmallDisk::mount_with(&home.root(), "size=3m,mode=700"));
    if disk.as_ref().is_some_and(Option::is_none) {
        return eprintln!("SKIPPED: {}: this user may not mount", scenario.name);
    }
    home.parrot("bob", &[]);
    home.parrot("ann", &[("PARROT_TURN_MS", "10")]);
    home.ok("iapeer-send", &["ann", "--from", "bob", "--require", "delivered", "-m", "first"]);
    home.at_rest(ANN);
    if scenario.ann == Sleeps {
        home.ok("iapeer-reap", &[ANN]);
    }
    home.ok("iapeer-superviser", &[]);
    wait_until("a host in order", PATIENCE, || findings(&home).is_empty());
    let held = hold(&home.state_dir().join("parrot-ann.lock"));
    let sent = home.ok("iapeer-send", &["ann", "--from", "bob", "--no-wait", "-m", WAITING]);
    assert!(sent.stdout.contains("queued"), "{}: {sent}", scenario.name);
    wait_until("its drain to give up", PATIENCE, || !home.processes().iter().any(|(_, name)| name == "iapeer-drain"));
    drop(held);
    if !(scenario.damage)(&home) {
        return eprintln!("SKIPPED: {}: this user can't do that", scenario.name);
    }
    let mut found = findings(&home);
    let named = found.iter().any(|finding| word(finding, "what").contains(scenario.named));
    assert!(named, "{}: {found:#?}", scenario.name);
    let begun = Instant::now();
    let mut followed = Vec::new();
    while !found.is_empty() {
        assert!(begun.elapsed() < PATIENCE, "{}: {found:#?} after {followed:#?}", scenario.name);
        followed.extend(found.iter().map(|finding| follow(&home, scenario, finding)));
        found = findings(&home);
    }
    let got = |text: &str| home.bodies("ann").iter().filter(|body| body.as_str() == text).count();
    while got(WAITING) == 0 {
        assert!(begun.elapsed() < PATIENCE, "{}: not delivered after {followed:#?}", scenario.name);
        home.run("iapeer-superviser", &[]);
    }
    assert_eq!(got(WAITING), 1, "{}: after {followed:#?}", scenario.name);
    wait_until("a host in order in the end", PATIENCE, || {
        home.run("iapeer-superviser", &[]);
        findings(&home).is_empty()
    });
}

/// What the registry remembers of a profile that is cut: all that sends messages and starts sessions.
#[test]
fn a_profile_that_is_written_anew_says_what_it_said() {
    let home = TestHome::new();
    home.set("IAPEER_SERVICE_MANAGER", "none");
    home.parrot("ann", &[]);
    home.ok("iapeer", &["tag", "ann", "add", "books", "reviewers"]);
    home.ok("iapeer", &["native-memory", "default", "ann"]);
    let before: Value = serde_json::from_slice(&fs::read(profile(&home)).unwrap()).unwrap();
    cut(&profile(&home));
    home.run("iapeer", &["doctor", "--fix"]);
    let after: Value = serde_json::from_slice(&fs::read(profile(&home)).unwrap()).unwrap();
    assert_eq!(after, before);
    assert_eq!(home.ok("iapeer", &["tag", "ann"]).stdout, "books\nreviewers\n");
}

/// The line for a crontab, run as cron runs it: with a short PATH, after cron's own treatment of `%`.
#[test]
fn the_line_for_a_crontab_runs_a_tick_whatever_the_folders_are_called() {
    let home = TestHome::named("it's 5% `a` $x.");
    home.set("IAPEER_SERVICE_MANAGER", "none");
    home.parrot("ann", &[]);
    let todo = findings(&home).iter().find(|finding| finding["check"] == "tick").unwrap()["todo"].to_string();
    let todo: String = serde_json::from_str(&todo).unwrap();
    let (_, line) = todo.split_once("* * * * * ").unwrap();
    let mut cron = home.cmd("sh");
    cron.args(["-c", &line.replace("\\%", "%")]).env("PATH", "/usr/bin:/bin").env_remove("IAPEER_ROOT");
    let ran = home.start(cron, None).wait(PATIENCE);
    assert!(ran.code == 0 && ran.stdout.is_empty(), "{line}: {ran}");
    assert!(findings(&home).is_empty(), "{:?}", findings(&home));
}

#[test]
fn what_breaks_is_named_and_mended_by_the_advice_alone() {
    let only = std::env::var("IAPEER_TEST_MEND").unwrap_or_default();
    let next = AtomicUsize::new(0);
    let bad = Mutex::new(Vec::new());
    let take = || {
        while let Some(scenario) = SCENARIOS.get(next.fetch_add(1, Ordering::Relaxed)) {
            // One that fails says so, and the others are told too.
            if scenario.name.contains(&only) && catch_unwind(|| play(scenario)).is_err() {
                bad.lock().unwrap().push(scenario.name);
            }
        }
    };
    std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(take))));
    assert_eq!(bad.into_inner().unwrap(), [""; 0]);
}
