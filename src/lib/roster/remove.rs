//! Taking a peer out of the registry, with all its state.

use crate::base::Marker;
use crate::base::StateFile;
use crate::base::exit::{Exit, Failure};
use crate::base::identity::{Identity, Personality};
use crate::host::managed::Managed;
use crate::people::owner;
use crate::session::end::{self, End};
use crate::session::settle::{self, Standing};
use crate::store::durable;
use crate::store::queue::Place;
use crate::store::registry::Registry;
use crate::store::session_record::SessionRecord;
use crate::store::state_files::names_in;
use crate::units::install;
use crate::world::{Held, World};
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// What `remove` did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Removed {
    /// Whether it was registered.
    pub registered: bool,
    /// State files that were purged.
    pub purged: Vec<String>,
    /// The working folder, which is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<PathBuf>,
}

/// Takes a peer out of the registry and purges its state; of one that is not registered, the state that was left. A
/// live one, or one with messages waiting, only with `force`. One that is always on is taken away from its service
/// manager first: its unit would start again what is gone.
pub fn remove(world: &World<'_>, name: &Personality, force: bool) -> Result<Removed, Failure> {
    let record = Registry::read(world.paths)?.get(name).cloned();
    let declared = record.iter().flat_map(|record| &record.runtimes);
    let mut identities: BTreeSet<Identity> =
        declared.map(|runtime| Identity::new(runtime.clone(), name.clone())).collect();
    identities.extend(left_over(world, name));
    let (mut held, mut locks) = (Vec::new(), Vec::new());
    // First everything that may refuse, then everything that changes something.
    for identity in &identities {
        match world.host.managed_by(identity) {
            Some(Managed::Ours(_)) => {
                refuse_waiting(world, identity, force)?;
                held.push(identity);
            }
            Some(by) if !force => {
                let why = format!("{identity} is held by {by}: take its unit away first, or give --force");
                return Err(Failure::new(Exit::Refused, why));
            }
            _ => locks.push((identity, claim(world, identity, force)?)),
        }
    }
    for identity in held {
        // Without its lock: what holds the peer needs that to end the session.
        install::release(world, identity).map_err(|why| Failure::new(Exit::TryAgain, why))?;
        locks.push((identity, claim(world, identity, true)?));
    }
    for (identity, (_, live)) in &locks {
        if let Some(live) = live {
            let end = End::new("remove");
            end::end(world, identity, Some(live), &end)?;
        }
    }
    // The state goes before the record: where it can't, the peer is still there to be removed. What keeps senders out
    // until then goes last, with what one of them may have put in just before.
    let on_air: Vec<&Identity> =
        identities.iter().filter(|identity| !world.markers(identity).has(Marker::Stopped)).collect();
    for identity in &identities {
        world.markers(identity).set(Marker::Stopped, world.now())?;
    }
    let purged = purge_all(world, &identities, Some(Marker::Stopped)).map_err(|failure| {
        let hint = format!("{name} is not removed, and stopped: mend that and `iapeer remove {name}` again");
        Failure::new(failure.exit, format!("{}; {hint}", failure.message))
    })?;
    Registry::remove(world.paths, name, world.program, world.clock)?;
    // Whoever found the peer in the registry may have written to it since: that was accepted.
    if let Some(refused) = identities.iter().find_map(|identity| refuse_waiting(world, identity, force).err()) {
        if let Some(record) = record {
            Registry::put_back(world.paths, record, world.program, world.clock)?;
        }
        for identity in on_air {
            world.markers(identity).clear(Marker::Stopped)?;
        }
        return Err(refused);
    }
    purge_all(world, &identities, None)?;
    owner::forget(world.paths, name)?;
    drop(locks);
    let kept = record.as_ref().map(|record| record.cwd.clone()).filter(|cwd| cwd.exists());
    Ok(Removed { registered: record.is_some(), purged, kept })
}

/// Identities of that name that have state, whether or not it is declared (any more).
fn left_over(world: &World<'_>, name: &Personality) -> Vec<Identity> {
    let dir = world.paths.state_dir();
    let identities = names_in(&dir)
        .filter(|file| is_state(file))
        .filter_map(|file| file.split_once('.')?.0.parse::<Identity>().ok());
    identities.filter(|identity| identity.personality() == name).collect()
}

fn purge_all(world: &World<'_>, identities: &BTreeSet<Identity>, keep: Option<Marker>) -> Result<Vec<String>, Failure> {
    let each = identities.iter().map(|identity| purge_but(world, identity, keep));
    Ok(each.collect::<Result<Vec<_>, _>>()?.concat())
}

/// Takes the lock of an identity and looks whether it may go. The record is that of its live session.
fn claim<'w>(
    world: &'w World<'_>,
    identity: &Identity,
    force: bool,
) -> Result<(Held<'w>, Option<SessionRecord>), Failure> {
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
        Standing::Live(record) => Ok((lock, Some(record))),
        Standing::Asleep | Standing::Unknown => {
            refuse_waiting(world, identity, force)?;
            Ok((lock, None))
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

/// Deletes every state file of `identity`, by the dot-delimited prefix: `claude-bob` is not `claude-bob2`. Lock
/// files stay, since two holders of two files of one name would both think they are alone.
pub fn purge(world: &World<'_>, identity: &Identity) -> Result<Vec<String>, Failure> {
    purge_but(world, identity, None)
}

fn purge_but(world: &World<'_>, identity: &Identity, keep: Option<Marker>) -> Result<Vec<String>, Failure> {
    let dir = world.paths.state_dir();
    let prefix = format!("{identity}.");
    let kept = keep.map(|marker| format!("{identity}.{}", StateFile::from(marker)));
    let goes = |name: &String| name.starts_with(&prefix) && is_state(name) && kept.as_ref() != Some(name);
    let mut purged: Vec<String> = Vec::new();
    for name in names_in(&dir).filter(goes) {
        let path = dir.join(&name);
        let removed = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        removed.map_err(|error| Failure::io("remove", &path, &error))?;
        purged.push(name);
    }
    durable::sync_dir(&dir)?;
    world.history(identity).remove()?;
    let _ = std::fs::remove_file(world.paths.prompt(identity));
    let _ = std::fs::remove_dir_all(world.paths.launch_files(identity));
    let _ = std::fs::remove_file(world.paths.socket(identity));
    purged.sort();
    Ok(purged)
}

/// Whether a file among the state is more than a lock, which stays.
fn is_state(name: &str) -> bool {
    !name.ends_with("lock")
}
