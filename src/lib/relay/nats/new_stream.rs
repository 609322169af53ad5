//! A stream that was made anew, as where the server has lost its disk: what was in the stream before is lost.

use crate::base::clock::EpochMs;
use crate::base::exit::Failure;
use crate::mailbox::again;
use crate::store::durable;
use crate::store::hosts;
use crate::store::outbox::Outbox;
use crate::world::World;
use std::time::Duration;

/// How far the server's clock may differ from this host's.
const CLOCKS_DIFFER: Duration = Duration::from_secs(3600);

/// Has messages published again that were handed over by an earlier stream than the one that was made at `made`, and have
/// no receipt: the receipts in that stream are lost too. What fails for one host is tried again with the next connection.
pub(crate) fn found(world: &World<'_>, made: EpochMs) -> Result<(), Failure> {
    let noted = world.paths.relay_stream();
    let before: Option<EpochMs> = durable::read_json(&noted)?;
    if before == Some(made) {
        return Ok(());
    }
    let mut is_done = true;
    for host in hosts::on_nats(world.paths)? {
        if let Err(failure) = lost(world, &world.outbox(&host), before, made) {
            tracing::warn!("@{host}: {failure}");
            is_done = false;
        }
    }
    if is_done {
        durable::write_atomic(&noted, made.0.to_string().as_bytes())?;
    }
    Ok(())
}

fn lost(world: &World<'_>, outbox: &Outbox, before: Option<EpochMs>, made: EpochMs) -> Result<(), Failure> {
    if outbox.oldest_in_flight()?.is_some_and(|item| before.is_some() || item.accepted < made.plus(CLOCKS_DIFFER)) {
        again::want(world, outbox)?;
    }
    Ok(())
}
