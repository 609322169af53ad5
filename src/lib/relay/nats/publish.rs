//! Publishes the messages of the outboxes to the stream, one after the other: the next one is sent when the stream has
//! acknowledged the one before, so that their order is kept.

use crate::base::HostName;
use crate::base::exit::Failure;
use crate::base::message_id::MessageId;
use crate::mailbox::afar::{self, Outgoing};
use crate::mailbox::again;
use crate::relay::error::RelayError;
use crate::relay::files;
use crate::relay::give;
use crate::relay::nats::connect::Connection;
use crate::relay::nats::streams;
use crate::relay::wire::{FilePart, Parcel, Predecessor, WireLine};
use crate::store::hosts::{self, HostFile};
use crate::store::lock::FileLock;
use crate::store::outbox::Outbox;
use crate::store::queue::{Item, Place, Seq};
use crate::world::World;
use async_nats::jetstream::message::PublishMessage;
use std::collections::BTreeMap;
use std::time::Duration;

/// How many messages are published to one host before it is another host's turn.
const TURN: usize = 256;

/// What this program has published, by hosts.
pub(crate) type AllSeries = BTreeMap<HostName, Series>;

/// What was published to one host since everything without a receipt was published last.
pub(crate) struct Series {
    /// The request by which it began, or a new id where this program has begun it.
    id: MessageId,
    last: Last,
}

/// The last message that was published.
enum Last {
    /// By an earlier program.
    Unknown,
    /// There is none.
    None,
    Message(Seq, MessageId, String),
}

/// Publishes the messages that wait for each host that is reached by NATS. Where the server does not take a host's
/// messages, this is noted and the other hosts are still served. `is_new`: the connection is new, so that messages that
/// failed over an earlier connection are tried again at once.
pub(crate) async fn all(
    world: &World<'_>,
    own: &HostName,
    at: &Connection,
    series: &mut AllSeries,
    mut is_new: bool,
) -> Result<(), Failure> {
    // The hosts take turns: one for which much is published keeps no other one waiting for long.
    while turns(world, own, at, series, is_new).await? {
        is_new = false;
    }
    Ok(())
}

/// One turn of each host. Returns whether any has more.
async fn turns(
    world: &World<'_>,
    own: &HostName,
    at: &Connection,
    series: &mut AllSeries,
    is_new: bool,
) -> Result<bool, Failure> {
    let mut is_more = false;
    for host in hosts::on_nats(world.paths)? {
        let outbox = &world.outbox(&host);
        let nothing_waits = || outbox.queue.list(Place::Waiting).is_ok_and(|waiting| waiting.is_empty());
        if !(is_new || outbox.is_due(world.now())) || (nothing_waits() && !outbox.again().exists()) {
            continue;
        }
        // Another program has this lock only where the host's file is being changed from ssh to NATS, or back.
        let Ok(_lock) = FileLock::acquire(&outbox.lock(), world.program, Duration::ZERO, world.clock) else { continue };
        if !matches!(HostFile::read(world.paths, &host), Ok(Some(HostFile::Nats))) {
            continue;
        }
        let begun = || Series { id: MessageId::generate(world.now()), last: Last::Unknown };
        let series = series.entry(host).or_insert_with(begun);
        match (Publisher { world, own, at, outbox, series, left: TURN }).turn().await {
            Ok(has_more) => {
                is_more |= has_more;
                outbox.note_back();
            }
            // Also what fails on this host for the messages to one host keeps no other one waiting.
            Err(error) => {
                outbox.note_away(world.now(), &error.to_string());
            }
        }
    }
    Ok(is_more)
}

/// Publishes the messages to one host.
struct Publisher<'a> {
    world: &'a World<'a>,
    own: &'a HostName,
    at: &'a Connection,
    outbox: &'a Outbox,
    series: &'a mut Series,
    /// How many messages may still be published in this turn.
    left: usize,
}

impl Publisher<'_> {
    /// Publishes up to [`TURN`] messages. Returns whether there are more.
    async fn turn(&mut self) -> Result<bool, RelayError> {
        while self.left > 0 {
            if let Some(request) = again::wanted(self.world, self.outbox)? {
                self.again(request).await?;
                continue;
            }
            let waiting = self.list(Place::Waiting)?;
            if waiting.is_empty() {
                return Ok(false);
            }
            for seq in waiting {
                if self.left == 0 || self.outbox.again().exists() {
                    break;
                }
                self.left -= 1;
                if let Some(item) = self.read(Place::Waiting, seq)? {
                    self.hand_over(seq, item).await?;
                }
            }
        }
        Ok(true)
    }

    /// Publishes again what was handed over and has no receipt yet; goes on with that where an earlier turn has ended. The
    /// host accepts each message once, and repeats the receipts of the settled ones. A newer request ends this.
    async fn again(&mut self, request: MessageId) -> Result<(), RelayError> {
        if self.series.id != request {
            *self.series = Series { id: request, last: Last::None };
        }
        let done = match self.series.last {
            Last::Message(seq, ..) => Some(seq),
            _ => None,
        };
        for seq in self.list(Place::Inflight)?.into_iter().filter(|seq| Some(*seq) > done) {
            if self.left == 0 || again::wanted(self.world, self.outbox)? != Some(request) {
                return Ok(());
            }
            self.left -= 1;
            let read = self.read(Place::Inflight, seq)?;
            let Some(item) = read.filter(|item| item.notice.is_none()) else { continue };
            match self.publish(seq, &item).await? {
                Ok(()) => self.note_last(seq, &item),
                Err(why) => tracing::warn!("@{}: {} is not sent again: {why}", self.outbox.host, item.id),
            }
        }
        Ok(again::done(self.world, self.outbox, request)?)
    }

    async fn hand_over(&mut self, seq: Seq, item: Item) -> Result<(), RelayError> {
        let (world, outbox) = (self.world, self.outbox);
        let come_back = |item: Item, reason: String| {
            afar::bury(world, outbox, Outgoing { place: Place::Waiting, seq, item }, &reason).map_err(RelayError::Here)
        };
        // An interrupted move to dead/ is completed.
        if let Some(reason) = item.reason.clone().filter(|_| item.notice.is_some()) {
            return come_back(item, reason);
        }
        match self.publish(seq, &item).await? {
            Ok(()) => {
                afar::handed_over(world, outbox, seq, &item)?;
                self.note_last(seq, &item);
                Ok(())
            }
            Err(why) => come_back(item, why),
        }
    }

    /// Publishes an item, after its files. The inner error: why a file can't be sent.
    async fn publish(&mut self, seq: Seq, item: &Item) -> Result<Result<(), String>, RelayError> {
        // The server drops what was published in the last two minutes under the same id. A message that was requeued has
        // another number, and in another series the host may have dropped what it was sent in this one.
        let message_id = format!("{}.{}.{}", item.id, seq.0, self.series.id);
        let mut parts: Vec<FilePart> = Vec::new();
        let heads = files::read(item, |part| {
            parts.push(part);
            Ok::<(), Failure>(())
        })?;
        let heads = match heads {
            Ok(heads) => heads,
            Err(why) => return Ok(Err(why)),
        };
        for part in parts {
            let id = format!("{message_id}.{}.{}", part.file, part.offset);
            self.send(&id, &WireLine::Part(part)).await?;
        }
        let after = self.predecessor(item)?;
        let parcel = Parcel { files: heads, series: Some(self.series.id), after, ..give::parcel(seq, item) };
        self.send(&message_id, &WireLine::Message(Box::new(parcel))).await?;
        Ok(Ok(()))
    }

    fn note_last(&mut self, seq: Seq, item: &Item) {
        if item.errand.is_none() {
            self.series.last = Last::Message(seq, item.id, give::recipient(item));
        }
    }

    /// The message that was published before `item`, if it is not settled yet. Where it is settled, all before it have
    /// arrived, unless their host has given them up.
    fn predecessor(&mut self, item: &Item) -> Result<Option<Predecessor>, Failure> {
        let queue = &self.outbox.queue;
        if item.errand.is_some() {
            return Ok(None);
        }
        if matches!(self.series.last, Last::Unknown) {
            let message = |seq: &Seq| queue.peek(Place::Inflight, *seq).filter(|item| item.errand.is_none());
            let last = self.list(Place::Inflight)?.iter().rev().find_map(|seq| Some((*seq, message(seq)?)));
            self.series.last =
                last.map_or(Last::None, |(seq, item)| Last::Message(seq, item.id, give::recipient(&item)));
        }
        let Last::Message(seq, id, to) = &self.series.last else { return Ok(None) };
        let is_on_its_way = queue.peek(Place::Inflight, *seq).is_some_and(|item| item.id == *id);
        Ok(is_on_its_way.then(|| Predecessor { id: *id, to: to.clone() }))
    }

    fn list(&self, place: Place) -> Result<Vec<Seq>, Failure> {
        Ok(self.outbox.queue.list(place)?)
    }

    fn read(&self, place: Place, seq: Seq) -> Result<Option<Item>, Failure> {
        Ok(self.outbox.queue.read(place, seq)?)
    }

    async fn send(&self, message_id: &str, line: &WireLine) -> Result<(), RelayError> {
        let text = serde_json::to_vec(line).map_err(|error| self.at.complaint.about(&error))?;
        let message = PublishMessage::build().payload(text.into()).message_id(message_id);
        let sent = self.at.context.send_publish(streams::subject(self.own, &self.outbox.host), message).await;
        let acknowledged = match sent {
            Ok(acknowledged) => acknowledged.await,
            Err(error) => Err(error),
        };
        acknowledged.map(drop).map_err(|error| {
            use std::error::Error;
            let below = error.source().map(|below| format!(": {below}")).unwrap_or_default();
            self.at.complaint.about(&format!("the stream did not take a message: {error}{below}"))
        })
    }
}
