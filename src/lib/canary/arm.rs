//! Starts a canary for every live server that has none, and records how a dead pane's program ended.

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

/// How long to wait for a canary that is still writing its record.
const AT_WORK: Duration = Duration::from_secs(3);

/// The result of starting a canary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Armed {
    /// A canary was started.
    Spawned,
    /// A canary watches the server already.
    Already,
    /// There is no session to watch.
    NoSession,
    /// No canary could be started; the reason.
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

/// Starts a canary for the recorded session of `identity`, unless a canary watches it already.
pub fn ensure(world: &World<'_>, identity: &Identity) -> Armed {
    let watched = !world.host.has_canaries() || is_held(&world.paths.state(identity, StateFile::CanaryLock));
    if watched {
        return Armed::Already;
    }
    // Without a session a canary would end at once and leave its lock file behind.
    if SessionRecord::peek(world.paths, identity).is_none() { Armed::NoSession } else { spawn(world, identity) }
}

/// Starts a canary for a server that has just been started, which no canary can be watching yet. The new canary itself
/// waits for one that is still recording the end of the previous server.
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
        Err(error) => Armed::Failed(error.to_string()),
    }
}

/// Why no canary was started, where that is a failure.
pub fn reason(armed: &Armed) -> Option<&str> {
    match armed {
        Armed::NoSession => Some("no session to watch"),
        Armed::Failed(reason) => Some(reason),
        Armed::Spawned | Armed::Already => None,
    }
}

/// Records how a session ended that is gone without an intent, unless its end is recorded already: by its dead pane, or,
/// where the server is gone too, by the evidence that is left. A failure is logged and does not stop the caller.
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
    // A canary that holds its lock is still at work, and has better evidence than can be collected now.
    let path = world.paths.state(&record.identity, StateFile::CanaryLock);
    let Ok(_lock) = FileLock::acquire(&path, world.program, AT_WORK, world.clock) else { return };
    say(&record.identity, watch::unwatched(world, record, server).map(drop));
}

/// The handler of tmux's `pane-died` hook: records the end of the pane's program and starts a tick that ends the session.
pub fn on_pane_died(world: &World<'_>, identity: &Identity, server: Option<i32>, end: PaneEnd) {
    let server = match server {
        Some(pid) => ProcessId::of(pid),
        None => SessionRecord::peek(world.paths, identity).and_then(|record| record.server),
    };
    // Without a live server there is no dead pane: whoever ended the server has recorded why.
    let Some(server) = server else { return };
    say(identity, record::session_exit(world, identity, server, end).map(drop));
    // A program that ends during its boot is noticed by its launcher, and the next tick tries again. A tick started here
    // would use up the crash-loop guard's tries within a second.
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
