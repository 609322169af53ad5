//! The steps that make this host what a fleet file says. All checks that may refuse a step are made here, before anything
//! is changed.

use crate::base::exit::Failure;
use crate::base::identity::{Identity, Intelligence, Personality};
use crate::base::paths;
use crate::fleet::compare;
use crate::fleet::error::FleetError;
use crate::fleet::file::Fleet;
use crate::fleet::peer::FleetPeer;
use crate::fleet::step::{FleetAction, FleetKind, FleetStep, FleetWork};
use crate::fleet::{hosts, schedules, worktrees};
use crate::host::git::GitRepository;
use crate::people::owner;
use crate::roster::create::{self, Birth};
use crate::roster::journal::Terms;
use crate::runtime::Manifest;
use crate::session::settle;
use crate::store::queue::Place;
use crate::store::registry::{PeerRecord, Registry};
use crate::world::World;
use std::path::PathBuf;

/// The steps, in the order in which they are carried out.
#[derive(Debug)]
pub struct FleetPlan {
    /// The steps.
    pub steps: Vec<FleetStep>,
}

impl FleetPlan {
    /// Whether anything has to be done.
    pub fn changes(&self) -> bool {
        self.steps.iter().any(FleetStep::changes)
    }

    /// The steps that take something over from another fleet.
    pub fn takeovers(&self) -> impl Iterator<Item = &FleetStep> {
        self.steps.iter().filter(|step| step.takes_from.is_some())
    }
}

/// Compares the host with the file. With `prune` the plan removes the fleet's peers and schedules that are no longer in the
/// file.
pub fn plan(world: &World<'_>, fleet: &Fleet, prune: bool) -> Result<FleetPlan, Failure> {
    let registry = Registry::read(world.paths)?;
    let gone = gone(&registry, fleet);
    refuse_silent_rename(&registry, fleet, &gone)?;
    let (mut renames, mut trees, mut peers) = (Vec::new(), Vec::new(), Vec::new());
    for peer in &fleet.peers {
        let old = renamed(&registry, fleet, peer)?;
        let record = registry.get(&peer.name).or(old);
        let cwd = folder(world, fleet, peer, record, old)?;
        if let Some(old) = old {
            refuse_live(world, old, "renamed")?;
            renames.push(rename(old, peer));
        } else {
            // The worktree of a renamed peer is repaired by the rename's step.
            trees.extend(worktrees::plan(fleet, peer, &cwd)?);
        }
        peers.extend(shape(world, fleet, peer, record, old.is_some(), cwd)?);
    }
    let mut steps = renames;
    steps.append(&mut trees);
    steps.append(&mut peers);
    steps.extend(own(world, &registry, fleet)?);
    steps.extend(hosts::plan(world, &fleet.hosts)?);
    steps.extend(schedules::plan(world, &registry, fleet, prune)?);
    for record in gone {
        steps.push(if prune { remove(world, record)? } else { keep(record) });
    }
    Ok(FleetPlan { steps })
}

/// Peers that this fleet manages and that are no longer in its file.
fn gone<'r>(registry: &'r Registry, fleet: &Fleet) -> Vec<&'r PeerRecord> {
    let became = |name: &Personality| {
        let from = |peer: &FleetPeer| peer.renamed_from.as_ref().and_then(Option::as_ref) == Some(name);
        fleet.peers.iter().any(|peer| from(peer) && registry.get(&peer.name).is_none())
    };
    let ours = |record: &&PeerRecord| record.policy().fleet() == Some(fleet.name.as_str());
    let peers = registry.peers().iter().filter(ours);
    peers.filter(|record| fleet.peer(&record.personality).is_none() && !became(&record.personality)).collect()
}

/// Refuses a new peer if another one is gone, unless the file says whether it was renamed: without a rename the new peer
/// has neither the queue nor the conversation of the old one.
fn refuse_silent_rename(registry: &Registry, fleet: &Fleet, gone: &[&PeerRecord]) -> Result<(), FleetError> {
    let is_new = |peer: &&FleetPeer| peer.renamed_from.is_none() && registry.get(&peer.name).is_none();
    let (Some(new), Some(first)) = (fleet.peers.iter().find(is_new), gone.first()) else { return Ok(()) };
    let names: Vec<&str> = gone.iter().map(|record| record.personality.as_str()).collect();
    let why = format!(
        "{new} is new, and {} not in the file any more: say renamed_from = {:?} if {new} is that peer, renamed_from = \"\" if it is another",
        if names.len() == 1 {
            format!("{} of this fleet is", names[0])
        } else {
            format!("{} of this fleet are", names.join(", "))
        },
        first.personality.as_str(),
        new = new.name
    );
    Err(fleet.places.wrong(&["peers", new.name.as_str()], why))
}

/// The registered peer that is to be renamed to `peer`, if there is one.
fn renamed<'r>(registry: &'r Registry, fleet: &Fleet, peer: &FleetPeer) -> Result<Option<&'r PeerRecord>, FleetError> {
    let Some(Some(old)) = &peer.renamed_from else { return Ok(None) };
    let wrong = |why: String| fleet.places.wrong(&["peers", peer.name.as_str(), "renamed_from"], why);
    if fleet.peer(old).is_some() {
        return Err(wrong(format!("{old} is in the file too: take one of them out")));
    }
    let known = registry.get(&peer.name);
    match (registry.get(old), known) {
        (Some(_), Some(known)) if known.formerly.as_ref() != Some(old) => {
            Err(wrong(format!("there are both {old} and {}: `iapeer remove` one of them", peer.name)))
        }
        (Some(record), None) => Ok(Some(record)),
        (None, None) => Err(wrong(format!("there is no peer {old}: take renamed_from out to make a new one"))),
        _ => Ok(None),
    }
}

/// The folder that the peer has, or gets. Only a rename moves the folder of an existing peer.
fn folder(
    world: &World<'_>,
    fleet: &Fleet,
    peer: &FleetPeer,
    record: Option<&PeerRecord>,
    old: Option<&PeerRecord>,
) -> Result<PathBuf, FleetError> {
    let own = world.paths.peer_dir(&peer.name);
    let now = match (old, record) {
        (Some(old), _) if paths::real(&old.cwd) == paths::real(&world.paths.peer_dir(&old.personality)) => own,
        (_, Some(record)) => record.cwd.clone(),
        (_, None) => return Ok(peer.folder.clone().unwrap_or(own)),
    };
    match &peer.folder {
        Some(wanted) if paths::real(wanted) != paths::real(&now) => {
            let why = format!(
                "{} lives in {}, and folders are not moved: `iapeer remove {}` first, or take folder out",
                peer.name,
                now.display(),
                peer.name
            );
            Err(fleet.places.wrong(&["peers", peer.name.as_str(), "folder"], why))
        }
        _ => Ok(now),
    }
}

fn rename(old: &PeerRecord, peer: &FleetPeer) -> FleetStep {
    let (from, new) = (old.personality.clone(), peer.name.clone());
    let repository = old.policy().worktree_of().and_then(|repo| GitRepository::of(repo).ok());
    let note = format!("was {from}");
    let work = FleetWork::Rename { old: from, new, repository };
    FleetStep::new(FleetKind::Peer, FleetAction::Rename, &peer.name, work).noted(note)
}

/// The steps that make the peer what the file says.
fn shape(
    world: &World<'_>,
    fleet: &Fleet,
    peer: &FleetPeer,
    record: Option<&PeerRecord>,
    renames: bool,
    cwd: PathBuf,
) -> Result<Vec<FleetStep>, Failure> {
    let name = peer.name.clone();
    let terms = Terms { keys: peer.keys.clone(), role: peer.role.clone(), registered: record.is_some() };
    let birth = Birth {
        name: Some(name.to_string()),
        runtime: peer.runtime.clone(),
        path: None,
        description: peer.description.clone(),
        intelligence: peer.intelligence,
        ephemeral: false,
        terms: Some(terms),
    };
    if !renames {
        let point = |failure: Failure| {
            let wrong = fleet.places.wrong(&["peers", name.as_str()], failure.message);
            Failure { exit: failure.exit, message: wrong.to_string() }
        };
        create::check(world, &name, &cwd, &birth).map_err(point)?;
    }
    let work = FleetWork::Shape { name: name.clone(), cwd: cwd.clone(), birth: Box::new(birth) };
    let Some(record) = record else {
        let runtime = peer.runtime.as_ref().map(|runtime| format!("{runtime}, ")).unwrap_or_default();
        let note = format!("{runtime}{}", cwd.display());
        return Ok(vec![FleetStep::new(FleetKind::Peer, FleetAction::Create, &name, work).noted(note)]);
    };
    let mut steps = Vec::new();
    let fields = compare::differences(record, peer)?;
    if !fields.is_empty() {
        let step = FleetStep::new(FleetKind::Peer, FleetAction::Change, &name, work).with(fields);
        let step = step.taking(record.policy().fleet(), &fleet.name);
        let live = identities(record).any(|identity| settle::is_live(world, &identity));
        let note =
            format!("its session runs: the change takes effect at its next start, `iapeer new {name}` starts it now");
        steps.push(if live { step.noted(note) } else { step });
    }
    if identities(record).any(|identity| world.markers(&identity).is_stopped()) {
        steps.push(FleetStep::new(FleetKind::Peer, FleetAction::Start, &name, FleetWork::Start(name.clone())));
    }
    if steps.is_empty() {
        steps.push(FleetStep::new(FleetKind::Peer, FleetAction::Leave, &name, FleetWork::Nothing));
    }
    Ok(steps)
}

/// A peer's identities.
pub(crate) fn identities(record: &PeerRecord) -> impl Iterator<Item = Identity> {
    record.runtimes.iter().map(|runtime| Identity::new(runtime.clone(), record.personality.clone()))
}

fn own(world: &World<'_>, registry: &Registry, fleet: &Fleet) -> Result<Option<FleetStep>, Failure> {
    let Some(wanted) = &fleet.owner else { return Ok(None) };
    let now = owner::owner(world.paths)?;
    let wrong = |why: String| fleet.places.wrong(&["fleet", "owner"], why);
    let nature = match (fleet.peer(wanted), registry.get(wanted)) {
        (Some(FleetPeer { intelligence: Some(nature), .. }), _) => Some(*nature),
        (Some(FleetPeer { runtime: Some(runtime), .. }), None) => {
            Manifest::load(world.paths, runtime)?.intelligence.first().copied()
        }
        (_, Some(record)) => Some(record.intelligence),
        (Some(_), None) => None,
        (None, None) => {
            let why = format!(
                "{wanted} is no peer of this file and none of this host: add [peers.{wanted}] with runtime = \"person\""
            );
            return Err(wrong(why).into());
        }
    };
    if nature != Some(Intelligence::Natural) {
        return Err(wrong(format!("{wanted} is no person: an owner is one")).into());
    }
    if now.as_ref() == Some(wanted) {
        return Ok(None);
    }
    let action = if now.is_some() { FleetAction::Change } else { FleetAction::Create };
    let step = FleetStep::new(FleetKind::Owner, action, wanted, FleetWork::Own(wanted.clone()));
    Ok(Some(match now {
        Some(now) => step.noted(format!("was {now}")),
        None => step,
    }))
}

fn keep(record: &PeerRecord) -> FleetStep {
    FleetStep::new(FleetKind::Peer, FleetAction::Keep, &record.personality, FleetWork::Nothing)
        .noted("not in the file any more: --prune removes it")
}

fn remove(world: &World<'_>, record: &PeerRecord) -> Result<FleetStep, Failure> {
    let name = &record.personality;
    refuse_live(world, record, "removed")?;
    for identity in identities(record) {
        let queue = world.queue(&identity);
        let waiting = queue.list(Place::Waiting)?.len() + queue.list(Place::Inflight)?.len();
        if waiting > 0 {
            let why = format!(
                "{name} can't be removed: {waiting} messages wait for it; `iapeer remove {name} --force` drops them"
            );
            return Err(FleetError::Refused(why).into());
        }
    }
    let worktree = worktrees::removable(record)?;
    let note = match &worktree {
        Some((_, path)) => format!("with its worktree {}; its branch stays", path.display()),
        None => format!("its folder {} stays", record.cwd.display()),
    };
    let work = FleetWork::Prune { name: name.clone(), worktree };
    Ok(FleetStep::new(FleetKind::Peer, FleetAction::Remove, name, work).noted(note))
}

fn refuse_live(world: &World<'_>, record: &PeerRecord, what: &str) -> Result<(), FleetError> {
    let name = &record.personality;
    match identities(record).find(|identity| settle::is_live(world, identity)) {
        Some(identity) => {
            let why = format!("{name} can't be {what}: {identity} is LIVE; `iapeer stop {name}` first");
            Err(FleetError::Refused(why))
        }
        None => Ok(()),
    }
}
