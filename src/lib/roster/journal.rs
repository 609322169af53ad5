//! The journal of the verbs that move several things: create, rename, remove (D42).
//!
//! ```text
//! all checks that may refuse → intent, durable → step, step, … (each may be repeated) → intent removed
//! ```
//!
//! `<root>/state/intents/<verb>-<name>` contains an intent while its verb is at work. After a kill or a failure the next
//! program that writes carries out the remaining steps; no step is undone. One lock keeps two verbs, or a verb and a
//! program that completes another verb, from working at the same time.

use crate::base::clock::EpochMs;
use crate::base::exit::{Exit, Failure};
use crate::base::identity::{Identity, Intelligence, Personality, Runtime};
use crate::base::paths::{self, Paths};
use crate::store::durable::{self, Published};
use crate::store::lock::FileLock;
use crate::world::World;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::PathBuf;
use std::time::Duration;

/// What a verb is about to do, as JSON in a file of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RosterIntent {
    /// Version of the format.
    v: u32,
    /// The program that began the verb.
    pub by: String,
    /// When the verb began.
    pub at: EpochMs,
    /// The verb.
    #[serde(flatten)]
    pub act: RosterAct,
}

/// The verb, with everything that its steps need.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "lowercase")]
pub enum RosterAct {
    /// Creating a peer, or changing one by a fleet file.
    Create(Creation),
    /// Renaming a peer.
    Rename(Renaming),
    /// Removing a peer.
    Remove(Removal),
}

/// A peer to be created or changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Creation {
    /// Its name.
    pub name: Personality,
    /// Its folder.
    pub cwd: PathBuf,
    /// Its runtime.
    pub runtime: Runtime,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its nature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intelligence: Option<Intelligence>,
    /// Whether the peer is a stateless worker.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ephemeral: bool,
    /// What a fleet file says about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<Terms>,
}

/// What a fleet file says about a peer, in addition to what every new peer has.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Terms {
    /// Keys of its profile; `null` removes a key.
    pub keys: Map<String, Value>,
    /// The text of its role; absent: the peer gets no role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Whether the peer was registered before, so that it is changed.
    pub registered: bool,
}

impl Creation {
    fn changes(&self) -> bool {
        self.terms.as_ref().is_some_and(|terms| terms.registered)
    }
}

/// A peer to be renamed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Renaming {
    /// Its old name.
    pub old: Personality,
    /// Its new name.
    pub new: Personality,
    /// Its folder before.
    pub from: PathBuf,
    /// Its folder afterwards.
    pub to: PathBuf,
    /// Its identities.
    pub identities: Vec<Followed>,
}

/// One identity of a peer to be renamed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Followed {
    /// Its identity before.
    pub from: Identity,
    /// Its identity afterwards.
    pub to: Identity,
    /// Whether the mark that the peer is parked, and may be resumed, is moved too.
    pub parked: bool,
    /// Whether its conversation stays with the old folder.
    pub forgets: bool,
}

/// A peer to be removed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Removal {
    /// Its name.
    pub name: Personality,
    /// Its record in the registry; absent where the peer was not registered and only its state was left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<Value>,
    /// Its identities.
    pub identities: Vec<Identity>,
    /// Those that were stopped before: where the peer has to stay, these stay stopped.
    pub stopped: Vec<Identity>,
    /// Whether messages that wait are dropped.
    pub force: bool,
}

impl RosterAct {
    /// The names that the verb is about.
    pub fn names(&self) -> Vec<&Personality> {
        match self {
            RosterAct::Create(creation) => vec![&creation.name],
            RosterAct::Rename(renaming) => vec![&renaming.old, &renaming.new],
            RosterAct::Remove(removal) => vec![&removal.name],
        }
    }

    fn file_name(&self) -> String {
        match self {
            RosterAct::Create(creation) if creation.changes() => format!("change-{}", creation.name),
            RosterAct::Create(creation) => format!("create-{}", creation.name),
            RosterAct::Rename(renaming) => format!("rename-{}", renaming.old),
            RosterAct::Remove(removal) => format!("remove-{}", removal.name),
        }
    }

    /// In words: `renaming al to ann`.
    pub fn describe(&self) -> String {
        match self {
            RosterAct::Create(creation) if creation.changes() => format!("changing {}", creation.name),
            RosterAct::Create(creation) => format!("creating {}", creation.name),
            RosterAct::Rename(renaming) => format!("renaming {} to {}", renaming.old, renaming.new),
            RosterAct::Remove(removal) => format!("removing {}", removal.name),
        }
    }

    /// The error where a step failed: completed steps stay, and the rest is carried out later.
    pub(crate) fn unfinished(&self, failure: &Failure) -> Failure {
        // This hint is true of the failed step, not of the verb.
        let why = failure.message.replace(", nothing was changed", "");
        let what = self.describe();
        let again = match self {
            RosterAct::Create(creation) if creation.terms.is_some() => "up".to_owned(),
            RosterAct::Create(creation) => format!("create {}", creation.name),
            RosterAct::Rename(renaming) => format!("rename {} {}", renaming.old, renaming.new),
            RosterAct::Remove(removal) => format!("remove {}", removal.name),
        };
        let then = format!("the next tick or `iapeer {again}` goes on with it");
        Failure::new(failure.exit, format!("{what} is begun and not finished: {why}; {then}"))
    }
}

/// The journal, with its lock held: no other program begins or completes a verb meanwhile.
#[derive(Debug)]
pub(crate) struct Journal<'w> {
    world: &'w World<'w>,
    _lock: FileLock,
}

impl std::fmt::Debug for World<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("program", &self.program).finish_non_exhaustive()
    }
}

impl<'w> Journal<'w> {
    /// Takes the journal, waiting at most `wait`.
    pub(crate) fn take(world: &'w World<'_>, wait: Duration) -> Result<Journal<'w>, Failure> {
        let lock = FileLock::acquire(&world.paths.intents_lock(), world.program, wait, world.clock)?;
        Ok(Journal { world, _lock: lock })
    }

    /// Takes the journal for a verb about `names`. Refused where an earlier verb about one of them is not completed.
    pub(crate) fn open(world: &'w World<'_>, names: &[&Personality]) -> Result<Journal<'w>, Failure> {
        let journal = Journal::take(world, world.settings.lock_wait)?;
        let about = |intent: &RosterIntent| intent.act.names().iter().any(|name| names.contains(name));
        if let Some(intent) = pending(world.paths).into_iter().flatten().find(about) {
            let what = intent.act.describe();
            let why = format!("{what} was cut short and is not finished yet: `iapeer doctor --fix` finishes it");
            return Err(Failure::new(Exit::TryAgain, why));
        }
        Ok(journal)
    }

    /// Writes the intent of `act`. An error means that nothing was begun.
    pub(crate) fn begin(&self, act: &RosterAct) -> Result<(), Failure> {
        let dir = self.world.paths.intents_dir();
        let path = dir.join(act.file_name());
        paths::create_dirs(&dir)?;
        durable::sync_dir(&self.world.paths.state_root())?;
        let (by, at) = (self.world.program.to_owned(), self.world.now());
        let intent = RosterIntent { v: 1, by, at, act: act.clone() };
        let text = serde_json::to_vec(&intent).map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
        match durable::publish(&path, &text)? {
            Published::Done => Ok(()),
            Published::Taken => {
                let why = format!("{} is there already: `iapeer doctor --fix` finishes what it says", path.display());
                Err(Failure::new(Exit::TryAgain, why))
            }
        }
    }

    /// Removes the intent of `act`, which is done. An intent that can't be removed is carried out once more, to no
    /// effect.
    pub(crate) fn done(&self, act: &RosterAct) {
        let dir = self.world.paths.intents_dir();
        if let Err(error) = durable::remove(&dir.join(act.file_name())) {
            tracing::warn!("{} is done, and its intent stays: {error}", act.describe());
        }
        self.tidy();
    }

    /// Removes what a kill left of an intent that was never published, and the folder where it is empty, so that later
    /// programs need not read it. The program that holds the journal's lock is the only writer there.
    pub(crate) fn tidy(&self) {
        let dir = self.world.paths.intents_dir();
        // Where the folder can't be read, its temporary files stay.
        let names = durable::names_of(&dir).unwrap_or_default();
        durable::sweep(&dir, &names, Duration::ZERO);
        durable::remove_if_empty(&dir);
    }
}

/// An intent that can't be read, or that has no meaning.
#[derive(Debug)]
pub struct BadIntent {
    /// Its file. The folder, where that can't be listed.
    pub path: PathBuf,
    /// Why.
    pub failure: Failure,
}

/// The intents that are there: of running verbs, and of interrupted ones.
pub fn pending(paths: &Paths) -> Vec<Result<RosterIntent, BadIntent>> {
    let dir = paths.intents_dir();
    let mut names = match durable::names_of(&dir) {
        Ok(names) => names,
        Err(error) => return vec![Err(BadIntent { path: dir, failure: error.into() })],
    };
    names.retain(|name| !durable::is_temp(name));
    names.sort();
    let read = |name: String| -> Option<Result<RosterIntent, BadIntent>> {
        let path = dir.join(name);
        let bytes = match durable::read_optional(&path) {
            Ok(bytes) => bytes?,
            Err(error) => return Some(Err(BadIntent { path, failure: error.into() })),
        };
        let why = match serde_json::from_slice::<RosterIntent>(&bytes) {
            Ok(intent) if intent.v == 1 => return Some(Ok(intent)),
            Ok(intent) => format!("its version {} is newer than 1", intent.v),
            Err(error) => error.to_string(),
        };
        let failure = Failure::new(Exit::Config, format!("{} is no intent: {why}", path.display()));
        Some(Err(BadIntent { path, failure }))
    };
    names.into_iter().filter_map(read).collect()
}
