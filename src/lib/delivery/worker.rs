//! One round of a drain over the queue of a stateless worker: a fresh session for each task, one task at a time (D9,
//! D27).
//!
//! A task stays in `inflight/` from its hand-over to a worker until the worker answers (by `iapeer-send`, the MCP tool
//! or `self-done`, which set the mark `.ephemeral-armed`). Once the worker is quiet after its answer, its session is
//! ended and a new session is started for the next task.

use crate::attention::hold;
use crate::base::exit::Failure;
use crate::base::span::said;
use crate::base::{Consequence, Marker};
use crate::delivery::hand_over::{self, HandedOver};
use crate::delivery::passed;
use crate::delivery::round::{Next, RoundStart};
use crate::delivery::warm::landed;
use crate::mailbox::ledger::{Ledger, TryOutcome};
use crate::mailbox::tasks;
use crate::session::activity::{Activity, Quiet};
use crate::session::end::{self, End};
use crate::session::settle::{self, Standing};
use crate::store::attention::Attention;
use crate::store::event_log::Event;
use crate::store::markers::TurnState;
use crate::store::queue::{Place, Queue};
use crate::store::session_record::{Phase, SessionRecord};
use crate::world::peer::Peer;
use crate::world::{Landing, World};
use std::time::Duration;

/// How long a worker must be quiet where a hook has reported the end of its turn after the answer: no long silence is
/// needed to prove that the turn is over.
const AFTER_STOP: Duration = Duration::from_millis(200);
/// The reason for ending a worker that has not taken the task that waits for it.
const NOT_TAKEN: &str = "task-not-taken";
/// How soon tmux is asked again where it gave no answer about the terminal.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// The result of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WorkerRound {
    /// Nothing more can be done now: the worker works on a task that it has not answered, nothing waits, or a state of
    /// the peer forbids delivery.
    Done(WorkerAnswer),
    /// The worker has answered, or has no task, and its turn goes on: the end of the turn starts a drain of its own.
    Working,
    /// The worker has answered, or has no task, and will have been quiet for long enough after this time.
    QuietIn(Duration),
}

/// Whether the worker was seen to have answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WorkerAnswer {
    /// The answer was seen, no task is open, or nothing may be done now.
    Seen,
    /// The worker had not answered when the round ended.
    Missing,
}

/// Decides, after the lock was released, what the drain does next.
pub(crate) fn next(
    world: &World<'_>,
    peer: &Peer,
    queue: &Queue,
    round: WorkerRound,
    before: &RoundStart,
) -> Result<Next, Failure> {
    let again = match round {
        WorkerRound::QuietIn(left) => return Ok(Next::WatchFor(left)),
        // The turn may have ended during the round, and the drain that its hook started found the lock taken.
        WorkerRound::Working => !is_working(world, peer),
        // The drain of an answer, or of a turn's end, that came during the round found the lock taken.
        WorkerRound::Done(WorkerAnswer::Missing)
            if world.markers(&peer.identity).has(Marker::EphemeralArmed)? || has_ended_turn(world, peer, before) =>
        {
            true
        }
        // The drain of a message that was accepted during the round found the lock taken.
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
        // Recording a death removes the mark, so it is read before the session is settled.
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

/// Ends a worker whose turn failed, since its answer will not come, and gives its task back (D40). A limit or a lost
/// login is not the task's fault and counts no try. Returns whether the worker was ended: a session that goes on by
/// itself is left alone.
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

/// Ends a worker that was started and was given no task, because the drain that started it died or failed: the waiting
/// tasks would wait for an answer that never comes. `None`: the worker was ended; else the result of the round.
fn end_idle(ledger: &Ledger<'_>, record: &SessionRecord) -> Result<Option<WorkerRound>, Failure> {
    let (world, peer) = (ledger.world, ledger.peer);
    if !is_without_task(ledger)? || hold::keeps_awake(world, record, world.now()) {
        return Ok(Some(WorkerRound::Done(WorkerAnswer::Missing)));
    }
    match quiet_in(world, peer, record) {
        // Somebody else gave the worker something to do.
        None => Ok(Some(WorkerRound::Working)),
        Some(Duration::ZERO) => reap(world, peer, record, NOT_TAKEN).map(|()| None),
        Some(left) => Ok(Some(WorkerRound::QuietIn(left))),
    }
}

/// Whether a task waits or is in flight, and there is no evidence that the worker took one.
fn is_without_task(ledger: &Ledger<'_>) -> Result<bool, Failure> {
    let (queue, inflight) = (ledger.queue, ledger.queue.list(Place::Inflight)?);
    if inflight.is_empty() {
        return Ok(!queue.list(Place::Waiting)?.is_empty());
    }
    for seq in inflight {
        let Some(item) = queue.read(Place::Inflight, seq)? else { continue };
        if item.landed.is_some() || tasks::is_taken(ledger.world, ledger.peer, &item) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether hooks have reported the end of a turn since the round began.
fn has_ended_turn(world: &World<'_>, peer: &Peer, before: &RoundStart) -> bool {
    let turn = world.markers(&peer.identity).turn();
    turn != before.turn && turn.is_some_and(|turn| turn.state != TurnState::Busy)
}

/// Whether the worker's turn still runs.
fn is_working(world: &World<'_>, peer: &Peer) -> bool {
    SessionRecord::peek(world.paths, &peer.identity)
        .is_some_and(|record| Activity::from_files(world, peer, &record).quiet() == Quiet::Working)
}

/// How long until a worker that has answered has been quiet for long enough; zero where it has. `None`: its turn still
/// runs.
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
        // Where the clock was set back since then, wait that much longer.
        Quiet::Since(at) => {
            let early = at.since(world.now());
            Some((bound + early + Duration::from_millis(1)).saturating_sub(world.now().since(at)))
        }
    }
}

/// How long a worker that has answered must be quiet before it is ended. Where hooks report turns and have reported the
/// end of this one, a short silence is enough: it only has to cover reports that arrive out of order.
pub fn bound(world: &World<'_>, peer: &Peer, activity: &Activity) -> Duration {
    let armed_at = world.markers(&peer.identity).set_at(Marker::EphemeralArmed);
    match (&activity.turn, armed_at) {
        (Some(turn), Ok(Some(armed))) if turn.state == TurnState::Idle && turn.at >= armed => {
            AFTER_STOP.min(world.settings.ephemeral_quiet)
        }
        _ => world.settings.ephemeral_quiet,
    }
}

/// Why a worker is ended, in words for the log.
pub(crate) fn reason_of(why: &str, age: Duration) -> String {
    let how = match why {
        NOT_TAKEN => "its task was not taken",
        _ if why == Consequence::EphemeralUnarmedBound.as_str() => "unarmed",
        _ => "armed",
    };
    format!("{how}, quiet {}", said(age))
}

/// Ends a worker deliberately, for the reason `why`.
pub fn reap(world: &World<'_>, peer: &Peer, record: &SessionRecord, why: &str) -> Result<(), Failure> {
    let age = Activity::from_files(world, peer, record).quiet().age(world.now());
    let event = Event::new("supervise")
        .field("identity", &peer.identity)
        .field("action", "reaped-ephemeral")
        .field("reason", reason_of(why, age))
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
            // A worker without its task is of no use: the task goes to a new session later.
            end::end(world, &peer.identity, Some(&tried.record), &End::new("task-held"))?;
            ledger.hold(entry, tried.woke, TryOutcome::Queued, hold, &reason)?;
            Ok(TaskStarted::No)
        }
        landing @ (Landing::Unknown(_) | Landing::Failed(_) | Landing::Queued { .. }) => {
            let reason = match landing {
                Landing::Unknown(reason) | Landing::Failed(reason) => reason,
                _ => passed::BEHIND_THE_TURN.to_owned(),
            };
            // A worker without its task is of no use: the next try starts a new session.
            end::end(world, &peer.identity, Some(&tried.record), &End::new(NOT_TAKEN))?;
            entry.item.redelivered += 1;
            ledger.give_back(entry, &reason)?;
            Ok(TaskStarted::No)
        }
    }
}
