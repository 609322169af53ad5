//! `iapeer names KIND`: the peers, tags, runtimes or message ids of this host, for the shells' completion scripts. The verb
//! is hidden from the help, since only scripts need it.

use crate::base::exit::Failure;
use crate::cli;
use crate::operator::history::{self, HistoryFilter};
use crate::runtime::manifest::built_in;
use crate::store::hosts::known_hosts;
use crate::store::profile::Profile;
use crate::store::registry::Registry;
use crate::world::World;
use clap::{Arg, ValueEnum};
use std::collections::BTreeSet;

/// How many of the newest messages are offered.
const NEWEST: usize = 200;

/// What is completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Names {
    /// Names of peers.
    Peers,
    /// The same, with groups.
    Recipients,
    /// Runtimes.
    Runtimes,
    /// Ids of messages.
    Ids,
    /// Tags.
    Tags,
    /// Other hosts.
    Hosts,
}

impl Names {
    /// The kind of names that an argument takes, by the name of its value in the help.
    pub(crate) fn wanted_by(verb: &str, argument: &Arg) -> Option<Names> {
        // These verbs take a new name, which can't be completed.
        if ["create", "rename", "schedule"].contains(&verb) && argument.get_id() != "old" && argument.is_positional() {
            return None;
        }
        match argument.get_value_names()?.first()?.as_str() {
            "PEER" if argument.get_id() == "to" => Some(Names::Recipients),
            "PEER" | "PERSON" | "P" | "NAME" | "IDENTITY" | "OLD" => Some(Names::Peers),
            "RT" => Some(Names::Runtimes),
            "ID" => Some(Names::Ids),
            "TAG" => Some(Names::Tags),
            "HOST" => Some(Names::Hosts),
            _ => None,
        }
    }

    /// The kind as `iapeer names` takes it.
    pub(crate) fn word(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// Prints the names of these kinds, one per line.
pub(crate) fn print(world: &World<'_>, kinds: &[Names]) -> Result<(), Failure> {
    let mut names = BTreeSet::new();
    for kind in kinds {
        names.extend(of_kind(world, *kind)?);
    }
    names.iter().for_each(cli::say);
    Ok(())
}

fn of_kind(world: &World<'_>, kind: Names) -> Result<BTreeSet<String>, Failure> {
    let registry = Registry::read(world.paths)?;
    let peers = || registry.peers().iter().map(|record| record.personality.to_string());
    let tags = || {
        let profiles = registry.peers().iter().filter_map(|record| Profile::read(&record.cwd).ok().flatten());
        profiles.flat_map(|profile| profile.tags().into_iter().map(str::to_owned).collect::<Vec<_>>())
    };
    Ok(match kind {
        Names::Peers => peers().collect(),
        Names::Recipients => {
            let groups = tags().chain(["all".to_owned()]).map(|tag| format!("@{tag}"));
            peers().chain(groups).collect()
        }
        Names::Tags => tags().collect(),
        Names::Hosts => known_hosts(world.paths)?.iter().map(ToString::to_string).collect(),
        Names::Runtimes => {
            let declared = registry.peers().iter().flat_map(|record| &record.runtimes).map(ToString::to_string);
            declared.chain(built_in().map(str::to_owned)).collect()
        }
        Names::Ids => {
            let all = HistoryFilter { between: Vec::new(), since: None, grep: None, thread: None };
            let said = history::read(world, &all)?;
            said.iter().rev().take(NEWEST).map(|message| message.id.to_string()).collect()
        }
    })
}
