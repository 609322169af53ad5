//! Receipts: the outcome of a message from another host is written into the outbox for that host, before the message
//! leaves its queue here. A receipt that is written twice has the same id, and counts once.

use crate::base::address::HostName;
use crate::base::evidence::{Landed, Outcome};
use crate::base::exit::Failure;
use crate::base::identity::Intelligence;
use crate::base::message_id::MessageId;
use crate::store::queue::{Errand, Item, Place, Receipt, Seq, nobody};
use crate::world::World;

/// Writes the receipt for `item` where it came from another host and the receipt is still owed.
pub(crate) fn write(
    world: &World<'_>,
    item: &Item,
    outcome: Outcome,
    landed: Option<Landed>,
    reason: Option<&str>,
) -> Result<(), Failure> {
    let Some((host, seq)) = item.from.host().zip(item.far_seq) else { return Ok(()) };
    let reason = reason.map(str::to_owned);
    put(world, host, &Receipt { about: item.id, seq, outcome, landed, reason })
}

/// Puts `receipt` into the outbox of `host`.
pub(crate) fn put(world: &World<'_>, host: &HostName, receipt: &Receipt) -> Result<(), Failure> {
    let id = MessageId::of(receipt.about.made(), &("receipt", receipt.about, receipt.outcome.as_str()));
    let text = format!("receipt for {}: {}", receipt.about, receipt.outcome);
    let item = Item {
        id,
        errand: Some(Errand::Receipt(receipt.clone())),
        ..Item::new(nobody(), Intelligence::Absent, text, world.now())
    };
    send(world, host, &item)
}

/// Puts `item`, which is no peer's message, into the outbox of `host`.
pub(crate) fn send(world: &World<'_>, host: &HostName, item: &Item) -> Result<(), Failure> {
    world.outbox(host).queue.accept(item, world.clock)?;
    if let Err(error) = world.start_push(host) {
        tracing::warn!("cannot start iapeer-relay for {host}: {error}; the next tick does");
    }
    Ok(())
}

/// Whether a receipt for the message `about` waits for `host`.
pub(crate) fn waits(world: &World<'_>, host: &HostName, about: MessageId) -> Result<bool, Failure> {
    let queue = world.outbox(host).queue;
    let is_it = |seq: &Seq| {
        let item = queue.peek(Place::Waiting, *seq);
        item.is_some_and(|item| matches!(item.errand, Some(Errand::Receipt(receipt)) if receipt.about == about))
    };
    Ok(queue.list(Place::Waiting)?.iter().any(is_it))
}

/// Removes from `item` the number under which the other host knows the message, since the receipt has been written, and
/// returns the number.
pub(crate) fn taken(item: &mut Item) -> Option<Seq> {
    item.far_seq.take_if(|_| item.from.host().is_some())
}
