//! Publishes the messages of the outboxes to the stream, one after the other: the next one is sent when the stream has
//! acknowledged the one before, so that their order is kept.

use crate::base::HostName;
use crate::base::exit::Failure;
use crate::mailbox::afar::{self, Outgoing};
use crate::relay::error::RelayError;
use crate::relay::files;
use crate::relay::give;
use crate::relay::nats::connect::Connection;
use crate::relay::nats::streams;
use crate::relay::wire::{FilePart, Parcel, WireLine};
use crate::store::hosts::{self, HostFile};
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
    for host in hosts::known_hosts(world.paths)? {
        if !matches!(HostFile::read(world.paths, &host), Ok(Some(HostFile::Nats))) {
            continue;
        }
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
    let here = |error: Failure| RelayError::Here(error);
    loop {
        let waiting = outbox.queue.list(Place::Waiting).map_err(|error| here(error.into()))?;
        if waiting.is_empty() {
            return Ok(());
        }
        for seq in waiting {
            let read = outbox.queue.read(Place::Waiting, seq).map_err(|error| here(error.into()))?;
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
    let mut parts: Vec<FilePart> = Vec::new();
    let heads = files::read(&item, |part| {
        parts.push(part);
        Ok::<(), Failure>(())
    })?;
    let heads = match heads {
        Ok(heads) => heads,
        Err(why) => return come_back(item, why),
    };
    for part in parts {
        let id = format!("{}.{}.{}", part.id, part.file, part.offset);
        send(own, at, outbox, &id, &WireLine::Part(part)).await?;
    }
    let parcel = Parcel { files: heads, ..give::parcel(seq, &item) };
    send(own, at, outbox, &item.id.to_string(), &WireLine::Message(Box::new(parcel))).await?;
    Ok(afar::handed_over(world, outbox, seq, &item)?)
}

async fn send(own: &HostName, at: &Connection, outbox: &Outbox, id: &str, line: &WireLine) -> Result<(), RelayError> {
    let text = serde_json::to_vec(line).map_err(|error| at.complaint.about(&error))?;
    let message = PublishMessage::build().payload(text.into()).message_id(id);
    let sent = at.context.send_publish(streams::subject(own, &outbox.host), message).await;
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
