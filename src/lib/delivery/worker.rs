//! Stateless workers: a fresh session for each task, one task at a time (D9, D27).
//!
//! A task stays in `inflight/` from the moment a worker took it until the worker answers (`iapeer-send`, the MCP
//! tool, or `self-done`: the armed mark). Then, once the worker is quiet, its session ends and the next task boots.

use crate::attention::hold;
use crate::base::Marker;
use crate::base::exit::Failure;
use crate::delivery::hand_over::{self, HandedOver};
use crate::delivery::round::{Next, RoundStart};
use crate::delivery::warm::landed;
use crate::mailbox::ledger::{Ledger, TryOutcome};
use crate::mailbox::tasks;
use crate::session::activity::{Activity, Quiet};
use crate::session::end::{self, End};
use crate::session::settle::{self, Standing};
use crate::store::attention::Attention;
use crate::store::event_log::Event;
use crate::store::markers::{Turn, TurnState};
use crate::store::queue::{Place, Queue};
use crate::store::session_record::{Phase, SessionRecord};
use crate::world::peer::Peer;
use crate::world::{Landing, World};
use std::time::Duration;

/// A turn that a hook reported as over, after the answer, needs no long silence to prove it.
const AFTER_STOP: Duration = Duration::from_millis(200);
/// Why a worker is ended that has no task though one is there.
const NOT_TAKEN: &str = "task-not-taken";
/// How soon a terminal that could not be asked is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// What a round came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WorkerRound {
    /// Nothing more to do for now: the worker works on a task it has not answered, nothing waits, or something forbids
    /// going on.
    Done(WorkerAnswer),
    /// The worker has answered and its turn goes on: the end of the turn starts a drain of its own.
    Working,
    /// The worker has answered and will be quiet enough in this long.
    QuietIn(Duration),
}

/// Whether the worker was seen to have answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WorkerAnswer {
    /// Its answer was seen, or there is none to wait for.
    Seen,
    /// It had not answered yet.
    Missing,
}

/// What the drain does after a round, seen without the lock.
pub(crate) fn next(
    world: &World<'_>,
    peer: &Peer,
    queue: &Queue,
    round: WorkerRound,
    before: &RoundStart,
) -> Result<Next, Failure> {
    let again = match round {
        WorkerRound::QuietIn(left) => return Ok(Next::WatchFor(left)),
        // The drain of a turn that ended during the round found the lock taken.
        WorkerRound::Working => !is_working(world, peer),
        // An answer that came during the round started a drain that found the lock taken.
        WorkerRound::Done(WorkerAnswer::Missing) if world.markers(&peer.identity).has(Marker::EphemeralArmed)? => true,
        // So did the drain of a turn that failed during the round.
        WorkerRound::Done(WorkerAnswer::Missing)
            if ended_turn(world, peer).is_some_and(|turn| before.turn != Some(turn)) =>
        {
            true
        }
        // What was accepted during the round found the lock taken.
        WorkerRound::Done(_) => {
            queue.list(Place::Waiting)?.last().copied() > before.newest && queue.list(Place::Inflight)?.is_empty()
        }
    };
    Ok(if again { Next::Recheck } else { Next::Leave })
}

/// One round, under the lock: ends a worker that is done with its task, and starts it on the next one.
pub(crate) fn round(ledger: &mut Ledger<'_>) -> Result<WorkerRound, Failure> {
    let (world, peer, queue) = (ledger.world, ledger.peer, ledger.queue);
    let identity = &peer.identity;
    let markers = world.markers(identity);
    if markers.is_stopped() || world.host.managed_by(identity).is_some() {
        return Ok(WorkerRound::Done(WorkerAnswer::Seen));
    }
    loop {
        // The mark goes when a death is recorded: it is read before the session is settled.
        let armed = markers.has(Marker::EphemeralArmed)?;
        let (standing, _) = settle::settle(world, identity)?;
        match standing {
            Standing::Unknown => return Ok(WorkerRound::Done(WorkerAnswer::Seen)),
            Standing::Live(record) if record.phase == Phase::Ready => {
                if !armed {
                    match hold::failed_turn(world, peer, &record)? {
                        Some(failed) if end_failed(ledger, &record, &failed)? => continue,
                        Some(_) => return Ok(WorkerRound::Done(WorkerAnswer::Missing)),
                        None => {}
                    }
                    match end_idle(ledger, &record)? {
                        Some(round) => return Ok(round),
                        None => continue,
                    }
                }
                tasks::settle_answered(world, peer, queue)?;
                match quiet_in(world, peer, &record) {
                    None => return Ok(WorkerRound::Working),
                    Some(Duration::ZERO) => {}
                    Some(left) => return Ok(WorkerRound::QuietIn(left)),
                }
                reap(world, peer, &record, "ephemeral-done")?;
            }
            Standing::Live(_) | Standing::Asleep => {
                if armed {
                    tasks::settle_answered(world, peer, queue)?;
                }
                ledger.give_back_unanswered("the worker's session ended before it answered")?;
                if start_next(ledger)? == TaskStarted::No {
                    return Ok(WorkerRound::Done(WorkerAnswer::Seen));
                }
                if !markers.has(Marker::EphemeralArmed)? {
                    return Ok(WorkerRound::Done(WorkerAnswer::Missing));
                }
            }
        }
    }
}

/// Ends a worker whose turn failed and gives its task back: the answer will not come (D40). What is no fault of the
/// task, a limit or a lost login, costs it no try. Says whether it was ended: one that goes on by itself is left alone.
fn end_failed(ledger: &mut Ledger<'_>, record: &SessionRecord, failed: &Attention) -> Result<bool, Failure> {
    let now = ledger.world.now();
    if hold::keeps_awake(ledger.world, record, now) {
        return Ok(false);
    }
    reap(ledger.world, ledger.peer, record, "turn-failed")?;
    let why = format!("its worker's turn ended without an answer ({}): {}", failed.state, failed.text);
    match failed.state.holds_messages() {
        true => ledger.give_back_uncounted(&why)?,
        false => ledger.give_back_unanswered(&why)?,
    }
    Ok(true)
}

/// Ends a worker that was started and has no task, since the drain that started it died or failed in between: what waits
/// would wait for an answer that never comes. `None`: it was ended; else what the round came to.
fn end_idle(ledger: &Ledger<'_>, record: &SessionRecord) -> Result<Option<WorkerRound>, Failure> {
    let (world, peer) = (ledger.world, ledger.peer);
    if !is_without_task(ledger)? || hold::keeps_awake(world, record, world.now()) {
        return Ok(Some(WorkerRound::Done(WorkerAnswer::Missing)));
    }
    match quiet_in(world, peer, record) {
        // Somebody else gave it something to do.
        None => Ok(Some(WorkerRound::Working)),
        Some(Duration::ZERO) => reap(world, peer, record, NOT_TAKEN).map(|()| None),
        Some(left) => Ok(Some(WorkerRound::QuietIn(left))),
    }
}

/// Whether something is to be done, and nothing of it was seen to be taken by the worker.
fn is_without_task(ledger: &Ledger<'_>) -> Result<bool, Failure> {
    let (queue, inflight) = (ledger.queue, ledger.queue.list(Place::Inflight)?);
    if inflight.is_empty() {
        return Ok(!queue.list(Place::Waiting)?.is_empty());
    }
    for seq in inflight {
        let Some(item) = queue.read(Place::Inflight, seq)? else { continue };
        if item.landed.is_some() || ledger.world.host.carries(ledger.peer, item.id) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The last turn, where hooks have reported its end.
fn ended_turn(world: &World<'_>, peer: &Peer) -> Option<Turn> {
    world.markers(&peer.identity).turn().filter(|turn| turn.state != TurnState::Busy)
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
        return Some(ASK_AGAIN);
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
        (Some(turn), Ok(Some(armed))) if turn.state == TurnState::Idle && turn.at >= armed => {
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
    end::end(world, &peer.identity, Some(record), &End::new(why))
}

/// Whether a worker was started on a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TaskStarted {
    Yes,
    No,
}

/// Starts the worker on the next task.
fn start_next(ledger: &mut Ledger<'_>) -> Result<TaskStarted, Failure> {
    let (world, peer) = (ledger.world, ledger.peer);
    let Some(entry) = ledger.head()? else { return Ok(TaskStarted::No) };
    if let Some((hold, why)) = hold::reason(world, peer)? {
        ledger.hold(entry, None, TryOutcome::Queued, hold, &why)?;
        return Ok(TaskStarted::No);
    }
    let event = Event::new("ephemeral-drain")
        .field("identity", &peer.identity)
        .field("seq", entry.seq)
        .field("depth", ledger.queue.list(Place::Waiting)?.len());
    world.lifecycle(&event);
    let HandedOver::Tried(tried) = hand_over::hand_over(ledger, entry)? else { return Ok(TaskStarted::No) };
    let mut entry = tried.entry;
    match tried.landing {
        Landing::Landed { by, forced } => {
            ledger.settle_taken(entry, landed(tried.woke, by, forced))?;
            Ok(TaskStarted::Yes)
        }
        Landing::Held(hold, reason) => {
            // A worker without its task is of no use: the next one starts clean.
            end::end(world, &peer.identity, Some(&tried.record), &End::new("task-held"))?;
            ledger.hold(entry, tried.woke, TryOutcome::Queued, hold, &reason)?;
            Ok(TaskStarted::No)
        }
        Landing::Unknown(reason) | Landing::Failed(reason) => {
            // A worker without its task is of no use: the next try starts clean.
            end::end(world, &peer.identity, Some(&tried.record), &End::new(NOT_TAKEN))?;
            entry.item.redelivered += 1;
            ledger.give_back(entry, &reason)?;
            Ok(TaskStarted::No)
        }
    }
}
