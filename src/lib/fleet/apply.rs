//! Putting a fleet file into effect. Each peer is changed by a verb of the roster, with the roster's journal: after a kill
//! between two verbs, or within one, the same call completes the rest.

use crate::base::exit::{Exit, Failure};
use crate::delivery::afar;
use crate::fleet::error::FleetError;
use crate::fleet::file::Fleet;
use crate::fleet::plan::{FleetPlan, identities, plan};
use crate::fleet::step::{FleetStep, FleetWork};
use crate::fleet::worktrees;
use crate::operator::control;
use crate::people::owner;
use crate::roster::{create, remove, rename};
use crate::store::event_log::Event;
use crate::store::lock::FileLock;
use crate::store::registry::Registry;
use crate::units::schedule;
use crate::world::World;
use crate::world::peer::Peer;
use std::path::Path;

/// What is reported while a plan is carried out.
pub enum FleetTold<'t> {
    /// The plan, before anything is done.
    Planned(&'t FleetPlan),
    /// A step, once it is done.
    Done(&'t FleetStep),
}

/// Makes the host what the file at `path` says. Waits for another program that does so. If the plan takes over something
/// from another fleet, `consent` is called after the plan was reported; its error is returned, and nothing is changed.
pub fn up(
    world: &World<'_>,
    path: &Path,
    prune: bool,
    consent: impl FnOnce(&FleetPlan) -> Result<(), Failure>,
    mut tell: impl FnMut(FleetTold<'_>),
) -> Result<FleetPlan, Failure> {
    let lock = FileLock::acquire(&world.paths.fleet_lock(), world.program, world.settings.lock_wait, world.clock)?;
    let fleet = Fleet::read(world, path)?;
    let plan = plan(world, &fleet, prune)?;
    tell(FleetTold::Planned(&plan));
    if plan.takeovers().next().is_some() {
        consent(&plan)?;
    }
    let todo: Vec<&FleetStep> = plan.steps.iter().filter(|step| step.changes()).collect();
    for (done, step) in todo.iter().enumerate() {
        let failed = |failure: Failure| {
            let what = format!("{} {} {}", step.action, step.kind, step.name);
            let after = format!("{done} of {} steps are done and stay", todo.len());
            Failure::new(failure.exit, format!("{what}: {}; {after}: `iapeer up` goes on", failure.message))
        };
        carry_out(world, &lock, &step.work).map_err(failed)?;
        let event = Event::new("fleet").field("fleet", &fleet.name).field("action", step.action);
        world.lifecycle(&event.field("kind", step.kind).field("name", &step.name));
        tell(FleetTold::Done(step));
    }
    Ok(plan)
}

fn carry_out(world: &World<'_>, lock: &FileLock, work: &FleetWork) -> Result<(), Failure> {
    match work {
        FleetWork::Nothing => {}
        FleetWork::Rename { old, new, repository } => {
            let renamed = rename::rename(world, old, new, false)?;
            if let Some(repository) = repository.as_ref().filter(|_| renamed.moved) {
                repository.repair(&renamed.cwd).map_err(FleetError::git("repair the worktree", &renamed.cwd))?;
            }
        }
        FleetWork::Worktree { repository, path, branch, base, discard } => {
            let held =
                lock.file().try_clone().map_err(|error| Failure::io("hold", &world.paths.fleet_lock(), &error))?;
            worktrees::make(repository, path, branch, base.as_deref(), *discard, held)?;
        }
        FleetWork::Shape { name, cwd, birth } => drop(create::shape(world, name, cwd, birth)?),
        FleetWork::Start(name) => {
            for peer in peers(world, name)? {
                let started = control::start(world, &peer)?;
                if started.exit != Exit::Ok {
                    return Err(Failure::new(started.exit, started.line()));
                }
            }
        }
        FleetWork::Own(name) => owner::name_owner(world.paths, &Registry::read(world.paths)?, name)?,
        FleetWork::Host(name, file) => afar::register(world, name, file)?,
        FleetWork::Schedule(schedule, text) => drop(schedule::add(world, schedule, text)?),
        FleetWork::Unschedule(name) => schedule::remove(world, name)?,
        FleetWork::Prune { name, worktree } => {
            // Stopped first, so that no message wakes the peer. Its record, which names the worktree, is removed last.
            for peer in peers(world, name)? {
                control::stop(world, &peer)?;
            }
            if let Some((repository, path)) = worktree {
                repository.remove(path).map_err(FleetError::git("remove the worktree", path))?;
            }
            remove::remove(world, name, false)?;
        }
    }
    Ok(())
}

/// A registered peer on each of its runtimes; empty if `name` is not registered.
pub(crate) fn peers(world: &World<'_>, name: &crate::base::Personality) -> Result<Vec<Peer>, Failure> {
    let registry = Registry::read(world.paths)?;
    let record = registry.get(name).into_iter();
    record.flat_map(identities).map(|identity| Peer::of(world.paths, &identity)).collect()
}
