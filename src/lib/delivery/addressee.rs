//! The recipient of a message. An answer to a notice of iapeer's own or to a schedule, neither of which is a peer, goes
//! to the owner of this host.

use crate::base::address::{Address, HostName, Origin};
use crate::base::exit::{Exit, Failure};
use crate::base::identity::{Identity, Runtime};
use crate::delivery::sender;
use crate::people::owner;
use crate::store::hosts::{self, HostFile};
use crate::store::queue::nobody;
use crate::store::registry::Registry;
use crate::world::World;
use crate::world::peer::Peer;

/// The recipient of a message.
#[derive(Debug)]
pub(crate) enum Addressee {
    /// This peer.
    Peer(Box<Peer>),
    /// A peer on another host, which is registered.
    Afar(Address),
    /// No recipient: the message answers one of this identity, which is not a peer, and this host has no owner but the
    /// sender.
    Nobody(Identity),
}

impl Addressee {
    /// The recipient that `to` names, on `runtime` where one is given, for a message of `from`.
    pub(crate) fn of(
        world: &World<'_>,
        registry: &Registry,
        to: &str,
        runtime: Option<&Runtime>,
        from: &Origin,
    ) -> Result<Addressee, Failure> {
        if let Some((name, host)) = to.split_once('@') {
            let bad = |error: &dyn std::fmt::Display| Failure::new(Exit::Usage, error.to_string());
            let host: HostName = host.parse().map_err(|error| bad(&error))?;
            // A message for a peer of this very host does not go through another host.
            if host == hosts::own_name(world.paths)? {
                return Addressee::of(world, registry, name, runtime, from);
            }
            let name = runtime.map_or_else(|| name.to_owned(), |runtime| format!("{runtime}-{name}"));
            let address = Address::new(&name, host).map_err(|error| bad(&error))?;
            HostFile::known(world.paths, address.host())?;
            return Ok(Addressee::Afar(address));
        }
        let Some(answered) = no_peer(world, registry, to) else {
            let peer = Peer::named_in(world.paths, registry, to, runtime)?;
            return Ok(Addressee::Peer(Box::new(peer)));
        };
        let owner = owner::owner(world.paths)?.filter(|owner| registry.get(owner).is_some());
        // The owner's own answer can't be passed on to anybody else.
        match owner.filter(|owner| from.here().is_none_or(|from| owner != from.personality())) {
            Some(owner) => Ok(Addressee::Peer(Box::new(Peer::named_in(world.paths, registry, owner.as_str(), None)?))),
            None => Ok(Addressee::Nobody(answered)),
        }
    }
}

/// The identity that `text` names, where it is one under which iapeer itself sends.
fn no_peer(world: &World<'_>, registry: &Registry, text: &str) -> Option<Identity> {
    let notices = nobody();
    let is_notice = text == notices.as_str() || text == notices.personality().as_str();
    // A peer that got the name before the name was reserved is a peer.
    if is_notice && registry.get(notices.personality()).is_none() {
        return Some(notices);
    }
    sender::schedule_of(world.paths, registry, text)
}
