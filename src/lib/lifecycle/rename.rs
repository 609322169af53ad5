//! Giving a peer another name: its folder, its card, its record and its queue go along; the state of its old
//! sessions does not. All of it happens, or nothing.

use crate::core::exit::{Exit, Failure};
use crate::core::identity::{Identity, Personality};
use crate::core::paths;
use crate::lifecycle::remove;
use crate::lifecycle::session::{self, Ending, Park, Standing};
use crate::lifecycle::world::World;
use crate::store::durable;
use crate::store::event_log::Event;
use crate::store::profile::Profile;
use crate::store::registry::{PeerRecord, Registry};
use std::path::{Path, PathBuf};

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
}

/// Renames `old` to `new`. A live peer is refused, or ended with `force`.
pub fn rename(world: &World<'_>, old: &Personality, new: &Personality, force: bool) -> Result<Renamed, Failure> {
    let refused = |why: String| Failure::new(Exit::Refused, why);
    let registry = Registry::read(world.paths)?;
    let Some(record) = registry.get(old).cloned() else {
        return Err(Failure::new(
            Exit::NoPeer,
            format!("no peer named {:?}: `iapeer list` shows the peers", old.as_str()),
        ));
    };
    if registry.get(new).is_some() {
        return Err(refused(format!("there is a peer named {:?} already", new.as_str())));
    }
    let is_default = real(&record.cwd) == real(&world.paths.peer_dir(old));
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
        match session::settle(world, from)?.0 {
            Standing::Asleep => {}
            Standing::Live(live) if force => {
                let ending = Ending { why: "rename", park: Park::No, keep_marks: false };
                session::end(world, from, Some(&live), &ending)?;
            }
            Standing::Live(_) => {
                return Err(refused(format!("{from} is LIVE: `iapeer stop {old}` first, or give --force")));
            }
            Standing::Unknown => {
                return Err(Failure::new(Exit::TryAgain, format!("tmux does not say whether {from} lives")));
            }
        }
        if world.paths.state(to, "queue").exists() {
            return Err(refused(format!("a queue of {to} is there already: `iapeer-drain --list {to}` shows it")));
        }
    }
    let mut undo = Undo::default();
    if let Err(failure) = carry_out(world, &record, new, &cwd, &identities, &mut undo) {
        undo.run();
        return Err(failure);
    }
    let mut purged = Vec::new();
    for (from, _) in &identities {
        purged.extend(remove::purge(world, from)?);
    }
    let event = Event::new("rename").field("personality", old).field("to", new).field("by", world.program);
    world.lifecycle(&event);
    drop(locks);
    Ok(Renamed { old: old.clone(), new: new.clone(), moved: is_default, cwd, purged })
}

fn carry_out(
    world: &World<'_>,
    record: &PeerRecord,
    new: &Personality,
    cwd: &Path,
    identities: &[(Identity, Identity)],
    undo: &mut Undo,
) -> Result<(), Failure> {
    if cwd != record.cwd {
        undo.move_now(&record.cwd, cwd)?;
    }
    let path = paths::profile_path(cwd);
    if let Some(bytes) = durable::read_optional(&path)? {
        undo.0.push(Step::Restore(path, bytes));
        Profile::rename(cwd, new)?;
    }
    for (from, to) in identities {
        let queue = world.paths.state(from, "queue");
        if queue.exists() {
            undo.move_now(&queue, &world.paths.state(to, "queue"))?;
        }
    }
    durable::sync_dir(&world.paths.state_dir())?;
    // The registry last: it is what everybody finds a peer by.
    let mut renamed = record.clone();
    renamed.personality = new.clone();
    renamed.cwd = cwd.to_owned();
    Registry::rename(world.paths, &record.personality, renamed, world.program, world.clock)
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

fn real(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}
