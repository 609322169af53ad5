//! Finds the peers that a damaged registry no longer names: from its readable rest and its last good copy, from the
//! records of sessions, from queues, units and histories, and from the profiles in the folders that these name.
//!
//! The new registry is made from the profiles. Peers that an operator removed are not restored.

use crate::base::exit::Failure;
use crate::base::identity::{Identity, Personality, Runtime};
use crate::base::shell;
use crate::base::{StateFile, normalize, paths};
use crate::host::service::Manager;
use crate::store::durable;
use crate::store::one_writer::OneWriter;
use crate::store::open;
use crate::store::profile::Profile;
use crate::store::registry::{PeerRecord, Registry};
use crate::store::registry_copy;
use crate::store::registry_remains;
use crate::store::reindex::Left;
use crate::store::session_record::SessionRecord;
use crate::store::state_files::identities_with;
use crate::world::World;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The peers that were found, and the folders that may belong to a peer but can't be used.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    /// The peers, by name.
    pub(crate) peers: BTreeMap<Personality, PeerRecord>,
    /// The peers that were left out, and why.
    pub(crate) left: Vec<Left>,
}

impl Recovered {
    /// The names, for people.
    pub(crate) fn names(&self) -> String {
        self.peers.keys().map(Personality::as_str).collect::<Vec<_>>().join(", ")
    }

    fn leave(&mut self, personality: &Personality, why: String) {
        self.left.push(Left { personality: personality.clone(), why });
    }
}

/// For each name, the runtimes for which files were left.
type Traces = BTreeMap<Personality, BTreeSet<Runtime>>;

/// Searches all places where a peer may have left files.
pub(crate) fn recover(world: &World<'_>) -> Recovered {
    let remains = registry_remains::remains(world.paths);
    let traces = traces(world);
    let mut found = Recovered::default();
    for record in remains.records {
        let known = record.personality.clone();
        if !found.peers.contains_key(&known) && !registry_copy::was_removed(world.paths, &known) {
            let now = Profile::read(&record.cwd).ok().flatten().filter(|profile| *profile.personality() == known);
            found.peers.insert(known, now.map_or_else(|| record.clone(), |profile| record.projected(&profile)));
        }
    }
    let mut folders = remains.folders;
    folders.extend(sessions(world).into_iter().map(|session| session.cwd));
    let default = world.paths.root().join("peers");
    folders.extend(durable::entries_of(&default).into_iter().flatten().map(|entry| entry.path()));
    for folder in folders {
        let known = |record: &PeerRecord| paths::real(&record.cwd) == paths::real(&folder);
        if folder.is_dir() && !found.peers.values().any(known) {
            of_folder(world, &folder, &traces, &mut found);
        }
    }
    found
}

/// Adds the peer in `folder`, if there is one, to `found`.
fn of_folder(world: &World<'_>, folder: &Path, traces: &Traces, found: &mut Recovered) {
    let cwd = paths::real(folder);
    let named = cwd.file_name().map(|name| normalize::normalize(&name.to_string_lossy())).unwrap_or_default();
    let by_folder = named.parse::<Personality>().ok();
    let (name, record) = match Profile::read(&cwd) {
        Ok(Some(profile)) => (profile.personality().clone(), Ok(PeerRecord::from_profile(&profile, &cwd))),
        other => {
            // A folder without a profile counts as a peer's folder only where the peer has left other files.
            let Some(name) = by_folder.filter(|name| other.is_err() || traces.contains_key(name)) else { return };
            let why = other.err().map(|error| error.to_string()).unwrap_or_default();
            let record = traces.get(&name).and_then(|runtimes| bare(&name, runtimes, &cwd)).ok_or(why);
            (name, record)
        }
    };
    if registry_copy::was_removed(world.paths, &name) {
        return;
    }
    match (record, found.peers.get(&name)) {
        (_, Some(other)) => {
            let why = format!("{} is a folder of that name too: it lives in {}", cwd.display(), other.cwd.display());
            found.leave(&name, why);
        }
        (Ok(_), None) if name.is_reserved() => found.leave(&name, "the name is reserved".to_owned()),
        (Ok(record), None) => drop(found.peers.insert(name, record)),
        (Err(why), None) => {
            let again = format!("correct the file, then `iapeer init {}`", shell::path(&cwd));
            found.leave(&name, format!("{why}: {again}"));
        }
    }
}

/// A record made only from the remaining files.
fn bare(name: &Personality, runtimes: &BTreeSet<Runtime>, cwd: &Path) -> Option<PeerRecord> {
    let default = runtimes.first()?;
    PeerRecord::parse(&json!({"personality": name, "default_runtime": default, "runtimes": runtimes, "cwd": cwd})).ok()
}

/// The records of sessions, also of those whose death is being recorded.
fn sessions(world: &World<'_>) -> Vec<SessionRecord> {
    let of = |file| identities_with(world.paths, file).unwrap_or_default().into_iter().map(move |id| (id, file));
    let files = of(StateFile::Session).chain(of(StateFile::ClaimedDeath));
    files.filter_map(|(identity, file)| durable::peek_json(&world.paths.state(&identity, file))).collect()
}

/// The peers that have left files: state other than a lock, a history, or a unit of iapeer.
fn traces(world: &World<'_>) -> Traces {
    let mut traces = Traces::new();
    let mut note = |identity: Identity| {
        traces.entry(identity.personality().clone()).or_default().insert(identity.runtime().clone());
    };
    let state = durable::names_of(&world.paths.state_dir()).unwrap_or_default();
    let state = state.iter().filter(|name| !name.ends_with("lock")).filter_map(|name| name.split_once('.'));
    state.filter_map(|(identity, _)| identity.parse().ok()).for_each(&mut note);
    let histories = durable::names_of(&world.paths.history_dir()).unwrap_or_default();
    let histories = histories.iter().filter_map(|name| name.split_once('.'));
    histories.filter_map(|(identity, _)| identity.parse().ok()).for_each(&mut note);
    let manager = Manager::here();
    let units = manager.peers_in(&manager.dir(world.paths));
    let of_unit = |(name, path): (String, PathBuf)| {
        let text = open::text(&path)?;
        let root = manager.variable(&text, "IAPEER_ROOT");
        let ours = root.is_none_or(|root| Path::new(&root) == world.paths.root());
        let identity = name.strip_prefix("iapeer-peer@")?.strip_suffix(".service")?.parse().ok()?;
        ours.then_some(identity)
    };
    units.into_iter().filter_map(of_unit).for_each(&mut note);
    traces
}

/// Replaces a registry that can't be used by a registry of all peers that were found. Returns the path of the old file,
/// if that was kept.
pub(crate) fn restore(world: &World<'_>) -> Result<(Recovered, Option<PathBuf>), Failure> {
    let writer = OneWriter::acquire(world.paths, world.program, world.clock)?;
    let found = recover(world);
    let aside = registry_remains::restore(world.paths, &writer, found.peers.values().cloned().collect())?;
    Ok((found, aside))
}

/// Peers that a readable registry does not name and that have left files; where it names no peer at all, all that are
/// found.
pub(crate) fn unregistered(world: &World<'_>, registry: &Registry) -> Vec<PeerRecord> {
    let traces = traces(world);
    let unknown = traces.keys().any(|name| registry.get(name).is_none());
    if !unknown && !registry.peers().is_empty() {
        return vec![];
    }
    let is_one = |record: &PeerRecord| {
        let lives = record.cwd.is_dir() && (traces.contains_key(&record.personality) || registry.peers().is_empty());
        registry.get(&record.personality).is_none() && lives
    };
    recover(world).peers.into_values().filter(is_one).collect()
}

/// Puts a peer that is missing in the registry back into it.
pub(crate) fn register(world: &World<'_>, record: PeerRecord) -> Result<(), Failure> {
    Registry::put_back(world.paths, record, world.program, world.clock)
}
