//! Stateless workers: a fresh session for each task, one task at a time (D9, D27).
//!
//! A task stays in `inflight/` from the moment a worker took it until the worker answers (`iapeer-send`, the MCP
//! tool, or `self-done`: the armed mark). Then, once the worker is quiet, its session ends and the next task boots.

use crate::base::clock::{Deadline, wait_for};
use crate::base::exit::Failure;
use crate::base::identity::Identity;
use crate::delivery::drain::{Acted, Drained};
use crate::mailbox::ledger::{HandedOver, Held, Outcome, Tried, Tries};
use crate::session::activity::{Activity, Quiet};
use crate::session::settle::{self, Ending, Park, Standing};
use crate::store::event_log::Event;
use crate::store::lock::{FileLock, LockError};
use crate::store::markers::{Marker, TurnState};
use crate::store::profile::Profile;
use crate::store::queue::{Place, Queue};
use crate::store::session_record::{Phase, SessionRecord};
use crate::world::peer::Peer;
use crate::world::{Landing, World};
use std::path::Path;
use std::time::Duration;

/// A turn that a hook reported as over, after the answer, needs no long silence to prove it.
const AFTER_STOP: Duration = Duration::from_millis(200);
/// How often a watcher looks.
const WATCH: Duration = Duration::from_millis(100);
/// The longest it rests between two looks: activity may have begun again.
const LONGEST_WATCH: Duration = Duration::from_secs(1);
/// How often it looks whether a hook has reported what is in the transcript already.
const REPORT: Duration = Duration::from_millis(20);

/// Where a worker stands after a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Nothing more to do for now: it works, or nothing waits, or something forbids it.
    Done {
        /// Whether it was seen to have answered.
        armed: bool,
    },
    /// It has answered and its turn goes on: the end of the turn starts a drain of its own.
    Working,
    /// It has answered and will be quiet enough in this long.
    QuietIn(Duration),
}

/// Feeds a worker: ends it when it is done with its task, starts it on the next one. Stays until the worker is
/// quiet where it has answered already; of several drains one does that.
pub fn drain(world: &World<'_>, peer: &Peer, queue: &Queue) -> Result<Drained, Failure> {
    let mut acted = Vec::new();
    let mut watch: Option<FileLock> = None;
    let markers = world.markers(&peer.identity);
    loop {
        let lock = match world.lock_to_deliver(&peer.identity, Duration::ZERO) {
            Ok(lock) => lock,
            Err(LockError::Held { holder, .. }) if acted.is_empty() && watch.is_none() => {
                return Ok(Drained::Busy(holder));
            }
            Err(LockError::Held { .. }) if watch.is_some() => {
                world.clock.sleep(WATCH);
                continue;
            }
            Err(LockError::Held { .. }) => return Ok(Drained::Ran(acted)),
            Err(error) => return Err(error.into()),
        };
        let seen = queue.list(Place::Waiting)?.last().copied();
        let turn = markers.turn();
        let step = feed(world, peer, queue, &mut acted)?;
        drop(lock);
        match step {
            Step::QuietIn(left) => {
                if watch.is_none() {
                    match FileLock::acquire(
                        &world.paths.state(&peer.identity, "watch.lock"),
                        world.program,
                        Duration::ZERO,
                        world.clock,
                    ) {
                        Ok(held) => watch = Some(held),
                        Err(_) => return Ok(Drained::Ran(acted)),
                    }
                }
                let rest = left.clamp(Duration::from_millis(10), LONGEST_WATCH);
                if turn.as_ref().is_some_and(|turn| turn.state == TurnState::Busy) {
                    // Its transcript has the end, its hook has not reported it. The drain that the hook starts leaves
                    // it to this one.
                    let reported = || (markers.turn() != turn).then_some(());
                    let _ = wait_for(world.clock, Deadline::after(world.clock, rest), REPORT, reported);
                } else {
                    world.clock.sleep(rest);
                }
            }
            // The drain of a turn that ended while we held the lock found it taken: look whether it goes on still.
            Step::Working if is_working(world, peer) => return Ok(Drained::Ran(acted)),
            Step::Working => {}
            // An answer that came while we held the lock started a drain that found it taken.
            Step::Done { armed: false } if markers.has(Marker::EphemeralArmed) => {}
            // What was accepted while we held the lock found it taken.
            Step::Done { .. }
                if queue.list(Place::Waiting)?.last().copied() > seen && queue.list(Place::Inflight)?.is_empty() => {}
            Step::Done { .. } => return Ok(Drained::Ran(acted)),
        }
    }
}

/// One look at the worker, with the lock held.
fn feed(world: &World<'_>, peer: &Peer, queue: &Queue, acted: &mut Vec<Acted>) -> Result<Step, Failure> {
    let identity = &peer.identity;
    let markers = world.markers(identity);
    if markers.has(Marker::Stopped) || world.host.managed_by(identity).is_some() {
        return Ok(Step::Done { armed: true });
    }
    loop {
        // The mark goes when a death is recorded: read it before looking at the session.
        let armed = markers.has(Marker::EphemeralArmed);
        let (standing, _) = settle::settle(world, identity)?;
        match standing {
            Standing::Unknown => return Ok(Step::Done { armed: true }),
            Standing::Live(record) if record.phase == Phase::Ready => {
                if !armed {
                    return Ok(Step::Done { armed });
                }
                settle_answered(world, peer, queue)?;
                match quiet_in(world, peer, &record) {
                    None => return Ok(Step::Working),
                    Some(Duration::ZERO) => {}
                    Some(left) => return Ok(Step::QuietIn(left)),
                }
                reap(world, peer, &record, "ephemeral-done")?;
            }
            Standing::Live(_) | Standing::Asleep => {
                if armed {
                    settle_answered(world, peer, queue)?;
                }
                unsettled(world, peer, queue, "the worker's session ended before it answered", acted)?;
                if !start_next(world, peer, queue, acted)? {
                    return Ok(Step::Done { armed: true });
                }
                if !markers.has(Marker::EphemeralArmed) {
                    return Ok(Step::Done { armed: false });
                }
            }
        }
    }
}

/// Whether the worker's turn goes on.
fn is_working(world: &World<'_>, peer: &Peer) -> bool {
    SessionRecord::peek(world.paths, &peer.identity)
        .is_some_and(|record| Activity::from_files(world, peer, &record).quiet() == Quiet::Working)
}

/// How long until an answered worker is quiet enough; zero when it is. `None`: its turn goes on.
fn quiet_in(world: &World<'_>, peer: &Peer, record: &SessionRecord) -> Option<Duration> {
    let mut activity = Activity::from_files(world, peer, record);
    let bound = bound(world, peer, &activity);
    if let Quiet::Since(at) = activity.quiet()
        && world.now().since(at) > bound
        && activity.ask_terminal(world, &peer.identity).is_err()
    {
        return Some(WATCH);
    }
    match activity.quiet() {
        Quiet::Working => None,
        Quiet::Since(at) if world.now().since(at) > bound => Some(Duration::ZERO),
        // Where the clock was set back since, that much longer.
        Quiet::Since(at) => {
            let early = at.since(world.now());
            Some((bound + early + Duration::from_millis(1)).saturating_sub(world.now().since(at)))
        }
    }
}

/// How long an armed worker must be quiet. Where hooks report turns and say that this one is over, the silence
/// only has to outlast their own order of arrival.
pub fn bound(world: &World<'_>, peer: &Peer, activity: &Activity) -> Duration {
    let armed_at = world.markers(&peer.identity).set_at(Marker::EphemeralArmed);
    match (&activity.turn, armed_at) {
        (Some(turn), Some(armed)) if turn.state == TurnState::Idle && turn.at >= armed => {
            AFTER_STOP.min(world.settings.ephemeral_quiet)
        }
        _ => world.settings.ephemeral_quiet,
    }
}

/// Ends a worker that is done.
pub fn reap(world: &World<'_>, peer: &Peer, record: &SessionRecord, why: &str) -> Result<(), Failure> {
    let age = Activity::from_files(world, peer, record).quiet().age(world.now());
    let event = Event::new("supervise")
        .field("identity", &peer.identity)
        .field("action", "reaped-ephemeral")
        .field("age", format!("{}s", age.as_secs()))
        .field("outcome", why);
    world.lifecycle(&event);
    settle::end(world, &peer.identity, Some(record), &Ending { why, park: Park::No, keep_marks: false })
}

/// The answered task is settled. One that this worker never took, because its drain was killed before it could
/// hand it over, stays in flight: it is [`unsettled`] when the session has ended.
pub fn settle_answered(world: &World<'_>, peer: &Peer, queue: &Queue) -> Result<(), Failure> {
    for seq in queue.list(Place::Inflight)? {
        let taken = queue
            .read(Place::Inflight, seq)?
            .is_none_or(|item| item.notice.is_none() && (item.landed.is_some() || world.host.carries(peer, item.id)));
        if taken {
            queue.remove(Place::Inflight, seq)?;
        }
    }
    Ok(())
}

/// Settles tasks whose worker ended otherwise: back to the head while the profile's `max_attempts` allows it, else
/// dead, and the sender is told once. A task that no worker was seen to take goes back in any case.
pub fn unsettled(
    world: &World<'_>,
    peer: &Peer,
    queue: &Queue,
    why: &str,
    acted: &mut Vec<Acted>,
) -> Result<(), Failure> {
    let mut tries = Tries { world, peer, queue, acted };
    for seq in queue.list(Place::Inflight)? {
        let Some(item) = queue.read(Place::Inflight, seq)? else { continue };
        let mut held = Held { place: Place::Inflight, seq, item };
        if tries.finish_burial(&held)? {
            continue;
        }
        held.item.redelivered += 1;
        let allowed = match held.item.landed.take() {
            Some(_) => u64::from(peer.max_attempts().unwrap_or(1)),
            None => world.settings.queue_max_attempts,
        };
        tries.give_back_within(held, why, allowed)?;
    }
    Ok(())
}

/// Starts the worker on the next task. Says whether one was started.
fn start_next(world: &World<'_>, peer: &Peer, queue: &Queue, acted: &mut Vec<Acted>) -> Result<bool, Failure> {
    let mut tries = Tries { world, peer, queue, acted };
    let Some(held) = tries.head()? else { return Ok(false) };
    let event = Event::new("ephemeral-drain")
        .field("identity", &peer.identity)
        .field("seq", held.seq)
        .field("depth", queue.list(Place::Waiting)?.len());
    world.lifecycle(&event);
    let HandedOver::Tried(tried) = tries.hand_over(held)? else { return Ok(false) };
    let Tried { mut held, record, woke, landing, .. } = *tried;
    match landing {
        Landing::Landed { by, forced } => {
            held.item.landed = Some(world.now());
            tries.log(&held.item, &Outcome::landed(woke, by, forced));
            queue.update(Place::Inflight, held.seq, &held.item)?;
            tries.note(&held, "delivered", None);
            Ok(true)
        }
        Landing::Held(reason) | Landing::Unknown(reason) | Landing::Failed(reason) => {
            // A worker without its task is of no use: the next try starts clean.
            let ending = Ending { why: "task-not-taken", park: Park::No, keep_marks: false };
            settle::end(world, &peer.identity, Some(&record), &ending)?;
            held.item.redelivered += 1;
            tries.give_back(held, &reason)?;
            Ok(false)
        }
    }
}

/// Arms a worker: it has answered. Called for whoever sent something and is a worker itself; others are left alone, and
/// so is a worker for which a process of an earlier session speaks: that answers no task of this one.
pub fn arm(world: &World<'_>, caller: &Identity, cwd: &Path) -> bool {
    let current = SessionRecord::peek(world.paths, caller).and_then(|record| record.launch);
    if let (Some(current), Ok(own)) = (current, std::env::var("PEER_LAUNCH"))
        && own != current
    {
        return false;
    }
    if !Profile::read(cwd).is_ok_and(|profile| profile.is_some_and(|profile| profile.ephemeral())) {
        return false;
    }
    match world.markers(caller).set(Marker::EphemeralArmed, world.now()) {
        Ok(()) => {
            world.kick(caller);
            true
        }
        Err(error) => {
            tracing::warn!("cannot arm {caller}: {error}; its session ends by the unarmed bound");
            false
        }
    }
}
