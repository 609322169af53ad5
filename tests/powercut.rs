//! The power goes. The steps of real programs are recorded; for each of them, and for each way in which a file system
//! may have kept what was not synced by then, the real programs go on with what is left.
//!
//! What was accepted before is delivered, or was; what had been delivered before is delivered again only marked; nothing
//! is wedged. The short form runs a few of the disks that come about; the long form (`IAPEER_SOAK=1`) all, or as many of each
//! story as `IAPEER_POWERCUT_DISKS` says. `IAPEER_POWERCUT_STORY` names a story that is to run alone.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod powercut {
    pub mod model;
}
mod support;

use powercut::model::{Disk, Model, Tree, read_tree, write_tree};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use support::rooms::another_host;
use support::scenario::{GONE, Office, Scenario, at_once, is_soak};

const STORIES: &[Scenario] = &[
    Scenario { name: "first contact", begin: |_| {}, act: |o| o.post(&[("bob", "m1"), ("bob", "m2")]) },
    Scenario { name: "a worker", begin: |_| {}, act: |o| o.post(&[("wes", "t1"), ("wes", "t2")]) },
    Scenario {
        name: "dead letters",
        begin: |o| {
            o.home.launch_env("bob", &[("PARROT_CRASH", "boot")]);
            o.home.set("IAPEER_QUEUE_MAX_ATTEMPTS", "1");
        },
        act: |o| o.post(&[("bob", "m1"), ("bob", "m2")]),
    },
    Scenario {
        name: "stopped and started",
        begin: |o| o.send("bob", "m0"),
        act: |o| {
            o.post(&[("bob", "m1")]);
            o.run("iapeer", &["stop", "bob"]);
            o.run("iapeer", &["start", "bob"]);
            o.post(&[("bob", "m2")]);
        },
    },
    Scenario {
        name: "renamed",
        begin: |_| {},
        act: |o| {
            o.hold("bob");
            o.post(&[("bob", "m0")]);
            o.run("iapeer", &["rename", "bob", "bill"]);
            o.let_go(&["bob", "bill"]);
            o.send_to("bill", "bob", "m1");
        },
    },
    Scenario {
        name: "removed and created",
        begin: |o| {
            o.home.parrot("dan", &[]);
            o.hold("dan");
        },
        act: |o| {
            o.run("iapeer-send", &["dan", "--from", "ann", "--no-wait", "-m", GONE]);
            o.run("iapeer", &["remove", "dan", "--force"]);
            o.post(&[("bob", "m0")]);
            o.run("iapeer", &["create", "dan", "--runtime", "parrot"]);
            o.post(&[("bob", "m1")]);
        },
    },
    Scenario {
        name: "another host",
        begin: another_host,
        act: |o| {
            o.post(&[("me@box", "m1"), ("me@box", "m2")]);
            o.a_while(|| o.rooms.are_quiet(&o.home));
        },
    },
    Scenario {
        name: "another host refuses",
        begin: another_host,
        act: |o| {
            o.post(&[("nobody@box", "m1")]);
            o.a_while(|| o.rooms.are_quiet(&o.home));
        },
    },
];
/// How many disks of a story the short form runs the programs on, and how many random choices each cut has.
const SHORT: (usize, usize) = (10, 1);
const LONG: (usize, usize) = (usize::MAX, 6);

/// How many disks of a story this run asks for, and how many random choices each cut has.
fn asked() -> (usize, usize) {
    let (most, more) = if is_soak() { LONG } else { SHORT };
    let given = std::env::var("IAPEER_POWERCUT_DISKS").ok().map(|text| text.parse().unwrap());
    (given.filter(|_| is_soak()).unwrap_or(most), more)
}

/// What is known at a cut: who was told what, and what had been delivered.
#[derive(Debug, Clone, Default)]
struct Known {
    accepted: Vec<(String, String)>,
    delivered: Vec<String>,
}

impl Known {
    fn learn(&mut self, step: &Value) {
        let text = |key: &str| step[key].as_str().unwrap_or_default().to_owned();
        if step["op"] == "ack" {
            self.accepted.push((text("to"), text("body")));
        }
        // A line of the history, or an item of which it is noted that a worker took it.
        if let Ok(line) = serde_json::from_str::<Value>(text("bytes").trim())
            && (line["outcome"] == "delivered" || line.get("landed").is_some())
        {
            self.delivered.push(line["task"].as_str().unwrap_or_default().to_owned());
        }
    }
}

/// Lets the programs go on with `tree`. Says what is wrong then.
fn go_on(office: &Office, tree: &Tree, home: &Tree, known: &Known, far: Option<&Tree>) -> Vec<String> {
    office.home.kill_everything();
    for name in ["ann", "bob", "wes", "dan"] {
        let _ = fs::remove_file(office.home.dir().join(format!("{name}.record")));
    }
    write_tree(&office.home.root(), tree);
    write_tree(&office.home.home(), home);
    if let (Some(far), Some(tree)) = (&office.rooms.far, far) {
        far.kill_everything();
        write_tree(&far.root(), tree);
    }
    // What waits for a stopped peer waits for its start.
    if office.home.state("parrot-bob", "stopped") {
        office.run("iapeer", &["start", "bob"]);
    }
    let mut wrong: Vec<String> = office.settle().err().into_iter().collect();
    let items = office.items();
    for (to, body) in &known.accepted {
        // What another host has is there still.
        let before = known.delivered.contains(body) && !to.contains('@');
        let texts: Vec<String> = office.texts(to, body);
        let unmarked = texts.iter().filter(|text| !text.contains("redelivered=\"")).count();
        let dead = items.iter().any(|(_, place, item)| *place == "dead" && item["task"] == body.as_str());
        if !before && !dead && texts.is_empty() {
            wrong.push(format!("accepted and lost: {body}"));
        }
        if unmarked + usize::from(before) > 1 {
            wrong.push(format!("delivered twice and not marked: {body}"));
        }
    }
    wrong
}

/// A recorded story: the disk as it was before, and every step.
struct Record {
    office: Office,
    disk: Disk,
    /// That of the other host, whose power stays on.
    far: Option<Disk>,
    home: Tree,
    steps: Vec<Value>,
}

fn record(story: &Scenario, model: Model) -> Record {
    let mut office = Office::at_the_beginning_of(story);
    let home = read_tree(&office.home.home());
    let disk = Disk::new(model, &office.home.root());
    let far = office.rooms.far.as_ref().map(|far| Disk::new(model, &far.root()));
    let trace = office.home.dir().join("trace");
    office.home.set("IAPEER_TRACE", &trace);
    office.trace = Some(trace.clone());
    (story.act)(&mut office);
    office.settle().unwrap();
    office.trace = None;
    let text = fs::read_to_string(trace).unwrap();
    let steps = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    Record { office, disk, far, home, steps }
}

/// What the cuts of a story came to.
#[derive(Debug, Default)]
struct Cuts {
    /// How many there were.
    histories: usize,
    /// What may be left on the disk, each once, with the last step after which it may be, what was known then, and what
    /// the other host had.
    disks: BTreeMap<Tree, (usize, Known, Option<Arc<Tree>>)>,
    /// Accepted messages that a disk does not have.
    lost: Vec<String>,
}

/// Cuts the power after each step, the steps `ignored` not being made.
fn cut(record: &Record, more: usize, ignored: &[&str]) -> Cuts {
    let (mut disk, mut known, mut cuts) = (record.disk.clone(), Known::default(), Cuts::default());
    let mut far = record.far.clone();
    for (n, step) in record.steps.iter().enumerate() {
        known.learn(step);
        if ignored.iter().any(|point| step["point"] == *point) {
            continue;
        }
        disk.step(step);
        far.iter_mut().for_each(|far| far.step(step));
        let there = far.as_ref().map(|far| Arc::new(far.live()));
        for tree in disk.cuts(more, n as u64 * 7919 + 1) {
            cuts.histories += 1;
            let open = known.accepted.iter().filter(|(_, body)| !known.delivered.contains(body));
            cuts.lost.extend(open.filter(|(_, body)| !keeps(&tree, body)).map(|(_, body)| format!("{body} after {n}")));
            // Of the cuts that leave the same disk the one after which most is known asks most. Nothing reads logs.
            let is_kept = |(path, content): &(PathBuf, Option<Vec<u8>>)| content.is_none() || !path.starts_with("logs");
            cuts.disks.insert(tree.into_iter().filter(is_kept).collect(), (n, known.clone(), there.clone()));
        }
    }
    cuts
}

/// Whether the message `body` is in some queue of this disk.
fn keeps(tree: &Tree, body: &str) -> bool {
    let in_a_queue = |path: &Path| path.iter().any(|part| part.to_string_lossy().ends_with(".queue"));
    tree.iter()
        .filter(|(path, _)| in_a_queue(path))
        .filter_map(|(_, content)| content.as_ref())
        .any(|bytes| serde_json::from_slice::<Value>(bytes).is_ok_and(|item| item["task"] == body))
}

#[test]
fn whenever_the_power_goes_what_was_accepted_is_delivered_once_or_marked() {
    let models = [Model::Ordered, Model::Strict];
    let only = std::env::var("IAPEER_POWERCUT_STORY").ok();
    let stories = STORIES.iter().filter(|story| only.as_ref().is_none_or(|only| *only == story.name));
    let all: Vec<_> = stories.flat_map(|story| models.map(|model| (story, model))).collect();
    let (most, more) = asked();
    let done = at_once(&all, |(story, model)| {
        let record = record(story, *model);
        let Cuts { histories, disks, lost } = cut(&record, more, &[]);
        let mut wrong: Vec<String> =
            lost.iter().map(|what| format!("{}, {model:?}: lost {what}", story.name)).collect();
        if !wrong.is_empty() {
            println!("{}", wrong.join("\n"));
        }
        let different = disks.len();
        let mut runs = 0;
        // Evenly over all of them.
        let is_chosen = |at: &usize| most >= different || (at + 1) * most / different > at * most / different;
        for (_, (tree, (n, known, far))) in disks.iter().enumerate().filter(|(at, _)| is_chosen(at)) {
            runs += 1;
            let found = go_on(&record.office, tree, &record.home, known, far.as_deref());
            let found = found.into_iter().map(|what| format!("{}, {model:?}, after step {n}: {what}", story.name));
            wrong.extend(found.inspect(|what| println!("{what}")));
        }
        println!("power cuts: {}, {model:?}: {runs} of {different} disks; wrong: {}", story.name, wrong.len());
        ([histories, different, runs], wrong)
    });
    let [histories, disks, runs] = [0, 1, 2].map(|at| done.iter().map(|(counts, _)| counts[at]).sum::<usize>());
    let wrong: Vec<&str> = done.iter().flat_map(|(_, wrong)| wrong).map(String::as_str).collect();
    let found = wrong.len();
    println!(
        "power cuts: {histories} histories, {disks} different disks, programs went on with {runs}; wrong: {found}"
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The model tells what a step is for: without it something is lost, or was there on chance.
#[test]
fn a_sync_that_is_left_out_loses_a_message() {
    let record = record(&STORIES[0], Model::Strict);
    let lost = |ignored: &[&str]| cut(&record, 0, ignored).lost.len();
    assert_eq!(lost(&[]), 0);
    for ignored in
        [&["temp.sync"][..], &["publish.sync-dir"], &["move.sync-to"], &["mkdir.sync-parent", "queue.sync-above"]]
    {
        let lost = lost(ignored);
        println!("without {ignored:?}: {lost} losses");
        assert!(lost > 0, "{ignored:?} is good for nothing");
    }
}
