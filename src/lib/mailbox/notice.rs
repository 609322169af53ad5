//! What iapeer itself has to say to a peer: ordinary messages from `system-iapeer` (D28).

use crate::base::Marker;
use crate::base::identity::{Intelligence, Topic};
use crate::store::queue::{Item, nobody};
use crate::world::World;
use crate::world::peer::Peer;

/// Tells the sender of `item` that it became a dead letter: once, never about a notice, never a stopped peer, and
/// never in a way that could fail the caller. `item.notice` names the message; `again`: an earlier burial may have
/// sent it.
pub fn dead_letter(world: &World<'_>, to: &Peer, item: &Item, reason: &str, again: bool) {
    let Some(id) = item.notice.filter(|_| item.from != nobody()) else { return };
    let Ok(sender) = Peer::find(world.paths, item.from.personality(), Some(item.from.runtime()))
        .or_else(|_| Peer::find(world.paths, item.from.personality(), None))
    else {
        return;
    };
    if world.markers(&sender.identity).has(Marker::Stopped) || world.host.managed_by(&sender.identity).is_some() {
        return;
    }
    let body = format!(
        "Your message {} to {} is kept as a dead letter: {reason}\n\
         `iapeer-drain --list {}` shows it, `iapeer-drain --requeue {}` tries again.",
        item.id, to.identity, to.identity, item.id
    );
    let topic = Topic::parse("delivery-failed").ok().flatten();
    let queue = world.queue(&sender.identity);
    if again && (queue.find(id).is_ok_and(|found| found.is_some()) || world.host.carries(&sender, id)) {
        return;
    }
    let notice = Item { id, topic, ..Item::new(nobody(), Intelligence::Absent, body, world.now()) };
    match queue.accept(&notice, world.clock) {
        Ok(_) => {
            world.kick(&sender.identity);
        }
        Err(error) => tracing::warn!("cannot tell {} about a dead letter: {error}", sender.identity),
    }
}
