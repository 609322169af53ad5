//! Takes messages from the stream into the queues of peers: each is acknowledged once it is durable on this host.

use crate::base::HostName;
use crate::base::evidence::Outcome;
use crate::base::exit::Failure;
use crate::mailbox::receipt;
use crate::relay::error::RelayError;
use crate::relay::nats::connect::Connection;
use crate::relay::nats::resend::Resend;
use crate::relay::nats::streams;
use crate::relay::take::Taker;
use crate::relay::wire::{AckOutcome, Parcel, WireLine};
use crate::store::hosts::HostFile;
use crate::store::queue::{Errand, Receipt};
use crate::world::World;
use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::{AckKind, Message};
use futures_util::StreamExt;
use std::collections::BTreeMap;
use std::time::Duration;

/// After this long without a further message, the delivery of the accepted ones is started.
const PAUSE: Duration = Duration::from_millis(5);

/// Takes the messages that come, until the connection or the consumer is gone.
pub(crate) async fn go_on(
    world: &World<'_>,
    at: &Connection,
    consumer: &PullConsumer,
    resend: &Resend,
) -> Result<(), RelayError> {
    let mut takers: BTreeMap<HostName, Taker<'_>> = BTreeMap::new();
    let stream = consumer.stream().max_messages_per_batch(64).heartbeat(Duration::from_secs(5));
    let stream = stream.expires(Duration::from_secs(30)).messages().await;
    let mut messages = stream.map_err(|error| at.complaint.about(&error))?;
    loop {
        let next = match tokio::time::timeout(PAUSE, messages.next()).await {
            Ok(next) => next,
            Err(_) => {
                takers.values_mut().for_each(Taker::start_drains);
                messages.next().await
            }
        };
        match next {
            Some(Ok(message)) => one(world, at, &mut takers, &message, resend).await?,
            Some(Err(error)) => return Err(at.complaint.about(&error)),
            None => return Err(at.complaint.about(&"the consumer has ended")),
        }
    }
}

async fn one<'w>(
    world: &'w World<'w>,
    at: &Connection,
    takers: &mut BTreeMap<HostName, Taker<'w>>,
    message: &Message,
    resend: &Resend,
) -> Result<(), RelayError> {
    let kind = take(world, takers, message, resend).unwrap_or_else(|failure| {
        tracing::warn!("{}: {failure}; it is given again", message.subject);
        AckKind::Nak(Some(streams::SENT_AGAIN))
    });
    // The acknowledgement must reach the server: an unacknowledged message blocks all later ones.
    message.double_ack_with(kind).await.map_err(|error| at.complaint.about(&error))
}

/// Takes a message, and returns the answer to the server. An error is temporary.
fn take<'w>(
    world: &'w World<'w>,
    takers: &mut BTreeMap<HostName, Taker<'w>>,
    message: &Message,
    resend: &Resend,
) -> Result<AckKind, Failure> {
    let (Some(from), Ok(line)) = (streams::sender(&message.subject), serde_json::from_slice(&message.payload)) else {
        tracing::warn!("{}: a message that is none of iapeer's is dropped", message.subject);
        return Ok(AckKind::Term);
    };
    if !takers.contains_key(&from) {
        // An unknown host is registered: the server's permissions decide who may publish in a host's name.
        if HostFile::read(world.paths, &from)?.is_none() {
            HostFile::Nats.write(world.paths, &from)?;
        }
        takers.insert(from.clone(), Taker::of(world, &from)?);
    }
    let Some(taker) = takers.get_mut(&from) else { return Ok(AckKind::Nak(Some(streams::SENT_AGAIN))) };
    match line {
        WireLine::Part(part) => taker.part(&part),
        WireLine::Message(parcel) => return parcel_taken(world, &from, taker, *parcel),
        WireLine::Again => resend.want(from),
        _ => return Ok(AckKind::Term),
    }
    Ok(AckKind::Ack)
}

fn parcel_taken(world: &World<'_>, from: &HostName, taker: &mut Taker<'_>, parcel: Parcel) -> Result<AckKind, Failure> {
    let (about, seq) = (parcel.id, parcel.seq);
    let is_receipt = matches!(parcel.errand, Some(Errand::Receipt(_)));
    let ack = taker.message(parcel);
    match ack.outcome {
        AckOutcome::Accepted | AckOutcome::Known => {}
        AckOutcome::Later => {
            tracing::warn!("{about} of {from}: {}; it is given again", ack.reason.unwrap_or_default());
            return Ok(AckKind::Nak(Some(streams::SENT_AGAIN)));
        }
        // There are no receipts for receipts.
        AckOutcome::Refused if is_receipt => {}
        AckOutcome::Refused => {
            let (outcome, reason) = (Outcome::Dead, ack.reason);
            receipt::put(world, from, &Receipt { about, seq, outcome, landed: None, reason })?;
        }
    }
    Ok(AckKind::Ack)
}
