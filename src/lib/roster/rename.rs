//! Renaming a peer: its folder, profile, record, queue, history and notices, and the markers that it is stopped, parked
//! or to be refreshed are moved to the new name; the other state of its old sessions is removed. An interrupted rename is
//! completed by the next program that writes.
//!
//! Agent programs find a conversation by its working folder, and their files must not be moved (moved files were
//! ignored or overwritten): where the folder moves, the next session is fresh, and the report says so.

use crate::base::Marker;
use crate::base::StateFile;
use crate::base::exit::{Exit, Failure};
use crate::base::identity::{Identity, Personality};
use crate::base::paths;
use crate::base::shell;
use crate::mailbox::notice;
use crate::people::owner;
use crate::roster::create;
use crate::roster::journal::{Followed, Journal, Renaming, RosterAct};
use crate::roster::remove;
use crate::session::end::{self, End, Park};
use crate::session::settle::{self, Standing};
use crate::store::due::Due;
use crate::store::durable;
use crate::store::event_log::Event;
use crate::store::one_writer::OneWriter;
use crate::store::profile::Profile;
use crate::store::queue::Place;
use crate::store::registry::{self, PeerRecord, Registry};
use crate::world::World;
use crate::world::peer::Peer;
use std::cell::Cell;
use std::path::{Path, PathBuf};

/// The state files that are moved whether the peer is parked or not: the waiting messages, and the operator's marks.
const GOES_ALONG: &[StateFile] =
    &[StateFile::Queue, StateFile::Marker(Marker::Stopped), StateFile::Marker(Marker::Refresh), StateFile::FreshNext];

/// The report about a rename.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Renamed {
    /// The old name.
    pub old: Personality,
    /// The new name.
    pub new: Personality,
    /// Its folder now.
    pub cwd: PathBuf,
    /// Whether the folder moved.
    pub moved: bool,
    /// The names of the state files of its old sessions that were deleted.
    pub purged: Vec<String>,
    /// Identities whose conversation stays with the old folder: their next session is fresh.
    pub forgets: Vec<Identity>,
}

impl Renamed {
    fn already(world: &World<'_>, old: &Personality, record: &PeerRecord) -> Renamed {
        let (new, cwd) = (record.personality.clone(), record.cwd.clone());
        let moved = paths::real(&cwd) == paths::real(&world.paths.peer_dir(&new));
        Renamed { old: old.clone(), new, cwd, moved, purged: Vec::new(), forgets: Vec::new() }
    }
}

/// Renames `old` to `new`. A live peer is refused, or ended with `force`.
pub fn rename(world: &World<'_>, old: &Personality, new: &Personality, force: bool) -> Result<Renamed, Failure> {
    let refused = |why: String| Failure::new(Exit::Refused, why);
    create::refuse_reserved(new)?;
    let journal = Journal::open(world, &[old, new])?;
    let registry = Registry::read(world.paths)?;
    let Some(record) = registry.get(old).cloned() else {
        // The same rename again: an earlier try was completed by another program.
        let renamed = registry.get(new).filter(|record| record.formerly.as_ref() == Some(old));
        return renamed.map(|record| Renamed::already(world, old, record)).ok_or_else(|| registry::gone(old));
    };
    if registry.get(new).is_some() {
        return Err(registry::taken(new));
    }
    refuse_out_of_sync(&record)?;
    let is_default = paths::real(&record.cwd) == paths::real(&world.paths.peer_dir(old));
    let cwd = if is_default { world.paths.peer_dir(new) } else { record.cwd.clone() };
    if is_default && cwd.symlink_metadata().is_ok() {
        return Err(refused(format!("{} is there already: move it away first", cwd.display())));
    }
    let identities: Vec<(Identity, Identity)> = record
        .runtimes
        .iter()
        .map(|runtime| (Identity::new(runtime.clone(), old.clone()), Identity::new(runtime.clone(), new.clone())))
        .collect();
    let mut locks = Vec::new();
    for (from, to) in &identities {
        world.paths.check_socket(to)?;
        for identity in [from, to] {
            if let Some(by) = world.host.managed_by(identity) {
                return Err(refused(format!("{identity} is held by {by}: take its unit away first")));
            }
            locks.push(world.lock(identity, world.settings.lock_wait)?);
        }
        match settle::settle(world, from)?.0 {
            Standing::Asleep => {}
            Standing::Live(live) if force => {
                let end = End::new("rename").park(Park::Yes);
                end::end(world, from, Some(&live), &end)?;
            }
            Standing::Live(_) => {
                return Err(refused(format!("{from} is LIVE: `iapeer stop {old}` first, or give --force")));
            }
            Standing::Unknown => {
                return Err(Failure::new(Exit::TryAgain, format!("tmux does not say whether {from} lives")));
            }
        }
        if world.paths.state(to, StateFile::Queue).exists() {
            return Err(refused(format!("a queue of {to} is there already: `iapeer-drain --list {to}` shows it")));
        }
    }
    let act = RosterAct::Rename(plan(world, &record, new, &cwd, &identities));
    let RosterAct::Rename(renaming) = &act else { unreachable!("just made") };
    for identity in &renaming.identities {
        refuse_taken_names(world, identity)?;
    }
    let begun = Cell::new(false);
    let begin = || {
        journal.begin(&act)?;
        begun.set(true);
        Ok(())
    };
    let purged = carry_out(world, renaming, begin).map_err(|failure| {
        // Before the intent nothing was changed; after it, completed steps are not undone.
        if begun.get() { act.unfinished(&failure) } else { failure }
    })?;
    journal.done(&act);
    drop(locks);
    let forgets = renaming.identities.iter().filter(|identity| identity.forgets).map(|identity| identity.to.clone());
    Ok(Renamed { old: old.clone(), new: new.clone(), moved: is_default, cwd, purged, forgets: forgets.collect() })
}

/// Completes an interrupted rename.
pub(crate) fn finish(world: &World<'_>, journal: &Journal<'_>, renaming: &Renaming) -> Result<(), Failure> {
    let act = RosterAct::Rename(renaming.clone());
    let registry = Registry::read(world.paths)?;
    if registry.get(&renaming.old).is_none() && registry.get(&renaming.new).is_none() {
        tracing::warn!("{}: neither name is registered any more, nothing is left to be renamed", act.describe());
        journal.done(&act);
        return Ok(());
    }
    let mut locks = Vec::new();
    for Followed { from, to, .. } in &renaming.identities {
        for identity in [from, to] {
            locks.push(world.lock(identity, world.settings.lock_wait)?);
        }
        // A peer that was woken since is ended: its state is about to be moved.
        if let Standing::Live(live) = settle::settle(world, from)?.0 {
            end::end(world, from, Some(&live), &End::new("rename").park(Park::Yes))?;
        }
    }
    carry_out(world, renaming, || Ok(()))?;
    journal.done(&act);
    drop(locks);
    for identity in &renaming.identities {
        world.kick_if_waiting(&identity.to);
    }
    Ok(())
}

/// The plan of a rename, made before anything is moved.
fn plan(
    world: &World<'_>,
    record: &PeerRecord,
    new: &Personality,
    cwd: &Path,
    identities: &[(Identity, Identity)],
) -> Renaming {
    let moves = cwd != record.cwd;
    let follow = |(from, to): &(Identity, Identity)| {
        // A peer that can't be read has nothing to resume.
        let peer = Peer::of(world.paths, from).ok();
        let finds = |cwd: &Path| peer.as_ref().is_some_and(|peer| has_conversation(world, peer, cwd));
        Followed {
            from: from.clone(),
            to: to.clone(),
            // A conversation that an earlier peer left in a folder of the new name must not be resumed.
            parked: !moves || !finds(cwd),
            forgets: moves && finds(&record.cwd),
        }
    };
    Renaming {
        old: record.personality.clone(),
        new: new.clone(),
        from: record.cwd.clone(),
        to: cwd.to_owned(),
        identities: identities.iter().map(follow).collect(),
    }
}

/// The state files that are moved to the new name. Usually this includes the mark that the peer is parked: the next
/// wake then resumes, or says that there is nothing to resume.
fn going_along(identity: &Followed) -> impl Iterator<Item = StateFile> {
    let resumes: &[StateFile] =
        if identity.parked { &[StateFile::Marker(Marker::IdleReaped), StateFile::Topics] } else { &[] };
    GOES_ALONG.iter().chain(resumes).copied()
}

/// Refuses (74) what would stop the rename half-way: a folder in the place to which a state file is to be moved.
fn refuse_taken_names(world: &World<'_>, identity: &Followed) -> Result<(), Failure> {
    for file in going_along(identity).filter(|file| world.paths.state(&identity.from, *file).exists()) {
        let to = world.paths.state(&identity.to, file);
        if to.is_dir() {
            let why = format!("{} is a folder, and a state file is to go there: move it away", to.display());
            return Err(Failure::new(Exit::Io, why));
        }
    }
    Ok(())
}

/// The steps. Each may be repeated: what is done already is left as it is. `begin` is called once it is known that the
/// new name is free. Returns the names of the state files that were deleted.
fn carry_out(
    world: &World<'_>,
    renaming: &Renaming,
    begin: impl FnOnce() -> Result<(), Failure>,
) -> Result<Vec<String>, Failure> {
    let Renaming { old, new, to, identities, .. } = renaming;
    let carry = |writer: &OneWriter| {
        begin()?;
        move_folder(renaming)?;
        Profile::rename(writer, to, new)?;
        for identity in identities {
            // A tick has to examine the identity under its new name.
            Due::of(world.paths).mark(&identity.to)?;
            for file in going_along(identity) {
                if file == StateFile::Queue && world.paths.state(&identity.to, file).exists() {
                    continue;
                }
                durable::move_file(&world.paths.state(&identity.from, file), &world.paths.state(&identity.to, file))?;
            }
            follow(world, identity)?;
            notice::rename(world, &identity.from, &identity.to)?;
            world.history(&identity.from).rename(&world.history(&identity.to))?;
        }
        Ok(())
    };
    // The registry is written last, since every program finds a peer by it. Its lock keeps the new name free until
    // then.
    Registry::rename(world.paths, (old, new), to, world.program, world.clock, carry)?;
    owner::follow_rename(world.paths, old, new)?;
    let mut purged = Vec::new();
    for identity in identities {
        // Messages that were accepted for the old name after its queue had been moved and before the registry was
        // written.
        follow(world, identity)?;
        world.history(&identity.from).rename(&world.history(&identity.to))?;
        purged.extend(remove::purge(world, &identity.from)?);
    }
    let forgets: Vec<&str> =
        identities.iter().filter(|identity| identity.forgets).map(|identity| identity.to.as_str()).collect();
    let event = Event::new("rename")
        .field("personality", old)
        .field("to", new)
        .field("by", world.program)
        .maybe("forgets", (!forgets.is_empty()).then(|| forgets.join(",")));
    world.lifecycle(&event);
    Ok(purged)
}

/// Moves the folder, unless it was moved already.
fn move_folder(renaming: &Renaming) -> Result<(), Failure> {
    let Renaming { from, to, .. } = renaming;
    if from == to {
        return Ok(());
    }
    let is_there = |path: &Path| path.symlink_metadata().is_ok();
    if is_there(to) && is_there(from) {
        // The old folder was created again, or the new name is taken: the profile shows whose folder the new one is.
        return match Profile::read(to) {
            Ok(Some(profile)) if [&renaming.old, &renaming.new].contains(&profile.personality()) => Ok(()),
            _ => Err(Failure::new(Exit::Refused, format!("{} is in the way: move it away", to.display()))),
        };
    }
    durable::move_file(from, to)?;
    for dir in [from.parent(), to.parent()].into_iter().flatten() {
        durable::sync_dir(dir)?;
    }
    Ok(())
}

/// Moves the messages of the old queue, one by one, into the new queue. A message that the new queue has, or that was
/// settled there, is only removed. Waiting messages are put in flight first: a sender that finds its peer gone
/// withdraws a message that waits, and keeps one that it finds in flight or in the new queue.
fn follow(world: &World<'_>, identity: &Followed) -> Result<(), Failure> {
    let (old, new) = (world.queue(&identity.from), world.queue(&identity.to));
    let history = world.history(&identity.to);
    // A session may have seen the messages that were in flight before.
    let seen = old.list(Place::Inflight)?;
    for seq in old.list(Place::Waiting)? {
        old.shift(seq, Place::Waiting, Place::Inflight)?;
    }
    for place in [Place::Inflight, Place::Dead] {
        for seq in old.list(place)? {
            let Some(mut item) = old.read(place, seq)? else { continue };
            item.redelivered += u32::from(place == Place::Inflight && seen.contains(&seq));
            if new.find(item.id)?.is_none() && !history.forbids(&item).unwrap_or(false) {
                let taken = new.accept(&item, world.clock)?;
                if place == Place::Dead {
                    new.shift(taken, Place::Waiting, place)?;
                }
            }
            old.remove(place, seq)?;
        }
    }
    Ok(())
}

/// Refuses a peer without a profile, or whose profile names another peer, since a rename changes the profile.
fn refuse_out_of_sync(record: &PeerRecord) -> Result<(), Failure> {
    let (name, cwd) = (&record.personality, record.cwd.display());
    let why = match Profile::read(&record.cwd)? {
        Some(profile) if profile.personality() == name => return Ok(()),
        Some(profile) => format!(
            "registry out of sync: the profile in {cwd} names peer {}, not {name}: set its personality to {name:?} first",
            profile.personality(),
            name = name.as_str()
        ),
        None if !record.cwd.is_dir() => {
            format!("the folder of {name} is gone: bring {cwd} back, or `iapeer remove {name}`")
        }
        None => format!(
            "{name} has no .iapeer/peer-profile.json in {cwd}: `iapeer init {}` makes one",
            shell::path(&record.cwd)
        ),
    };
    Err(Failure::new(Exit::Config, why))
}

/// Whether the program finds a conversation of the peer when it starts in `cwd`.
fn has_conversation(world: &World<'_>, peer: &Peer, cwd: &Path) -> bool {
    let mut peer = peer.clone();
    cwd.clone_into(&mut peer.record.cwd);
    peer.manifest.transcript.is_some() && world.host.resumable(&peer).is_ok()
}
