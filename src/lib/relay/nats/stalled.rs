//! A consumer that has stalled: messages for this host are in the stream, and the consumer sends none of them.
//!
//! A cluster of nats-server 2.9.10 whose leader was killed was seen to leave consumers that had passed messages over: they
//! counted nothing as pending, and their acknowledged positions were behind those messages. A consumer that is made anew
//! begins with the first message in the stream, and what arrives twice is accepted once. What the new consumer does not find
//! either, the senders' hosts send again.

use crate::base::HostName;
use crate::mailbox::again;
use crate::relay::error::RelayError;
use crate::relay::nats::connect::Connection;
use crate::relay::nats::streams;
use crate::store::nats::NatsFile;
use crate::world::World;
use async_nats::jetstream::stream::Stream;
use futures_util::TryStreamExt;
use std::collections::BTreeMap;
use std::time::Duration;

/// How soon after the connection is made the stream is compared with the consumer.
const FIRST: Duration = Duration::from_secs(2);
/// How often the stream is compared with the consumer after that.
const LOOK: Duration = Duration::from_secs(60);
/// A consumer with messages in the stream that sends none of them for so long has stalled: a message that this host did not
/// accept is sent again after [`streams::SENT_AGAIN`].
const STALLED: Duration = streams::SENT_AGAIN.saturating_mul(3);

/// How many messages for this host are in the stream, by the hosts that they come from.
pub(crate) type Counts = BTreeMap<HostName, usize>;

/// Mends a consumer that has stalled: has the senders' hosts publish again what has no receipt, does the same for them, since
/// the messages may be their receipts, and deletes the consumer. Returns only then, with an error that has the caller
/// connect anew, which makes the consumer anew. `mended`: the messages for which this was done.
pub(crate) async fn watch(
    world: &World<'_>,
    at: &Connection,
    file: &NatsFile,
    own: &HostName,
    stream: &Stream,
    mended: &mut Counts,
) -> RelayError {
    tokio::time::sleep(FIRST).await;
    loop {
        match waiting(at, file, own, stream).await {
            None => mended.clear(),
            // Also the new consumer does not find some of them, where the server's index of its stream is wrong: an earlier
            // message of a subject that is acknowledged after a later one can vanish from it (nats-server 2.9.10).
            Some((counts, _)) if counts == *mended => {}
            Some((_, before)) => {
                tokio::time::sleep(STALLED).await;
                let now = waiting(at, file, own, stream).await;
                if let Some((counts, _)) = now.filter(|(_, sent)| *sent == before) {
                    *mended = counts;
                    return mend(world, at, own, stream, mended).await;
                }
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn mend(world: &World<'_>, at: &Connection, own: &HostName, stream: &Stream, passed_over: &Counts) -> RelayError {
    for host in passed_over.keys() {
        if let Err(failure) = again::ask(world, host).and_then(|()| again::want(world, &world.outbox(host))) {
            tracing::warn!("{host} is not asked to send again: {failure}");
        }
    }
    let name = streams::consumer_name(own);
    let count: usize = passed_over.values().sum();
    // What takes messages from the consumer may be the first to hear that the consumer is deleted.
    at.complaint.set(format!("{name} has passed over {count} message(s)"));
    match stream.delete_consumer(&name).await {
        Ok(_) => at.complaint.about(&"the consumer is made anew"),
        Err(error) => at.complaint.about(&format!("the consumer can't be deleted ({error}): delete it on the server")),
    }
}

/// How many messages for this host are in the stream, and how many the consumer has sent in all, repeated ones included.
/// `None` where there are none, or where the server does not say.
async fn waiting(at: &Connection, file: &NatsFile, own: &HostName, stream: &Stream) -> Option<(Counts, u64)> {
    let subjects = stream.info_with_subjects(streams::subjects_for(own)).await.ok()?;
    let counts: Vec<(String, usize)> = subjects.try_collect().await.ok()?;
    let counts: Counts =
        counts.iter().filter_map(|(subject, count)| Some((streams::sender(subject)?, *count))).collect();
    if counts.is_empty() {
        return None;
    }
    // To make a consumer that exists changes nothing, and returns its state.
    let consumer = streams::consumer(at, file, own).await.ok()?;
    Some((counts, consumer.cached_info().delivered.consumer_sequence))
}
