//! Programs die (SIGKILL) before and after each step by which a file changes. Whatever the point: what was accepted is
//! delivered once, or twice and then marked; what was refused never is; ticks bring everything to rest; the doctor finds
//! nothing. The points are listed by the code; one that no story comes by fails the test.
//!
//! The short form dies once at each name. The long form (`IAPEER_SOAK=1`) dies at each passing of each name in each story.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod support;

use iapeer::base::step::failpoints;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use support::scenario::{Office, Scenario, at_once, disturbed, is_soak, scenarios};

/// A place to die: in which story, which program, at which passing.
#[derive(Debug, Clone)]
struct Death {
    story: usize,
    program: String,
    name: String,
    nth: u32,
    /// Where in the code that is, or may be: programs of one name do different things.
    site: String,
}

/// What each program passes in a story: the point, the how-manieth time, and where in the code that is.
type Passings = BTreeMap<(String, String, u32), BTreeSet<String>>;

/// How often each program passes each point in this story, at most.
fn passings(story: &Scenario) -> Passings {
    let mut office = Office::at_the_beginning_of(story);
    let trace = office.home.dir().join("trace");
    office.home.set("IAPEER_TRACE", &trace);
    office.home.set("IAPEER_FAULT_MARK", office.home.dir().join("fault"));
    (story.act)(&mut office);
    office.settle().unwrap();
    let wrong = office.judge();
    assert!(wrong.is_empty(), "{} goes wrong undisturbed: {wrong:?}", story.name);
    let mut times = BTreeMap::<(String, u64, String), u32>::new();
    let mut passed = Passings::new();
    for line in fs::read_to_string(trace).unwrap_or_default().lines() {
        let step: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| step[key].as_str().unwrap().to_owned();
        let nth = times.entry((text("program"), step["pid"].as_u64().unwrap(), text("point"))).or_default();
        *nth += 1;
        passed.entry((text("program"), text("point"), *nth)).or_default().insert(text("site"));
    }
    passed
}

/// Places that no story passes: the file, what the line says, and why.
const LEFT_OUT: &[(&str, &str, &str)] = &[
    ("attention/look.rs", "AnswerRemove", "requests of a session that has died: tests/attention.rs"),
    ("attention/answer.rs", "AnswerRemove, &file(\"answer\")", "an answer that nobody has taken: tests/attention.rs"),
    ("attention/requests.rs", "AnswerRemove", "a request that was answered on the screen: tests/attention.rs"),
    ("canary/beside.rs", "write_volatile", "needs a program with a server of its own: tests/app_server.rs"),
    ("canary/record.rs", "write_atomic(&path", "what a kernel's log says of a death: another each time"),
    ("canary/record.rs", "remove(&LastDeath", "a death that is told twice: tests/canary.rs"),
    ("delivery/afar.rs", "let forget", "only where something failed: tests/hostile.rs"),
    ("doctor/", "durable::", "mends one file each: tests/mends.rs"),
    ("fleet/ask.rs", "publish", "writes one file for a person: tests/fleet.rs"),
    ("machine/draft.rs", "durable::", "needs a person who types: tests/drafts.rs"),
    ("machine/unit.rs", "write_volatile", "needs a user manager: tests/systemd.rs"),
    ("mailbox/afar.rs", "remove_tree(&entry", "an hour has to pass"),
    ("mailbox/again.rs", "durable::", "what a NATS server has lost is sent again: tests/hosts_nats/again.rs"),
    ("mailbox/notice.rs", "durable::", "a notice that can't be queued, where something failed: tests/notices.rs"),
    ("operator/demo.rs", "write_atomic", "the demo's own root"),
    ("people/asks.rs", "SweepUnlink", "an hour has to pass"),
    ("people/bots.rs", "write_atomic(&dir.join(\"token", "connecting asks a person: tests/telegram.rs"),
    (
        "people/bots.rs",
        "durable::remove(&path)",
        "what keeps a bot from its service, where that was so: tests/telegram.rs",
    ),
    ("people/notify.rs", "durable::", "the user's own program: tests/people.rs"),
    ("people/owner.rs", "durable::remove", "the owner is removed: tests/people.rs"),
    ("relay/nats/", "write_atomic", "a NATS server with another stream: tests/hosts_nats/again.rs"),
    ("roster/create.rs", "None => drop(durable::remove", "a role is taken away: tests/fleet.rs"),
    ("runtime/manifest.rs", "write_atomic", "a copy for a person to change: tests/doctor_runtime.rs"),
    (
        "session/launch.rs",
        "write_atomic(&path, &text)",
        "programs that keep dialogs in a file of theirs: tests/agents.rs",
    ),
    ("session/drift.rs", "write_atomic", "`iapeer doctor --runtime`, which tries a program: tests/doctor_runtime.rs"),
    ("store/channel.rs", "write_volatile", "needs a program with a server of its own: tests/app_server.rs"),
    ("store/history.rs", "HistoryAppend, &file, &self.path, &[b", "behind a torn line: tests/history.rs"),
    ("store/history.rs", "durable::", "two histories become one, or one is too old: tests/history.rs"),
    (
        "store/markers.rs",
        "durable::",
        "a full disk, an earlier version's marks, a reset: tests/state_v1.rs, tests/full_disk.rs",
    ),
    ("store/queue.rs", "seq}.reason", "an item that can't be read: tests/bad_state.rs"),
    ("store/queue.rs", "Place::Corrupt", "the same"),
    ("store/registry_copy.rs", "remove(&paths.removed", "a peer of a removed one's name: tests/mends.rs"),
    ("supervision/failed.rs", "durable::", "a tick that can't run at all: tests/mends.rs"),
    ("supervision/outboxes.rs", "remove_tree", "weeks have to pass"),
    ("telegram/notes.rs", "write_atomic", "4,000 messages, or a torn line: the file's own test"),
    ("units/", "durable::", "files of systemd and launchd: tests/systemd.rs, tests/plists.rs"),
    ("world/world.rs", "relay_kick", "NATS: tests/hosts_nats.rs"),
];

/// Whether [`LEFT_OUT`] names this place.
fn is_left_out(site: &str) -> bool {
    let (file, line) = site.rsplit_once(':').unwrap();
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    let line = text.lines().nth(line.parse::<usize>().unwrap() - 1).unwrap();
    let known = |(place, says, _): &&(&str, &str, &str)| {
        file.strip_prefix("src/lib/").unwrap().starts_with(place) && line.contains(says)
    };
    LEFT_OUT.iter().any(|left| known(&left))
}

/// The places in the code that change a file for good, by a step or by what is made of steps.
fn sites() -> BTreeSet<String> {
    const CHANGES: [&str; 13] = [
        "durable::write_atomic(",
        "durable::write_volatile(",
        "durable::write_registry(",
        "durable::publish(",
        "durable::move_file(",
        "durable::remove(",
        "durable::remove_tree(",
        "durable::sync_dir(",
        "step::append(",
        "step::write",
        "step::rename(",
        "step::unlink(",
        "step::link(",
    ];
    let mut found = BTreeSet::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("src/lib")];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            if !name.ends_with(".rs") || name == "src/lib/store/durable.rs" || name.starts_with("src/lib/base/step/") {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
            let lines = code.lines().zip(1..).filter(|(line, _)| !line.trim_start().starts_with("//"));
            let changes = lines.filter(|(line, _)| CHANGES.iter().any(|change| line.contains(change)));
            found.extend(changes.map(|(_, n)| format!("{name}:{n}")));
        }
    }
    found
}

/// Lets the story be broken off by this death. Says whether anybody died, and what was wrong afterwards.
fn die(death: &Death) -> (bool, Vec<String>) {
    let mark = tempfile::tempdir().unwrap();
    let at = |name: &str| mark.path().join(name).to_string_lossy().into_owned();
    let place = format!("{}/{}:{}", death.program, death.name, death.nth);
    let variables =
        [("IAPEER_FAULT_MARK", at("fault")), ("IAPEER_FAILPOINT_MARK", at("death")), ("IAPEER_FAILPOINT", place)];
    let (_, wrong) = disturbed(scenarios()[death.story], &variables);
    (mark.path().join("death").exists(), wrong)
}

/// The worker's own `iapeer-send` dies between the acceptance of its answer and the mark that the worker has answered.
#[test]
fn a_worker_whose_answer_was_accepted_has_answered_whatever_dies_then() {
    let story = scenarios().iter().position(|story| story.name == "worker").unwrap();
    let steps = [("before.temp.open", 2), ("after.temp.sync", 2), ("before.replace.rename", 1)];
    let died = at_once(&steps, |(name, nth)| {
        let (program, name) = ("iapeer-send".to_owned(), (*name).to_owned());
        die(&Death { story, program, name, nth: *nth, site: String::new() })
    });
    for (died, step) in died.into_iter().zip(steps) {
        let (hit, wrong) = died;
        assert!(hit && wrong.is_empty(), "{step:?}: {hit} {wrong:?}");
    }
}

#[test]
fn a_death_at_any_step_loses_nothing_doubles_nothing_and_wedges_nothing() {
    let stories: Vec<usize> = (0..scenarios().len()).collect();
    let passed: BTreeMap<usize, _> =
        at_once(&stories, |story| (*story, passings(scenarios()[*story]))).into_iter().collect();
    let (mut deaths, mut reached) = (Vec::new(), BTreeSet::<&str>::new());
    for (story, passed) in &passed {
        for ((program, point, nth), sites) in passed {
            reached.extend(sites.iter().map(String::as_str));
            let Some(site) = sites.first() else { continue };
            for moment in ["before", "after"] {
                let name = format!("{moment}.{point}");
                deaths.push(Death { story: *story, program: program.clone(), name, nth: *nth, site: site.clone() });
            }
        }
    }
    // The stories see every room: each place in the code that changes a file is passed by one of them.
    let sites = sites();
    let unreached: Vec<&String> =
        sites.iter().filter(|site| !reached.contains(site.as_str()) && !is_left_out(site)).collect();
    println!("failpoints: {} places in the code change files; not reached: {unreached:#?}", sites.len());
    // Of the deaths at one name first those at places where nobody has died yet.
    let mut taken = BTreeMap::<String, usize>::new();
    let mut ranked: Vec<(usize, Death)> = Vec::new();
    for death in deaths {
        let rank = taken.entry(death.site.clone()).or_default();
        ranked.push((*rank, death));
        *rank += 1;
    }
    ranked.sort_by_key(|(rank, _)| *rank);
    let mut deaths: Vec<Death> = ranked.into_iter().map(|(_, death)| death).collect();
    let all = deaths.len();
    let everywhere = deaths.clone();
    let mut open: BTreeSet<String> = failpoints::names().collect();
    let names = open.len();
    let (mut died, mut wrong) = (0, Vec::new());
    // Of those that come by the same name the next one, until somebody has died there.
    while !deaths.is_empty() && (is_soak() || !open.is_empty()) {
        let mut round: Vec<Death> = Vec::new();
        deaths.retain(|death| {
            let now = is_soak() || open.contains(&death.name) && !round.iter().any(|other| other.name == death.name);
            if now {
                round.push(death.clone());
            }
            !now && (is_soak() || open.contains(&death.name))
        });
        if round.is_empty() {
            break;
        }
        for (death, (hit, found)) in at_once(&round, |death| (death.clone(), die(death))) {
            if hit {
                died += 1;
                open.remove(&death.name);
            }
            wrong.extend(found);
        }
    }
    // Which of two programs comes by a place first differs from run to run: a name that nobody has died at is looked for
    // once more wherever anybody has passed it.
    for death in everywhere.iter().filter(|death| death.nth == 1) {
        if open.contains(&death.name) {
            let (hit, found) = die(death);
            if hit {
                died += 1;
                open.remove(&death.name);
            }
            wrong.extend(found);
        }
    }
    println!(
        "failpoints: {died} deaths at {} of {names} names ({all} places); wrong: {}",
        names - open.len(),
        wrong.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(open.is_empty(), "no story comes by {open:?}");
    assert!(unreached.is_empty(), "no story comes by {unreached:#?}");
}

/// The names are for tests: a program that is shipped knows none of them. This one is built with them.
#[test]
fn the_programs_list_their_points() {
    let home = support::TestHome::new();
    home.set("IAPEER_FAILPOINT", "list");
    let listed = home.ok("iapeer-drain", &[]).stdout;
    assert_eq!(listed.lines().map(str::to_owned).collect::<Vec<_>>(), failpoints::names().collect::<Vec<_>>());
}
