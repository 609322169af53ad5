//! The queue as seen by a bridge: a program that takes messages out of the queue itself, one after the other, and
//! settles each when the service behind it has taken the message. The identity's lock is held while the queue is read
//! and changed, not while a message is being sent, which may take as long as the network needs.

use crate::base::evidence::{Evidence, Landed};
use crate::base::exit::Failure;
use crate::base::hold::Hold;
use crate::base::{Liveness, Marker};
use crate::delivery::warm::WarmRound;
use crate::mailbox::ledger::{Entry, Ledger, TryOutcome};
use crate::people::Inbox;
use crate::people::asks::Asks;
use crate::session::bring_up::{self, Call};
use crate::store::queue::{Item, Place, Queue};
use crate::store::session_record::SessionRecord;
use crate::world::World;
use crate::world::peer::Peer;
use std::time::Duration;

/// How long the bridge waits for another program that holds the identity's lock.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the queue has for the bridge.
pub(crate) enum Head {
    /// The next message to send.
    Message(Box<Entry>),
    /// Only an answer waits, which its asker will take itself.
    Awaited,
    /// Nothing waits.
    Empty,
}

/// The result of sending a message.
pub(crate) enum Sent {
    /// The service has taken the whole message.
    Taken,
    /// The message could not be sent, and not by its own fault: it waits, and no try is counted.
    Held(Hold, String),
    /// The service refuses this message.
    Refused(String),
}

/// One round of a drain: starts the bridge where a message waits and the bridge's session is not alive. The messages
/// stay in the queue for the bridge.
pub(crate) fn round(ledger: &mut Ledger<'_>) -> Result<WarmRound, Failure> {
    let (world, peer) = (ledger.world, ledger.peer);
    if world.markers(&peer.identity).has(Marker::Stopped)? {
        return Ok(WarmRound::Stuck);
    }
    let record = SessionRecord::peek(world.paths, &peer.identity);
    let lives = record.is_some() && world.host.liveness(&peer.identity, record.as_ref()) == Liveness::Alive;
    if let Some(entry) = ledger.head()?.filter(|_| !lives)
        && let Err(not_up) = bring_up::bring_up(world, peer, Call::default())
    {
        let why = not_up.failure.to_string();
        match not_up.hold {
            Some(hold) => drop(ledger.hold(entry, None, TryOutcome::Queued, hold, &why)?),
            None if not_up.tried => drop(ledger.give_back(entry, &why)?),
            None => ledger.put_off(entry, None, TryOutcome::Queued, &why)?,
        }
    }
    Ok(WarmRound::Stuck)
}

/// The first message to send.
pub(crate) fn head(world: &World<'_>, peer: &Peer, queue: &Queue) -> Result<Head, Failure> {
    if !queue.has_waiting()? && queue.list(Place::Inflight)?.is_empty() {
        return Ok(Head::Empty);
    }
    let _lock = world.lock_to_deliver(&peer.identity, PATIENCE)?;
    let mut ledger = Ledger::new(world, peer, queue);
    let asks = Asks::of(world, peer.identity.personality());
    let mut head = Head::Empty;
    for place in [Place::Inflight, Place::Waiting] {
        for seq in queue.list(place)? {
            let Some(item) = queue.read(place, seq)? else { continue };
            let entry = Entry { place, seq, item };
            if ledger.finish_burial(&entry)? || ledger.drop_duplicate(&entry)? || ledger.finish_settling(&entry)? {
                continue;
            }
            if asks.answered_by(&entry.item).is_none() {
                return Ok(Head::Message(Box::new(entry)));
            }
            head = Head::Awaited;
        }
    }
    Ok(head)
}

/// Settles, holds or gives back `entry`, as `sent` says; does nothing where the message has left the queue meanwhile. A
/// message that was sent is also filed among the messages that the person has read.
pub(crate) fn conclude(world: &World<'_>, peer: &Peer, queue: &Queue, entry: Entry, sent: Sent) -> Result<(), Failure> {
    let _lock = world.lock_to_deliver(&peer.identity, PATIENCE)?;
    let same = |item: &Item| item.id == entry.item.id;
    let Some(item) = queue.read(entry.place, entry.seq)?.filter(same) else { return Ok(()) };
    let entry = Entry { item, ..entry };
    let mut ledger = Ledger::new(world, peer, queue);
    match sent {
        Sent::Taken => {
            // A failure to file is ignored: it must not cause the message to be sent a second time.
            if let Err(failure) = Inbox::of(peer.cwd()).file_read(&entry.item) {
                tracing::warn!("{}: {} is not in the inbox: {failure}", peer.identity, entry.item.id);
            }
            let landed = Landed { evidence: Evidence::Api, forced: false, mode: None, cause: None };
            ledger.settle(entry, landed)
        }
        Sent::Held(why, reason) => ledger.hold(entry, None, TryOutcome::Queued, why, &reason).map(drop),
        Sent::Refused(reason) => ledger.give_back(entry, &reason).map(drop),
    }
}
