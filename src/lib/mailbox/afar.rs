//! The ledger of the messages to one other host: accepted there, settled by a receipt, or given up.
//!
//! ```text
//! waiting ── accepted there ──► in flight ── receipt: delivered ──► history
//!    └──── refused there, or too old ────┴── receipt: dead ───────► dead, and a notice to the sender
//! ```
//!
//! An item that waits may be sent again at any time: the other host accepts an id once.

use crate::base::evidence::{Evidence, Landed, Outcome};
use crate::base::exit::Failure;
use crate::base::message_id::MessageId;
use crate::mailbox::{armed, notice};
use crate::people::notify;
use crate::store::durable;
use crate::store::event_log::Event;
use crate::store::history::Settlement;
use crate::store::lock::FileLock;
use crate::store::outbox::Outbox;
use crate::store::queue::{Errand, Item, Place, Receipt, Seq};
use crate::world::World;
use std::time::Duration;

/// How long another program may take to write the outcome of one item.
const PATIENCE: Duration = Duration::from_secs(10);

/// An item of an outbox.
pub(crate) struct Outgoing {
    pub(crate) place: Place,
    pub(crate) seq: Seq,
    pub(crate) item: Item,
}

/// Records that the host has accepted the item numbered `seq`: a message awaits its receipt from now on; a receipt, or
/// the request to send again, is done and is removed.
pub(crate) fn handed_over(world: &World<'_>, outbox: &Outbox, seq: Seq, item: &Item) -> Result<(), Failure> {
    if matches!(item.errand, Some(Errand::Receipt(_) | Errand::Again)) {
        outbox.queue.remove(Place::Waiting, seq)?;
        return Ok(());
    }
    let _lock = FileLock::acquire_unsigned(&outbox.settle_lock(), PATIENCE, world.clock)?;
    // The receipt may have come first, by another connection.
    if outbox.queue.peek(Place::Waiting, seq).is_none_or(|waits| waits.id != item.id) {
        return Ok(());
    }
    record(world, outbox, seq, item, Outcome::HandedOver, None);
    outbox.queue.shift(seq, Place::Waiting, Place::Inflight)?;
    log(world, outbox, item, Outcome::HandedOver, None, None);
    Ok(())
}

/// Has every message that was handed over and has no receipt yet wait again, so that it is sent again in its turn.
pub(crate) fn take_back(world: &World<'_>, outbox: &Outbox) -> Result<(), Failure> {
    let _lock = FileLock::acquire_unsigned(&outbox.settle_lock(), PATIENCE, world.clock)?;
    for seq in outbox.queue.list(Place::Inflight)? {
        // An item that is on its way to the dead letters goes on its way.
        if outbox.queue.peek(Place::Inflight, seq).is_some_and(|item| item.notice.is_none()) {
            outbox.queue.shift(seq, Place::Inflight, Place::Waiting)?;
        }
    }
    Ok(())
}

/// Settles the message that `receipt` of that host is about. A receipt that has come before changes nothing.
pub(crate) fn settle(world: &World<'_>, outbox: &Outbox, receipt: &Receipt) -> Result<(), Failure> {
    let _lock = FileLock::acquire_unsigned(&outbox.settle_lock(), PATIENCE, world.clock)?;
    let Some(Outgoing { place, seq, item }) = find(outbox, receipt.seq, receipt.about)? else { return Ok(()) };
    if receipt.outcome == Outcome::Dead {
        // A dead letter stays one where its receipt says `dead` too.
        let reason = receipt.reason.as_deref().unwrap_or("it is a dead letter there");
        let reason = format!("{}: {reason}", outbox.host);
        return if place == Place::Dead { Ok(()) } else { bury_locked(world, outbox, place, seq, item, &reason) };
    }
    armed::arm_sender(world, &item);
    let unknown = Landed { evidence: Evidence::Receipt, forced: false, mode: None, cause: None };
    let landed = receipt.landed.unwrap_or(unknown);
    outbox.history.append(&Settlement::of(&item, seq, Outcome::Delivered, Some(landed), world.now()))?;
    log(world, outbox, &item, Outcome::Delivered, Some(&landed), None);
    remove_other(outbox, place, seq, item.id)?;
    outbox.queue.remove(place, seq)?;
    if !item.attachments.is_empty() {
        durable::remove_tree(&outbox.files(item.id))?;
    }
    Ok(())
}

fn find(outbox: &Outbox, seq: Seq, id: MessageId) -> Result<Option<Outgoing>, Failure> {
    for place in [Place::Inflight, Place::Waiting] {
        if let Some(item) = outbox.queue.peek(place, seq).filter(|item| item.id == id) {
            return Ok(Some(Outgoing { place, seq, item }));
        }
    }
    // The message was requeued here or there, under another number.
    for place in [Place::Dead, Place::Inflight, Place::Waiting] {
        if let Some(seq) = outbox.queue.find_in(place, id)? {
            return Ok(outbox.queue.peek(place, seq).map(|item| Outgoing { place, seq, item }));
        }
    }
    Ok(None)
}

/// Removes the item's second name. After a power cut in the middle of a move a file system may show the item in both
/// places; a copy that stayed as waiting would be sent again and await a second receipt, which never comes.
fn remove_other(outbox: &Outbox, place: Place, seq: Seq, id: MessageId) -> Result<(), Failure> {
    for other in [Place::Waiting, Place::Inflight, Place::Dead] {
        if other != place && outbox.queue.peek(other, seq).is_some_and(|item| item.id == id) {
            outbox.queue.remove(other, seq)?;
        }
    }
    Ok(())
}

/// Makes an item a dead letter and tells its sender once.
pub(crate) fn bury(world: &World<'_>, outbox: &Outbox, out: Outgoing, reason: &str) -> Result<(), Failure> {
    let _lock = FileLock::acquire_unsigned(&outbox.settle_lock(), PATIENCE, world.clock)?;
    bury_locked(world, outbox, out.place, out.seq, out.item, reason)
}

fn bury_locked(
    world: &World<'_>,
    outbox: &Outbox,
    place: Place,
    seq: Seq,
    mut item: Item,
    reason: &str,
) -> Result<(), Failure> {
    let queue = &outbox.queue;
    if item.errand.is_some() {
        // Of the errands only a probe is waited for, by a program that reads the history.
        item.reason = Some(reason.to_owned());
        record(world, outbox, seq, &item, Outcome::Dead, None);
        remove_other(outbox, place, seq, item.id)?;
        queue.remove(place, seq)?;
        return Ok(());
    }
    let again = item.notice.is_some();
    if !again {
        item.notice = Some(MessageId::generate(world.now()));
        item.reason = Some(reason.to_owned());
        queue.update(place, seq, &item)?;
    }
    let to = item.to.as_ref().map_or_else(|| format!("@{}", outbox.host), ToString::to_string);
    if let Some(from) = item.from.here() {
        notice::dead_letter(world, &to, from, &item, reason, again)?;
    }
    record(world, outbox, seq, &item, Outcome::Dead, None);
    remove_other(outbox, place, seq, item.id)?;
    queue.shift(seq, place, Place::Dead)?;
    notify::dead_letter(world, &to, None, &item, reason);
    log(world, outbox, &item, Outcome::Dead, None, Some(reason));
    Ok(())
}

/// Makes dead letters of all messages that wait, or await their receipts. Returns how many there were.
pub(crate) fn come_back(world: &World<'_>, outbox: &Outbox, reason: &str) -> Result<usize, Failure> {
    let mut count = 0;
    for place in [Place::Inflight, Place::Waiting] {
        for seq in outbox.queue.list(place)? {
            let Some(item) = outbox.queue.read(place, seq)? else { continue };
            count += usize::from(item.errand.is_none());
            bury(world, outbox, Outgoing { place, seq, item }, reason)?;
        }
    }
    Ok(count)
}

/// Completes interrupted burials, and buries messages that have waited, or have awaited their receipts, for too long.
/// Removes leftovers of crashes.
pub(crate) fn tend(world: &World<'_>, outbox: &Outbox) -> Result<(), Failure> {
    let queue = &outbox.queue;
    queue.tend(durable::LITTER_AGE)?;
    for place in [Place::Inflight, Place::Waiting] {
        for seq in queue.list(place)? {
            let Some(item) = queue.read(place, seq)? else { continue };
            let age = world.now().since(item.accepted.max(world.clock_set_at().unwrap_or_default()));
            let days = age.as_secs_f64() / 86_400.0;
            let reason = match (&item.reason, place) {
                (Some(reason), _) if item.notice.is_some() => reason.clone(),
                // The items are in the order of acceptance: no later one is older.
                _ if age <= world.settings.outbox => break,
                (_, Place::Inflight) => {
                    format!("{} was given it {days:.1} days ago, and never told the rest", outbox.host)
                }
                _ => match outbox.away() {
                    Some(away) => format!("{} was away for {days:.1} days: {}", outbox.host, away.why),
                    None => format!("nothing handed it over to {} for {days:.1} days", outbox.host),
                },
            };
            bury(world, outbox, Outgoing { place, seq, item }, &reason)?;
        }
    }
    sweep_files(outbox)
}

/// Removes copies of attachments whose message is gone.
fn sweep_files(outbox: &Outbox) -> Result<(), Failure> {
    for entry in durable::entries_of(&outbox.files_dir())? {
        let old = entry
            .metadata()
            .and_then(|meta| meta.modified())
            .is_ok_and(|at| at.elapsed().is_ok_and(|age| age > durable::LITTER_AGE));
        let id = entry.file_name().to_str().and_then(|name| name.parse::<MessageId>().ok());
        if old
            && let Some(id) = id
            && outbox.queue.find(id)?.is_none()
        {
            durable::remove_tree(&entry.path())?;
        }
    }
    Ok(())
}

/// Appends a line to the history. Where that fails only the line is missing: the item itself is the evidence.
fn record(world: &World<'_>, outbox: &Outbox, seq: Seq, item: &Item, outcome: Outcome, landed: Option<Landed>) {
    let line = Settlement::of(item, seq, outcome, landed, world.now());
    if let Err(error) = outbox.history.append(&line) {
        tracing::warn!("@{}: {} is not in the history: {error}", outbox.host, item.id);
    }
}

/// Writes one line to `delivery.log`, for people.
fn log(
    world: &World<'_>,
    outbox: &Outbox,
    item: &Item,
    outcome: Outcome,
    landed: Option<&Landed>,
    error: Option<&str>,
) {
    let event = Event::new("delivery")
        .field("id", item.id)
        .field("caller", &item.from)
        .maybe("to", item.to.as_ref())
        .field("host", &outbox.host)
        .field("outcome", outcome)
        .field("ok", outcome == Outcome::Delivered)
        .maybe("via", landed.map(|landed| landed.evidence))
        .field("ms", world.now().since(item.accepted).as_millis())
        .field("len", item.task.chars().count())
        .maybe("att", (!item.attachments.is_empty()).then_some(item.attachments.len()))
        .maybe("topic", item.topic.as_ref())
        .maybe("err", error);
    world.delivery(&event);
}
