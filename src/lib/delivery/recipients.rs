//! The recipients of a message: peers by name, `@all` (every agent), `@TAG` (every peer with that tag).

use crate::base::exit::{Exit, Failure};
use crate::base::identity::{Intelligence, Personality};
use crate::delivery::addressee::Addressee;
use crate::delivery::sender::Sender;
use crate::store::profile::Profile;
use crate::store::profile_update::Tag;
use crate::store::queue::nobody;
use crate::store::registry::{PeerRecord, Registry};
use crate::world::World;
use crate::world::peer::split_name;

/// The recipients that `given` names, each once, in that order. A group does not include the sender; a group without
/// other members is refused (67).
pub fn resolve(world: &World<'_>, given: Vec<String>, from: Option<&str>) -> Result<Vec<String>, Failure> {
    // Nearly every message has one recipient: for that case nothing is read twice.
    if given.len() == 1 && !given[0].starts_with('@') {
        return Ok(given);
    }
    let registry = Registry::read(world.paths)?;
    let (mut names, mut seen) = (Vec::new(), Vec::new());
    for text in given {
        let members = match text.strip_prefix('@') {
            Some(group) => {
                let sender = Sender::find(world.paths, &registry, from)?;
                members(&registry, group, sender.identity.personality())?
            }
            None => vec![text],
        };
        for name in members {
            // A misspelled name is refused when the message is accepted.
            let means = split_name(&registry, &name, None).ok();
            if means.is_none() || !seen.contains(&means) {
                seen.push(means);
                names.push(name);
            }
        }
    }
    Ok(names)
}

/// Whether `to` names a group. A group without members counts too: it may have some when the message is sent.
pub(crate) fn is_group(to: &str) -> bool {
    to.strip_prefix('@').is_some_and(|group| group == "all" || group.parse::<Tag>().is_ok())
}

/// Refuses what can't be sent to now: neither a group, nor a peer of this host, nor on a known host.
pub fn check(world: &World<'_>, registry: &Registry, to: &str) -> Result<(), Failure> {
    if is_group(to) { Ok(()) } else { Addressee::of(world, registry, to, None, &nobody().into()).map(drop) }
}

fn members(registry: &Registry, group: &str, sender: &Personality) -> Result<Vec<String>, Failure> {
    let has_tag = |record: &&PeerRecord| {
        let profile = Profile::read(&record.cwd).ok().flatten();
        profile.is_some_and(|profile| profile.tags().contains(&group))
    };
    let is_agent = |record: &&PeerRecord| record.intelligence == Intelligence::Artificial;
    let peers =
        registry.peers().iter().filter(|record| if group == "all" { is_agent(record) } else { has_tag(record) });
    let names: Vec<String> =
        peers.map(|record| &record.personality).filter(|name| *name != sender).map(ToString::to_string).collect();
    if names.is_empty() {
        let todo = match group {
            "all" => "there is no agent but you".to_owned(),
            _ => format!("`iapeer tag NAME add {group}` gives somebody that tag"),
        };
        return Err(Failure::new(Exit::NoPeer, format!("@{group} is nobody: {todo}")));
    }
    Ok(names)
}
