//! A consumer that has stalled: messages for this host are in the stream, and the consumer sends none of them.
//!
//! A cluster of nats-server 2.9.10 whose leader was killed was seen to leave consumers that had passed messages over: they
//! counted nothing as pending, and their acknowledged positions were behind those messages. The senders' hosts publish such
//! messages again. The consumer itself is kept while it sends what is published later: a new one would send the messages
//! that it has passed over, and some of them may be on one server of the cluster alone. When such a message was
//! acknowledged, the other two servers could not remove it (`stream store EOF`) and gave the stream up, again and again.
//! Only a consumer that sends nothing of what is published later either is made anew.

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
/// How soon after the senders' hosts were asked it is checked whether the consumer sends what they publish.
const ASKED: Duration = Duration::from_secs(10);
/// A consumer with messages in the stream that sends none of them for so long has stalled: a message that this host did not
/// accept is sent again after [`streams::SENT_AGAIN`].
const STALLED: Duration = streams::SENT_AGAIN.saturating_mul(3);

/// How many messages for this host are in the stream, by the hosts that they come from.
pub(crate) type Counts = BTreeMap<HostName, usize>;

/// Has what a stalled consumer has passed over published again: by the senders' hosts, and by this one what has no receipt,
/// since the messages may be receipts. Where the consumer still sends nothing, deletes the consumer; returns only then, with
/// an error that has the caller connect anew, which makes the consumer anew. `passed_over`: for which messages this was done.
pub(crate) async fn watch(
    world: &World<'_>,
    at: &Connection,
    file: &NatsFile,
    own: &HostName,
    stream: &Stream,
    passed_over: &mut Counts,
) -> RelayError {
    let mut pause = FIRST;
    let mut has_asked = false;
    loop {
        tokio::time::sleep(pause).await;
        pause = LOOK;
        let Some((_, before)) = news(at, file, own, stream, passed_over).await else {
            has_asked = false;
            continue;
        };
        tokio::time::sleep(STALLED).await;
        let Some((counts, _)) = news(at, file, own, stream, passed_over).await.filter(|(_, sent)| *sent == before)
        else {
            continue;
        };
        ask(world, own, &counts);
        *passed_over = counts;
        if has_asked {
            return delete(at, own, stream).await;
        }
        has_asked = true;
        pause = ASKED;
    }
}

fn ask(world: &World<'_>, own: &HostName, passed_over: &Counts) {
    let (name, count) = (streams::consumer_name(own), passed_over.values().sum::<usize>());
    tracing::warn!("{name} has passed over {count} message(s): they are asked for");
    for host in passed_over.keys() {
        if let Err(failure) = again::ask(world, host).and_then(|()| again::want(world, &world.outbox(host))) {
            tracing::warn!("{host} is not asked to send again: {failure}");
        }
    }
}

async fn delete(at: &Connection, own: &HostName, stream: &Stream) -> RelayError {
    let name = streams::consumer_name(own);
    // What takes messages from the consumer may be the first to hear that the consumer is deleted.
    at.complaint.set(format!("{name} sends nothing"));
    match stream.delete_consumer(&name).await {
        Ok(_) => at.complaint.about(&"the consumer is made anew"),
        Err(error) => at.complaint.about(&format!("the consumer can't be deleted ({error}): delete it on the server")),
    }
}

/// [`waiting`], where these are more messages than those that the consumer is known to have passed over. Otherwise those that
/// are gone are forgotten.
async fn news(
    at: &Connection,
    file: &NatsFile,
    own: &HostName,
    stream: &Stream,
    passed_over: &mut Counts,
) -> Option<(Counts, u64)> {
    let Some((counts, sent)) = waiting(at, file, own, stream).await else {
        passed_over.clear();
        return None;
    };
    if counts.iter().any(|(host, count)| passed_over.get(host).is_none_or(|known| count > known)) {
        return Some((counts, sent));
    }
    *passed_over = counts;
    None
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
