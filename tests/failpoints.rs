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
use support::scenario::{Office, SCENARIOS, Scenario, at_once, disturbed, is_soak};

/// A place to die: in which story, which program, at which passing.
#[derive(Debug, Clone)]
struct Death {
    story: usize,
    program: String,
    name: String,
    nth: u32,
}

/// How often each program passes each point in this story, at most.
fn passings(story: &Scenario) -> BTreeMap<(String, String), u32> {
    let mut office = Office::at_the_beginning_of(story);
    let trace = office.home.dir().join("trace");
    office.home.set("IAPEER_TRACE", &trace);
    office.home.set("IAPEER_FAULT_MARK", office.home.dir().join("fault"));
    (story.act)(&mut office);
    office.settle().unwrap();
    let wrong = office.judge();
    assert!(wrong.is_empty(), "{} goes wrong undisturbed: {wrong:?}", story.name);
    let mut by_process = BTreeMap::<(String, u64, String), u32>::new();
    for line in fs::read_to_string(trace).unwrap_or_default().lines() {
        let step: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| step[key].as_str().unwrap().to_owned();
        *by_process.entry((text("program"), step["pid"].as_u64().unwrap(), text("point"))).or_default() += 1;
    }
    let mut most = BTreeMap::new();
    for ((program, _, point), times) in by_process {
        let known: &mut u32 = most.entry((program, point)).or_default();
        *known = times.max(*known);
    }
    most
}

/// Lets the story be broken off by this death. Says whether anybody died, and what was wrong afterwards.
fn die(death: &Death) -> (bool, Vec<String>) {
    let mark = tempfile::tempdir().unwrap();
    let at = |name: &str| mark.path().join(name).to_string_lossy().into_owned();
    let place = format!("{}/{}:{}", death.program, death.name, death.nth);
    let variables =
        [("IAPEER_FAULT_MARK", at("fault")), ("IAPEER_FAILPOINT_MARK", at("death")), ("IAPEER_FAILPOINT", place)];
    let (_, wrong) = disturbed(&SCENARIOS[death.story], &variables);
    (mark.path().join("death").exists(), wrong)
}

#[test]
fn a_death_at_any_step_loses_nothing_doubles_nothing_and_wedges_nothing() {
    let stories: Vec<usize> = (0..SCENARIOS.len()).collect();
    let passed: BTreeMap<usize, _> =
        at_once(&stories, |story| (*story, passings(&SCENARIOS[*story]))).into_iter().collect();
    let mut deaths = Vec::new();
    for (story, most) in &passed {
        for ((program, point), times) in most {
            for (nth, moment) in (1..=*times).flat_map(|nth| ["before", "after"].map(|moment| (nth, moment))) {
                deaths.push(Death { story: *story, program: program.clone(), name: format!("{moment}.{point}"), nth });
            }
        }
    }
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
}

/// The names are for tests: a program that is shipped knows none of them. This one is built with them.
#[test]
fn the_programs_list_their_points() {
    let home = support::TestHome::new();
    home.set("IAPEER_FAILPOINT", "list");
    let listed = home.ok("iapeer-drain", &[]).stdout;
    assert_eq!(listed.lines().map(str::to_owned).collect::<Vec<_>>(), failpoints::names().collect::<Vec<_>>());
}
