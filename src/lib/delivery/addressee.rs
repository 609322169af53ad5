//! To whom a message goes. What answers a notice of iapeer's own or a schedule, which are no peers, goes to the owner of
//! this host.

use crate::base::exit::Failure;
use crate::base::identity::{Identity, Runtime};
use crate::delivery::sender::{self, Sender};
use crate::people::owner;
use crate::store::queue::nobody;
use crate::store::registry::Registry;
use crate::world::World;
use crate::world::peer::Peer;

/// To whom a message goes.
#[derive(Debug)]
pub(crate) enum Addressee {
    /// To this peer.
    Peer(Box<Peer>),
    /// It answers what this one sent, which is no peer, and there is no owner who could be given the answer.
    Nobody(Identity),
}

impl Addressee {
    /// Whom `to` names, on `runtime` where that is given, for a message of `sender`.
    pub(crate) fn of(
        world: &World<'_>,
        registry: &Registry,
        to: &str,
        runtime: Option<&Runtime>,
        sender: &Sender,
    ) -> Result<Addressee, Failure> {
        let Some(answered) = no_peer(world, registry, to) else {
            let peer = Peer::named_in(world.paths, registry, to, runtime)?;
            return Ok(Addressee::Peer(Box::new(peer)));
        };
        let owner = owner::owner(world.paths)?.filter(|owner| registry.get(owner).is_some());
        // The owner has nobody else to give it to.
        match owner.filter(|owner| owner != sender.identity.personality()) {
            Some(owner) => Ok(Addressee::Peer(Box::new(Peer::named_in(world.paths, registry, owner.as_str(), None)?))),
            None => Ok(Addressee::Nobody(answered)),
        }
    }
}

/// The identity that `text` names where that is one under which iapeer itself sends.
fn no_peer(world: &World<'_>, registry: &Registry, text: &str) -> Option<Identity> {
    let notices = nobody();
    let is_notice = text == notices.as_str() || text == notices.personality().as_str();
    // A peer of that name, of before it was reserved, is a peer.
    if is_notice && registry.get(notices.personality()).is_none() {
        return Some(notices);
    }
    sender::schedule_of(world.paths, registry, text)
}
