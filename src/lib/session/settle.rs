//! Sessions as they stand: finding out, recording deaths, ending on purpose. Everything here is called with the
//! identity's lock held.

use crate::base::exit::{Exit, Failure};
use crate::base::identity::Identity;
use crate::canary::arm;
use crate::delivery::worker;
use crate::host::{Liveness, ProcessId, process};
use crate::store::event_log::Event;
use crate::store::markers::{Intent, Marker};
use crate::store::session_record::{Phase, SessionRecord};
use crate::world::World;
use crate::world::peer::Peer;

/// Where a session stands once its files agree with what lives.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "one value at a time, never stored")]
pub enum Standing {
    /// It lives.
    Live(SessionRecord),
    /// There is none.
    Asleep,
    /// The host would not say. Nothing may be concluded from that.
    Unknown,
}

/// What [`settle`] had to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mended {
    /// Nothing: files and facts agreed.
    Nothing,
    /// An interrupted deliberate end was finished.
    Teardown,
    /// A session that lived without a record was enrolled.
    Enrolled,
    /// A death was recorded: its class (`server-dead` or `session-gone`) and a reason for people.
    Death(&'static str, String),
    /// A stopped peer's session had gone.
    Stopped,
    /// A session had ended itself to come back fresh.
    EagerFresh,
    /// A launch whose launcher died was cleared away.
    FailedLaunch,
    /// Somebody else recorded the death first.
    ClaimedElsewhere,
}

/// Brings the files of `identity` in line with what lives, and says where the session stands.
///
/// What had to be mended leaves its line in the log, whoever came across it.
pub fn settle(world: &World<'_>, identity: &Identity) -> Result<(Standing, Mended), Failure> {
    let settled = mend(world, identity)?;
    log_mended(world, identity, &settled.1);
    Ok(settled)
}

fn log_mended(world: &World<'_>, identity: &Identity, mended: &Mended) {
    let (action, death, reason, outcome) = match mended {
        // The winner of the claim writes the line.
        Mended::Nothing | Mended::ClaimedElsewhere => return,
        Mended::Teardown => ("finished-teardown", None, None, "finished"),
        Mended::Enrolled => ("enrolled", None, None, "supervised"),
        Mended::Death(class, reason) => ("reaped-gone", Some(*class), Some(reason.clone()), "fresh-next-msg"),
        Mended::Stopped => ("skipped-stopped", None, None, "resume-on-start"),
        Mended::EagerFresh => ("needs-eager-fresh", None, Some("/new eager mark".to_owned()), "eager-fresh"),
        Mended::FailedLaunch => (
            "reaped-gone",
            Some("failed-launch"),
            Some("its launcher died during the boot".to_owned()),
            "fresh-next-msg",
        ),
    };
    let event = Event::new("supervise")
        .field("identity", identity)
        .field("action", action)
        .maybe("death", death)
        .maybe("reason", reason)
        .field("outcome", outcome);
    world.lifecycle(&event);
}

/// Whether the session of `identity` lives and is ready, as seen without the lock.
pub fn is_live(world: &World<'_>, identity: &Identity) -> bool {
    let record = SessionRecord::peek(world.paths, identity);
    let booting = record.as_ref().is_some_and(|record| record.phase == Phase::Booting);
    !booting && world.liveness(identity, record.as_ref()) == Liveness::Alive
}

/// What a death looks like before it is cleared away.
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
        finish_teardown(world, identity, &intent)?;
        mended = Mended::Teardown;
    }
    // The lock is ours: who claimed it is gone.
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
            // Its launcher is gone (we hold the lock) and nobody will ever call it ready.
            fail_launch(world, identity, &record, "its launcher died")?;
            Ok((Standing::Asleep, Mended::FailedLaunch))
        }
        (Liveness::Alive, Some(record)) => Ok((Standing::Live(record), mended)),
        (Liveness::Alive, None) => match enrol(world, identity)? {
            Some(record) => Ok((Standing::Live(record), Mended::Enrolled)),
            None => Ok((Standing::Unknown, mended)),
        },
    }
}

/// Whether it is a boot that has taken longer than any: where nobody holds the lock, its launcher is gone.
pub fn is_failed_launch(world: &World<'_>, record: &SessionRecord) -> bool {
    let patience = world.settings.boot_deadline + world.settings.ready_gate;
    record.phase == Phase::Booting && world.now().since(record.woke_at) > patience
}

/// Records that a session we launched is gone without an intent (rows 2 to 4 of 07.2).
fn record_end(world: &World<'_>, record: &SessionRecord) -> Result<Mended, Failure> {
    let identity = &record.identity;
    let markers = world.markers(identity);
    arm::record_end(world, record);
    if markers.has(Marker::Stopped) {
        end_leftover(world, record)?;
        SessionRecord::remove(world.paths, identity)?;
        disarm(world, identity)?;
        markers.set(Marker::IdleReaped, world.now())?;
        return Ok(Mended::Stopped);
    }
    let death = death(world, record);
    let died_at = record.died_at.unwrap_or_else(|| world.now());
    let dead = SessionRecord { died_at: Some(died_at), ..record.clone() };
    dead.write(world.paths)?;
    // The rename decides who records it, even against a program that ignores the lock.
    if !SessionRecord::claim_death(world.paths, identity)? {
        return Ok(Mended::ClaimedElsewhere);
    }
    Ok(if finish_claim(world, &dead)? { Mended::EagerFresh } else { death })
}

/// Counts a claimed death and clears away what the session left. Says whether it had ended itself to come back fresh.
fn finish_claim(world: &World<'_>, record: &SessionRecord) -> Result<bool, Failure> {
    let identity = &record.identity;
    let markers = world.markers(identity);
    let eager = markers.has(Marker::NewEager);
    if let Some(at) = record.died_at.filter(|_| !eager) {
        markers.add_death_once(at)?;
    }
    end_leftover(world, record)?;
    disarm(world, identity)?;
    markers.clear_turn()?;
    SessionRecord::finish_claim(world.paths, identity)?;
    Ok(eager)
}

/// Ends what is left of a session: the server that keeps the dead pane of a program that ended, or a program that
/// outlived its server, which would work on beside the next one in the same folder.
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
    end(world, &record.identity, Some(record), &Ending { why, park: Park::No, keep_marks: true })
}

/// Ends a server that keeps a dead pane and has no record: a launch that was cut short left it.
fn clear_dead_pane(world: &World<'_>, identity: &Identity) -> Result<(), Failure> {
    if !world.host.has_trace(identity) {
        return Ok(());
    }
    if world.host.dead_pane(identity).is_none() {
        world.host.clear_trace(identity);
        return Ok(());
    }
    end(world, identity, None, &Ending { why: "its program ended", park: Park::No, keep_marks: true })
}

/// A worker's session is over: what it has answered is settled before the mark that says so goes.
fn disarm(world: &World<'_>, identity: &Identity) -> Result<(), Failure> {
    let markers = world.markers(identity);
    if markers.has(Marker::EphemeralArmed)
        && let Ok(peer) = Peer::of(world.paths, identity)
        && peer.is_ephemeral()
    {
        worker::settle_answered(world, &peer, &world.queue(identity))?;
    }
    markers.clear(Marker::EphemeralArmed)?;
    Ok(())
}

/// Writes a record for a session that lives without one: whatever is alive must be supervised.
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
        unit: processes.unit,
        launch: None,
        boot_id: world.host.boot_id(),
        mode: None,
        cause: Some("enrolled".into()),
        died_at: None,
    };
    record.write(world.paths)?;
    Ok(Some(record))
}

/// Clears away a launch that came to nothing and counts it as a death (D4, D26).
pub fn fail_launch(world: &World<'_>, identity: &Identity, record: &SessionRecord, why: &str) -> Result<(), Failure> {
    let ending = Ending { why, park: Park::No, keep_marks: true };
    let intent = Intent { death: true, ..intent_of(world, identity, Some(record), &ending) };
    world.markers(identity).write_intent(&intent)?;
    finish_teardown(world, identity, &intent)
}

/// Whether a peer may be resumed after a deliberate end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Park {
    /// It may.
    Yes,
    /// The next wake is fresh.
    No,
}

/// A deliberate end.
#[derive(Debug, Clone, Copy)]
pub struct Ending<'a> {
    /// Why, for the intent and the logs.
    pub why: &'a str,
    /// Whether the peer may be resumed.
    pub park: Park,
    /// Leave the parking mark of an earlier session as it is: a failed launch must decide the same again (D2).
    pub keep_marks: bool,
}

/// Ends a session on purpose: intent, mark, end, record, intent (D3). A crash at any point is finished by the next
/// program that looks.
pub fn end(
    world: &World<'_>,
    identity: &Identity,
    record: Option<&SessionRecord>,
    ending: &Ending<'_>,
) -> Result<(), Failure> {
    finish_teardown(world, identity, &intend(world, identity, record, ending)?)
}

/// The first half of [`end`]: from here on whoever takes the lock finishes it.
pub fn intend(
    world: &World<'_>,
    identity: &Identity,
    record: Option<&SessionRecord>,
    ending: &Ending<'_>,
) -> Result<Intent, Failure> {
    let markers = world.markers(identity);
    let intent = intent_of(world, identity, record, ending);
    markers.write_intent(&intent)?;
    if !ending.keep_marks && ending.park == Park::No {
        markers.clear(Marker::IdleReaped)?;
    }
    Ok(intent)
}

fn intent_of(world: &World<'_>, identity: &Identity, record: Option<&SessionRecord>, ending: &Ending<'_>) -> Intent {
    let processes = match record {
        Some(record) if record.server.is_some() => None,
        _ => world.host.processes(identity).ok(),
    };
    Intent {
        server: record.and_then(|r| r.server).or(processes.as_ref().map(|p| p.server)),
        pane: record.and_then(|r| r.pane).or(processes.as_ref().and_then(|p| p.pane)),
        by: format!("{} pid {}", world.program, std::process::id()),
        why: ending.why.to_owned(),
        park: ending.park == Park::Yes,
        death: false,
        at: world.now(),
    }
}

/// Why of an end after which the next tick brings the peer back at once.
pub const SELF_FRESH: &str = "self-fresh";

/// The second half of [`end`]: carries out an intent, from wherever it was left.
pub fn finish_teardown(world: &World<'_>, identity: &Identity, intent: &Intent) -> Result<(), Failure> {
    let markers = world.markers(identity);
    if intent.park {
        markers.set(Marker::IdleReaped, intent.at)?;
    }
    if intent.death {
        markers.add_death_once(intent.at)?;
    }
    // After the intent, so that no session lives on with a mark that was meant for its successor.
    if intent.why == SELF_FRESH {
        markers.set(Marker::NewEager, intent.at)?;
    }
    if let Err(remains) = world.host.end(identity, intent.server, intent.pane) {
        let event = Event::new("teardown")
            .field("identity", identity)
            .field("why", &intent.why)
            .field("outcome", "incomplete")
            .field("reason", &remains);
        world.lifecycle(&event);
        return Err(Failure::new(
            Exit::TryAgain,
            format!("cannot end {identity}: {remains}; the next tick tries again"),
        ));
    }
    // A successor's record is not ours to drop.
    let record = SessionRecord::read(world.paths, identity)?;
    if record.is_some_and(|record| record.server == intent.server || record.server.is_none()) {
        SessionRecord::remove(world.paths, identity)?;
    }
    disarm(world, identity)?;
    markers.clear_turn()?;
    markers.clear_intent()?;
    Ok(())
}
