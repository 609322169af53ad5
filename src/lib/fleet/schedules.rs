//! How the schedules of this host differ from those of a fleet file.

use crate::base::HostName;
use crate::base::exit::Failure;
use crate::base::identity::Personality;
use crate::delivery::recipients;
use crate::fleet::error::FleetError;
use crate::fleet::file::Fleet;
use crate::fleet::schedule::FleetSchedule;
use crate::fleet::step::{FieldChange, FleetAction, FleetKind, FleetStep, FleetWork};
use crate::store::hosts;
use crate::store::registry::Registry;
use crate::units::schedule::{self, Schedule, Scheduled};
use crate::world::World;
use crate::world::peer::split_name;

/// Refuses a schedule whose recipient is neither a group, nor a peer of the file or of this host, nor on a known host.
fn check_recipient(world: &World<'_>, registry: &Registry, fleet: &Fleet, wanted: &Schedule) -> Result<(), FleetError> {
    let to = wanted.to.as_str();
    let known = match to.strip_prefix('@') {
        Some(_) => recipients::is_group(to),
        None if to.contains('@') => {
            let host = to.rsplit('@').next().and_then(|host| host.parse::<HostName>().ok());
            let known = |host: &HostName| hosts::HostFile::read(world.paths, host).is_ok_and(|file| file.is_some());
            host.is_some_and(|host| fleet.hosts.iter().any(|wanted| wanted.name == host) || known(&host))
        }
        None => {
            let name = split_name(registry, to, None).map(|(name, _)| name).or_else(|_| to.parse::<Personality>());
            let of_file = |name: &Personality| fleet.peer(name).is_some() || registry.get(name).is_some();
            let with_runtime = || to.split_once('-').and_then(|(_, name)| name.parse().ok());
            name.is_ok_and(|name| of_file(&name)) || with_runtime().is_some_and(|name| of_file(&name))
        }
    };
    let why = || format!("{to:?} is no peer of this file and none of this host: name a peer, @TAG or @all");
    if known { Ok(()) } else { Err(fleet.places.wrong(&["schedules", wanted.name.as_str(), "to"], why())) }
}

/// The steps for schedules; with `prune` those of the fleet that are no longer in the file are removed.
pub(crate) fn plan(
    world: &World<'_>,
    registry: &Registry,
    fleet: &Fleet,
    prune: bool,
) -> Result<Vec<FleetStep>, Failure> {
    // One whose file can't be read is made anew if it is in the file, and otherwise left for doctor to report.
    let there: Vec<Scheduled> = schedule::list(world)?.into_iter().flatten().collect();
    let mut steps = Vec::new();
    for wanted in &fleet.schedules {
        check_recipient(world, registry, fleet, &wanted.schedule)?;
        let known = there.iter().find(|known| known.schedule.name == wanted.schedule.name);
        steps.push(one(world, fleet, known, wanted)?);
    }
    let is_gone = |known: &&Scheduled| {
        let ours = known.schedule.fleet.as_deref() == Some(fleet.name.as_str());
        ours && fleet.schedules.iter().all(|wanted| wanted.schedule.name != known.schedule.name)
    };
    for gone in there.iter().filter(is_gone) {
        let name = gone.schedule.name.clone();
        steps.push(match prune {
            true => {
                FleetStep::new(FleetKind::Schedule, FleetAction::Remove, &name, FleetWork::Unschedule(name.clone()))
            }
            false => FleetStep::new(FleetKind::Schedule, FleetAction::Keep, &name, FleetWork::Nothing)
                .noted("not in the file any more: --prune removes it"),
        });
    }
    Ok(steps)
}

fn one(
    world: &World<'_>,
    fleet: &Fleet,
    known: Option<&Scheduled>,
    wanted: &FleetSchedule,
) -> Result<FleetStep, Failure> {
    let FleetSchedule { schedule, text } = wanted;
    let name = &schedule.name;
    let work = || FleetWork::Schedule(Box::new(schedule.clone()), text.clone());
    let Some(known) = known else {
        let note = format!("to {}, {}", schedule.to, schedule.trigger);
        return Ok(FleetStep::new(FleetKind::Schedule, FleetAction::Create, name, work()).noted(note));
    };
    let is = &known.schedule;
    let mut fields = Vec::new();
    let mut compare = |field: &str, from: String, to: String| {
        if from != to {
            fields.push(FieldChange::new(field, Some(from), Some(to)));
        }
    };
    compare("to", is.to.clone(), schedule.to.clone());
    compare("when", is.trigger.to_string(), schedule.trigger.to_string());
    let topic = |schedule: &Schedule| schedule.topic.as_ref().map_or("none".to_owned(), ToString::to_string);
    compare("topic", topic(is), topic(schedule));
    compare("pile", is.pile.to_string(), schedule.pile.to_string());
    compare("fleet", is.fleet.clone().unwrap_or("none".into()), schedule.fleet.clone().unwrap_or_default());
    // A missing text differs, and is written again.
    compare("message", format!("{:?}", is.text(world).unwrap_or_default()), format!("{text:?}"));
    if known.unit.is_some() && known.state.is_none() {
        compare("unit", "not loaded".into(), "loaded".into());
    }
    Ok(match fields.is_empty() {
        true => FleetStep::new(FleetKind::Schedule, FleetAction::Leave, name, FleetWork::Nothing),
        false => FleetStep::new(FleetKind::Schedule, FleetAction::Change, name, work())
            .with(fields)
            .taking(is.fleet.as_deref(), &fleet.name),
    })
}
