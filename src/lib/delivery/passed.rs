//! Messages that the agent's program took into its own queue, behind the running turn (D39): their items stay in flight
//! until the transcript or a hook shows that a turn took the message. Where the program ends before that, the message
//! is handed over again.

use crate::base::StateFile;
use crate::base::clock::{Deadline, EpochMs, wait_for};
use crate::base::exit::Failure;
use crate::mailbox::ledger::{Entry, Ledger, TryOutcome};
use crate::session::activity::{Activity, Quiet, turn_of};
use crate::session::hook;
use crate::store::lock::FileLock;
use crate::store::markers::TurnState;
use crate::store::queue::{Item, Place, Queue};
use crate::store::session_record::SessionRecord;
use crate::world::World;
use crate::world::peer::Peer;
use std::time::Duration;

/// The reason why such a message is not delivered yet.
pub(crate) const BEHIND_THE_TURN: &str = "the program has it in its own queue, behind the running turn";
/// How often the transcript is read at the end of a turn to see whether the next turn took a message.
const LOOK: Duration = Duration::from_millis(100);
/// How long a drain watches whether the running turn takes the messages in the program's queue; later, the end of the
/// turn starts another drain. A sender watches for a minute.
const WATCH: Duration = Duration::from_secs(60);

/// The state of a message that was passed to the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whereabouts {
    /// The message is still in the program's queue.
    Queued,
    /// No turn runs, and no turn took the message: the program has lost it.
    Lost,
    /// A turn has taken it.
    Taken,
}

/// When a turn took the message, where there is evidence of that. A hook that reports a queued message is no evidence.
pub(crate) fn taken(world: &World<'_>, peer: &Peer, item: &Item) -> Option<EpochMs> {
    let announces = peer.manifest.keys.midturn.announces && peer.manifest.transcript.is_some();
    let hooked = || turn_of(world, &peer.identity, None).filter(|turn| turn.taken.contains(&item.id));
    match hooked().filter(|_| !announces) {
        Some(turn) => Some(turn.at),
        None => world.host.taken_at(peer, item.id),
    }
}

/// Notes that a turn took `item`, which may be the first sign of that turn.
pub(crate) fn note_taken(world: &World<'_>, peer: &Peer, item: &Item, at: EpochMs) {
    if let Some(passed) = &item.passed {
        hook::took(world, &peer.identity, passed.launch.as_deref(), item.id, at);
    }
}

/// Determines the state of `item`, which was passed to the session of `record`.
pub(crate) fn whereabouts(world: &World<'_>, peer: &Peer, item: &Item, record: &SessionRecord) -> Whereabouts {
    if Activity::from_files(world, peer, record).quiet() == Quiet::Working {
        return Whereabouts::Queued;
    }
    // The turn has ended: the next turn takes the message shortly after, and the transcript shows that a moment later.
    let deadline = Deadline::after(world.clock, world.settings.liveness_grace);
    if wait_for(world.clock, deadline, LOOK, || taken(world, peer, item)).is_some() {
        return Whereabouts::Taken;
    }
    if world.host.has_queued(peer) { Whereabouts::Queued } else { Whereabouts::Lost }
}

impl Ledger<'_> {
    /// Gives back a message that the ended program had in its own queue: that counts no try, but the agent may have
    /// seen the message.
    pub(crate) fn give_back_passed(&mut self, mut entry: Entry) -> Result<(), Failure> {
        entry.item.redelivered += 1;
        entry.item.passed = None;
        let seq = entry.seq;
        self.put_off(entry, None, TryOutcome::Queued, "the session ended before a turn took it")?;
        self.queue.shift(seq, Place::Inflight, Place::Waiting)?;
        Ok(())
    }
}

/// The messages of `queue` that the program has in its own queue.
fn all(queue: &Queue) -> Result<Vec<Item>, Failure> {
    let mut found = Vec::new();
    for seq in queue.list(Place::Inflight)? {
        found.extend(queue.read(Place::Inflight, seq)?.filter(|item| item.passed.is_some() && item.landed.is_none()));
    }
    Ok(found)
}

/// The signs that a turn took a message: the state of the turn according to the hooks, and the size of the transcript.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signs(Option<TurnState>, u64);

impl Signs {
    fn of(world: &World<'_>, peer: &Peer) -> Signs {
        let turn = world.markers(&peer.identity).turn();
        let written = match turn.as_ref().and_then(|turn| turn.transcript.as_deref()) {
            Some(path) => world.host.transcript_size(path),
            None => world.host.transcript_times(peer, None).last.unwrap_or_default().0,
        };
        Signs(turn.map(|turn| turn.state), written)
    }
}

/// Waits, without the identity's lock, until a turn took one of the messages that the program has in its own queue, or
/// the turn has ended. Returns whether one of both happened since `seen`. Only one drain of an identity watches at a
/// time.
pub(crate) fn watch(world: &World<'_>, peer: &Peer, queue: &Queue, seen: &mut Option<Signs>) -> Result<bool, Failure> {
    if all(queue)?.is_empty() {
        return Ok(false);
    }
    let path = world.paths.state(&peer.identity, StateFile::WatchLock);
    let Ok(_lock) = FileLock::acquire(&path, world.program, Duration::ZERO, world.clock) else { return Ok(false) };
    let deadline = Deadline::after(world.clock, WATCH);
    let news = wait_for(world.clock, deadline, LOOK, || {
        let now = Some(Signs::of(world, peer));
        let before = std::mem::replace(seen, now.clone());
        if before == now {
            return None;
        }
        let ended = before.is_some_and(|before| now.is_some_and(|now| before.0 != now.0));
        let items = all(queue).unwrap_or_default();
        (ended || items.is_empty() || items.iter().any(|item| taken(world, peer, item).is_some())).then_some(())
    });
    Ok(news.is_some())
}
