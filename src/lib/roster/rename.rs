//! Giving a peer another name: its folder, its card, its record, its queue and whether it is stopped, parked or to be
//! refreshed go along; the rest of the state of its old sessions does not. All of it happens, or nothing.
//!
//! Programs find a conversation by the folder it was held in, and their files are theirs (moved by hand they were
//! seen to be ignored, or written over): where the folder moves, the next session is fresh, and that is said.

use crate::base::Marker;
use crate::base::StateFile;
use crate::base::exit::{Exit, Failure};
use crate::base::identity::{Identity, Personality};
use crate::base::paths;
use crate::people::owner;
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
use std::path::{Path, PathBuf};

/// What goes along whether the peer is parked or not: what waits for it, and what an operator has said about it.
const GOES_ALONG: &[StateFile] =
    &[StateFile::Queue, StateFile::Marker(Marker::Stopped), StateFile::Marker(Marker::Refresh), StateFile::FreshNext];

/// What a rename came to.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Renamed {
    /// The name it had.
    pub old: Personality,
    /// The name it has.
    pub new: Personality,
    /// Its folder now.
    pub cwd: PathBuf,
    /// Whether the folder moved.
    pub moved: bool,
    /// State files of its old sessions that were purged.
    pub purged: Vec<String>,
    /// Identities whose conversation stays with the old folder: their next session is fresh.
    pub forgets: Vec<Identity>,
}

/// Renames `old` to `new`. A live peer is refused, or ended with `force`.
pub fn rename(world: &World<'_>, old: &Personality, new: &Personality, force: bool) -> Result<Renamed, Failure> {
    let refused = |why: String| Failure::new(Exit::Refused, why);
    let registry = Registry::read(world.paths)?;
    let record = registry.get(old).cloned().ok_or_else(|| registry::gone(old))?;
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
    let mut undo = Undo::default();
    let forgets = match carry_out(world, &record, new, &cwd, &identities, &mut undo) {
        Ok(forgets) => forgets,
        Err(failure) => {
            undo.run();
            return Err(failure);
        }
    };
    owner::follow_rename(world.paths, old, new)?;
    let mut purged = Vec::new();
    for (from, to) in &identities {
        follow(world, from, to)?;
        world.history(from).rename(&world.history(to))?;
        purged.extend(remove::purge(world, from)?);
    }
    let words: Vec<&str> = forgets.iter().map(Identity::as_str).collect();
    let event = Event::new("rename")
        .field("personality", old)
        .field("to", new)
        .field("by", world.program)
        .maybe("forgets", (!words.is_empty()).then(|| words.join(",")));
    world.lifecycle(&event);
    drop(locks);
    Ok(Renamed { old: old.clone(), new: new.clone(), moved: is_default, cwd, purged, forgets })
}

/// Takes along what somebody wrote to the old name after its queue had moved and before the registry said so. In flight
/// meanwhile: the sender who looks for it must find it in one place or the other.
fn follow(world: &World<'_>, from: &Identity, to: &Identity) -> Result<(), Failure> {
    let (old, new) = (world.queue(from), world.queue(to));
    for seq in old.list(Place::Waiting)? {
        if old.shift(seq, Place::Waiting, Place::Inflight)?
            && let Some(item) = old.read(Place::Inflight, seq)?
        {
            new.accept(&item, world.clock)?;
            old.remove(Place::Inflight, seq)?;
        }
    }
    Ok(())
}

fn carry_out(
    world: &World<'_>,
    record: &PeerRecord,
    new: &Personality,
    cwd: &Path,
    identities: &[(Identity, Identity)],
    undo: &mut Undo,
) -> Result<Vec<Identity>, Failure> {
    let moves = cwd != record.cwd;
    let mut forgets = Vec::new();
    let mut parked = Vec::new();
    for (from, to) in identities {
        // A peer that can't be read has nothing to resume.
        let peer = Peer::of(world.paths, from).ok();
        let finds = |cwd: &Path| peer.as_ref().is_some_and(|peer| has_conversation(world, peer, cwd));
        if moves && finds(&record.cwd) {
            forgets.push(to.clone());
        }
        // What an earlier peer left in a folder of that name is not to be resumed.
        parked.push(!moves || !finds(cwd));
    }
    let carry = |writer: &OneWriter| {
        if moves {
            undo.move_now(&record.cwd, cwd)?;
        }
        let path = paths::profile_path(cwd);
        if let Some(bytes) = durable::read_optional(&path)? {
            undo.0.push(Step::Restore(path, bytes));
            Profile::rename(writer, cwd, new)?;
        }
        for ((from, to), parked) in identities.iter().zip(parked) {
            // What goes along is to be looked at under its new name.
            Due::of(world.paths).mark(to)?;
            // The parking mark too: the next wake resumes, or says that there is nothing to resume.
            let resumes: &[StateFile] =
                if parked { &[StateFile::Marker(Marker::IdleReaped), StateFile::Topics] } else { &[] };
            for file in GOES_ALONG.iter().chain(resumes) {
                let path = world.paths.state(from, *file);
                if path.exists() {
                    undo.move_now(&path, &world.paths.state(to, *file))?;
                }
            }
        }
        Ok(durable::sync_dir(&world.paths.state_dir())?)
    };
    // Written last: the registry is what everybody finds a peer by. Its lock keeps the new name free until then.
    Registry::rename(world.paths, (&record.personality, new), cwd, world.program, world.clock, carry)?;
    Ok(forgets)
}

/// The card is what a rename changes: it has to be there, and this peer's.
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
        None => format!("{name} has no .iapeer/peer-profile.json in {cwd}: `iapeer init {cwd}` makes one"),
    };
    Err(Failure::new(Exit::Config, why))
}

/// Whether the program finds a conversation of the peer when it starts in `cwd`.
fn has_conversation(world: &World<'_>, peer: &Peer, cwd: &Path) -> bool {
    let mut peer = peer.clone();
    cwd.clone_into(&mut peer.record.cwd);
    peer.manifest.transcript.is_some() && world.host.resumable(&peer).is_ok()
}

/// What has been done, to be taken back in reverse.
#[derive(Debug, Default)]
struct Undo(Vec<Step>);

#[derive(Debug)]
enum Step {
    Move(PathBuf, PathBuf),
    Restore(PathBuf, Vec<u8>),
}

impl Undo {
    fn move_now(&mut self, from: &Path, to: &Path) -> Result<(), Failure> {
        std::fs::rename(from, to).map_err(|error| Failure::io("move", from, &error))?;
        self.0.push(Step::Move(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn run(self) {
        for step in self.0.into_iter().rev() {
            let undone = match &step {
                Step::Move(from, to) => std::fs::rename(to, from).map_err(|error| error.to_string()),
                Step::Restore(path, bytes) => durable::write_atomic(path, bytes).map_err(|error| error.to_string()),
            };
            if let Err(error) = undone {
                tracing::error!("cannot take back {step:?}: {error}");
            }
        }
    }
}
