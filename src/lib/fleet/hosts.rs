//! The other hosts of a fleet file, and how this host's settings for them differ.

use crate::base::HostName;
use crate::base::exit::Failure;
use crate::fleet::error::FleetError;
use crate::fleet::reading::Reading;
use crate::fleet::step::{FieldChange, FleetAction, FleetKind, FleetStep, FleetWork};
use crate::fleet::table::HostTable;
use crate::store::hosts::{self, HostFile, SshHost};
use crate::world::World;
use std::collections::BTreeMap;

/// Another host, as a fleet file describes it.
#[derive(Debug, Clone)]
pub(crate) struct FleetHost {
    pub(crate) name: HostName,
    ssh: SshHost,
}

pub(crate) fn read_all(
    reading: Reading<'_>,
    tables: &BTreeMap<String, HostTable>,
) -> Result<Vec<FleetHost>, FleetError> {
    tables.iter().map(|(name, table)| read(reading, name, table)).collect()
}

fn read(reading: Reading<'_>, name: &str, table: &HostTable) -> Result<FleetHost, FleetError> {
    let wrong = |key: &str, why: String| reading.wrong(&["hosts", name, key], why);
    let host: HostName = name.parse().map_err(|error| wrong("", format!("{error}")))?;
    let own = hosts::own_name(reading.world.paths).map_err(|failure| wrong("", failure.message))?;
    if host == own {
        return Err(wrong("", format!("this host is called {host} itself")));
    }
    let HostTable { destination, options, root, program, keep_secs, fetch } = table.clone();
    if destination.as_ref().is_some_and(|text| text.starts_with('-') || text.trim().is_empty()) {
        return Err(wrong("destination", "give user@machine, as ssh takes it".into()));
    }
    if destination.iter().chain(&options).any(|word| word.chars().any(char::is_control)) {
        return Err(wrong("", "a word for ssh holds a control character".into()));
    }
    Ok(FleetHost { name: host, ssh: SshHost { destination, options, root, program, keep_secs, fetch } })
}

/// The steps that register the hosts of the file. A registered host that the file does not have stays registered.
pub(crate) fn plan(world: &World<'_>, wanted: &[FleetHost]) -> Result<Vec<FleetStep>, Failure> {
    wanted.iter().map(|host| one(world, host)).collect()
}

fn one(world: &World<'_>, wanted: &FleetHost) -> Result<FleetStep, Failure> {
    let name = &wanted.name;
    let file = HostFile::Ssh(wanted.ssh.clone());
    let known = HostFile::read(world.paths, name)?;
    let work = |file| FleetWork::Host(name.clone(), Box::new(file));
    let step = |action, work| FleetStep::new(FleetKind::Host, action, name, work);
    Ok(match known {
        Some(known) if known == file => step(FleetAction::Leave, FleetWork::Nothing),
        Some(known) => step(FleetAction::Change, work(file.clone())).with(differences(&known, &file)),
        None => step(FleetAction::Create, work(file)),
    })
}

/// The keys in which two hosts' files differ.
fn differences(known: &HostFile, wanted: &HostFile) -> Vec<FieldChange> {
    let map = |file: &HostFile| serde_json::to_value(file).ok().and_then(|value| value.as_object().cloned());
    let (known, wanted) = (map(known).unwrap_or_default(), map(wanted).unwrap_or_default());
    let text = |value: Option<&serde_json::Value>| value.filter(|value| !value.is_null()).map(ToString::to_string);
    let mut keys: Vec<&String> = known.keys().chain(wanted.keys()).collect();
    keys.sort();
    keys.dedup();
    let each = keys.into_iter().map(|key| FieldChange::new(key, text(known.get(key)), text(wanted.get(key))));
    each.filter(|field| field.from != field.to).collect()
}

/// The registered hosts that are reached by ssh, as a fleet file describes them.
pub(crate) fn export(world: &World<'_>) -> Result<BTreeMap<String, HostTable>, Failure> {
    let mut tables = BTreeMap::new();
    for name in hosts::known_hosts(world.paths)? {
        if let Some(HostFile::Ssh(ssh)) = HostFile::read(world.paths, &name)? {
            let SshHost { destination, options, root, program, keep_secs, fetch } = ssh;
            tables.insert(name.to_string(), HostTable { destination, options, root, program, keep_secs, fetch });
        }
    }
    Ok(tables)
}
