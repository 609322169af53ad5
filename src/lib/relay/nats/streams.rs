//! The streams and this host's consumer: created where they are missing, else checked.

use crate::base::HostName;
use crate::base::clock::EpochMs;
use crate::relay::error::RelayError;
use crate::relay::nats::connect::Connection;
use crate::store::nats::NatsFile;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, Stream};
use std::time::Duration;

/// For how long the server recognizes a message that is published again.
const DUPLICATES: Duration = Duration::from_secs(120);
/// After this time the server sends a message again that was not acknowledged, or that could not be accepted.
pub(crate) const SENT_AGAIN: Duration = Duration::from_secs(5);

/// How many bytes the lists of peers may take together: a thousand hosts of a hundred peers need a third of that. The
/// server reserves this size, as it does for the stream of messages.
const LISTS_MAX: i64 = 64 << 20;

/// The subject of messages from `from` to `to`.
pub(crate) fn subject(from: &HostName, to: &HostName) -> String {
    format!("iapeer.from.{from}.{to}")
}

/// The subjects of all messages to `to`.
pub(crate) fn subjects_for(to: &HostName) -> String {
    format!("iapeer.from.*.{to}")
}

/// The name of the consumer of the messages to `own`.
pub(crate) fn consumer_name(own: &HostName) -> String {
    format!("to-{own}")
}

/// The host from which a message on `subject` comes: the server's permissions let no other host publish there.
pub(crate) fn sender(subject: &str) -> Option<HostName> {
    subject.strip_prefix("iapeer.from.")?.split('.').next()?.parse().ok()
}

/// The subject of the list of peers of `host`.
pub(crate) fn peers_subject(host: &HostName) -> String {
    format!("iapeer.peers.{host}")
}

fn peers_stream(file: &NatsFile) -> String {
    format!("{}_PEERS", file.stream)
}

/// The stream of messages. `keep`: how long a message may wait in it.
pub(crate) async fn messages(at: &Connection, file: &NatsFile, keep: Duration) -> Result<Stream, RelayError> {
    let wanted = Config {
        name: file.stream.clone(),
        description: Some("messages between hosts of iapeer; each leaves it when its host has accepted it".into()),
        subjects: vec!["iapeer.from.*.*".into()],
        retention: RetentionPolicy::WorkQueue,
        // A full stream refuses new messages and never discards old ones.
        discard: DiscardPolicy::New,
        max_bytes: file.max_bytes,
        max_age: keep,
        duplicate_window: DUPLICATES.min(keep),
        num_replicas: file.replicas,
        ..Config::default()
    };
    let stream = made(at, wanted.clone()).await?;
    let found = &stream.cached_info().config;
    let wrong = [
        (found.retention != RetentionPolicy::WorkQueue, "its retention is not `workqueue`"),
        (found.discard != DiscardPolicy::New, "it discards old messages where it is full, and should refuse new ones"),
        (
            !wanted.subjects.iter().all(|subject| found.subjects.contains(subject)),
            "its subjects are not iapeer.from.*.*",
        ),
    ];
    match wrong.iter().find(|(wrong, _)| *wrong) {
        Some((_, why)) => {
            Err(RelayError::Refused(format!("the stream {} is no stream for iapeer: {why}", file.stream)))
        }
        None => Ok(stream),
    }
}

/// When `stream` was made, by the server's clock.
pub(crate) fn made_at(stream: &Stream) -> EpochMs {
    let millis = stream.cached_info().created.unix_timestamp_nanos() / 1_000_000;
    EpochMs(u64::try_from(millis).unwrap_or_default())
}

/// The stream of the lists of peers: one message per host, the newest.
pub(crate) async fn peers(at: &Connection, file: &NatsFile) -> Result<Stream, RelayError> {
    let wanted = Config {
        name: peers_stream(file),
        description: Some("who is on which host of iapeer".into()),
        subjects: vec!["iapeer.peers.*".into()],
        max_messages_per_subject: 1,
        max_bytes: file.max_bytes.min(LISTS_MAX),
        num_replicas: file.replicas,
        ..Config::default()
    };
    made(at, wanted).await
}

async fn made(at: &Connection, wanted: Config) -> Result<Stream, RelayError> {
    let name = wanted.name.clone();
    // Creates the stream only where it is missing, so that most hosts need no permission to create streams.
    match at.context.get_stream(&name).await {
        Ok(stream) => Ok(stream),
        Err(_) => {
            at.context.get_or_create_stream(wanted).await.map_err(|error| {
                at.complaint.about(&format!("the stream {name} is not there and can't be made: {error}"))
            })
        }
    }
}

/// The consumer of the messages for `own`: in order and one at a time, so that no message overtakes one that has to be
/// sent again.
pub(crate) async fn consumer(at: &Connection, file: &NatsFile, own: &HostName) -> Result<PullConsumer, RelayError> {
    let wanted = pull::Config {
        durable_name: Some(consumer_name(own)),
        filter_subject: subjects_for(own),
        deliver_policy: DeliverPolicy::All,
        ack_policy: AckPolicy::Explicit,
        ack_wait: SENT_AGAIN,
        max_ack_pending: 1,
        ..pull::Config::default()
    };
    let made = at.context.create_consumer_on_stream(wanted, file.stream.as_str()).await;
    made.map_err(|error| at.complaint.about(&format!("the consumer to-{own} can't be made: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_its_senders_host_by_its_subject() {
        let (laptop, there): (HostName, HostName) = ("laptop".parse().unwrap(), "box".parse().unwrap());
        assert_eq!(sender(&subject(&laptop, &there)), Some(laptop));
        for bad in ["iapeer.from", "iapeer.from.", "iapeer.from.*.box", "other.from.laptop.box"] {
            assert_eq!(sender(bad), None, "{bad}");
        }
    }
}
