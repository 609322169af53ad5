//! A worker's open task: it stays in `inflight/` from its hand-over until the worker answers (D9).

use crate::base::evidence::Evidence;
use crate::base::evidence::Landed;
use crate::base::exit::Failure;
use crate::mailbox::ledger::{Entry, Ledger, TryOutcome};
use crate::store::queue::{Item, Place, Queue};
use crate::world::World;
use crate::world::peer::Peer;

/// Settles the task that the worker has answered. A task that this worker never took, because the drain was killed
/// before it could hand the task over, stays in flight: it is given back when the session has ended
/// ([`give_back_unanswered`]).
pub(crate) fn settle_answered(world: &World<'_>, peer: &Peer, queue: &Queue) -> Result<(), Failure> {
    let mut ledger = Ledger::new(world, peer, queue);
    for seq in queue.list(Place::Inflight)? {
        let Some(item) = queue.read(Place::Inflight, seq)? else { continue };
        let mut entry = Entry { place: Place::Inflight, seq, item };
        if entry.item.notice.is_some() || ledger.drop_duplicate(&entry)? {
            continue;
        }
        if entry.item.landed.is_none() {
            if !is_taken(world, peer, &entry.item) {
                continue;
            }
            entry.item.landed = Some(world.now());
        }
        let found = Landed { evidence: Evidence::Transcript, forced: false, mode: None, cause: None };
        entry.item.landing.get_or_insert(found);
        ledger.finish_settling(&entry)?;
    }
    Ok(())
}

/// Whether the worker took the task `item`, by its transcript: for a drain that was killed before it could note so. A task
/// that was handed over before may be in the transcript of an earlier session, which proves nothing about this one.
pub(crate) fn is_taken(world: &World<'_>, peer: &Peer, item: &Item) -> bool {
    item.attempts == 0 && item.redelivered == 0 && world.host.carries(peer, item.id)
}

/// Settles tasks whose worker ended without an answer: a task goes back to the head of the queue while the profile's
/// `max_attempts` allows another try, else it becomes a dead letter and the sender is told once. For a task without
/// evidence that a worker took it, the limit of tries is that of any message (IAPEER_QUEUE_MAX_ATTEMPTS).
pub(crate) fn give_back_unanswered(world: &World<'_>, peer: &Peer, queue: &Queue, why: &str) -> Result<(), Failure> {
    Ledger::new(world, peer, queue).give_back_unanswered(why)
}

impl Ledger<'_> {
    /// Gives back the tasks of a worker that could not answer because of its own state: no try is counted.
    pub(crate) fn give_back_uncounted(&mut self, why: &str) -> Result<(), Failure> {
        for seq in self.queue.list(Place::Inflight)? {
            let Some(item) = self.queue.read(Place::Inflight, seq)? else { continue };
            let mut entry = Entry { place: Place::Inflight, seq, item };
            if self.finish_burial(&entry)? || self.drop_duplicate(&entry)? {
                continue;
            }
            entry.item.redelivered += 1;
            (entry.item.landing, entry.item.landed) = (None, None);
            self.put_off(entry, None, TryOutcome::Queued, why)?;
            self.queue.shift(seq, Place::Inflight, Place::Waiting)?;
        }
        Ok(())
    }

    /// [`give_back_unanswered`] with the ledger of a drain, which reports what became of the tasks.
    pub(crate) fn give_back_unanswered(&mut self, why: &str) -> Result<(), Failure> {
        for seq in self.queue.list(Place::Inflight)? {
            let Some(item) = self.queue.read(Place::Inflight, seq)? else { continue };
            let mut entry = Entry { place: Place::Inflight, seq, item };
            if self.finish_burial(&entry)? || self.drop_duplicate(&entry)? {
                continue;
            }
            entry.item.redelivered += 1;
            entry.item.landing = None;
            let allowed = match entry.item.landed.take() {
                Some(_) => u64::from(self.peer.max_attempts().unwrap_or(1)),
                None => self.world.settings.queue_max_attempts,
            };
            self.give_back_within(entry, why, allowed)?;
        }
        Ok(())
    }
}
