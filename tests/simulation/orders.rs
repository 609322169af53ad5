//! Every order in which a few programs may go on, with a kill anywhere: depth first, by running them again and again.
//!
//! Programs change places, and die, before the steps that others can see (a change of a file's name, a lock). Two runs that have come to the same
//! files, the same sessions and the same steps of each program go on alike, so the second one ends there.

use super::fleet;
use super::history::{Broken, heal, verdict};
use super::laws;
use super::program::{Act, Program};
use super::sim::{Machine, Sim};
use super::state::Plan;
use iapeer::base::step::Point;
use iapeer::world::World;
use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// What is so before the programs start.
pub type Before = fn(&Arc<Sim>);

/// What a search came to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Searched {
    pub states: usize,
    pub runs: usize,
    /// There was nothing more to try.
    pub all: bool,
}

/// Whether others can tell before from after such a step. The others are part of a change that another step makes
/// visible, with nothing read between them (a temporary file, a sync), or change what nothing reads (a log): whoever
/// changes places or dies there could as well do so at the next one.
pub fn is_seen_by_others(step: Point) -> bool {
    !matches!(
        step,
        Point::TempOpen
            | Point::TempWrite
            | Point::TempSync
            | Point::ReplaceSyncDir
            | Point::PublishSyncDir
            | Point::PublishUnlinkTemp
            | Point::MoveSyncTo
            | Point::MoveSyncFrom
            | Point::RemoveSyncDir
            | Point::MkdirSyncParent
            | Point::QueueSyncAbove
            | Point::QueueSyncDir
            | Point::HistoryOpen
            | Point::LogOpen
            | Point::LogAppend
            | Point::LockOpen
    )
}

/// Called before each step while every order is tried: checks the laws, and ends a run that is known from here on.
pub fn at_a_state(sim: &Arc<Sim>) {
    // What is laid down was seen by the run that it is laid down from.
    let is_new = |plan: &Plan| !plan.known && plan.made.len() >= plan.laid_down.len();
    if !sim.state().plan.as_ref().is_some_and(is_new) {
        return;
    }
    laws::at_any_time(sim);
    let files = files(sim.paths.root());
    let mut state = sim.state();
    let mut hasher = DefaultHasher::new();
    files.hash(&mut hasher);
    state.positions().hash(&mut hasher);
    for truth in state.peers.values() {
        let session = truth.session.as_ref().map(|s| (s.alive, s.ready_at, s.composer.is_some(), s.turn.is_some()));
        (session, truth.taken.len(), truth.transcript.len()).hash(&mut hasher);
    }
    let violated = state.violation.is_some();
    let Some(plan) = state.plan.as_mut() else { return };
    (plan.switches, plan.kills).hash(&mut hasher);
    plan.known =
        !plan.seen.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).insert(hasher.finish()) && !violated;
    if plan.known {
        state.end_here();
    }
}

/// The files of the state and the histories, without what differs from run to run.
fn files(root: &Path) -> Vec<(String, String)> {
    let mut found = BTreeMap::new();
    let mut todo: Vec<PathBuf> = vec![root.join("state"), root.join("history")];
    while let Some(dir) = todo.pop() {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                todo.push(path);
                continue;
            }
            let text =
                std::fs::read(&path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            let name = match name.split_once(".tmp-") {
                Some((dir, _)) => format!("{dir}.tmp {}", plain(&text)),
                None => name,
            };
            let text = if name.ends_with("lock") { String::new() } else { plain(&text) };
            *found.entry((name, text)).or_insert(0) += 1;
        }
    }
    found.into_iter().map(|((name, text), times)| (name, format!("{times} {text}"))).collect()
}

/// A text without ids and numbers: messages are told apart by their bodies.
fn plain(text: &str) -> String {
    let word = |part: &str| part.len() > 3 && part.chars().any(|c| c.is_ascii_digit());
    let parts = text.split(|c: char| !c.is_ascii_alphanumeric());
    parts.filter(|part| !word(part)).collect::<Vec<_>>().join(" ")
}

/// Tries every order of `programs` with at most `switches` and `kills`, in `most` runs. Panics with the story of the first that goes wrong.
pub fn search(name: &str, before: Before, programs: &[Act], switches: u32, kills: u32, most: usize) -> Searched {
    let root = fleet::root();
    let paths = fleet::paths(root.path());
    let sim = Sim::new(paths.clone(), fleet::settings());
    let machine = Machine(Arc::clone(&sim));
    fleet::build(&World::new(&paths, &sim.settings, &machine, &machine, "test"));
    let seen = Arc::new(Mutex::new(HashSet::new()));
    let mut searched = Searched::default();
    let mut laid_down = Some(Vec::new());
    while let Some(next) = laid_down {
        searched.runs += 1;
        let sim = Sim::new(paths.clone(), fleet::settings());
        let plan = Plan { laid_down: next, switches, kills, seen: Arc::clone(&seen), ..Plan::default() };
        let outcome = run(&sim, root.path(), before, programs, plan);
        sim.forget();
        match outcome {
            Ok(made) => laid_down = following(&made),
            Err((why, trace)) => panic!("{name}: {why}\n{}", trace.join("\n")),
        }
        searched.all = laid_down.is_none();
        if searched.runs >= most {
            break;
        }
    }
    searched.states = seen.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).len();
    searched
}

/// The next choices, depth first: the last one that leaves something to choose is changed.
fn following(made: &[(usize, usize)]) -> Option<Vec<usize>> {
    let last = made.iter().rposition(|(chosen, options)| chosen + 1 < *options)?;
    let mut next: Vec<usize> = made[..=last].iter().map(|(chosen, _)| *chosen).collect();
    next[last] += 1;
    Some(next)
}

fn run(sim: &Arc<Sim>, root: &Path, before: Before, acts: &[Act], plan: Plan) -> Result<Vec<(usize, usize)>, Broken> {
    for dir in ["r/state", "r/logs", "r/cache", "r/history"] {
        let _ = std::fs::remove_dir_all(root.join(dir));
    }
    sim.paths.ensure().map_err(|failure| (failure.message, Vec::new()))?;
    before(sim);
    sim.state().plan = Some(plan);
    sim.run(acts.iter().cloned().map(Program::from).collect(), 0, 1, None);
    let plan = sim.state().plan.take().unwrap_or_default();
    verdict(sim)?;
    if !plan.known {
        laws::after_step(sim);
        heal(sim)?;
        laws::at_rest(sim);
        verdict(sim)?;
    }
    Ok(plan.made)
}
