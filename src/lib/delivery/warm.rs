//! One round of a drain over the queue of a peer that keeps its session: settles the items in flight whose outcome is
//! unknown, then hands over the waiting items in order.

use crate::attention::hold;
use crate::base::evidence::Evidence;
use crate::base::evidence::Landed;
use crate::base::exit::Failure;
use crate::base::hold::Hold;
use crate::base::wake::Woken;
use crate::delivery::hand_over::{self, ComposerState, HandedOver};
use crate::delivery::passed::{self, Whereabouts};
use crate::delivery::round::{Next, RoundStart};
use crate::mailbox::ledger::{Entry, GivenBack, Ledger, TryOutcome};
use crate::session::activity::{Activity, Quiet};
use crate::session::bring_up::Up;
use crate::session::settle::{self, Standing};
use crate::store::event_log::Event;
use crate::store::markers::TurnState;
use crate::store::queue::{Item, Passed, Place, Queue};
use crate::store::session_record::SessionRecord;
use crate::world::peer::Peer;
use crate::world::{Landing, World};

/// What became of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// The item left the queue: the next one may be delivered.
    Settled,
    /// The program has the item in a queue of its own: the next one may be handed over behind it.
    Passed,
    /// The item stays in the queue, and so does every item behind it.
    Stays,
}

/// The result of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WarmRound {
    /// Every item that the round saw is settled.
    Emptied,
    /// An item stays in the queue, and so does every item behind it.
    Stuck,
}

/// Decides on another round, without the lock: only where a message was accepted during this one, or a turn ended, since the
/// drain that was started then found the lock taken. A message that could not be delivered waits for the next tick.
pub(crate) fn next(
    world: &World<'_>,
    peer: &Peer,
    queue: &Queue,
    round: WarmRound,
    before: &RoundStart,
) -> Result<Next, Failure> {
    let newest = queue.list(Place::Waiting)?.last().copied();
    let ended = || {
        let turn = world.markers(&peer.identity).turn();
        turn != before.turn && turn.is_some_and(|turn| turn.state == TurnState::Idle)
    };
    let more = newest.is_some() && (round == WarmRound::Emptied || newest > before.newest || ended());
    Ok(if more { Next::Recheck } else { Next::Leave })
}

/// One round, under the lock.
pub(crate) fn round(ledger: &mut Ledger<'_>) -> Result<WarmRound, Failure> {
    if ledger.world.markers(&ledger.peer.identity).is_stopped() {
        return Ok(WarmRound::Stuck);
    }
    let mut stuck = false;
    for seq in ledger.queue.list(Place::Inflight)? {
        let Some(item) = ledger.queue.read(Place::Inflight, seq)? else { continue };
        if resolve_unknown(ledger, Entry { place: Place::Inflight, seq, item })? == Fate::Stays {
            stuck = true;
            break;
        }
    }
    // An urgent message does not wait for the end of a turn that keeps another message in flight.
    while let Some(entry) = ledger.head_of(|item| !stuck || item.urgent)? {
        if let Some((hold, why)) = hold::reason(ledger.world, ledger.peer)? {
            ledger.hold(entry, None, TryOutcome::Queued, hold, &why)?;
            return Ok(WarmRound::Stuck);
        }
        let fate = match hand_over::hand_over(ledger, entry)? {
            // A message that waits for the end of the turn lets an urgent one pass.
            HandedOver::Tried(tried) if !stuck && matches!(tried.landing, Landing::Held(Hold::Turn, _)) => {
                conclude(ledger, tried.entry, tried.woke, tried.landing, &tried.record)?;
                stuck = true;
                continue;
            }
            HandedOver::Tried(tried) => conclude(ledger, tried.entry, tried.woke, tried.landing, &tried.record)?,
            HandedOver::Settled => Fate::Settled,
            HandedOver::Waits => Fate::Stays,
        };
        if fate == Fate::Stays {
            return Ok(WarmRound::Stuck);
        }
    }
    // An answer that an asker takes out of the queue itself is no reason for another round.
    Ok(if stuck || ledger.queue.has_waiting()? { WarmRound::Stuck } else { WarmRound::Emptied })
}

/// Settles the item that an earlier drain handed over or was about to hand over. While its outcome is unknown, no other
/// item may be delivered before it.
fn resolve_unknown(ledger: &mut Ledger<'_>, mut entry: Entry) -> Result<Fate, Failure> {
    let (world, peer) = (ledger.world, ledger.peer);
    if ledger.finish_burial(&entry)? || ledger.drop_duplicate(&entry)? || ledger.finish_settling(&entry)? {
        return Ok(Fate::Settled);
    }
    if let Some(at) = passed::taken(world, peer, &entry.item) {
        passed::note_taken(world, peer, &entry.item, at);
        note_topic(world, peer, &entry.item);
        ledger.settle(entry, landed(None, Evidence::Transcript, false))?;
        return Ok(Fate::Settled);
    }
    let (standing, _) = settle::settle(world, &peer.identity)?;
    match standing {
        Standing::Unknown => {
            let reason = "tmux does not say whether the session lives";
            ledger.note(&entry, TryOutcome::Unknown, Some(reason.into()));
            Ok(Fate::Stays)
        }
        Standing::Live(record) if entry.item.passed.is_some() => resolve_passed(ledger, entry, record),
        Standing::Live(record) => {
            if let Quiet::Working = Activity::from_files(world, peer, &record).quiet() {
                // The session may take the message at the end of its turn.
                ledger.note(&entry, TryOutcome::Unknown, Some("a turn is running, no evidence yet".into()));
                return Ok(Fate::Stays);
            }
            if let Some((_, why)) = hold::reason(world, peer)? {
                ledger.note(&entry, TryOutcome::Unknown, Some(why));
                return Ok(Fate::Stays);
            }
            retry_unknown(ledger, entry, record)
        }
        Standing::Asleep if entry.item.passed.is_some() => {
            ledger.give_back_passed(entry)?;
            Ok(Fate::Settled)
        }
        Standing::Asleep => {
            // The session that may have seen the message is gone, and its transcript lacks it.
            entry.item.redelivered += 1;
            ledger.give_back(entry, "the session ended before there was evidence")?;
            Ok(Fate::Settled)
        }
    }
}

/// Settles an item that was passed to a program's own queue, while a session is alive. The program may have lost the
/// item, or this may be a later session.
fn resolve_passed(ledger: &mut Ledger<'_>, mut entry: Entry, record: SessionRecord) -> Result<Fate, Failure> {
    let (world, peer) = (ledger.world, ledger.peer);
    if entry.item.passed.as_ref().is_some_and(|passed| passed.launch != record.launch) {
        ledger.give_back_passed(entry)?;
        return Ok(Fate::Settled);
    }
    match passed::whereabouts(world, peer, &entry.item, &record) {
        Whereabouts::Queued => {
            ledger.note(&entry, TryOutcome::Queued, Some(passed::BEHIND_THE_TURN.into()));
            Ok(Fate::Passed)
        }
        Whereabouts::Taken => resolve_unknown(ledger, entry),
        Whereabouts::Lost => {
            // A person has taken it out of the program's queue, or the program has put it back into the composer.
            entry.item.passed = None;
            retry_unknown(ledger, entry, record)
        }
    }
}

/// Hands an item whose outcome is unknown over again, to the session that is still alive: its text may still be in the
/// composer.
fn retry_unknown(ledger: &mut Ledger<'_>, mut entry: Entry, record: SessionRecord) -> Result<Fate, Failure> {
    entry.item.redelivered += 1;
    entry.item.attempts += 1;
    if u64::from(entry.item.attempts) > ledger.world.settings.queue_max_attempts {
        ledger.bury(entry, "no evidence that the session took it")?;
        return Ok(Fate::Settled);
    }
    ledger.queue.update(entry.place, entry.seq, &entry.item)?;
    let text = hand_over::envelope(ledger.peer, &entry.item);
    let up = Up { record: record.clone(), woke: None };
    match hand_over::deliver(ledger, &entry.item, &text, &up, ComposerState::MayHoldIt) {
        // The message may have been typed before: it stays in flight until there is evidence or its session has ended.
        Landing::Held(hold, reason) => {
            entry.item.attempts = entry.item.attempts.saturating_sub(1);
            entry.item.redelivered = entry.item.redelivered.saturating_sub(1);
            ledger.hold(entry, None, TryOutcome::Unknown, hold, &reason).map(fate)
        }
        Landing::Failed(reason) => ledger.put_off(entry, None, TryOutcome::Unknown, &reason).map(|()| Fate::Stays),
        landing => conclude(ledger, entry, None, landing, &record),
    }
}

/// Settles, holds or gives back `entry`, which was handed to the session of `record`, as `landing` says.
fn conclude(
    ledger: &mut Ledger<'_>,
    mut entry: Entry,
    woke: Option<Woken>,
    landing: Landing,
    record: &SessionRecord,
) -> Result<Fate, Failure> {
    match landing {
        Landing::Queued { .. } => {
            entry.item.passed = Some(Passed { at: ledger.world.now(), launch: record.launch.clone() });
            ledger.put_off(entry, woke, TryOutcome::Queued, passed::BEHIND_THE_TURN).map(|()| Fate::Passed)
        }
        Landing::Landed { by, forced } => {
            note_topic(ledger.world, ledger.peer, &entry.item);
            ledger.settle(entry, landed(woke, by, forced)).map(|()| Fate::Settled)
        }
        Landing::Held(hold, reason) => ledger.hold(entry, woke, TryOutcome::Queued, hold, &reason).map(fate),
        Landing::Unknown(reason) => ledger.put_off(entry, woke, TryOutcome::Unknown, &reason).map(|()| Fate::Stays),
        Landing::Failed(reason) => ledger.give_back(entry, &reason).map(fate),
    }
}

fn fate(given_back: GivenBack) -> Fate {
    match given_back {
        GivenBack::Buried => Fate::Settled,
        GivenBack::Waits => Fate::Stays,
    }
}

/// How a message landed, for its history.
pub(crate) fn landed(woke: Option<Woken>, evidence: Evidence, forced: bool) -> Landed {
    Landed { evidence, forced, mode: woke.map(|woken| woken.mode), cause: woke.map(|woken| woken.cause) }
}

/// Notes the topic of a message that has landed. A failure is only logged: the message is settled all the same.
fn note_topic(world: &World<'_>, peer: &Peer, item: &Item) {
    let Some(topic) = &item.topic else { return };
    match world.markers(&peer.identity).note_topic(topic) {
        Ok(true) => {
            world.lifecycle(&Event::new("topic-note").field("identity", &peer.identity).field("topic", topic));
        }
        Ok(false) => {}
        Err(error) => tracing::warn!("{}: cannot note the topic {topic:?}: {error}", peer.identity),
    }
}
