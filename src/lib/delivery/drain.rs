//! Delivering what waits: into a live session, or by waking the peer. One drain at a time per identity, by its
//! lock; nothing else types messages.
//!
//! A drain takes the lock, delivers until nothing waits or something forbids it, lets go, and looks again: what
//! was accepted in between found the lock taken, and its own drain left it to us.

use crate::base::exit::{Exit, Failure};
use crate::base::identity::Identity;
use crate::delivery::worker;
use crate::mailbox::ledger::{HandedOver, Held, Outcome, Tried, Tries, envelope};
use crate::runtime::manifest::Evidence;
use crate::session::activity::{Activity, Quiet, turn_of};
use crate::session::settle::{self, Standing};
use crate::store::event_log::Event;
use crate::store::lock::LockError;
use crate::store::markers::Marker;
use crate::store::queue::{Item, Place, Queue, Seq};
use crate::store::session_record::SessionRecord;
use crate::world::peer::Peer;
use crate::world::{Landing, World};
use serde::Serialize;
use std::time::Duration;

/// What became of one item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Acted {
    /// Whose queue.
    pub identity: Identity,
    /// The item's place.
    pub seq: Seq,
    /// The message.
    pub id: String,
    /// `delivered`, `queued`, `dead` or `unknown`.
    pub outcome: &'static str,
    /// Failed tries so far.
    pub attempts: u32,
    /// Why it is not delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What a drain did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Drained {
    /// It ran; the items it acted on.
    Ran(Vec<Acted>),
    /// Somebody else holds the identity: `pid N (program)`. The items are in good hands.
    Busy(String),
}

/// Delivers what waits for `identity`.
pub fn drain(world: &World<'_>, identity: &Identity) -> Result<Drained, Failure> {
    let peer = Peer::of(world.paths, identity)?;
    let queue = world.queue(identity);
    queue.adopt();
    if peer.is_ephemeral() {
        return worker::drain(world, &peer, &queue);
    }
    let mut acted = Vec::new();
    loop {
        let lock = match world.lock_to_deliver(identity, Duration::ZERO) {
            Ok(lock) => lock,
            Err(LockError::Held { holder, .. }) if acted.is_empty() => return Ok(Drained::Busy(holder)),
            Err(LockError::Held { .. }) => return Ok(Drained::Ran(acted)),
            Err(error) => return Err(error.into()),
        };
        let seen = queue.list(Place::Waiting)?.last().copied();
        let more = round(world, &peer, &queue, &mut acted)?;
        drop(lock);
        // An item accepted while we held the lock is ours; one that could not be delivered waits for the next tick.
        let newest = queue.list(Place::Waiting)?.last().copied();
        if newest.is_none() || !more && newest <= seen {
            return Ok(Drained::Ran(acted));
        }
    }
}

/// One hold of the lock. Says whether everything that was seen waiting is settled.
fn round(world: &World<'_>, peer: &Peer, queue: &Queue, acted: &mut Vec<Acted>) -> Result<bool, Failure> {
    let identity = &peer.identity;
    if world.markers(identity).has(Marker::Stopped) {
        return Ok(false);
    }
    let mut tries = Tries { world, peer, queue, acted };
    if !resolve_unknown(&mut tries)? {
        return Ok(false);
    }
    while let Some(held) = tries.head()? {
        let settled = match tries.hand_over(held)? {
            HandedOver::Tried(tried) => conclude(&mut tries, *tried)?,
            HandedOver::Settled => true,
            HandedOver::Waits => false,
        };
        // It stays, and with it what waits behind it.
        if !settled {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Settles what an earlier drain typed or was about to type. `false`: something stays unknown, and what waits
/// behind it must not overtake it.
fn resolve_unknown(tries: &mut Tries<'_>) -> Result<bool, Failure> {
    let (world, peer, queue) = (tries.world, tries.peer, tries.queue);
    for seq in queue.list(Place::Inflight)? {
        let Some(item) = queue.read(Place::Inflight, seq)? else { continue };
        let mut held = Held { place: Place::Inflight, seq, item };
        if tries.finish_burial(&held)? {
            continue;
        }
        let taken = turn_of(world, &peer.identity, None).is_some_and(|turn| turn.taken.contains(&held.item.id));
        if taken || world.host.carries(peer, held.item.id) {
            tries.log(&held.item, &Outcome::landed(None, Evidence::Transcript, false));
            note_topic(world, peer, &held.item);
            queue.remove(Place::Inflight, seq)?;
            tries.note(&held, "delivered", None);
            continue;
        }
        let (standing, _) = settle::settle(world, &peer.identity)?;
        match standing {
            Standing::Unknown => {
                tries.note(&held, "unknown", Some("tmux does not say whether the session lives".into()));
                return Ok(false);
            }
            Standing::Live(record) => {
                if let Quiet::Working = Activity::from_files(world, peer, &record).quiet() {
                    // It may be taken at the turn's end.
                    tries.note(&held, "unknown", Some("a turn is running, no evidence yet".into()));
                    return Ok(false);
                }
                if !retry_unknown(tries, held, record)? {
                    return Ok(false);
                }
            }
            Standing::Asleep => {
                // The session that may have seen it is gone, and its transcript lacks the message.
                held.item.redelivered += 1;
                tries.give_back(held, "the session ended before there was evidence")?;
            }
        }
    }
    Ok(true)
}

/// Tries an unknown item again in the session that lives: its text may still stand in the composer.
fn retry_unknown(tries: &mut Tries<'_>, mut held: Held, record: SessionRecord) -> Result<bool, Failure> {
    held.item.redelivered += 1;
    held.item.attempts += 1;
    if u64::from(held.item.attempts) > tries.world.settings.queue_max_attempts {
        tries.bury(held, "no evidence that the session took it")?;
        return Ok(true);
    }
    tries.queue.update(held.place, held.seq, &held.item)?;
    let text = envelope(tries.peer, &held.item);
    let landing = tries.deliver(&held.item, &text, &record, false, true);
    conclude(tries, Tried { held, record, woke: None, again: true, landing })
}

/// Acts on what became of a delivery. `false`: the item stays, and with it what waits behind it.
fn conclude(tries: &mut Tries<'_>, tried: Tried) -> Result<bool, Failure> {
    let Tried { mut held, woke, again, landing, .. } = tried;
    match landing {
        Landing::Landed { by, forced } => {
            // The log line first: whoever watches the item finds the line when the item is gone.
            tries.log(&held.item, &Outcome::landed(woke, by, forced));
            note_topic(tries.world, tries.peer, &held.item);
            tries.queue.remove(Place::Inflight, held.seq)?;
            tries.note(&held, "delivered", None);
            Ok(true)
        }
        // It may have been typed before: while that session lives, only evidence or its end takes it out of flight.
        Landing::Held(reason) if again => {
            held.item.attempts = held.item.attempts.saturating_sub(1);
            held.item.redelivered = held.item.redelivered.saturating_sub(1);
            tries.put_off(held, woke, "unknown", &reason).map(|()| false)
        }
        Landing::Failed(reason) if again => tries.put_off(held, woke, "unknown", &reason).map(|()| false),
        Landing::Held(reason) => {
            let seq = held.seq;
            tries.put_off(held, woke, "queued", &reason)?;
            tries.queue.shift(seq, Place::Inflight, Place::Waiting)?;
            Ok(false)
        }
        Landing::Unknown(reason) => tries.put_off(held, woke, "unknown", &reason).map(|()| false),
        Landing::Failed(reason) => tries.give_back(held, &reason),
    }
}

/// Best effort: what has landed is settled even where its topic can't be noted.
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

/// Refuses an identity that is not a peer's, in the words of the queue's tools.
pub fn no_such_item(id: &str) -> Failure {
    Failure::new(Exit::NoInput, format!("no item {id} in any queue: `iapeer-drain --list` shows what there is"))
}
