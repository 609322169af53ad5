//! Takes messages from the stream into the queues of peers: each is acknowledged once it is durable on this host, or once
//! its host is asked to publish it again.

use crate::base::HostName;
use crate::base::evidence::Outcome;
use crate::base::exit::Failure;
use crate::base::message_id::MessageId;
use crate::mailbox::receipt;
use crate::relay::error::RelayError;
use crate::relay::nats::connect::Connection;
use crate::relay::nats::gap::Gaps;
use crate::relay::nats::streams;
use crate::relay::take::Taker;
use crate::relay::wire::{Ack, AckOutcome, Parcel, Predecessor, WireLine};
use crate::store::hosts::HostFile;
use crate::store::queue::{Errand, Receipt, Seq};
use crate::world::World;
use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::{AckKind, Message};
use futures_util::StreamExt;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

/// After this long without a further message, the delivery of the accepted ones is started.
const PAUSE: Duration = Duration::from_millis(5);
/// How often it is checked, in pauses between messages, which hosts are not on NATS any more.
const LOOK: Duration = Duration::from_secs(2);

/// Takes the messages that come, until the connection or the consumer is gone.
pub(crate) async fn go_on(
    world: &World<'_>,
    own: &HostName,
    at: &Connection,
    consumer: &PullConsumer,
    gaps: &mut Gaps,
) -> Result<(), RelayError> {
    let mut incoming = Incoming { world, own, takers: BTreeMap::new(), gaps, looked: world.clock.monotonic() };
    let stream = consumer.stream().max_messages_per_batch(64).heartbeat(Duration::from_secs(5));
    let stream = stream.expires(Duration::from_secs(30)).messages().await;
    let mut messages = stream.map_err(|error| at.complaint.about(&error))?;
    loop {
        let next = match tokio::time::timeout(PAUSE, messages.next()).await {
            Ok(next) => next,
            Err(_) => {
                incoming.rest();
                loop {
                    match tokio::time::timeout(LOOK, messages.next()).await {
                        Ok(next) => break next,
                        Err(_) => incoming.rest(),
                    }
                }
            }
        };
        let message = match next {
            Some(Ok(message)) => message,
            Some(Err(error)) => return Err(at.complaint.about(&error)),
            None => return Err(at.complaint.about(&"the consumer has ended")),
        };
        let kind = incoming.take(&message).unwrap_or_else(|failure| {
            tracing::warn!("{}: {failure}; it is given again", message.subject);
            AckKind::Nak(Some(streams::SENT_AGAIN))
        });
        // The acknowledgement must reach the server: an unacknowledged message blocks all later ones.
        message.double_ack_with(kind).await.map_err(|error| at.complaint.about(&error))?;
    }
}

/// A message that this program can't read, from a host with a newer one.
#[derive(Deserialize)]
struct Unreadable {
    message: UnreadableParcel,
}

#[derive(Deserialize)]
struct UnreadableParcel {
    id: MessageId,
    seq: Seq,
    #[serde(default)]
    to: String,
    series: Option<MessageId>,
    after: Option<Predecessor>,
}

/// What comes over one connection.
struct Incoming<'w, 'g> {
    world: &'w World<'w>,
    own: &'g HostName,
    takers: BTreeMap<HostName, Taker<'w>>,
    gaps: &'g mut Gaps,
    /// When it was last checked which hosts are on NATS, by the monotonic clock.
    looked: Duration,
}

impl<'w> Incoming<'w, '_> {
    /// Takes a message, and returns the answer to the server. An error is temporary.
    fn take(&mut self, message: &Message) -> Result<AckKind, Failure> {
        let Some(from) = streams::sender(&message.subject) else {
            tracing::warn!("{}: a message that is none of iapeer's is dropped", message.subject);
            return Ok(AckKind::Term);
        };
        match serde_json::from_slice(&message.payload) {
            Ok(WireLine::Part(part)) => self.taker(&from)?.store_part(&part)?,
            Ok(WireLine::Message(parcel)) => return self.parcel(&from, *parcel),
            Ok(_) => return Ok(AckKind::Term),
            Err(error) => {
                tracing::warn!("{}: a message that can't be read is dropped: {error}", message.subject);
                let Ok(Unreadable { message }) = serde_json::from_slice(&message.payload) else {
                    return Ok(AckKind::Term);
                };
                if !self.comes_early(&from, message.id, &message.to, message.series, message.after.as_ref())? {
                    let why = format!("upgrade iapeer on {}: the message is of a newer version", self.own);
                    self.turn_away(&from, message.id, message.seq, why)?;
                }
            }
        }
        Ok(AckKind::Ack)
    }

    fn parcel(&mut self, from: &HostName, parcel: Parcel) -> Result<AckKind, Failure> {
        let (about, seq, series) = (parcel.id, parcel.seq, parcel.series);
        if self.comes_early(from, about, &parcel.to, parcel.series, parcel.after.as_ref())? {
            return Ok(AckKind::Ack);
        }
        let has_receipt = !matches!(parcel.errand, Some(Errand::Receipt(_) | Errand::Again));
        let ack = match (self.taker(from)?.complete(parcel), series) {
            (Ok(ack), _) => ack,
            (Err(why), Some(series)) => {
                if !self.drops(from, series, about)? {
                    self.turn_away(from, about, seq, why)?;
                }
                return Ok(AckKind::Ack);
            }
            (Err(why), None) => Ack { id: about, outcome: AckOutcome::Later, reason: Some(why) },
        };
        match ack.outcome {
            AckOutcome::Accepted | AckOutcome::Known => {}
            AckOutcome::Later => {
                tracing::warn!("{about} of {from}: {}; it is given again", ack.reason.unwrap_or_default());
                return Ok(AckKind::Nak(Some(streams::SENT_AGAIN)));
            }
            AckOutcome::Refused if has_receipt => self.refuse(from, about, seq, ack.reason)?,
            AckOutcome::Refused => tracing::warn!("{about} of {from}: {}", ack.reason.unwrap_or_default()),
        }
        if let Some(gap) = self.gaps.get_mut(from) {
            gap.came(about);
        }
        Ok(AckKind::Ack)
    }

    /// Whether the message `id` is to be dropped, since the one before it has not come.
    fn comes_early(
        &mut self,
        from: &HostName,
        id: MessageId,
        to: &str,
        series: Option<MessageId>,
        after: Option<&Predecessor>,
    ) -> Result<bool, Failure> {
        match series.zip(after) {
            Some((series, before)) if self.taker(from)?.is_missing(before, id, to)? => {
                self.drops(from, series, before.id)
            }
            _ => Ok(false),
        }
    }

    /// Starts the delivery of what has come, and lets other programs take messages from the hosts that are not on NATS.
    fn rest(&mut self) {
        self.takers.values_mut().for_each(Taker::start_drains);
        let now = self.world.clock.monotonic();
        if now.saturating_sub(self.looked) < LOOK {
            return;
        }
        self.looked = now;
        self.takers.retain(|host, _| !matches!(HostFile::read(self.world.paths, host), Ok(Some(HostFile::Ssh(_)))));
    }

    fn drops(&mut self, from: &HostName, series: MessageId, missing: MessageId) -> Result<bool, Failure> {
        self.gaps.entry(from.clone()).or_default().drops(self.world, from, series, missing)
    }

    fn taker(&mut self, from: &HostName) -> Result<&mut Taker<'w>, Failure> {
        match self.takers.entry(from.clone()) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                // An unknown host is registered: the server's permissions decide who may publish in a host's name.
                if HostFile::read(self.world.paths, from)?.is_none() {
                    HostFile::Nats.write(self.world.paths, from)?;
                }
                Ok(entry.insert(Taker::of(self.world, from)?))
            }
        }
    }

    /// Refuses a message that was not given to its recipient's [`Taker`].
    fn turn_away(&mut self, from: &HostName, about: MessageId, seq: Seq, why: String) -> Result<(), Failure> {
        self.taker(from)?.note_last(about);
        self.refuse(from, about, seq, Some(why))
    }

    fn refuse(&self, from: &HostName, about: MessageId, seq: Seq, reason: Option<String>) -> Result<(), Failure> {
        receipt::put(self.world, from, &Receipt { about, seq, outcome: Outcome::Dead, landed: None, reason })
    }
}
