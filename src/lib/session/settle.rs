//! Settling: brings the files of one identity in line with its live processes. Deaths are recorded, interrupted ends
//! completed, live sessions without a record enrolled. The caller holds the identity's lock.

use crate::base::Liveness;
use crate::base::Marker;
use crate::base::exit::Failure;
use crate::base::identity::Identity;
use crate::base::{Action, Consequence};
use crate::canary::arm;
use crate::host::{ProcessId, process};
use crate::session::end::{self, End};
use crate::store::event_log::Event;
use crate::store::session_record::{Phase, SessionRecord};
use crate::world::World;
use crate::world::peer::Peer;

/// The state of a session once its files agree with the live processes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "one value at a time, never stored")]
pub enum Standing {
    /// The session is alive.
    Live(SessionRecord),
    /// There is no session.
    Asleep,
    /// The host gave no answer. Nothing may be concluded from that.
    Unknown,
}

/// What [`settle`] had to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mended {
    /// Nothing: files and facts agreed.
    Nothing,
    /// An interrupted deliberate end was completed.
    Teardown,
    /// A live session without a record was enrolled.
    Enrolled,
    /// A death was recorded: its class (`server-dead` or `session-gone`) and a reason for people.
    Death(&'static str, String),
    /// The session of a stopped peer was gone.
    Stopped,
    /// A session had ended itself and asked for a fresh one.
    EagerFresh,
    /// A launch whose launcher died was ended.
    FailedLaunch,
    /// Another program recorded the death first.
    ClaimedElsewhere,
}

/// Brings the files of `identity` in line with its live processes, and returns the session's state and the repair.
///
/// Each repair is logged, whichever program makes it.
pub fn settle(world: &World<'_>, identity: &Identity) -> Result<(Standing, Mended), Failure> {
    let settled = mend(world, identity)?;
    log_mended(world, identity, &settled.1);
    Ok(settled)
}

/// What is reported and logged about a repair: the one table from [`Mended`] to words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MendTold {
    /// The action.
    pub action: Action,
    /// The outcome.
    pub consequence: Option<Consequence>,
    /// The reason.
    pub reason: Option<String>,
    /// The class of a death.
    pub death: Option<&'static str>,
}

impl Mended {
    /// What is reported about this repair; `None` where files and facts agreed.
    pub fn told(&self) -> Option<MendTold> {
        let told = |action, consequence| MendTold { action, consequence: Some(consequence), reason: None, death: None };
        Some(match self {
            Mended::Nothing => return None,
            Mended::Teardown => told(Action::FinishedTeardown, Consequence::Finished),
            Mended::Enrolled => told(Action::Enrolled, Consequence::Supervised),
            Mended::Death(class, reason) => MendTold {
                reason: Some(reason.clone()),
                death: Some(class),
                ..told(Action::ReapedGone, Consequence::FreshNextMsg)
            },
            Mended::Stopped => told(Action::SkippedStopped, Consequence::ResumeOnStart),
            Mended::EagerFresh => MendTold {
                reason: Some("/new eager mark".to_owned()),
                ..told(Action::NeedsEagerFresh, Consequence::EagerFresh)
            },
            Mended::FailedLaunch => MendTold {
                reason: Some("its launcher died during the boot".to_owned()),
                death: Some("failed-launch"),
                ..told(Action::ReapedGone, Consequence::FreshNextMsg)
            },
            Mended::ClaimedElsewhere => MendTold {
                action: Action::ClaimedElsewhere,
                consequence: None,
                reason: Some("concurrently reaped by another supervise pass".to_owned()),
                death: None,
            },
        })
    }
}

fn log_mended(world: &World<'_>, identity: &Identity, mended: &Mended) {
    // The program that won the claim writes the line.
    let Some(told) = mended.told().filter(|_| *mended != Mended::ClaimedElsewhere) else { return };
    let event = Event::new("supervise")
        .field("identity", identity)
        .field("action", told.action)
        .maybe("death", told.death)
        .maybe("reason", told.reason)
        .maybe("outcome", told.consequence);
    world.lifecycle(&event);
}

/// Whether the session of `identity` lives and is ready, as seen without the lock.
pub(crate) fn is_live(world: &World<'_>, identity: &Identity) -> bool {
    let record = SessionRecord::peek(world.paths, identity);
    let booting = record.as_ref().is_some_and(|record| record.phase == Phase::Booting);
    !booting && world.liveness(identity, record.as_ref()) == Liveness::Alive
}

/// The evidence of a death, gathered before the leftovers of the session are removed.
fn death(world: &World<'_>, record: &SessionRecord) -> Mended {
    let rebooted = record.boot_id.as_deref().is_some_and(|then| Some(then) != world.host.boot_id().as_deref());
    let server_lives = record.server.is_some_and(|server| process::liveness(&server) == Liveness::Alive);
    let (class, reason) = match (rebooted, server_lives) {
        (true, _) => ("server-dead", "the host was rebooted"),
        (false, true) => ("session-gone", "the session ended, its tmux server lives"),
        (false, false) => ("server-dead", "the tmux server is gone"),
    };
    Mended::Death(class, reason.to_owned())
}

fn mend(world: &World<'_>, identity: &Identity) -> Result<(Standing, Mended), Failure> {
    let markers = world.markers(identity);
    let mut mended = Mended::Nothing;
    if let Some(intent) = markers.intent()? {
        end::finish(world, identity, &intent)?;
        mended = Mended::Teardown;
    }
    // This program holds the lock, so the program that made the claim is gone.
    if let Some(claimed) = SessionRecord::claimed(world.paths, identity)? {
        finish_claim(world, &claimed)?;
    }
    let record = SessionRecord::read(world.paths, identity)?;
    match (world.liveness(identity, record.as_ref()), record) {
        (Liveness::Unknown, _) => Ok((Standing::Unknown, mended)),
        (Liveness::Gone, None) => {
            clear_dead_pane(world, identity)?;
            Ok((Standing::Asleep, mended))
        }
        (Liveness::Gone, Some(record)) => Ok((Standing::Asleep, record_end(world, &record)?)),
        (Liveness::Alive, Some(record)) if is_failed_launch(world, &record) => {
            // The launcher is gone, since this program holds the lock: no other program will ever mark the session as
            // ready.
            end::fail_launch(world, identity, &record, "its launcher died")?;
            Ok((Standing::Asleep, Mended::FailedLaunch))
        }
        (Liveness::Alive, Some(record)) => Ok((Standing::Live(record), mended)),
        (Liveness::Alive, None) => match enrol(world, identity)? {
            Some(record) => Ok((Standing::Live(record), Mended::Enrolled)),
            None => Ok((Standing::Unknown, mended)),
        },
    }
}

/// Whether `record` is of a boot that has taken longer than any boot may. Where no other program holds the lock, the
/// launcher of such a boot is gone.
pub(crate) fn is_failed_launch(world: &World<'_>, record: &SessionRecord) -> bool {
    let patience = world.settings.boot_deadline + world.settings.ready_gate;
    record.phase == Phase::Booting && world.now().since(record.woke_at) > patience
}

/// Records that a session with a record is gone and no intent announced its end (rows 2 to 4 of 07.2).
fn record_end(world: &World<'_>, record: &SessionRecord) -> Result<Mended, Failure> {
    let identity = &record.identity;
    let markers = world.markers(identity);
    arm::record_end(world, record);
    if markers.has(Marker::Stopped)? {
        end_leftover(world, record)?;
        SessionRecord::remove(world.paths, identity)?;
        end::disarm(world, identity)?;
        markers.set(Marker::IdleReaped, world.now())?;
        return Ok(Mended::Stopped);
    }
    let death = death(world, record);
    let died_at = record.died_at.unwrap_or_else(|| world.now());
    let dead = SessionRecord { died_at: Some(died_at), ..record.clone() };
    dead.write(world.paths)?;
    // The rename decides which program records the death, even against one that ignores the lock.
    if !SessionRecord::claim_death(world.paths, identity)? {
        return Ok(Mended::ClaimedElsewhere);
    }
    Ok(if finish_claim(world, &dead)? { Mended::EagerFresh } else { death })
}

/// Counts a claimed death and removes what the session left. Returns whether the session had ended itself and asked for
/// a fresh one, which counts as no death.
fn finish_claim(world: &World<'_>, record: &SessionRecord) -> Result<bool, Failure> {
    let identity = &record.identity;
    let markers = world.markers(identity);
    let eager = markers.has(Marker::NewEager)?;
    if let Some(at) = record.died_at.filter(|_| !eager) {
        markers.add_death_once(at)?;
    }
    end_leftover(world, record)?;
    end::disarm(world, identity)?;
    markers.clear_turn()?;
    SessionRecord::finish_claim(world.paths, identity)?;
    Ok(eager)
}

/// Ends what is left of a session: a server that keeps the dead pane of a program that has ended, or a program that
/// outlived its server and would work on beside the next session in the same folder.
fn end_leftover(world: &World<'_>, record: &SessionRecord) -> Result<(), Failure> {
    let gone = |process: Option<ProcessId>| process.is_none_or(|process| process::liveness(&process) == Liveness::Gone);
    let why = match (gone(record.server), gone(record.pane)) {
        (true, true) => {
            world.host.clear_trace(&record.identity);
            return Ok(());
        }
        (true, false) => "its tmux server died",
        (false, _) => "its program ended",
    };
    end::end(world, &record.identity, Some(record), &End::new(why).keep_marks())
}

/// Ends a server that keeps a dead pane and has no record: an interrupted launch left it.
fn clear_dead_pane(world: &World<'_>, identity: &Identity) -> Result<(), Failure> {
    if !world.host.has_trace(identity) {
        return Ok(());
    }
    if world.host.dead_pane(identity).is_none() {
        world.host.clear_trace(identity);
        return Ok(());
    }
    end::end(world, identity, None, &End::new("its program ended").keep_marks())
}

/// Writes a record for a live session that has none: every live session must be supervised.
fn enrol(world: &World<'_>, identity: &Identity) -> Result<Option<SessionRecord>, Failure> {
    let Ok(processes) = world.host.processes(identity) else { return Ok(None) };
    let cwd = Peer::of(world.paths, identity)
        .map(|peer| peer.cwd().to_owned())
        .unwrap_or_else(|_| world.paths.root().to_owned());
    let record = SessionRecord {
        identity: identity.clone(),
        runtime: identity.runtime().clone(),
        personality: identity.personality().clone(),
        cwd,
        woke_at: world.now(),
        phase: Phase::Ready,
        server: Some(processes.server),
        pane: processes.pane,
        pane_id: processes.pane_id,
        unit: processes.unit,
        launch: None,
        boot_id: world.host.boot_id(),
        decision: None,
        died_at: None,
    };
    record.write(world.paths)?;
    Ok(Some(record))
}
