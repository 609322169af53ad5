//! Writing a fleet file with the present peers, schedules, owner and other hosts.

use crate::base::exit::{Exit, Failure};
use crate::base::identity::Intelligence;
use crate::base::paths;
use crate::fleet::compare;
use crate::fleet::hosts;
use crate::fleet::table::{
    Amount, FleetTable, FleetTables, LimitsTable, PeerTable, RoleValue, ScheduleTable, WorktreeTable,
};
use crate::host::service::schedule::ScheduleTrigger;
use crate::people::owner;
use crate::store::profile::Profile;
use crate::store::registry::{PeerRecord, Registry};
use crate::units::schedule::{self, Scheduled};
use crate::world::World;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The file's text. A profile that can't be read is an error: the peer would be missing in the file, and `up --prune`
/// would remove it.
pub fn export(world: &World<'_>) -> Result<String, Failure> {
    let registry = Registry::read(world.paths)?;
    let fleets: BTreeSet<&str> = registry.peers().iter().filter_map(|record| record.policy().fleet()).collect();
    let mut notes = Vec::new();
    let mut peers = BTreeMap::new();
    for record in registry.peers() {
        peers.insert(record.personality.to_string(), peer(world, record, &mut notes)?);
    }
    let schedules = schedule::list(world)?.into_iter().map(|known| one_schedule(world, known?));
    let tables = FleetTables {
        fleet: FleetTable {
            name: fleets.first().filter(|_| fleets.len() == 1).map(|name| (*name).to_owned()),
            owner: owner::owner(world.paths)?.map(|name| name.to_string()),
            defaults: None,
        },
        peers,
        schedules: schedules.collect::<Result<_, Failure>>()?,
        hosts: hosts::export(world)?,
    };
    let text = toml::to_string_pretty(&tables).map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
    let notes: String = notes.iter().map(|note| format!("# {note}\n")).collect();
    Ok(format!("# Written by `iapeer export`.\n{notes}\n{text}"))
}

fn peer(world: &World<'_>, record: &PeerRecord, notes: &mut Vec<String>) -> Result<PeerTable, Failure> {
    let profile = Profile::read(&record.cwd)?.or_else(|| record.to_profile());
    let name = &record.personality;
    let bad =
        || Failure::new(Exit::Config, format!("{name} has no profile that can be read: `iapeer verify` says why"));
    let profile = profile.ok_or_else(bad)?;
    let raw = &profile.raw;
    let text = |key: &str| raw.get(key).and_then(Value::as_str).map(str::to_owned);
    for runtime in &record.runtimes {
        if runtime != &record.default_runtime {
            notes.push(format!("{name} declares {runtime} too: `iapeer add-runtime {runtime} --peer {name}`"));
        }
        let own = paths::launch_env_path(&record.cwd, runtime);
        if own.exists() {
            notes.push(format!("{name} has variables of its own in {}", own.display()));
        }
    }
    if raw.get("interfaces").is_some_and(|value| !value.is_null()) {
        notes.push(format!(
            "{name} has interfaces in its profile, which no fleet file has: `iapeer connect` makes them"
        ));
    }
    let is_default = paths::real(&record.cwd) == paths::real(&world.paths.peer_dir(name));
    let usual = Intelligence::default_for(profile.default_runtime());
    let worktree = raw.get("worktree").and_then(|tree| {
        let part = |key: &str| tree.get(key).and_then(Value::as_str).map(str::to_owned);
        Some(WorktreeTable { repo: part("repo")?.into(), branch: part("branch")?, base: None })
    });
    let words = |key: &str| -> Option<Vec<String>> {
        let list: Vec<String> = raw.get(key)?.as_array()?.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        (!list.is_empty()).then_some(list)
    };
    let limits = profile.policy().limits();
    let amount = |text: Option<String>| text.map(Amount::Text);
    let limits = LimitsTable {
        memory_max: amount(limits.memory_max),
        memory_high: amount(limits.memory_high),
        tasks_max: amount(limits.tasks_max),
    };
    let is_limited = limits.memory_max.is_some() || limits.memory_high.is_some() || limits.tasks_max.is_some();
    let env = profile.policy().env();
    Ok(PeerTable {
        runtime: Some(profile.default_runtime().to_string()),
        description: Some(profile.description().to_owned()).filter(|text| !text.is_empty()),
        intelligence: (profile.intelligence() != usual).then(|| profile.intelligence().to_string()),
        role: compare::role(&record.cwd)?.map(RoleValue::Text),
        args: words("args"),
        folder: (!is_default).then(|| record.cwd.clone()),
        worktree,
        ephemeral: profile.policy().ephemeral().then_some(true),
        max_attempts: profile.policy().max_attempts(),
        limits: is_limited.then_some(limits),
        approvals: text("approvals"),
        imports: text("imports"),
        resume: text("resume"),
        after_limit: text("after_limit"),
        delivery: text("delivery"),
        limit_text: text("limit_text"),
        tags: words("tags"),
        initial_prompt: text("initial_prompt").filter(|text| !text.is_empty()),
        env: (!env.is_empty()).then_some(env),
        env_file: profile.policy().env_file(),
        renamed_from: None,
    })
}

fn one_schedule(world: &World<'_>, known: Scheduled) -> Result<(String, ScheduleTable), Failure> {
    let schedule = known.schedule;
    let mut table = ScheduleTable {
        to: schedule.to.clone(),
        topic: schedule.topic.as_ref().map(ToString::to_string),
        message: Some(schedule.text(world)?),
        pile: schedule.pile.then_some(true),
        ..ScheduleTable::default()
    };
    match schedule.trigger {
        ScheduleTrigger::OnCalendar(spec) => table.on_calendar = Some(spec),
        ScheduleTrigger::Every(seconds) => table.every = Some(format!("{seconds}s")),
        ScheduleTrigger::PathChanged(path) => table.path_changed = Some(path),
    }
    Ok((schedule.name.to_string(), table))
}
