//! A stream that was made anew, as where the server has lost its disk: what was in the stream before is lost.

use crate::base::clock::EpochMs;
use crate::base::exit::Failure;
use crate::mailbox::again;
use crate::store::hosts;
use crate::store::queue::Place;
use crate::world::World;
use std::time::Duration;

/// How far the server's clock may differ from this host's.
const CLOCKS_DIFFER: Duration = Duration::from_secs(3600);

/// Has messages published again that were handed over by an earlier stream than the one that was made at `made`, and have
/// no receipt: the receipts in that stream are lost too. `before`: when the stream was made that the last connection of
/// this program found.
pub(crate) fn found(world: &World<'_>, before: &mut Option<EpochMs>, made: EpochMs) -> Result<(), Failure> {
    let before = before.replace(made);
    if before == Some(made) {
        return Ok(());
    }
    for host in hosts::on_nats(world.paths)? {
        let outbox = world.outbox(&host);
        let queue = &outbox.queue;
        // The items are in the order of acceptance.
        let oldest = queue.list(Place::Inflight)?.first().and_then(|seq| queue.peek(Place::Inflight, *seq));
        if oldest.is_some_and(|item| before.is_some() || item.accepted < made.plus(CLOCKS_DIFFER)) {
            again::want(world, &outbox)?;
        }
    }
    Ok(())
}
