//! Delivering what waits: into a live session, or by waking the peer. One drain at a time per identity, by its
//! lock; nothing else types messages.
//!
//! A drain takes the lock, delivers until nothing waits or something forbids it, lets go, and looks again: what
//! was accepted in between found the lock taken, and its own drain left it to us.

use crate::core::exit::{Exit, Failure};
use crate::core::identity::Identity;
use crate::core::message_id::MessageId;
use crate::lifecycle::activity::{Activity, Quiet, turn_of};
use crate::lifecycle::bring_up::{self, Call, Up};
use crate::lifecycle::ephemeral;
use crate::lifecycle::notice;
use crate::lifecycle::peer::Peer;
use crate::lifecycle::session::{self, Standing};
use crate::lifecycle::wake::Mode;
use crate::lifecycle::world::{Delivery, Landing, World};
use crate::message::envelope::{Envelope, Instruction};
use crate::store::event_log::Event;
use crate::store::lock::LockError;
use crate::store::markers::Marker;
use crate::store::queue::{Item, Place, Queue, Seq};
use crate::store::session::SessionRecord;
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
    queue.await_acceptors(world.clock)?;
    if peer.is_ephemeral() {
        return ephemeral::drain(world, &peer, &queue);
    }
    let mut acted = Vec::new();
    loop {
        let lock = match world.lock(identity, Duration::ZERO) {
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
        if !more && newest <= seen {
            return Ok(Drained::Ran(acted));
        }
        if newest.is_none() {
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
    if !resolve_unknown(world, peer, queue, acted)? {
        return Ok(false);
    }
    while let Some((seq, item)) = queue.head(Place::Waiting)? {
        if !deliver_one(world, peer, queue, seq, item, acted)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Settles what an earlier drain typed or was about to type. `false`: something stays unknown, and what waits
/// behind it must not overtake it.
fn resolve_unknown(world: &World<'_>, peer: &Peer, queue: &Queue, acted: &mut Vec<Acted>) -> Result<bool, Failure> {
    for seq in queue.list(Place::Inflight)? {
        let Some(mut item) = queue.read(Place::Inflight, seq)? else { continue };
        if finish_burial(world, peer, queue, Place::Inflight, seq, &item, acted)? {
            continue;
        }
        let taken = turn_of(world, &peer.identity, None).is_some_and(|turn| turn.taken.contains(&item.id));
        if taken || world.host.carries(peer, item.id) {
            log_delivery(world, peer, &item, &Outcome::found_later());
            queue.remove(Place::Inflight, seq)?;
            note(acted, peer, seq, &item, "delivered", None);
            continue;
        }
        let (standing, _) = session::settle(world, &peer.identity)?;
        match standing {
            Standing::Unknown => {
                note(acted, peer, seq, &item, "unknown", Some("tmux does not say whether the session lives".into()));
                return Ok(false);
            }
            Standing::Live(record) => {
                if let Quiet::Working = Activity::from_files(world, peer, &record).quiet() {
                    // It may be taken at the turn's end.
                    note(acted, peer, seq, &item, "unknown", Some("a turn is running, no evidence yet".into()));
                    return Ok(false);
                }
                if !retry_unknown(world, peer, queue, seq, item, &record, acted)? {
                    return Ok(false);
                }
            }
            Standing::Asleep => {
                // The session that may have seen it is gone, and its transcript lacks the message.
                item.redelivered += 1;
                item.attempts += 1;
                give_back(world, peer, queue, seq, item, "the session ended before there was evidence", acted)?;
            }
        }
    }
    Ok(true)
}

/// Tries an unknown item again in the session that lives: its text may still stand in the composer.
fn retry_unknown(
    world: &World<'_>,
    peer: &Peer,
    queue: &Queue,
    seq: Seq,
    mut item: Item,
    record: &SessionRecord,
    acted: &mut Vec<Acted>,
) -> Result<bool, Failure> {
    item.redelivered += 1;
    item.attempts += 1;
    if u64::from(item.attempts) > world.settings.queue_max_attempts {
        bury(world, peer, queue, seq, item, "no evidence that the session took it", acted)?;
        return Ok(true);
    }
    queue.update(Place::Inflight, seq, &item)?;
    let text = envelope(peer, &item);
    let delivery = delivery(peer, &item, &text, record, None, true);
    conclude(world, peer, queue, seq, item, world.host.deliver(&delivery), None, acted)
}

/// Delivers the head. `false`: it stays, and with it what waits behind it.
fn deliver_one(
    world: &World<'_>,
    peer: &Peer,
    queue: &Queue,
    seq: Seq,
    item: Item,
    acted: &mut Vec<Acted>,
) -> Result<bool, Failure> {
    if finish_burial(world, peer, queue, Place::Waiting, seq, &item, acted)? {
        return Ok(true);
    }
    let call = Call { topic: item.topic.as_ref(), ..Call::default() };
    let up = match bring_up::bring_up(world, peer, call) {
        Ok(up) => up,
        Err(not_up) => {
            let reason = not_up.failure.to_string();
            if !not_up.tried {
                let outcome = Outcome::not_landed("queued", &reason);
                log_delivery(world, peer, &item, &outcome);
                remember_reason(queue, seq, item.clone(), &reason)?;
                note(acted, peer, seq, &item, "queued", Some(reason));
                return Ok(false);
            }
            let mut item = item;
            item.attempts += 1;
            return give_back_from(world, peer, queue, Place::Waiting, seq, item, &reason, acted);
        }
    };
    if !queue.shift(seq, Place::Waiting, Place::Inflight)? {
        // Somebody removed it by hand.
        return Ok(true);
    }
    let text = first_text(peer, &item, &up);
    let delivery = delivery(peer, &item, &text, &up.record, up.woke.map(|(mode, _)| mode), false);
    let landing = world.host.deliver(&delivery);
    conclude(world, peer, queue, seq, item, landing, up.woke, acted)
}

/// The text of a delivery: the envelope, behind the seed where the session is fresh and the profile has one.
pub(super) fn first_text(peer: &Peer, item: &Item, up: &Up) -> String {
    let text = envelope(peer, item);
    match (up.woke, peer.initial_prompt()) {
        // The seed may have been queued by itself: then it is not said twice.
        (Some((Mode::Fresh, _)), Some(seed)) if item.task != seed => {
            format!("{}\n\n{text}", notice::seed(peer, seed, item.accepted))
        }
        _ => text,
    }
}

/// What to hand to the host.
pub(super) fn delivery<'a>(
    peer: &'a Peer,
    item: &Item,
    text: &'a str,
    record: &'a SessionRecord,
    woke: Option<Mode>,
    resumed: bool,
) -> Delivery<'a> {
    Delivery {
        peer,
        text,
        id: item.id,
        launch: record.launch.as_deref(),
        boot: woke.is_some(),
        urgent: item.urgent,
        accepted: item.accepted,
        resumed,
    }
}

/// Acts on what became of a delivery. The item is in `inflight/`.
#[allow(clippy::too_many_arguments)]
fn conclude(
    world: &World<'_>,
    peer: &Peer,
    queue: &Queue,
    seq: Seq,
    mut item: Item,
    landing: Landing,
    woke: Option<(Mode, &'static str)>,
    acted: &mut Vec<Acted>,
) -> Result<bool, Failure> {
    match landing {
        Landing::Landed { by, forced } => {
            let outcome = Outcome { woke, via: Some(by), forced, ..Outcome::landed() };
            // The log line first: whoever watches the item finds the line when the item is gone.
            log_delivery(world, peer, &item, &outcome);
            note_topic(world, peer, &item)?;
            queue.remove(Place::Inflight, seq)?;
            note(acted, peer, seq, &item, "delivered", None);
            Ok(true)
        }
        Landing::Held(reason) => {
            log_delivery(world, peer, &item, &Outcome { woke, ..Outcome::not_landed("queued", &reason) });
            item.reason = Some(reason.clone());
            queue.update(Place::Inflight, seq, &item)?;
            queue.shift(seq, Place::Inflight, Place::Waiting)?;
            note(acted, peer, seq, &item, "queued", Some(reason));
            Ok(false)
        }
        Landing::Unknown(reason) => {
            log_delivery(world, peer, &item, &Outcome { woke, ..Outcome::not_landed("unknown", &reason) });
            item.reason = Some(reason.clone());
            queue.update(Place::Inflight, seq, &item)?;
            note(acted, peer, seq, &item, "unknown", Some(reason));
            Ok(false)
        }
        Landing::Failed(reason) => {
            item.attempts += 1;
            give_back(world, peer, queue, seq, item, &reason, acted)
        }
    }
}

fn give_back(
    world: &World<'_>,
    peer: &Peer,
    queue: &Queue,
    seq: Seq,
    item: Item,
    reason: &str,
    acted: &mut Vec<Acted>,
) -> Result<bool, Failure> {
    give_back_from(world, peer, queue, Place::Inflight, seq, item, reason, acted)
}

/// Finishes a burial that was cut short. Says whether there was one.
pub(super) fn finish_burial(
    world: &World<'_>,
    peer: &Peer,
    queue: &Queue,
    place: Place,
    seq: Seq,
    item: &Item,
    acted: &mut Vec<Acted>,
) -> Result<bool, Failure> {
    if item.notice.is_none() {
        return Ok(false);
    }
    let reason = item.reason.clone().unwrap_or_default();
    bury_from(world, peer, queue, place, seq, item.clone(), &reason, acted)?;
    Ok(true)
}

/// Puts an item whose try failed back to its place at the head, or to the dead letters when it had enough tries.
/// Its `attempts` are counted already.
#[allow(clippy::too_many_arguments)]
pub(super) fn give_back_from(
    world: &World<'_>,
    peer: &Peer,
    queue: &Queue,
    place: Place,
    seq: Seq,
    mut item: Item,
    reason: &str,
    acted: &mut Vec<Acted>,
) -> Result<bool, Failure> {
    if u64::from(item.attempts) >= world.settings.queue_max_attempts {
        bury_from(world, peer, queue, place, seq, item, reason, acted)?;
        return Ok(true);
    }
    log_delivery(world, peer, &item, &Outcome::not_landed("queued", reason));
    item.reason = Some(reason.to_owned());
    queue.update(place, seq, &item)?;
    if place != Place::Waiting {
        queue.shift(seq, place, Place::Waiting)?;
    }
    note(acted, peer, seq, &item, "queued", Some(reason.to_owned()));
    Ok(false)
}

fn bury(
    world: &World<'_>,
    peer: &Peer,
    queue: &Queue,
    seq: Seq,
    item: Item,
    reason: &str,
    acted: &mut Vec<Acted>,
) -> Result<(), Failure> {
    bury_from(world, peer, queue, Place::Inflight, seq, item, reason, acted)
}

/// Makes an item a dead letter and tells its sender once: first the item names the notice, then that is sent, then
/// the item goes. A burial that was cut short is finished by the next drain.
#[allow(clippy::too_many_arguments)]
pub(super) fn bury_from(
    world: &World<'_>,
    peer: &Peer,
    queue: &Queue,
    place: Place,
    seq: Seq,
    mut item: Item,
    reason: &str,
    acted: &mut Vec<Acted>,
) -> Result<(), Failure> {
    let again = item.notice.is_some();
    if !again {
        item.notice = Some(MessageId::generate(world.now()));
        item.reason = Some(reason.to_owned());
        queue.update(place, seq, &item)?;
    }
    notice::dead_letter(world, peer, &item, reason, again);
    queue.shift(seq, place, Place::Dead)?;
    log_delivery(world, peer, &item, &Outcome::not_landed("dead", reason));
    note(acted, peer, seq, &item, "dead", Some(reason.to_owned()));
    Ok(())
}

fn remember_reason(queue: &Queue, seq: Seq, mut item: Item, reason: &str) -> Result<(), Failure> {
    item.reason = Some(reason.to_owned());
    Ok(queue.update(Place::Waiting, seq, &item)?)
}

fn note_topic(world: &World<'_>, peer: &Peer, item: &Item) -> Result<(), Failure> {
    if let Some(topic) = &item.topic
        && world.markers(&peer.identity).note_topic(topic)?
    {
        let event = Event::new("topic-note").field("identity", &peer.identity).field("topic", topic);
        world.lifecycle(&event);
    }
    Ok(())
}

/// The envelope of an item.
pub fn envelope(peer: &Peer, item: &Item) -> String {
    let envelope = Envelope {
        from: item.from.clone(),
        intelligence: item.from_intelligence,
        ts: item.accepted.local(),
        topic: item.topic.clone(),
        id: Some(item.id),
        redelivered: (item.redelivered > 0).then_some(item.redelivered),
        attachments: item.attachments.clone(),
        body: item.task.clone(),
    };
    envelope.encode(if peer.manifest.mcp { Instruction::Mcp } else { Instruction::Send })
}

pub(super) fn note(
    acted: &mut Vec<Acted>,
    peer: &Peer,
    seq: Seq,
    item: &Item,
    outcome: &'static str,
    reason: Option<String>,
) {
    acted.push(Acted {
        identity: peer.identity.clone(),
        seq,
        id: item.id.to_string(),
        outcome,
        attempts: item.attempts,
        reason,
    });
}

/// What the delivery log says of a try.
#[derive(Debug, Clone)]
pub(super) struct Outcome<'a> {
    word: &'static str,
    ok: bool,
    woke: Option<(Mode, &'static str)>,
    via: Option<crate::runtime::manifest::Evidence>,
    forced: bool,
    error: Option<&'a str>,
}

impl<'a> Outcome<'a> {
    fn landed() -> Self {
        Outcome { word: "delivered", ok: true, woke: None, via: None, forced: false, error: None }
    }

    /// Landed with this evidence.
    pub(super) fn landed_by(
        woke: Option<(Mode, &'static str)>,
        via: crate::runtime::manifest::Evidence,
        forced: bool,
    ) -> Self {
        Outcome { woke, via: Some(via), forced, ..Outcome::landed() }
    }

    fn found_later() -> Self {
        Outcome { via: Some(crate::runtime::manifest::Evidence::Transcript), ..Outcome::landed() }
    }

    pub(super) fn not_landed(word: &'static str, reason: &'a str) -> Self {
        Outcome { word, ok: false, woke: None, via: None, forced: false, error: Some(reason) }
    }
}

/// One line in `delivery.log`. The body is never in it.
pub(super) fn log_delivery(world: &World<'_>, peer: &Peer, item: &Item, outcome: &Outcome<'_>) {
    let evidence = outcome.via.map(|via| format!("{via:?}").to_lowercase());
    let event = Event::new("delivery")
        .field("id", item.id)
        .field("caller", &item.from)
        .field("to", peer.identity.personality())
        .field("rt", peer.identity.runtime())
        .field("outcome", outcome.word)
        .field("ok", outcome.ok)
        .maybe("via", evidence)
        .field("woke", outcome.woke.is_some())
        .maybe("mode", outcome.woke.map(|(mode, _)| mode))
        .maybe("cause", outcome.woke.map(|(_, cause)| cause))
        .maybe("forced", outcome.forced.then_some(true))
        .maybe("attempts", (item.attempts > 0).then_some(item.attempts))
        .maybe("redelivered", (item.redelivered > 0).then_some(item.redelivered))
        .field("ms", world.now().since(item.accepted).as_millis())
        .field("len", item.task.chars().count())
        .maybe("att", (!item.attachments.is_empty()).then_some(item.attachments.len()))
        .maybe("topic", item.topic.as_ref())
        .maybe("err", outcome.error);
    world.delivery(&event);
}

/// Refuses an identity that is not a peer's, in the words of the queue's tools.
pub fn no_such_item(id: &str) -> Failure {
    Failure::new(Exit::NoInput, format!("no item {id} in any queue: `iapeer-drain --list` shows what there is"))
}
