//! Starts a canary for every live server that has none, and records the end of a server that no canary has watched.

use crate::base::Liveness;
use crate::base::StateFile;
use crate::base::identity::Identity;
use crate::canary::{pane, watch};
use crate::host::{ProcessId, process};
use crate::store::event_log::Event;
use crate::store::lock::{FileLock, is_held};
use crate::store::session_record::SessionRecord;
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
pub(crate) fn at_launch(world: &World<'_>, identity: &Identity) {
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

/// Records how a session ended that is gone without an intent, unless that is recorded already: from its dead pane, or,
/// where the server is gone too, from the evidence that is left. A failure is logged and does not stop the caller.
pub(crate) fn record_end(world: &World<'_>, record: &SessionRecord) {
    let Some(server) = record.server else { return };
    if !pane::pane_end(world, &record.identity, server) {
        server_end(world, record, server);
    }
}

fn server_end(world: &World<'_>, record: &SessionRecord, server: ProcessId) {
    if !world.host.has_canaries() || process::liveness(&server) != Liveness::Gone {
        return;
    }
    // A canary that holds its lock is still recording the end, with better evidence than can be collected now.
    let path = world.paths.state(&record.identity, StateFile::CanaryLock);
    let Ok(_lock) = FileLock::acquire(&path, world.program, AT_WORK, world.clock) else { return };
    pane::say(&record.identity, watch::unwatched(world, record, server).map(drop));
}
