//! Taking a peer out of the registry, with all its state.

use crate::core::exit::{Exit, Failure};
use crate::core::identity::{Identity, Personality};
use crate::lifecycle::session::{self, Ending, Park, Standing};
use crate::lifecycle::units;
use crate::lifecycle::world::{Held, World};
use crate::store::durable;
use crate::store::queue::Place;
use crate::store::registry::Registry;
use crate::store::session::{SessionRecord, names_in};
use serde::Serialize;
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

/// Takes a peer out of the registry and purges its state. A live one, or one with messages waiting, only with `force`.
/// One that is always on is taken away from its service manager first: its unit would start again what is gone.
pub fn remove(world: &World<'_>, name: &Personality, force: bool) -> Result<Removed, Failure> {
    let registry = Registry::read(world.paths)?;
    let Some(record) = registry.get(name).cloned() else {
        return Ok(Removed { registered: false, purged: vec![], kept: None });
    };
    let identities: Vec<Identity> =
        record.runtimes.iter().map(|runtime| Identity::new(runtime.clone(), name.clone())).collect();
    let (mut held, mut locks) = (Vec::new(), Vec::new());
    // First everything that may refuse, then everything that changes something.
    for identity in &identities {
        match world.host.managed_by(identity) {
            Some(_) if units::is_held_by_us(world, identity) => {
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
        units::release(world, identity).map_err(|why| Failure::new(Exit::TryAgain, why))?;
        locks.push((identity, claim(world, identity, true)?));
    }
    for (identity, (_, live)) in &locks {
        if let Some(live) = live {
            let ending = Ending { why: "remove", park: Park::No, keep_marks: false };
            session::end(world, identity, Some(live), &ending)?;
        }
    }
    Registry::remove(world.paths, name, world.program, world.clock)?;
    let purged = identities.iter().map(|identity| purge(world, identity)).collect::<Result<Vec<_>, _>>()?.concat();
    drop(locks);
    Ok(Removed { registered: true, purged, kept: record.cwd.exists().then_some(record.cwd) })
}

/// Takes the lock of an identity and looks whether it may go. The record is that of its live session.
fn claim<'w>(
    world: &'w World<'_>,
    identity: &Identity,
    force: bool,
) -> Result<(Held<'w>, Option<SessionRecord>), Failure> {
    let (name, runtime) = (identity.personality(), identity.runtime());
    let lock = world.lock(identity, world.settings.lock_wait)?;
    match session::settle(world, identity)?.0 {
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
    let queue = world.queue(identity);
    let waiting = queue.list(Place::Waiting)?.len() + queue.list(Place::Inflight)?.len();
    if waiting == 0 || force {
        return Ok(());
    }
    let why = format!("{waiting} messages wait for {identity}: give --force to drop them");
    Err(Failure::new(Exit::Refused, why))
}

/// Deletes every state file of `identity`, by the dot-delimited prefix: `claude-bob` is not `claude-bob2`. Lock
/// files stay, since two holders of two files of one name would both think they are alone.
pub fn purge(world: &World<'_>, identity: &Identity) -> Result<Vec<String>, Failure> {
    let dir = world.paths.state_dir();
    let prefix = format!("{identity}.");
    let mut purged: Vec<String> = Vec::new();
    for name in names_in(&dir).filter(|name| name.starts_with(&prefix) && !name.ends_with("lock")) {
        let path = dir.join(&name);
        let removed = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        removed.map_err(|error| Failure::io("remove", &path, &error))?;
        purged.push(name);
    }
    durable::sync_dir(&dir)?;
    let _ = std::fs::remove_file(world.paths.prompt(identity));
    let _ = std::fs::remove_dir_all(world.paths.launch_files(identity));
    let _ = std::fs::remove_file(world.paths.socket(identity));
    purged.sort();
    Ok(purged)
}
