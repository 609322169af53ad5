//! Takes messages from the stream into the queues of peers: each is acknowledged once it is durable on this host.

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
use crate::relay::wire::{AckOutcome, Parcel, WireLine};
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

/// Takes the messages that come, until the connection or the consumer is gone.
pub(crate) async fn go_on(
    world: &World<'_>,
    own: &HostName,
    at: &Connection,
    consumer: &PullConsumer,
    gaps: &mut Gaps,
) -> Result<(), RelayError> {
    let mut incoming = Incoming { world, own, takers: BTreeMap::new(), gaps };
    let stream = consumer.stream().max_messages_per_batch(64).heartbeat(Duration::from_secs(5));
    let stream = stream.expires(Duration::from_secs(30)).messages().await;
    let mut messages = stream.map_err(|error| at.complaint.about(&error))?;
    loop {
        let next = match tokio::time::timeout(PAUSE, messages.next()).await {
            Ok(next) => next,
            Err(_) => {
                incoming.takers.values_mut().for_each(Taker::start_drains);
                messages.next().await
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
}

/// What comes over one connection.
struct Incoming<'w, 'g> {
    world: &'w World<'w>,
    own: &'g HostName,
    takers: BTreeMap<HostName, Taker<'w>>,
    gaps: &'g mut Gaps,
}

impl<'w> Incoming<'w, '_> {
    /// Takes a message, and returns the answer to the server. An error is temporary.
    fn take(&mut self, message: &Message) -> Result<AckKind, Failure> {
        let Some(from) = streams::sender(&message.subject) else {
            tracing::warn!("{}: a message that is none of iapeer's is dropped", message.subject);
            return Ok(AckKind::Term);
        };
        match serde_json::from_slice(&message.payload) {
            Ok(WireLine::Part(part)) => self.taker(&from)?.part(&part),
            Ok(WireLine::Message(parcel)) => return self.parcel(&from, *parcel),
            Ok(_) => return Ok(AckKind::Term),
            Err(error) => {
                tracing::warn!("{}: a message that can't be read is dropped: {error}", message.subject);
                if let Ok(Unreadable { message }) = serde_json::from_slice(&message.payload) {
                    self.taker(&from)?;
                    self.refuse(
                        &from,
                        message.id,
                        message.seq,
                        Some(format!("upgrade iapeer on {}: the message is of a newer version", self.own)),
                    )?;
                }
                return Ok(AckKind::Term);
            }
        }
        Ok(AckKind::Ack)
    }

    fn parcel(&mut self, from: &HostName, parcel: Parcel) -> Result<AckKind, Failure> {
        let (about, seq) = (parcel.id, parcel.seq);
        if let Some(series) = parcel.series {
            if let Some(missing) = self.taker(from)?.missing_before(&parcel)?
                && self.drops(from, series, missing.id)?
            {
                return Ok(AckKind::Ack);
            }
            if let Some(why) = self.taker(from)?.missing_files(&parcel)? {
                if !self.drops(from, series, about)? {
                    self.refuse(from, about, seq, Some(why))?;
                }
                return Ok(AckKind::Ack);
            }
        }
        let has_receipt = !matches!(parcel.errand, Some(Errand::Receipt(_) | Errand::Again));
        let ack = self.taker(from)?.message(parcel);
        match ack.outcome {
            AckOutcome::Accepted | AckOutcome::Known => {}
            AckOutcome::Later => {
                tracing::warn!("{about} of {from}: {}; it is given again", ack.reason.unwrap_or_default());
                return Ok(AckKind::Nak(Some(streams::SENT_AGAIN)));
            }
            AckOutcome::Refused if has_receipt => self.refuse(from, about, seq, ack.reason)?,
            AckOutcome::Refused => {}
        }
        Ok(AckKind::Ack)
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

    fn refuse(&self, from: &HostName, about: MessageId, seq: Seq, reason: Option<String>) -> Result<(), Failure> {
        receipt::put(self.world, from, &Receipt { about, seq, outcome: Outcome::Dead, landed: None, reason })
    }
}
