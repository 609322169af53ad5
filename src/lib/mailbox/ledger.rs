//! The ledger of one peer's messages: counts tries, gives a message back to the queue, settles it, or buries it (makes
//! it a dead letter). The caller holds the identity's lock.

use crate::base::evidence::{Landed, Outcome};
use crate::base::exit::Failure;
use crate::base::hold::{HeldSince, Hold};
use crate::base::identity::Identity;
use crate::base::message_id::MessageId;
use crate::base::wake::Woken;
use crate::base::words::words;
use crate::mailbox::{armed, notice, receipt};
use crate::people::{self, asks::Asks};
use crate::store::StoreError;
use crate::store::event_log::Event;
use crate::store::history::Settlement;
use crate::store::queue::{Item, Place, Queue, Seq};
use crate::world::World;
use crate::world::peer::Peer;
use serde::Serialize;

words! {
    /// The outcome of a try.
    pub enum TryOutcome {
        /// The message was delivered.
        Delivered = "delivered",
        /// The message waits.
        Queued = "queued",
        /// The message was handed over, and there is no evidence that the session took it.
        Unknown = "unknown",
        /// The message is a dead letter.
        Dead = "dead",
        /// The message had been delivered before and was removed from the queue.
        Duplicate = "duplicate",
    }
}

/// What a drain did with one item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Acted {
    /// The identity whose queue this is.
    pub identity: Identity,
    /// The item's number.
    pub seq: Seq,
    /// The message.
    pub id: String,
    /// The outcome of the try.
    pub outcome: TryOutcome,
    /// The number of failed tries so far.
    pub attempts: u32,
    /// Why the message was not delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// An item and its place in the queue.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) place: Place,
    pub(crate) seq: Seq,
    pub(crate) item: Item,
}

/// What became of an item that was given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GivenBack {
    /// The item waits again, at its place in the order.
    Waits,
    /// The item is a dead letter: its last try failed, or it was held for too long.
    Buried,
}

/// The messages of one peer, and what a drain did with them.
pub(crate) struct Ledger<'a> {
    pub(crate) world: &'a World<'a>,
    pub(crate) peer: &'a Peer,
    pub(crate) queue: &'a Queue,
    pub(crate) acted: Vec<Acted>,
}

impl<'a> Ledger<'a> {
    pub(crate) fn new(world: &'a World<'a>, peer: &'a Peer, queue: &'a Queue) -> Self {
        Ledger { world, peer, queue, acted: Vec::new() }
    }

    /// The first item that waits to be delivered. On the way it completes interrupted burials, removes items that were
    /// delivered before, and skips answers for which an asker waits.
    pub(crate) fn head(&mut self) -> Result<Option<Entry>, Failure> {
        self.head_of(|_| true)
    }

    /// [`Ledger::head`] of those items that `wanted` accepts.
    pub(crate) fn head_of(&mut self, wanted: impl Fn(&Item) -> bool) -> Result<Option<Entry>, Failure> {
        let asks = Asks::of(self.world, self.peer.identity.personality());
        for seq in self.queue.list(Place::Waiting)? {
            let Some(item) = self.queue.read(Place::Waiting, seq)? else { continue };
            let entry = Entry { place: Place::Waiting, seq, item };
            if !self.finish_burial(&entry)?
                && !self.drop_duplicate(&entry)?
                && asks.answered_by(&entry.item).is_none()
                && wanted(&entry.item)
            {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    /// Removes an item whose message the history has as settled: a crash between the line in the history and the
    /// removal left the item, or somebody restored a copy. Returns whether that was so. Where the history can't be
    /// read, the item is not removed: it may then be delivered twice, but would otherwise never be delivered.
    pub(crate) fn drop_duplicate(&mut self, entry: &Entry) -> Result<bool, Failure> {
        match self.world.history(&self.peer.identity).forbids(&entry.item) {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(error) => {
                tracing::warn!(
                    "{}: {error}; whether {} was delivered before is not known",
                    self.peer.identity,
                    entry.item.id
                );
                return Ok(false);
            }
        }
        self.queue.remove(entry.place, entry.seq)?;
        let reason = "it was delivered before";
        self.log(&entry.item, TryOutcome::Duplicate, None, Some(reason));
        self.note(entry, TryOutcome::Duplicate, Some(reason.to_owned()));
        Ok(true)
    }

    /// Settles a message that was delivered: appends its line to the history, then removes the item. Where the history
    /// can't be written, the item stays in its place with the reason and the evidence of delivery; such an item does
    /// not block the messages behind it.
    pub(crate) fn settle(&mut self, mut entry: Entry, landed: Landed) -> Result<(), Failure> {
        self.log(&entry.item, TryOutcome::Delivered, Some(&landed), None);
        entry.item.landed.get_or_insert(self.world.now());
        entry.item.landing = Some(landed);
        self.remove_settled(entry)
    }

    /// Completes a settling that a crash interrupted or that could not be recorded: the item says how it was delivered.
    /// Returns whether the item needed that.
    pub(crate) fn finish_settling(&mut self, entry: &Entry) -> Result<bool, Failure> {
        if entry.item.landed.is_none() || entry.item.landing.is_none() {
            return Ok(false);
        }
        self.remove_settled(entry.clone()).map(|()| true)
    }

    fn remove_settled(&mut self, mut entry: Entry) -> Result<(), Failure> {
        armed::arm_sender(self.world, &entry.item);
        let written = receipt::write(self.world, &entry.item, Outcome::Delivered, entry.item.landing, None);
        let recorded = || self.record(&entry, Outcome::Delivered, entry.item.landing).map_err(Failure::from);
        match written.and_then(|()| recorded()) {
            Ok(()) => drop(self.queue.remove(entry.place, entry.seq)?),
            Err(why) => {
                let reason = format!("delivered, and kept because its history can't be written: {why}");
                if entry.item.reason.as_ref() != Some(&reason) {
                    tracing::warn!("{}: {}: {reason}", self.peer.identity, entry.item.id);
                    entry.item.reason = Some(reason);
                    self.queue.update(entry.place, entry.seq, &entry.item)?;
                }
            }
        }
        self.note(&entry, TryOutcome::Delivered, None);
        Ok(())
    }

    /// Notes in the item that a worker took it as its task. The item stays in flight until the worker answers.
    pub(crate) fn settle_taken(&mut self, mut entry: Entry, landed: Landed) -> Result<(), Failure> {
        entry.item.landed = Some(self.world.now());
        entry.item.landing = Some(landed);
        receipt::write(self.world, &entry.item, Outcome::Delivered, Some(landed), None)?;
        receipt::taken(&mut entry.item);
        self.log(&entry.item, TryOutcome::Delivered, Some(&landed), None);
        self.queue.update(entry.place, entry.seq, &entry.item)?;
        self.note(&entry, TryOutcome::Delivered, None);
        Ok(())
    }

    fn record(&self, entry: &Entry, outcome: Outcome, landed: Option<Landed>) -> Result<(), StoreError> {
        let line = Settlement::of(&entry.item, entry.seq, outcome, landed, self.world.now());
        self.world.history(&self.peer.identity).append(&line)
    }

    /// Leaves an item in its place and notes the reason in it; no try is counted.
    pub(crate) fn put_off(
        &mut self,
        mut entry: Entry,
        woke: Option<Woken>,
        outcome: TryOutcome,
        reason: &str,
    ) -> Result<(), Failure> {
        self.log_try(&entry.item, outcome, woke, None, Some(reason));
        entry.item.reason = Some(reason.to_owned());
        self.queue.update(entry.place, entry.seq, &entry.item)?;
        self.note(&entry, outcome, Some(reason.to_owned()));
        Ok(())
    }

    /// Holds an item for a reason that is not its own fault: no try is counted, and the item keeps its place in the
    /// order. An item in flight that was not handed over waits again; one that may have been handed over (`outcome` is
    /// `Unknown`) stays in flight. An item that is held for longer than the settings allow becomes a dead letter.
    pub(crate) fn hold(
        &mut self,
        mut entry: Entry,
        woke: Option<Woken>,
        outcome: TryOutcome,
        why: Hold,
        reason: &str,
    ) -> Result<GivenBack, Failure> {
        let now = self.world.now();
        // A time in the future counts as now; time by which the clock was set forward does not count.
        let since = entry.item.held.map_or(now, |held| held.since.min(now));
        let since = since.max(self.world.clock_set_at().unwrap_or_default());
        if now.since(since) > self.world.settings.hold {
            let days = now.since(since).as_secs_f64() / 86_400.0;
            self.bury(entry, &format!("held for {days:.1} days ({why}): {reason}"))?;
            return Ok(GivenBack::Buried);
        }
        let known = entry.item.held.is_some_and(|held| held.why == why);
        entry.item.held = Some(HeldSince { why, since });
        let (seq, place) = (entry.seq, entry.place);
        // An unchanged reason is not logged again: many drains may find this item.
        if known && place == Place::Waiting && entry.item.reason.as_deref() == Some(reason) {
            self.note(&entry, outcome, Some(reason.to_owned()));
            return Ok(GivenBack::Waits);
        }
        self.put_off(entry, woke, outcome, reason)?;
        if place == Place::Inflight && outcome == TryOutcome::Queued {
            self.queue.shift(seq, place, Place::Waiting)?;
        }
        Ok(GivenBack::Waits)
    }

    /// Counts a failed try and puts the item back to its place in the order, or buries it where that was its last try.
    pub(crate) fn give_back(&mut self, entry: Entry, reason: &str) -> Result<GivenBack, Failure> {
        self.give_back_within(entry, reason, self.world.settings.queue_max_attempts)
    }

    /// [`Ledger::give_back`] with its own limit of tries.
    pub(crate) fn give_back_within(
        &mut self,
        mut entry: Entry,
        reason: &str,
        tries: u64,
    ) -> Result<GivenBack, Failure> {
        entry.item.attempts += 1;
        entry.item.held = None;
        if u64::from(entry.item.attempts) >= tries {
            self.bury(entry, reason)?;
            return Ok(GivenBack::Buried);
        }
        let (seq, place) = (entry.seq, entry.place);
        self.put_off(entry, None, TryOutcome::Queued, reason)?;
        if place != Place::Waiting {
            self.queue.shift(seq, place, Place::Waiting)?;
        }
        Ok(GivenBack::Waits)
    }

    /// Makes an item a dead letter and tells its sender once: first the item names the notice, then the notice is sent,
    /// then the item moves. An interrupted burial is completed by the next drain.
    pub(crate) fn bury(&mut self, mut entry: Entry, reason: &str) -> Result<(), Failure> {
        let again = entry.item.notice.is_some();
        if !again {
            entry.item.notice = Some(MessageId::generate(self.world.now()));
            entry.item.reason = Some(reason.to_owned());
            self.queue.update(entry.place, entry.seq, &entry.item)?;
        }
        // The notice is sent before the item moves: every dead letter then has its notice, delivered or waiting.
        let to = self.peer.identity.as_str();
        match entry.item.from.here() {
            Some(from) => notice::dead_letter(self.world, to, from, &entry.item, reason, again)?,
            None => receipt::write(self.world, &entry.item, Outcome::Dead, None, Some(reason))?,
        }
        armed::arm_sender(self.world, &entry.item);
        // The dead letter itself is the evidence; a history that can't be written costs only its line.
        if let Err(error) = self.record(&entry, Outcome::Dead, None) {
            tracing::warn!("{}: the dead letter {} is not in the history: {error}", self.peer.identity, entry.item.id);
        }
        self.queue.shift(entry.seq, entry.place, Place::Dead)?;
        people::notify::dead_letter(self.world, to, Some(&self.peer.identity), &entry.item, reason);
        self.log(&entry.item, TryOutcome::Dead, None, Some(reason));
        self.note(&entry, TryOutcome::Dead, Some(reason.to_owned()));
        Ok(())
    }

    /// Completes an interrupted burial. Returns whether there was one.
    pub(crate) fn finish_burial(&mut self, entry: &Entry) -> Result<bool, Failure> {
        if entry.item.notice.is_none() {
            return Ok(false);
        }
        let reason = entry.item.reason.clone().unwrap_or_default();
        self.bury(entry.clone(), &reason)?;
        Ok(true)
    }

    /// Remembers what became of an item, for the drain's report.
    pub(crate) fn note(&mut self, entry: &Entry, outcome: TryOutcome, reason: Option<String>) {
        self.acted.push(Acted {
            identity: self.peer.identity.clone(),
            seq: entry.seq,
            id: entry.item.id.to_string(),
            outcome,
            attempts: entry.item.attempts,
            reason,
        });
    }

    fn log(&self, item: &Item, outcome: TryOutcome, landed: Option<&Landed>, error: Option<&str>) {
        let woke = landed.and_then(|landed| Some(Woken { mode: landed.mode?, cause: landed.cause? }));
        self.log_try(item, outcome, woke, landed, error);
    }

    /// Writes one line to `delivery.log`, for people. The line never has the message's body.
    fn log_try(
        &self,
        item: &Item,
        outcome: TryOutcome,
        woke: Option<Woken>,
        landed: Option<&Landed>,
        error: Option<&str>,
    ) {
        let queued = outcome == TryOutcome::Queued;
        let kind = if self.peer.is_ephemeral() { "ephemeral" } else { "composer" };
        let depth = || self.queue.list(Place::Waiting).ok().map(|waiting| waiting.len());
        let event = Event::new("delivery")
            .field("id", item.id)
            .field("caller", &item.from)
            .field("to", self.peer.identity.personality())
            .field("rt", self.peer.identity.runtime())
            .field("outcome", outcome)
            .field("ok", outcome == TryOutcome::Delivered)
            .maybe("via", landed.map(|landed| landed.evidence))
            .field("woke", woke.is_some())
            .maybe("mode", woke.map(|woken| woken.mode))
            .maybe("cause", woke.map(|woken| woken.cause))
            .field("queued", queued)
            .maybe("qkind", queued.then_some(kind))
            .maybe("qd", queued.then(depth).flatten())
            .maybe("forced", landed.and_then(|landed| landed.forced.then_some(true)))
            .maybe("held", item.held.filter(|_| error.is_some()).map(|held| held.why))
            .maybe("attempts", (item.attempts > 0).then_some(item.attempts))
            .maybe("redelivered", (item.redelivered > 0).then_some(item.redelivered))
            .field("ms", self.world.now().since(item.accepted).as_millis())
            .field("len", item.task.chars().count())
            .maybe("att", (!item.attachments.is_empty()).then_some(item.attachments.len()))
            .maybe("topic", item.topic.as_ref())
            .maybe("err", error);
        self.world.delivery(&event);
    }
}
