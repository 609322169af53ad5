//! Ending a session deliberately: the one place that does it (D3).
//!
//! ```text
//! intent (.teardown) → park mark → the session and all its processes → session record → intent dropped
//! ```
//!
//! After a crash at any point the next program that settles the identity under its lock completes the end: [`finish`]
//! carries out an intent from whichever step was reached.

use crate::base::Marker;
use crate::base::exit::{Exit, Failure};
use crate::base::identity::Identity;
use crate::mailbox::tasks;
use crate::store::StoreError;
use crate::store::event_log::Event;
use crate::store::markers::{AfterEnd, Intent};
use crate::store::session_record::SessionRecord;
use crate::world::World;
use crate::world::peer::Peer;

/// Whether a peer may be resumed after a deliberate end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Park {
    /// The peer may be resumed.
    Yes,
    /// The next wake is fresh.
    No,
}

/// A deliberate end: its reason, and what it means for the next wake.
#[derive(Debug, Clone, Copy)]
pub struct End<'a> {
    why: &'a str,
    park: Park,
    keep_marks: bool,
    then: AfterEnd,
}

impl<'a> End<'a> {
    /// An end after which the next wake is fresh. `why` is written to the intent and the logs; no decision depends on
    /// it.
    pub fn new(why: &'a str) -> Self {
        End { why, park: Park::No, keep_marks: false, then: AfterEnd::Nothing }
    }

    /// Sets whether the peer may be resumed.
    pub fn park(self, park: Park) -> Self {
        End { park, ..self }
    }

    /// Leaves the park mark (`.idle-reaped`) of an earlier session as it is: after a failed launch the next wake must
    /// decide the same again (D2).
    pub(crate) fn keep_marks(self) -> Self {
        End { keep_marks: true, ..self }
    }

    /// Sets what follows the end.
    pub fn then(self, then: AfterEnd) -> Self {
        End { then, ..self }
    }
}

/// Ends the session of `identity` deliberately. Fails (75) where a process of the session can't be ended: the intent
/// then stays, and the next settling tries again.
pub fn end(
    world: &World<'_>,
    identity: &Identity,
    record: Option<&SessionRecord>,
    end: &End<'_>,
) -> Result<(), Failure> {
    finish(world, identity, &intend(world, identity, record, end)?)
}

/// The first half of [`end`]: writes the intent. From here on any program that settles the identity completes the end.
pub(crate) fn intend(
    world: &World<'_>,
    identity: &Identity,
    record: Option<&SessionRecord>,
    end: &End<'_>,
) -> Result<Intent, Failure> {
    let markers = world.markers(identity);
    let intent = intent_of(world, identity, record, end);
    announce(world, identity, &intent)?;
    if !end.keep_marks && end.park == Park::No {
        markers.clear(Marker::IdleReaped)?;
    }
    Ok(intent)
}

/// Writes the intent. A full disk is often caused by the very session that is to be ended: then the session is ended
/// all the same, and the log says what could not be written.
fn announce(world: &World<'_>, identity: &Identity, intent: &Intent) -> Result<(), Failure> {
    noted(
        identity,
        "that its end is meant: it may be recorded as a death",
        world.markers(identity).write_intent(intent),
    )
}

/// Lets the end go on where a full disk keeps a note from being written: a warning says `what` is not on record.
fn noted(identity: &Identity, what: &str, written: Result<(), StoreError>) -> Result<(), Failure> {
    match written {
        Err(error) if error.is_full() => {
            tracing::warn!("{identity}: {error}: ending it without a note {what}");
            Ok(())
        }
        written => Ok(written?),
    }
}

fn intent_of(world: &World<'_>, identity: &Identity, record: Option<&SessionRecord>, end: &End<'_>) -> Intent {
    let processes = match record {
        Some(record) if record.server.is_some() => None,
        _ => world.host.processes(identity).ok(),
    };
    Intent {
        server: record.and_then(|r| r.server).or(processes.as_ref().map(|p| p.server)),
        pane: record.and_then(|r| r.pane).or(processes.as_ref().and_then(|p| p.pane)),
        by: format!("{} pid {}", world.program, std::process::id()),
        why: end.why.to_owned(),
        park: end.park == Park::Yes,
        then: end.then,
        death: false,
        at: world.now(),
    }
}

/// The second half of [`end`]: carries out an intent, from whichever step was reached.
pub fn finish(world: &World<'_>, identity: &Identity, intent: &Intent) -> Result<(), Failure> {
    let markers = world.markers(identity);
    if intent.park {
        noted(identity, "that it may be resumed", markers.set(Marker::IdleReaped, intent.at))?;
    }
    if intent.death {
        noted(identity, "of its death", markers.add_death_once(intent.at))?;
    }
    match intent.then {
        AfterEnd::Nothing => {}
        // The mark is set after the intent was written: a crash between must not leave a live session with a mark that
        // is meant for its successor.
        AfterEnd::RelaunchFresh => {
            noted(identity, "that it comes back fresh", markers.set(Marker::NewEager, intent.at))?;
        }
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
    // The record of a later session must stay.
    let record = SessionRecord::read(world.paths, identity)?;
    if record.is_some_and(|record| record.server == intent.server || record.server.is_none()) {
        SessionRecord::remove(world.paths, identity)?;
    }
    disarm(world, identity)?;
    markers.clear_turn()?;
    markers.clear_intent()?;
    Ok(())
}

/// Ends a launch that failed and counts it as a death (D4, D26).
pub(crate) fn fail_launch(
    world: &World<'_>,
    identity: &Identity,
    record: &SessionRecord,
    why: &str,
) -> Result<(), Failure> {
    let end = End::new(why).keep_marks();
    let intent = Intent { death: true, ..intent_of(world, identity, Some(record), &end) };
    announce(world, identity, &intent)?;
    finish(world, identity, &intent)
}

/// Removes the mark that the worker has answered, once its session is over and the answered task is settled.
pub(crate) fn disarm(world: &World<'_>, identity: &Identity) -> Result<(), Failure> {
    let markers = world.markers(identity);
    if markers.has(Marker::EphemeralArmed)?
        && let Ok(peer) = Peer::of(world.paths, identity)
        && peer.is_ephemeral()
    {
        tasks::settle_answered(world, &peer, &world.queue(identity))?;
    }
    markers.clear(Marker::EphemeralArmed)?;
    Ok(())
}
