//! The list of this host's peers that other hosts get.

use crate::base::exit::Failure;
use crate::operator::list;
use crate::relay::wire::PeerThere;
use crate::world::World;

/// The peers of this host.
pub(crate) fn peers(world: &World<'_>) -> Result<Vec<PeerThere>, Failure> {
    let there = |peer: list::Listed| PeerThere {
        name: peer.personality.to_string(),
        runtime: peer.default_runtime.to_string(),
        intelligence: peer.intelligence,
        state: peer.state.to_string(),
        description: peer.description,
    };
    Ok(list::peers(world)?.into_iter().map(there).collect())
}
