//! The recipient of an accepted message, and the queue in which the message waits.

use crate::base::address::{Address, Contact};
use crate::store::history::History;
use crate::store::queue::Queue;
use crate::world::World;
use crate::world::peer::Peer;
use std::fmt;

/// The recipient of an accepted message.
#[derive(Debug, Clone)]
pub enum Recipient {
    /// A peer of this host.
    Here(Box<Peer>),
    /// A peer of another host.
    Afar(Address),
}

impl Recipient {
    /// The queue that the message is in.
    pub(crate) fn queue(&self, world: &World<'_>) -> Queue {
        match self {
            Recipient::Here(peer) => world.queue(&peer.identity),
            Recipient::Afar(address) => world.outbox(address.host()).queue,
        }
    }

    /// The history that tells what became of the message.
    pub(crate) fn history(&self, world: &World<'_>) -> History {
        match self {
            Recipient::Here(peer) => world.history(&peer.identity),
            Recipient::Afar(address) => world.outbox(address.host()).history,
        }
    }

    /// The recipient as `NAME` or `NAME@HOST`. `None`: an address whose name is too long for this.
    pub(crate) fn contact(&self) -> Option<Contact> {
        match self {
            Recipient::Here(peer) => Some(peer.identity.personality().clone().into()),
            Recipient::Afar(address) => address.to_string().parse().ok(),
        }
    }
}

/// The identity, or the address.
impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Recipient::Here(peer) => peer.identity.fmt(f),
            Recipient::Afar(address) => address.fmt(f),
        }
    }
}
