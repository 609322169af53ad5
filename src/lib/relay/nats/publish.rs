//! Publishes the messages of the outboxes to the stream, one after the other: the next one is sent when the stream has
//! acknowledged the one before, so that their order is kept.

use crate::base::HostName;
use crate::base::exit::Failure;
use crate::mailbox::afar::{self, Outgoing};
use crate::relay::error::RelayError;
use crate::relay::files;
use crate::relay::give;
use crate::relay::nats::connect::Connection;
use crate::relay::nats::resend::Resend;
use crate::relay::nats::streams;
use crate::relay::wire::{FilePart, Parcel, WireLine};
use crate::store::hosts;
use crate::store::lock::FileLock;
use crate::store::outbox::Outbox;
use crate::store::queue::{Item, Place, Seq};
use crate::world::World;
use async_nats::jetstream::message::PublishMessage;
use std::time::Duration;

/// Publishes the messages that wait for each host that is reached by NATS. Where the server does not take a host's
/// messages, this is noted and the other hosts are still served. `is_new`: the connection is new, so that messages that
/// failed over an earlier connection are tried again at once.
pub(crate) async fn all(world: &World<'_>, own: &HostName, at: &Connection, is_new: bool) -> Result<(), Failure> {
    for host in hosts::on_nats(world.paths)? {
        let outbox = world.outbox(&host);
        if !(is_new || outbox.is_due(world.now())) || outbox.queue.list(Place::Waiting)?.is_empty() {
            continue;
        }
        // Another program has this lock only where the host's file has just been changed from ssh to NATS.
        let Ok(_lock) = FileLock::acquire(&outbox.lock(), world.program, Duration::ZERO, world.clock) else { continue };
        match waiting(world, own, at, &outbox).await {
            Ok(()) => outbox.note_back(),
            Err(RelayError::Here(failure)) => return Err(failure),
            Err(error) => {
                outbox.note_away(world.now(), &error.to_string());
            }
        }
    }
    Ok(())
}

async fn waiting(world: &World<'_>, own: &HostName, at: &Connection, outbox: &Outbox) -> Result<(), RelayError> {
    loop {
        let waiting = outbox.queue.list(Place::Waiting).map_err(Failure::from)?;
        if waiting.is_empty() {
            return Ok(());
        }
        for seq in waiting {
            let read = outbox.queue.read(Place::Waiting, seq).map_err(Failure::from)?;
            let Some(item) = read else { continue };
            one(world, own, at, outbox, seq, item).await?;
        }
    }
}

async fn one(
    world: &World<'_>,
    own: &HostName,
    at: &Connection,
    outbox: &Outbox,
    seq: Seq,
    item: Item,
) -> Result<(), RelayError> {
    let come_back = |item: Item, reason: String| {
        afar::bury(world, outbox, Outgoing { place: Place::Waiting, seq, item }, &reason).map_err(RelayError::Here)
    };
    // An interrupted move to dead/ is completed.
    if let Some(reason) = item.reason.clone().filter(|_| item.notice.is_some()) {
        return come_back(item, reason);
    }
    // A message that was requeued has another number: the server must not take it for the one that came before.
    match publish(own, at, outbox, seq, &item, &format!("{}.{}", item.id, seq.0)).await? {
        Ok(()) => Ok(afar::handed_over(world, outbox, seq, &item)?),
        Err(why) => come_back(item, why),
    }
}

/// Publishes an item, after its files. The server drops what was published in the last two minutes under the same
/// `message_id`. The inner error: why a file can't be sent.
async fn publish(
    own: &HostName,
    at: &Connection,
    outbox: &Outbox,
    seq: Seq,
    item: &Item,
    message_id: &str,
) -> Result<Result<(), String>, RelayError> {
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
        send(own, at, &outbox.host, Some(&id), &WireLine::Part(part)).await?;
    }
    let parcel = Parcel { files: heads, ..give::parcel(seq, item) };
    send(own, at, &outbox.host, Some(message_id), &WireLine::Message(Box::new(parcel))).await?;
    Ok(Ok(()))
}

/// Publishes again what was handed over to the hosts of `resend` and has no receipt yet. Such a host accepts each message
/// once, and repeats the receipts of the settled ones. What can't be published now stays for the next call.
pub(crate) async fn again(world: &World<'_>, own: &HostName, at: &Connection, resend: &Resend) -> Result<(), Failure> {
    while let Some(host) = resend.next() {
        match in_flight(world, own, at, &world.outbox(&host)).await {
            Ok(()) => resend.done(&host),
            Err(RelayError::Here(failure)) => return Err(failure),
            Err(error) => {
                tracing::warn!("@{host}: {error}");
                return Ok(());
            }
        }
    }
    Ok(())
}

async fn in_flight(world: &World<'_>, own: &HostName, at: &Connection, outbox: &Outbox) -> Result<(), RelayError> {
    for seq in outbox.queue.list(Place::Inflight).map_err(Failure::from)? {
        let read = outbox.queue.read(Place::Inflight, seq).map_err(Failure::from)?;
        let Some(item) = read.filter(|item| item.notice.is_none()) else { continue };
        let message_id = format!("{}.{}.{}", item.id, seq.0, world.now().0);
        if let Err(why) = publish(own, at, outbox, seq, &item, &message_id).await? {
            tracing::warn!("@{}: {} is not sent again: {why}", outbox.host, item.id);
        }
    }
    Ok(())
}

/// Publishes one line for `host`.
pub(crate) async fn send(
    own: &HostName,
    at: &Connection,
    host: &HostName,
    message_id: Option<&str>,
    line: &WireLine,
) -> Result<(), RelayError> {
    let text = serde_json::to_vec(line).map_err(|error| at.complaint.about(&error))?;
    let message = PublishMessage::build().payload(text.into());
    let message = message_id.into_iter().fold(message, PublishMessage::message_id);
    let sent = at.context.send_publish(streams::subject(own, host), message).await;
    let acknowledged = match sent {
        Ok(acknowledged) => acknowledged.await,
        Err(error) => Err(error),
    };
    acknowledged.map(drop).map_err(|error| {
        use std::error::Error;
        let below = error.source().map(|below| format!(": {below}")).unwrap_or_default();
        at.complaint.about(&format!("the stream did not take a message: {error}{below}"))
    })
}
