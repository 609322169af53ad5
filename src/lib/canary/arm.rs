//! Seeing to it that a live server is watched, and that a dead pane is recorded and cleared away.

use crate::base::Liveness;
use crate::base::StateFile;
use crate::base::identity::Identity;
use crate::canary::record;
use crate::canary::watch;
use crate::host::{ProcessId, process};
use crate::store::event_log::Event;
use crate::store::lock::{FileLock, is_held};
use crate::store::session_record::{Phase, SessionRecord};
use crate::world::PaneEnd;
use crate::world::World;
use std::fmt;
use std::time::Duration;

/// How long a canary at work on a record is waited for.
const AT_WORK: Duration = Duration::from_secs(3);

/// What came of arming.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Armed {
    /// A canary was started.
    Spawned,
    /// One watches already.
    Already,
    /// There is nothing to watch.
    NoSession,
    /// None could be started.
    Failed(String),
}

impl fmt::Display for Armed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Armed::Spawned => "spawned",
            Armed::Already => "already",
            Armed::NoSession | Armed::Failed(_) => "failed",
        })
    }
}

/// Starts a canary for the recorded session of `identity`, unless one watches.
pub fn ensure(world: &World<'_>, identity: &Identity) -> Armed {
    let watched = !world.host.has_canaries() || is_held(&world.paths.state(identity, StateFile::CanaryLock));
    if watched {
        return Armed::Already;
    }
    // A canary would find out by itself, and leave its lock file behind.
    if SessionRecord::peek(world.paths, identity).is_none() { Armed::NoSession } else { spawn(world, identity) }
}

/// Starts a canary for a server that has just been started: none can watch it yet. One that still records the end of
/// the server before is waited for by the new one.
pub fn at_launch(world: &World<'_>, identity: &Identity) {
    if !world.host.has_canaries() {
        return;
    }
    let armed = spawn(world, identity);
    let event = Event::new("canary")
        .field("identity", identity)
        .field("state", &armed)
        .field("origin", "launch")
        .maybe("reason", reason(&armed));
    world.lifecycle(&event);
}

fn spawn(world: &World<'_>, identity: &Identity) -> Armed {
    match world.host.detach("iapeer-canary", &[identity.as_str()]) {
        Ok(()) => Armed::Spawned,
        Err(error) => Armed::Failed(error),
    }
}

/// Why arming failed.
pub fn reason(armed: &Armed) -> Option<&str> {
    match armed {
        Armed::NoSession => Some("no session to watch"),
        Armed::Failed(reason) => Some(reason),
        Armed::Spawned | Armed::Already => None,
    }
}

/// Records how a session that is gone without an intent ended, unless that has been done: what its dead pane tells, or,
/// where its server is gone too, what can be found afterwards. Never stops the caller.
pub fn record_end(world: &World<'_>, record: &SessionRecord) {
    let Some(server) = record.server else { return };
    if !pane_end(world, &record.identity, server) {
        server_end(world, record, server);
    }
}

/// Records the end of a dead pane's program. Says whether there was a dead pane.
pub fn pane_end(world: &World<'_>, identity: &Identity, server: ProcessId) -> bool {
    let Some(end) = world.host.dead_pane(identity) else { return false };
    say(identity, record::session_exit(world, identity, server, end).map(drop));
    true
}

fn server_end(world: &World<'_>, record: &SessionRecord, server: ProcessId) {
    if !world.host.has_canaries() || process::liveness(&server) != Liveness::Gone {
        return;
    }
    // The canary knows more than we can find out now: while it holds its lock it is at work.
    let path = world.paths.state(&record.identity, StateFile::CanaryLock);
    let Ok(_lock) = FileLock::acquire(&path, world.program, AT_WORK, world.clock) else { return };
    say(&record.identity, watch::unwatched(world, record, server).map(drop));
}

/// Called by tmux when a pane's program has ended: records it and has the session ended by a tick of its own.
pub fn on_pane_died(world: &World<'_>, identity: &Identity, server: Option<i32>, end: PaneEnd) {
    let server = match server {
        Some(pid) => ProcessId::of(pid),
        None => SessionRecord::peek(world.paths, identity).and_then(|record| record.server),
    };
    // Without a server that lives there is no dead pane: whoever ended it has recorded why.
    let Some(server) = server else { return };
    say(identity, record::session_exit(world, identity, server, end).map(drop));
    // A program that ends while it starts is seen by whoever starts it, and tried again by the next tick: one started
    // here would use up the crash-loop guard's tries within a second.
    if SessionRecord::peek(world.paths, identity).is_some_and(|record| record.phase == Phase::Booting) {
        return;
    }
    if let Err(error) = world.host.detach("iapeer-superviser", &["--only", identity.as_str()]) {
        tracing::warn!("{identity}: {error}; the next tick ends the session");
    }
}

fn say(identity: &Identity, done: Result<(), crate::base::exit::Failure>) {
    if let Err(failure) = done {
        tracing::warn!("the end of {identity} is not recorded: {failure}");
    }
}
