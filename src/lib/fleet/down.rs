//! `iapeer down`: stops the peers of a fleet and removes its schedules. Everything else stays, and `iapeer up` brings both
//! back.

use crate::base::exit::{Exit, Failure};
use crate::fleet::apply::peers;
use crate::fleet::file::Fleet;
use crate::fleet::step::{FleetAction, FleetKind, FleetStep, FleetWork};
use crate::operator::control;
use crate::runtime::Kind;
use crate::store::registry::Registry;
use crate::units::schedule;
use crate::world::World;

/// Stops the peers of `fleet`, except those that another fleet manages, and removes its schedules; each step is reported by
/// `tell`. Returns the worst exit code.
pub fn down(world: &World<'_>, fleet: &Fleet, mut tell: impl FnMut(&FleetStep)) -> Result<Exit, Failure> {
    let mut worst = Exit::Ok;
    for known in schedule::list(world)? {
        let (name, is_ours) = match known {
            Ok(known) => (known.schedule.name, known.schedule.fleet.as_deref() == Some(fleet.name.as_str())),
            // Whose it is can't be read either: the fleet file says whether it is one of this fleet's.
            Err(unreadable) => {
                let is_ours = fleet.schedules.iter().any(|wanted| wanted.schedule.name == unreadable.name);
                (unreadable.name, is_ours)
            }
        };
        if is_ours {
            schedule::remove(world, &name)?;
            tell(&FleetStep::new(FleetKind::Schedule, FleetAction::Remove, &name, FleetWork::Nothing));
        }
    }
    let registry = Registry::read(world.paths)?;
    for peer in &fleet.peers {
        let managed = registry.get(&peer.name).and_then(|record| record.policy().fleet());
        if let Some(other) = managed.filter(|other| *other != fleet.name) {
            let step = FleetStep::new(FleetKind::Peer, FleetAction::Keep, &peer.name, FleetWork::Nothing);
            tell(&step.noted(format!("managed by the fleet {other}: `iapeer stop {}` stops it", peer.name)));
            continue;
        }
        for on in peers(world, &peer.name)? {
            // A person still takes messages while the agents are stopped.
            if on.manifest.kind == Kind::Mailbox || world.markers(&on.identity).is_stopped() {
                continue;
            }
            let done = control::stop(world, &on)?;
            worst = worst.max(done.exit);
            let step = FleetStep::new(FleetKind::Peer, FleetAction::Stop, &on.identity, FleetWork::Nothing);
            tell(&match done.reason {
                Some(reason) => step.noted(reason),
                None => step,
            });
        }
    }
    Ok(worst)
}
