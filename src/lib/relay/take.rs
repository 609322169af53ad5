//! Taking messages from another host: each is durable here before it is acknowledged.

use crate::base::HostName;
use crate::base::exit::Failure;
use crate::base::message_id::MessageId;
use crate::delivery::arrival::{Arrival, Arrivals, Taken};
use crate::relay::files::{self, FileTrouble};
use crate::relay::wire::{Ack, AckOutcome, FilePart, Parcel, Predecessor};
use crate::world::World;
use std::time::Duration;

/// How long a program waits for another one that takes messages from the same host.
const PATIENCE: Duration = Duration::from_secs(15);

/// Takes the messages that come from one host.
pub(crate) struct Taker<'w> {
    world: &'w World<'w>,
    host: HostName,
    arrivals: Arrivals<'w>,
    /// The last message that was accepted or refused.
    last: Option<MessageId>,
    /// How many messages were accepted.
    pub(crate) accepted: usize,
}

impl<'w> Taker<'w> {
    /// For the messages of `host`. While this exists, no other program takes messages from that host.
    pub(crate) fn of(world: &'w World<'w>, host: &HostName) -> Result<Taker<'w>, Failure> {
        let arrivals = Arrivals::of(world, host, PATIENCE)?;
        Ok(Taker { world, host: host.clone(), arrivals, last: None, accepted: 0 })
    }

    /// Stores a part of a file. Where that fails, the message that the file belongs to has to be sent again.
    pub(crate) fn part(&self, part: &FilePart) {
        if let Err(failure) = self.store_part(part) {
            tracing::warn!("{failure}");
        }
    }

    /// [`Taker::part`] for a caller that can have the part itself sent again.
    pub(crate) fn store_part(&self, part: &FilePart) -> Result<(), Failure> {
        files::take(self.world, &self.host, part)
    }

    /// Whether the message `before` has not arrived, and neither has the message `id`, which names it as its predecessor.
    /// An error is temporary.
    pub(crate) fn is_missing(&mut self, before: &Predecessor, id: MessageId, to: &str) -> Result<bool, Failure> {
        let is_last = self.last == Some(before.id);
        Ok(!is_last && !self.arrivals.has(before.id, &before.to)? && !self.arrivals.has(id, to)?)
    }

    /// Notes that the message `id` needs no further look.
    pub(crate) fn note_last(&mut self, id: MessageId) {
        self.last = Some(id);
    }

    /// Accepts a message and returns its acknowledgement.
    pub(crate) fn message(&mut self, parcel: Parcel) -> Ack {
        let id = parcel.id;
        self.complete(parcel).unwrap_or_else(|why| Ack { id, outcome: AckOutcome::Later, reason: Some(why) })
    }

    /// [`Taker::message`]. The error: parts of its files, which are sent before it, have not come.
    pub(crate) fn complete(&mut self, parcel: Parcel) -> Result<Ack, String> {
        let is_message = parcel.errand.is_none();
        let ack = self.taken(parcel)?;
        if is_message && ack.outcome != AckOutcome::Later {
            self.note_last(ack.id);
        }
        Ok(ack)
    }

    fn taken(&mut self, parcel: Parcel) -> Result<Ack, String> {
        let id = parcel.id;
        let ack = |outcome, reason| Ok(Ack { id, outcome, reason });
        let later = |failure: Failure| ack(AckOutcome::Later, Some(failure.to_string()));
        let has_files = !parcel.files.is_empty();
        let attachments = match files::complete(self.world, &self.host, id, &parcel.files) {
            Ok(paths) => paths,
            Err(FileTrouble::Missing(why)) => match self.arrivals.has(id, &parcel.to) {
                // The recipient has the message, and may have removed its files.
                Ok(true) => Vec::new(),
                Ok(false) => return Err(why),
                Err(failure) => return later(failure),
            },
            Err(FileTrouble::Here(failure)) => return later(failure),
            Err(FileTrouble::Refused(why)) => {
                files::forget(self.world, &self.host, id);
                return ack(AckOutcome::Refused, Some(why));
            }
        };
        match self.arrivals.take(arrival(parcel, attachments)) {
            Ok(Taken::Accepted) => {
                self.accepted += 1;
                ack(AckOutcome::Accepted, None)
            }
            Ok(Taken::Known) => ack(AckOutcome::Known, None),
            Ok(Taken::Refused(why)) => {
                if has_files {
                    files::forget(self.world, &self.host, id);
                }
                ack(AckOutcome::Refused, Some(why))
            }
            Err(failure) => later(failure),
        }
    }

    /// Starts the delivery of the accepted messages.
    pub(crate) fn start_drains(&mut self) {
        self.arrivals.start_drains();
    }
}

fn arrival(parcel: Parcel, attachments: Vec<String>) -> Arrival {
    Arrival {
        id: parcel.id,
        seq: parcel.seq,
        to: parcel.to,
        from: parcel.from,
        from_intelligence: parcel.from_intelligence,
        topic: parcel.topic,
        re: parcel.re,
        urgent: parcel.urgent,
        attachments,
        body: parcel.body,
        errand: parcel.errand,
    }
}
