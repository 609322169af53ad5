//! Accepting messages from another host, each one once, however often it is sent: a message is known where its id is in
//! the recipient's queue or history.
//!
//! The ids are read once for each recipient, and the ids of later messages are added. That is enough, since only one
//! program at a time takes messages from a host (`Arrivals::of` takes the lock).

use crate::base::address::{HostName, Origin};
use crate::base::evidence::Outcome;
use crate::base::exit::{Exit, Failure};
use crate::base::identity::{Identity, Intelligence, Topic};
use crate::base::message_id::MessageId;
use crate::delivery::accept::{refuse_recipient, refuse_unstartable, touch_kick};
use crate::delivery::addressee::Addressee;
use crate::mailbox::{afar, again, receipt};
use crate::message::limits;
use crate::store::history::Settlement;
use crate::store::lock::FileLock;
use crate::store::queue::{Errand, Item, Place, Receipt, Seq, nobody};
use crate::store::registry::{PeerRecord, Registry};
use crate::world::World;
use crate::world::peer::Peer;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// After this time a message of an identity is searched in its history again, where another one was not settled.
const SEARCH_AGAIN: Duration = Duration::from_secs(10);
/// Accepted messages are not left undelivered for longer than this, however many more come.
const UNDELIVERED: Duration = Duration::from_millis(100);
/// How far the clock of another host may differ from this one's for receipts to be repeated.
const CLOCKS_DIFFER: Duration = Duration::from_secs(86_400);

/// A message as it comes from another host.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    /// Its id.
    pub id: MessageId,
    /// Its number in that host's outbox, which its receipt names.
    pub seq: Seq,
    /// The recipient here: `NAME` or `RUNTIME-NAME`.
    pub to: String,
    /// The sender, a peer of that host.
    pub from: Identity,
    /// The sender's nature.
    pub from_intelligence: Intelligence,
    /// The topic.
    pub topic: Option<Topic>,
    /// The message that this one answers.
    pub re: Option<MessageId>,
    /// Whether the message is to steer a running turn.
    pub urgent: bool,
    /// The files that came with it, by their paths here.
    pub attachments: Vec<String>,
    /// Its text.
    pub body: String,
    /// Set where this is not a peer's message but a receipt, a probe or a request.
    pub errand: Option<Errand>,
}

/// The outcome of an arrival.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// The message is durable here.
    Accepted,
    /// The message was accepted before.
    Known,
    /// The message can't be accepted, now or later; the reason, for its sender.
    Refused(String),
}

/// The messages that come from one host. Dropping this starts the delivery of the accepted ones.
pub(crate) struct Arrivals<'w> {
    world: &'w World<'w>,
    host: HostName,
    known: BTreeMap<Identity, BTreeSet<MessageId>>,
    startable: BTreeSet<Identity>,
    /// Where a message was found not to be settled, and when, by the monotonic clock.
    unsettled: BTreeMap<Identity, Duration>,
    undelivered: BTreeSet<Identity>,
    /// Since when there are undelivered ones, by the monotonic clock.
    since: Duration,
    _alone: FileLock,
}

impl<'w> Arrivals<'w> {
    /// Begins to take messages from `host`; waits at most `patience` for another program that does so.
    pub(crate) fn of(world: &'w World<'w>, host: &HostName, patience: Duration) -> Result<Arrivals<'w>, Failure> {
        crate::base::paths::create_dirs(&world.paths.outbox_dir())?;
        let lock = world.outbox(host).receive_lock();
        let alone = FileLock::acquire(&lock, world.program, patience, world.clock)?;
        Ok(Arrivals {
            world,
            host: host.clone(),
            known: BTreeMap::new(),
            startable: BTreeSet::new(),
            unsettled: BTreeMap::new(),
            undelivered: BTreeSet::new(),
            since: Duration::ZERO,
            _alone: alone,
        })
    }

    /// Accepts `arrival` durably. An error is temporary: the arrival may be sent again.
    pub(crate) fn take(&mut self, arrival: Arrival) -> Result<Taken, Failure> {
        let taken = match &arrival.errand {
            Some(Errand::Receipt(receipt)) => {
                afar::settle(self.world, &self.world.outbox(&self.host), receipt).map(|()| Taken::Accepted)
            }
            Some(Errand::Probe) => self.landed(&arrival).map(|()| Taken::Accepted),
            // A request that can't be noted is repeated by that host, and holds up no message.
            Some(Errand::Again) => Ok(match again::want(self.world, &self.world.outbox(&self.host)) {
                Ok(_) => Taken::Accepted,
                Err(failure) => Taken::Refused(failure.to_string()),
            }),
            None => self.accept(arrival),
        };
        match taken {
            Err(failure) if passes(failure.exit) => Err(failure),
            Err(failure) => Ok(Taken::Refused(failure.to_string())),
            taken => taken,
        }
    }

    /// Whether the message `id` of this host to `to` has arrived. An error is temporary.
    pub(crate) fn has(&mut self, id: MessageId, to: &str) -> Result<bool, Failure> {
        let registry = Registry::read(self.world.paths)?;
        let peer = match Addressee::of(self.world, &registry, to, None, &Origin::afar(nobody(), self.host.clone())) {
            Ok(Addressee::Peer(peer)) => Some(peer),
            Err(failure) if passes(failure.exit) => return Err(failure),
            Ok(Addressee::Nobody(_) | Addressee::Afar(_)) | Err(_) => None,
        };
        Ok(self.holder(&registry, to, peer.as_deref(), id)?.is_some())
    }

    /// Starts the delivery of the messages that were accepted since the last call.
    pub(crate) fn start_drains(&mut self) {
        for identity in std::mem::take(&mut self.undelivered) {
            if !self.world.is_held(&identity) {
                self.world.kick(&identity);
            }
        }
    }

    fn accept(&mut self, arrival: Arrival) -> Result<Taken, Failure> {
        let world = self.world;
        let registry = Registry::read(world.paths)?;
        // A host sends only in the name of its own peers: whatever it says, the senders are peers of that host.
        let from = Origin::afar(arrival.from.clone(), self.host.clone());
        if arrival.to.contains('@') {
            let why = format!("{:?} is no peer of this host, and it passes nothing on", arrival.to);
            return Err(Failure::new(Exit::Usage, why));
        }
        let addressee = Addressee::of(world, &registry, &arrival.to, None, &from);
        let peer = match &addressee {
            Ok(Addressee::Peer(peer)) => Some(&**peer),
            _ => None,
        };
        if let Some(identity) = self.holder(&registry, &arrival.to, peer, arrival.id)? {
            if !self.repeat_receipt(&identity, &arrival)? {
                // The program that accepted it may have been killed before it started the delivery.
                self.deliver_soon(identity);
            }
            return Ok(Taken::Known);
        }
        let peer = match addressee? {
            Addressee::Peer(peer) => *peer,
            Addressee::Nobody(_) | Addressee::Afar(_) => return self.landed(&arrival).map(|()| Taken::Accepted),
        };
        limits::check_body(&arrival.body)?;
        limits::check_attachments(&arrival.attachments)?;
        let held = refuse_recipient(world, &peer, &from, false)?;
        if !self.startable.contains(&peer.identity) {
            refuse_unstartable(world, &peer, held)?;
            self.startable.insert(peer.identity.clone());
        }
        let item = Item {
            id: arrival.id,
            topic: arrival.topic,
            re: arrival.re,
            attachments: arrival.attachments,
            urgent: arrival.urgent,
            far_seq: Some(arrival.seq),
            ..Item::new(from, arrival.from_intelligence, arrival.body, world.now())
        };
        world.queue(&peer.identity).accept(&item, world.clock)?;
        touch_kick(world);
        self.known.entry(peer.identity.clone()).or_default().insert(item.id);
        self.deliver_soon(peer.identity);
        Ok(Taken::Accepted)
    }

    fn deliver_soon(&mut self, identity: Identity) {
        let now = self.world.clock.monotonic();
        if self.undelivered.is_empty() {
            self.since = now;
        }
        self.undelivered.insert(identity);
        if now.saturating_sub(self.since) >= UNDELIVERED {
            self.start_drains();
        }
    }

    /// Which identity has, or had, the message `id` to `to`, which names `peer` now: one of `peer`, or of a peer that had
    /// that name before it was renamed.
    fn holder(
        &mut self,
        registry: &Registry,
        to: &str,
        peer: Option<&Peer>,
        id: MessageId,
    ) -> Result<Option<Identity>, Failure> {
        let was_named_so =
            |record: &&PeerRecord| record.formerly.as_ref().is_some_and(|old| to.ends_with(old.as_str()));
        let now = peer.map(|peer| &peer.record);
        for record in now.into_iter().chain(registry.peers().iter().filter(was_named_so)) {
            for runtime in &record.runtimes {
                let identity = Identity::new(runtime.clone(), record.personality.clone());
                if !self.known.contains_key(&identity) {
                    let ids = ids_of(self.world, &identity)?;
                    self.known.insert(identity.clone(), ids);
                }
                if self.known.get(&identity).is_some_and(|ids| ids.contains(&id)) {
                    return Ok(Some(identity));
                }
            }
        }
        Ok(None)
    }

    /// Writes the receipt of a known message again, if it is settled: the first receipt may not have arrived. A receipt
    /// that arrives twice counts once. Returns whether the message is settled.
    fn repeat_receipt(&mut self, identity: &Identity, arrival: &Arrival) -> Result<bool, Failure> {
        let now = self.world.clock.monotonic();
        // A search for a message that is not settled reads a day of the history, and those behind it in the queue are
        // not settled either.
        if self.unsettled.get(identity).is_some_and(|at| now.saturating_sub(*at) < SEARCH_AGAIN) {
            return Ok(false);
        }
        let oldest = arrival.id.made().minus(CLOCKS_DIFFER);
        let Some(line) = self.world.history(identity).find(arrival.id, oldest)? else {
            self.unsettled.insert(identity.clone(), now);
            return Ok(false);
        };
        let Settlement { outcome, landed, reason, .. } = line;
        if matches!(outcome, Outcome::Delivered | Outcome::Dead) {
            let receipt = Receipt { about: arrival.id, seq: arrival.seq, outcome, landed, reason };
            receipt::put(self.world, &self.host, &receipt)?;
        }
        Ok(true)
    }

    /// Writes the receipt of an arrival that is delivered to no peer.
    fn landed(&self, arrival: &Arrival) -> Result<(), Failure> {
        let outcome = Outcome::Delivered;
        let receipt = Receipt { about: arrival.id, seq: arrival.seq, outcome, landed: None, reason: None };
        receipt::put(self.world, &self.host, &receipt)
    }
}

impl Drop for Arrivals<'_> {
    fn drop(&mut self) {
        self.start_drains();
    }
}

/// The ids of all messages that `identity` has or had. The queue is read before the history, since a message gets its
/// line there before it leaves the queue, and the waiting ones twice, since an item may move back to them meanwhile.
fn ids_of(world: &World<'_>, identity: &Identity) -> Result<BTreeSet<MessageId>, Failure> {
    let queue = world.queue(identity);
    let mut ids = BTreeSet::new();
    for place in [Place::Waiting, Place::Inflight, Place::Waiting, Place::Dead, Place::Corrupt] {
        for seq in queue.list(place)? {
            ids.extend(queue.peek(place, seq).map(|item| item.id));
        }
    }
    ids.extend(world.history(identity).ids()?);
    Ok(ids)
}

/// Whether the next try may succeed after this failure.
fn passes(exit: Exit) -> bool {
    matches!(exit, Exit::Io | Exit::CantCreate | Exit::TryAgain | Exit::Internal | Exit::NoPerm)
}
