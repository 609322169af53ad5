//! The report that a sender gets about an accepted message, which is watched until it settles.

use crate::base::Marker;
use crate::base::clock::{Deadline, wait_for};
use crate::base::evidence::{Evidence, Outcome};
use crate::base::hold::Hold;
use crate::base::identity::Identity;
use crate::base::message_id::MessageId;
use crate::base::wake::Mode;
use crate::base::words::words;
use crate::delivery::progress::Progress;
use crate::delivery::recipient::Recipient;
use crate::store::queue::{Item, Place, Queue, Seq, Settled};
use crate::store::session_record::SessionRecord;
use crate::world::{NotStarted, World};
use serde::Serialize;
use std::time::Duration;

/// The first pause between two checks of an accepted item: a warm delivery takes milliseconds.
const LOOK: Duration = Duration::from_micros(250);

words! {
    /// What a sender is told about a message.
    pub enum SendOutcome {
        /// The message was delivered.
        Delivered = "delivered",
        /// The message is durable and was not delivered yet.
        Queued = "queued",
        /// The message was not kept: an earlier one of the same sender still waits.
        Skipped = "skipped",
        /// The message was not kept: it answers a message of iapeer's own, and nobody reads such answers.
        Noted = "noted",
    }
}

/// The outcome of a message, as it is reported to its sender.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SendReport {
    /// The outcome.
    pub outcome: SendOutcome,
    /// The message's id.
    pub id: String,
    /// The recipient: RUNTIME-NAME, or NAME@HOST.
    pub identity: String,
    /// Whether the session was woken for the message.
    pub woke: bool,
    /// `warm`, `fresh`, `resume`, `filed` for a person, or `sent` by a bridge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// The cause of that mode of wake.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// How many messages wait for this peer.
    pub waiting: usize,
    /// Why the message is not delivered yet, or was not kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How long accepting and watching took, in milliseconds.
    pub ms: u64,
}

impl SendReport {
    /// The report for a message that was not kept because `earlier`, of the same sender, still waits for `to`.
    pub(crate) fn skipped(world: &World<'_>, to: &Recipient, earlier: &Item) -> SendReport {
        let why = Some("an earlier one still waits".into());
        SendReport { reason: why, ..SendReport::of(SendOutcome::Skipped, world, to, earlier) }
    }

    /// The report for `item`, which was accepted for `to`.
    fn of(outcome: SendOutcome, world: &World<'_>, to: &Recipient, item: &Item) -> SendReport {
        let waiting = to.queue(world).list(Place::Waiting).map_or(0, |list| list.len());
        SendReport { waiting, ..SendReport::bare(outcome, to.to_string(), item.id) }
    }

    /// The report for the message `id`, which answers a message of `answered`: `answered` is no peer, and this host has
    /// no owner but the sender.
    pub(crate) fn noted(answered: Identity, id: MessageId) -> SendReport {
        let why = format!("nobody reads an answer to {answered}: it is no peer, and this host has no owner but you");
        SendReport { reason: Some(why), ..SendReport::bare(SendOutcome::Noted, answered.to_string(), id) }
    }

    fn bare(outcome: SendOutcome, identity: String, id: MessageId) -> SendReport {
        SendReport {
            outcome,
            id: id.to_string(),
            identity,
            woke: false,
            mode: None,
            cause: None,
            waiting: 0,
            reason: None,
            ms: 0,
        }
    }

    /// The report as one line for people.
    pub fn line(&self) -> String {
        let SendReport { identity, id, waiting, .. } = self;
        if self.outcome == SendOutcome::Skipped {
            return format!("skipped for {identity} ({waiting} waiting: an earlier one still waits) {id}");
        }
        if self.outcome == SendOutcome::Noted {
            return format!("noted: {}", self.reason.as_deref().unwrap_or_default());
        }
        if self.outcome == SendOutcome::Queued {
            let why = self.reason.as_deref().unwrap_or("waking");
            return format!("queued for {identity} ({waiting} waiting: {}) {id}", crate::base::exit::one_line(why));
        }
        match (&self.mode, &self.cause) {
            (Some(mode), Some(cause)) if self.woke => format!("delivered to {identity} (woke: {mode}, {cause}) {id}"),
            _ => format!("delivered to {identity} ({}) {id}", self.mode.as_deref().unwrap_or("warm")),
        }
    }
}

/// An accepted item that is watched for its sender.
pub(crate) struct Watched<'a> {
    pub(crate) world: &'a World<'a>,
    pub(crate) to: &'a Recipient,
    pub(crate) item: &'a Item,
    pub(crate) seq: Seq,
}

impl Watched<'_> {
    fn of(&self, outcome: SendOutcome, reason: Option<String>) -> SendReport {
        SendReport { reason, ..SendReport::of(outcome, self.world, self.to, self.item) }
    }

    /// Watches the item until it settles or `wait` is over. Where no program could be started (`not_started`), the item
    /// is checked without waiting: another program may have delivered it all the same.
    pub(crate) fn report(&self, wait: Duration, not_started: Option<NotStarted>) -> SendReport {
        let Watched { world, to, item: _, seq } = *self;
        let queue = to.queue(world);
        let deadline = Deadline::after(world.clock, if not_started.is_some() { Duration::ZERO } else { wait });
        let mut last_reason = None;
        let mut in_flight = None;
        let mut progress = match to {
            Recipient::Here(peer) => Some(Progress::of(world, &peer.identity)),
            Recipient::Afar(_) => None,
        };
        let settled = wait_for(world.clock, deadline, LOOK, || match queue.settled(seq) {
            Settled::Gone => Some(Settled::Gone),
            Settled::Dead => Some(Settled::Dead),
            place @ (Settled::Waiting | Settled::Inflight) => {
                let at = if place == Settled::Waiting { Place::Waiting } else { Place::Inflight };
                let now = queue.peek(at, seq)?;
                // A worker's task stays in flight until the worker answers: a task that the worker has taken counts as
                // delivered.
                if now.landed.is_some() {
                    in_flight = Some(now);
                    return Some(Settled::Gone);
                }
                // A failed try is not repeated before the next tick, so waiting longer is of no use. But a message that
                // the program has in its own queue, or that waits for the end of a turn, may be taken at any time, and
                // an item with a notice becomes a dead letter in a moment.
                let turn = now.held.is_some_and(|held| held.why == Hold::Turn);
                let goes_on = now.passed.is_some() || turn || now.notice.is_some();
                last_reason = now.reason.filter(|_| now.notice.is_none()).or_else(|| self.away(at));
                if last_reason.is_some() && !goes_on {
                    return Some(place);
                }
                progress.iter_mut().for_each(|progress| progress.tell(place));
                None
            }
        });
        match settled {
            Some(Settled::Gone) => {
                self.delivered(in_flight, self.of(SendOutcome::Delivered, None)).unwrap_or_else(|| {
                    // Somebody removed the item's file, or the peer.
                    let why = "no longer in the queue, and no delivery of it on record";
                    self.of(SendOutcome::Queued, Some(why.into()))
                })
            }
            Some(Settled::Dead) => {
                let reason = queue.peek(Place::Dead, seq).and_then(|item| item.reason);
                self.of(SendOutcome::Queued, Some(format!("dead letter: {}", reason.unwrap_or_default())))
            }
            _ if self.is_stopped() => self.of(SendOutcome::Queued, Some("stopped meanwhile".into())),
            _ => {
                let nobody = not_started
                    .map(|why| format!("accepted, but nothing could be started: {why}; the next tick delivers"));
                self.of(SendOutcome::Queued, last_reason.or(nobody).or_else(|| self.why_waiting(&queue)))
            }
        }
    }

    fn is_stopped(&self) -> bool {
        match self.to {
            Recipient::Here(peer) => matches!(self.world.markers(&peer.identity).has(Marker::Stopped), Ok(true)),
            Recipient::Afar(_) => false,
        }
    }

    /// Why the host of an item that waits can't be reached, where a try has failed since the item was accepted.
    fn away(&self, at: Place) -> Option<String> {
        let (Recipient::Afar(address), Place::Waiting) = (self.to, at) else { return None };
        let away = self.world.outbox(address.host()).away()?;
        Some(format!("{} is away since {}: {}", address.host(), away.since.local(), away.why))
    }

    /// Why the item waits, where waking its peer would not help.
    fn why_waiting(&self, queue: &Queue) -> Option<String> {
        let Recipient::Here(peer) = self.to else {
            let host = self.item.to.as_ref()?.host();
            return Some(match queue.settled(self.seq) {
                Settled::Inflight => format!("{host} has it, and has not told yet what became of it"),
                _ => format!("for {host}"),
            });
        };
        let ahead = [Place::Inflight, Place::Waiting].into_iter().find_map(|place| {
            let first = queue.list(place).ok()?.first().copied().filter(|first| *first < self.seq)?;
            queue.peek(place, first)
        });
        match ahead {
            Some(item) => Some(item.reason.unwrap_or_else(|| "behind another message".into())),
            None => SessionRecord::peek(self.world.paths, &peer.identity).map(|_| "being delivered".into()),
        }
    }

    /// Completes the report of a delivered message from the history or, where the item is still in flight (a worker's
    /// open task), from the item. `None`: neither says that the message was delivered.
    fn delivered(&self, now: Option<Item>, mut report: SendReport) -> Option<SendReport> {
        let landed = match now.and_then(|now| now.landing) {
            Some(landed) => landed,
            None => {
                let line = self.to.history(self.world).find(self.item.id, self.item.accepted).ok()??;
                line.landed.filter(|_| line.outcome == Outcome::Delivered)?
            }
        };
        report.woke = landed.mode.is_some();
        let unwoken = match landed.evidence {
            Evidence::Mailbox => "filed",
            Evidence::Api => "sent",
            _ => "warm",
        };
        report.mode = Some(landed.mode.map_or(unwoken, Mode::as_str).to_owned());
        report.cause = landed.cause.map(|cause| cause.to_string());
        Some(report)
    }
}
