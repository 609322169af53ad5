//! Delivering the messages that wait for one identity: into its live session, or by waking the peer. The identity's
//! lock allows one drain at a time; no other code hands messages to a session.
//!
//! A drain takes the lock, does one round, releases the lock, and checks the queue again: the drain of a message that
//! was accepted during the round found the lock taken and left the message to this drain. Peers and workers share the
//! loop ([`drain`]) and differ in the round.

use crate::base::StateFile;
use crate::base::clock::{Deadline, wait_for};
use crate::base::exit::Failure;
use crate::base::identity::Identity;
use crate::delivery::round::{Next, RoundStart};
use crate::delivery::{filing, outgoing, passed, warm, worker};
use crate::mailbox::ledger::{Acted, Ledger};
use crate::mailbox::notice;
use crate::store::lock::{FileLock, LockError};
use crate::store::markers::TurnState;
use crate::store::queue::Place;
use crate::world::World;
use crate::world::peer::Peer;
use std::time::Duration;

/// How often a drain that watches a worker tries the lock while another program holds it.
const RETRY_LOCK: Duration = Duration::from_millis(100);
/// The shortest and the longest time that a drain waits for a worker to become quiet before the next round.
const WATCH: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));
/// How often a drain checks whether a hook has reported the end of a turn that the transcript already shows.
const REPORT: Duration = Duration::from_millis(20);

/// The result of a drain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Drained {
    /// The drain ran; these are the items that it acted on.
    Ran(Vec<Acted>),
    /// Another program, `pid N (program)`, holds the identity's lock. It checks the queue after it has released the
    /// lock.
    Busy(String),
}

/// Delivers what waits for `identity`.
pub fn drain(world: &World<'_>, identity: &Identity) -> Result<Drained, Failure> {
    let peer = Peer::of(world.paths, identity)?;
    let queue = world.queue(identity);
    // Before the lock is tried: where another program holds the lock, its later check of the queue sees adopted items
    // only.
    queue.adopt()?;
    notice::give_waiting(world, Some(identity));
    let mut ledger = Ledger::new(world, &peer, &queue);
    // This lock is held from the first wait for a worker on: only one of several drains watches the worker.
    let mut watch: Option<FileLock> = None;
    let mut seen = None;
    loop {
        let lock = match world.lock_to_deliver(identity, Duration::ZERO) {
            Ok(lock) => lock,
            Err(LockError::Held { .. }) if watch.is_some() => {
                world.clock.sleep(RETRY_LOCK);
                continue;
            }
            Err(LockError::Held { holder, .. }) if ledger.acted.is_empty() => return Ok(Drained::Busy(holder)),
            Err(LockError::Held { .. }) => return Ok(Drained::Ran(ledger.acted)),
            Err(error) => return Err(error.into()),
        };
        let before =
            RoundStart { newest: queue.list(Place::Waiting)?.last().copied(), turn: world.markers(identity).turn() };
        let next = if peer.is_ephemeral() {
            let round = worker::round(&mut ledger)?;
            drop(lock);
            worker::next(world, &peer, &queue, round, &before)?
        } else {
            let round = match peer.is_mailbox() {
                true => filing::round(&mut ledger)?,
                false if peer.manifest.takes_messages_itself() => outgoing::round(&mut ledger)?,
                false => warm::round(&mut ledger)?,
            };
            drop(lock);
            match warm::next(world, &peer, &queue, round, &before)? {
                Next::Leave if passed::watch(world, &peer, &queue, &mut seen)? => Next::Recheck,
                next => next,
            }
        };
        match next {
            Next::Leave => return Ok(Drained::Ran(ledger.acted)),
            Next::Recheck => {}
            Next::WatchFor(left) => {
                if watch.is_none() {
                    let path = world.paths.state(identity, StateFile::WatchLock);
                    match FileLock::acquire(&path, world.program, Duration::ZERO, world.clock) {
                        Ok(lock) => watch = Some(lock),
                        Err(_) => return Ok(Drained::Ran(ledger.acted)),
                    }
                }
                wait_for_worker(world, identity, &before, left);
            }
        }
    }
}

fn wait_for_worker(world: &World<'_>, identity: &Identity, before: &RoundStart, left: Duration) {
    let rest = left.clamp(WATCH.0, WATCH.1);
    if before.turn.as_ref().is_none_or(|turn| turn.state != TurnState::Busy) {
        world.clock.sleep(rest);
        return;
    }
    // The transcript shows the end of the turn, and the hook has not reported it yet. The drain that the hook will
    // start leaves the worker to this drain.
    let reported = || (world.markers(identity).turn() != before.turn).then_some(());
    let _ = wait_for(world.clock, Deadline::after(world.clock, rest), REPORT, reported);
}
