//! Which identities a tick examines: those that are marked as due, or, in a full tick, every one that has state files;
//! and the clean-up that a tick does.

use crate::base::clock::EpochMs;
use crate::base::exit::Failure;
use crate::base::identity::Identity;
use crate::base::{Marker, StateFile};
use crate::store::cap::keep_tail;
use crate::store::due::Due;
use crate::store::durable::{self, StoreError};
use crate::store::history;
use crate::store::lock::{self, FileLock};
use crate::store::outbox;
use crate::store::pane_log;
use crate::store::profile::Profile;
use crate::store::registry::Registry;
use crate::store::reindex;
use crate::store::state_files::identities_among;
use crate::world::World;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

/// State files that mean that there is a session, or an end of a session that is to be completed.
const OF_A_SESSION: [StateFile; 3] = [StateFile::Session, StateFile::Teardown, StateFile::ClaimedDeath];

/// For this long after the clock was set forward, no line of a history is dropped for its age.
const PRUNE_AGAIN: Duration = Duration::from_secs(86_400);

/// Which identities a tick examines.
pub(crate) enum Scope {
    /// These identities, by request.
    Only(BTreeSet<Identity>),
    /// The identities that are marked as due.
    Due,
    /// Every identity that has state files: a full tick, which began at this time.
    Full(EpochMs),
}

impl Scope {
    /// The scope of a tick: `only`, where that names any identity; else the due ones; else all, where the marks alone
    /// are not enough.
    pub(crate) fn of(world: &World<'_>, only: &[Identity]) -> Scope {
        let now = world.now();
        if !only.is_empty() {
            Scope::Only(only.iter().cloned().collect())
        } else if Due::of(world.paths).suffices(now, world.host.boot_id().as_deref()) {
            Scope::Due
        } else {
            Scope::Full(now)
        }
    }

    /// Whether every identity is examined.
    pub(crate) fn is_full(&self) -> bool {
        matches!(self, Scope::Full(_))
    }

    /// The identities that may have a session, or an end of one that is to be completed.
    pub(crate) fn sessions(&self, world: &World<'_>) -> Result<BTreeSet<Identity>, StoreError> {
        let mut all = match self {
            Scope::Only(identities) => return Ok(identities.clone()),
            Scope::Due => Due::of(world.paths).marked()?,
            Scope::Full(_) => with_any_of(world, &OF_A_SESSION)?,
        };
        // Every live session must be supervised, with or without a record.
        match world.host.sockets() {
            Ok(identities) => all.extend(identities),
            // The sessions that have a record are examined all the same.
            Err(error) => tracing::warn!("{error}: a session without a record is not seen"),
        }
        Ok(all)
    }

    /// The identities that may need something else from the tick: a fresh start, a delivery, news for the owner.
    pub(crate) fn rest(&self, world: &World<'_>) -> Result<BTreeSet<Identity>, StoreError> {
        match self {
            Scope::Only(identities) => Ok(identities.clone()),
            Scope::Due => Due::of(world.paths).marked(),
            Scope::Full(_) => with_any_of(
                world,
                &[StateFile::Marker(Marker::NewEager), StateFile::Queue, StateFile::Attention, StateFile::Deaths],
            ),
        }
    }

    /// Ends the tick: removes the marks of identities at rest, and bounds histories and logs.
    pub(crate) fn done(&self, world: &World<'_>) -> Result<(), Failure> {
        let due = Due::of(world.paths);
        if let Scope::Full(since) = self {
            due.note_full_look(*since, world.host.boot_id().as_deref())?;
            // A failure to bound files must not stop the rest of the tick.
            let _ = sweep(world).inspect_err(|error| tracing::warn!("{error}"));
        }
        if let Scope::Only(_) = self {
            return Ok(());
        }
        for identity in due.marked()? {
            trim(&world.paths.pane_log(&identity));
            retire(world, &due, &identity);
        }
        Ok(())
    }
}

/// The identities that have any of these state files.
fn with_any_of(world: &World<'_>, files: &[StateFile]) -> Result<BTreeSet<Identity>, StoreError> {
    let names = durable::names_of(&world.paths.state_dir())?;
    Ok(files.iter().flat_map(|file| identities_among(&names, *file)).collect())
}

/// Removes the mark of `identity` if a tick would find nothing to do for the identity.
fn retire(world: &World<'_>, due: &Due, identity: &Identity) {
    let is_at_rest = || {
        !OF_A_SESSION
            .iter()
            .chain(&[StateFile::Marker(Marker::NewEager), StateFile::Attention])
            .any(|file| durable::exists(&world.paths.state(identity, *file)).unwrap_or(true))
            && world.queue(identity).is_at_rest().is_ok_and(|at_rest| at_rest)
    };
    if !is_at_rest() {
        return;
    }
    // A program that starts or ends a session, or moves items, holds the lock. Acceptance, and a change of what the peer
    // waits for, hold others: these are probed first, because who holds one may just be about to act.
    let Ok(_lock) = world.lock(identity, Duration::ZERO) else { return };
    let others = [world.queue(identity).order_lock(), world.paths.state(identity, StateFile::AttentionLock)];
    let nobody_acts = || !others.iter().any(|lock| lock::is_held(lock)) && is_at_rest();
    if is_at_rest()
        && let Err(error) = due.unmark(identity, nobody_acts)
    {
        tracing::warn!("{error}: each tick examines {identity}");
    }
}

/// Removes temporary files that crashes left among the state files, drops old lines of histories, and bounds all pane
/// logs.
fn sweep(world: &World<'_>) -> Result<(), StoreError> {
    let names = durable::names_of(&world.paths.state_dir())?;
    durable::sweep(&world.paths.state_dir(), &names, durable::LITTER_AGE);
    prune_histories(world)?;
    remember_policies(world);
    let pane_logs = world.paths.pane_log_dir();
    for name in durable::names_of(&pane_logs)?.iter().filter(|name| name.ends_with(".log")) {
        trim(&pane_logs.join(name));
    }
    Ok(())
}

/// Drops lines that are too old from each history. A history whose identity's lock is held now is pruned by a later
/// full tick.
fn prune_histories(world: &World<'_>) -> Result<(), StoreError> {
    // A clock that was set forward by mistake, and may be set back, must not make every line too old.
    if world.clock_set_at().is_some_and(|at| world.now().since(at) < PRUNE_AGAIN) {
        return Ok(());
    }
    let cut = world.now().minus(history::age_bound(world.settings));
    for host in outbox::hosts_with_outbox(world.paths)? {
        let outbox = world.outbox(&host);
        if outbox.history.has_older_than(cut)
            && let Ok(_lock) = FileLock::acquire_unsigned(&outbox.settle_lock(), Duration::ZERO, world.clock)
            && let Err(error) = outbox.history.prune(cut)
        {
            tracing::warn!("@{host}: {error}");
        }
    }
    for name in durable::names_of(&world.paths.history_dir())? {
        let Some(identity) = name.strip_suffix(".jsonl").and_then(|name| name.parse::<Identity>().ok()) else {
            continue;
        };
        let history = world.history(&identity);
        if !history.has_older_than(cut) {
            continue;
        }
        let Ok(_lock) = world.lock(&identity, Duration::ZERO) else { continue };
        if let Err(error) = history.prune(cut) {
            tracing::warn!("{identity}: {error}");
        }
    }
    Ok(())
}

/// Copies into the registry what each profile says about its peer's sessions, for the time when the profile is gone.
fn remember_policies(world: &World<'_>) {
    let Ok(registry) = Registry::read(world.paths) else { return };
    for record in registry.peers() {
        let Ok(Some(profile)) = Profile::read(&record.cwd) else { continue };
        let remembered = reindex::remember_policy(world.paths, record, &profile, world.program, world.clock);
        if let Err(failure) = remembered {
            tracing::warn!("{}: {failure}", record.personality);
        }
    }
}

/// Cuts a pane log that is over its size limit.
fn trim(log: &Path) {
    // A failure is ignored: a later tick cuts the log.
    let _ = keep_tail(log, pane_log::CAP, pane_log::KEEP);
}
