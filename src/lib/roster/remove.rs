//! Removing a peer from the registry, with all its state.

use crate::base::Marker;
use crate::base::StateFile;
use crate::base::exit::{Exit, Failure};
use crate::base::identity::{Identity, Personality};
use crate::host::managed::Managed;
use crate::people::owner;
use crate::roster::journal::{Journal, Removal, RosterAct};
use crate::session::end::{self, End};
use crate::session::settle::{self, Standing};
use crate::store::durable;
use crate::store::queue::Place;
use crate::store::registry::{PeerRecord, Registry};
use crate::units::install;
use crate::world::{Held, World};
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// What `remove` did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Removed {
    /// Whether the peer was registered.
    pub registered: bool,
    /// The names of the state files that were deleted.
    pub purged: Vec<String>,
    /// The working folder, which is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<PathBuf>,
}

/// Removes a peer from the registry, and its state; for a name that is not registered, the state that was left. A peer
/// that is alive, or for which messages wait, is removed only with `force`, else refused (69). The unit of an always-on
/// peer is removed first, since it would start the peer again.
pub fn remove(world: &World<'_>, name: &Personality, force: bool) -> Result<Removed, Failure> {
    let journal = Journal::open(world, &[name])?;
    let record = Registry::read(world.paths)?.get(name).cloned();
    let declared = record.iter().flat_map(|record| &record.runtimes);
    let mut identities: BTreeSet<Identity> =
        declared.map(|runtime| Identity::new(runtime.clone(), name.clone())).collect();
    identities.extend(left_over(world, name)?);
    let (mut held, mut locks) = (Vec::new(), Vec::new());
    // All checks that may refuse come before the first change.
    for identity in &identities {
        match world.host.managed_by(identity) {
            Some(Managed::Ours(_)) => {
                refuse_waiting(world, identity, force)?;
                held.push(identity.clone());
            }
            Some(by) if !force => {
                let why = format!("{identity} is held by {by}: take its unit away first, or give --force");
                return Err(Failure::new(Exit::Refused, why));
            }
            _ => locks.push(claim(world, identity, force)?),
        }
    }
    let mut stopped = Vec::new();
    for identity in &identities {
        if world.markers(identity).has(Marker::Stopped)? {
            stopped.push(identity.clone());
        }
    }
    let act = RosterAct::Remove(Removal {
        name: name.clone(),
        record: record.as_ref().map(PeerRecord::to_value),
        identities: identities.into_iter().collect(),
        stopped,
        force,
    });
    let RosterAct::Remove(removal) = &act else { unreachable!("just made") };
    journal.begin(&act)?;
    let unfinished = |failure: Failure| {
        let failure = act.unfinished(&failure);
        Failure::new(failure.exit, format!("{}; it accepts nothing meanwhile", failure.message))
    };
    for identity in held {
        locks.push(release(world, &identity).map_err(unfinished)?);
    }
    let carried = carry_out(world, removal).map_err(unfinished)?;
    journal.done(&act);
    drop(locks);
    let purged = carried.map_err(|refused| refused.0)?;
    let kept = record.as_ref().map(|record| record.cwd.clone()).filter(|cwd| cwd.exists());
    Ok(Removed { registered: record.is_some(), purged, kept })
}

/// Completes an interrupted removal.
pub(crate) fn finish(world: &World<'_>, journal: &Journal<'_>, removal: &Removal) -> Result<(), Failure> {
    let mut locks = Vec::new();
    for identity in &removal.identities {
        locks.push(match world.host.managed_by(identity) {
            Some(Managed::Ours(_)) => release(world, identity)?,
            _ => world.lock(identity, world.settings.lock_wait)?,
        });
    }
    let carried = carry_out(world, removal)?;
    journal.done(&RosterAct::Remove(removal.clone()));
    drop(locks);
    if let Err(StaysFor(why)) = carried {
        tracing::warn!("{} stays: {why}", removal.name);
    }
    Ok(())
}

/// Removes the unit of an always-on peer, then takes the peer's lock. In this order, since the unit's program needs the
/// lock to end the session.
fn release<'w>(world: &'w World<'_>, identity: &Identity) -> Result<Held<'w>, Failure> {
    install::release(world, identity)?;
    Ok(world.lock(identity, world.settings.lock_wait)?)
}

/// Why a peer that was to be removed stays: messages for it were accepted meanwhile.
struct StaysFor(Failure);

/// The steps. Each may be repeated. The state is removed before the record, so that a peer whose state can't be removed
/// is still registered and can be removed later. `.stopped`, which keeps senders out until then, is removed last, with
/// what a sender may have written just before.
fn carry_out(world: &World<'_>, removal: &Removal) -> Result<Result<Vec<String>, StaysFor>, Failure> {
    let Removal { name, identities, force, .. } = removal;
    for identity in identities {
        if let Standing::Live(live) = settle::settle(world, identity)?.0 {
            end::end(world, identity, Some(&live), &End::new("remove"))?;
        }
    }
    for identity in identities {
        world.markers(identity).set(Marker::Stopped, world.now())?;
    }
    let mut purged = Vec::new();
    for identity in identities {
        // A sender that checked the mark before it was set may still write to the queue.
        match purge_queue(world, identity, *force)? {
            Ok(purged_queue) => purged.extend(purged_queue),
            Err(refused) => return stay(world, removal, refused).map(Err),
        }
        purged.extend(purge_but(world, identity, Some(Marker::Stopped))?);
    }
    Registry::remove(world.paths, name, world.program, world.clock)?;
    // A sender that had found the peer in the registry may have written to its queue since: that message was accepted.
    if let Some(refused) = identities.iter().find_map(|identity| refuse_waiting(world, identity, *force).err()) {
        return stay(world, removal, refused).map(Err);
    }
    for identity in identities {
        purge_but(world, identity, None)?;
    }
    owner::forget(world.paths, name)?;
    Ok(Ok(purged))
}

/// Puts a peer back as it was, because of accepted messages: registered, and not stopped unless it was stopped before.
fn stay(world: &World<'_>, removal: &Removal, why: Failure) -> Result<StaysFor, Failure> {
    if let Some(record) = removal.record.as_ref().and_then(|record| PeerRecord::parse(record).ok()) {
        Registry::put_back(world.paths, record, world.program, world.clock)?;
    }
    for identity in removal.identities.iter().filter(|identity| !removal.stopped.contains(identity)) {
        world.markers(identity).clear(Marker::Stopped)?;
    }
    Ok(StaysFor(why))
}

/// Deletes the queue of `identity`, unless a message waits that must not be dropped. No message is accepted meanwhile,
/// since acceptance needs the lock that is held here. Returns the name of the queue's folder, or the refusal.
fn purge_queue(
    world: &World<'_>,
    identity: &Identity,
    force: bool,
) -> Result<Result<Option<String>, Failure>, Failure> {
    let queue = world.queue(identity);
    if !queue.dir().is_dir() {
        return Ok(Ok(None));
    }
    let _order = queue.hold_order(world.clock)?;
    if let Err(refused) = refuse_waiting(world, identity, force) {
        return Ok(Err(refused));
    }
    durable::remove_tree(queue.dir())?;
    Ok(Ok(Some(format!("{identity}.{}", StateFile::Queue.suffix()))))
}

/// Identities of that name that have state, whether or not the peer (still) declares them.
fn left_over(world: &World<'_>, name: &Personality) -> Result<Vec<Identity>, Failure> {
    let dir = world.paths.state_dir();
    let names = durable::names_of(&dir)?;
    let identities =
        names.iter().filter(|file| is_state(file)).filter_map(|file| file.split_once('.')?.0.parse::<Identity>().ok());
    Ok(identities.filter(|identity| identity.personality() == name).collect())
}

/// Takes the lock of an identity, and checks whether the identity may be removed.
fn claim<'w>(world: &'w World<'_>, identity: &Identity, force: bool) -> Result<Held<'w>, Failure> {
    let (name, runtime) = (identity.personality(), identity.runtime());
    let lock = world.lock(identity, world.settings.lock_wait)?;
    match settle::settle(world, identity)?.0 {
        Standing::Live(_) if !force => {
            let why = format!("{name} is LIVE on {runtime}: `iapeer stop {name}` first, or give --force");
            Err(Failure::new(Exit::Refused, why))
        }
        Standing::Unknown if !force => {
            let why = format!("tmux does not say whether {identity} lives; --force removes it all the same");
            Err(Failure::new(Exit::TryAgain, why))
        }
        Standing::Live(_) => Ok(lock),
        Standing::Asleep | Standing::Unknown => {
            refuse_waiting(world, identity, force)?;
            Ok(lock)
        }
    }
}

fn refuse_waiting(world: &World<'_>, identity: &Identity, force: bool) -> Result<(), Failure> {
    if force {
        return Ok(());
    }
    let queue = world.queue(identity);
    let waiting = queue.list(Place::Waiting)?.len() + queue.list(Place::Inflight)?.len();
    if waiting == 0 {
        return Ok(());
    }
    let why = format!("{waiting} messages wait for {identity}: give --force to drop them");
    Err(Failure::new(Exit::Refused, why))
}

/// Deletes every state file of `identity`, by the dot-delimited prefix: `claude-bob` is not `claude-bob2`. Lock files
/// stay, since a program that holds a deleted one and a program that holds a new one would both believe they are alone.
/// Returns the names of the deleted files.
pub(crate) fn purge(world: &World<'_>, identity: &Identity) -> Result<Vec<String>, Failure> {
    purge_but(world, identity, None)
}

fn purge_but(world: &World<'_>, identity: &Identity, keep: Option<Marker>) -> Result<Vec<String>, Failure> {
    let dir = world.paths.state_dir();
    let prefix = format!("{identity}.");
    let kept = keep.map(|marker| format!("{identity}.{}", StateFile::from(marker)));
    let goes = |name: &String| name.starts_with(&prefix) && is_state(name) && kept.as_ref() != Some(name);
    let mut purged: Vec<String> = Vec::new();
    for name in durable::names_of(&dir)?.into_iter().filter(goes) {
        durable::remove_tree(&dir.join(&name))?;
        purged.push(name);
    }
    durable::sync_dir(&dir)?;
    world.history(identity).remove()?;
    for left in [world.paths.prompt(identity), world.paths.launch_files(identity), world.paths.socket(identity)] {
        durable::remove_tree(&left)?;
    }
    purged.sort();
    Ok(purged)
}

/// Whether a file in the state folder is not a lock. Locks stay.
fn is_state(name: &str) -> bool {
    !name.ends_with("lock")
}
