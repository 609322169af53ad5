//! The end of a pane's program while its server lives: recorded once, and the session cleared away.

use crate::base::Liveness;
use crate::base::clock::{Deadline, wait_for};
use crate::base::exit::Failure;
use crate::base::identity::Identity;
use crate::canary::record;
use crate::host::{ProcessId, process};
use crate::store::session_record::{Phase, SessionRecord};
use crate::world::{PaneEnd, World};
use std::time::Duration;

/// How long to wait until tmux itself reports the end of a pane's program. tmux misses the end of programs that end at
/// once, and reports nothing about a pane that was killed.
const NEWS: Duration = Duration::from_millis(500);
/// Pause between two probes for that report.
const LOOK: Duration = Duration::from_millis(50);

/// Records the end of a dead pane's program. Returns whether there was a dead pane.
pub(crate) fn pane_end(world: &World<'_>, identity: &Identity, server: ProcessId) -> bool {
    let Some(end) = world.host.dead_pane(identity) else { return false };
    say(identity, record::session_exit(world, identity, server, end).map(drop));
    true
}

/// Called by tmux when a pane's program has ended: records the end, and starts a tick for this identity alone, which
/// ends the session.
pub fn on_pane_died(world: &World<'_>, identity: &Identity, server: Option<i32>, end: PaneEnd) {
    let server = match server {
        Some(pid) => ProcessId::of(pid),
        None => SessionRecord::peek(world.paths, identity).and_then(|record| record.server),
    };
    // Where the server has ended too, its own end is recorded by the program that notices it.
    let Some(server) = server else { return };
    say(identity, record::session_exit(world, identity, server, end).map(drop));
    // The program that starts the session sees that the session's program ends during the boot, and the next tick tries
    // again. A tick started here would use up the crash-loop guard's tries within a second.
    if SessionRecord::peek(world.paths, identity).is_some_and(|record| record.phase == Phase::Booting) {
        return;
    }
    if let Err(error) = world.host.detach("iapeer-superviser", &["--only", identity.as_str()]) {
        tracing::warn!("{identity}: {error}; the next tick ends the session");
    }
}

/// What a canary does when the recorded first process of the pane has ended and the server lives: tmux may not know of
/// it, or may have nobody to tell (D32).
pub(crate) fn unreported(world: &World<'_>, identity: &Identity, server: ProcessId) {
    let settled = || {
        let gone = process::liveness(&server) != Liveness::Alive;
        gone || record::is_deliberate(world, identity, server) || record::session_exit_is_known(world, identity, server)
    };
    if wait_for(world.clock, Deadline::after(world.clock, NEWS), LOOK, || settled().then_some(())).is_some() {
        return;
    }
    let record = SessionRecord::peek(world.paths, identity).filter(|record| record.server == Some(server));
    let Some(record) = record else { return };
    // After a respawn-pane another program is in the pane, and the session lives on.
    if world.liveness(identity, Some(&record)) == Liveness::Gone && !settled() {
        let end = world.host.dead_pane(identity).unwrap_or_default();
        on_pane_died(world, identity, Some(server.pid), end);
    }
}

pub(crate) fn say(identity: &Identity, done: Result<(), Failure>) {
    if let Err(failure) = done {
        tracing::warn!("the end of {identity} is not recorded: {failure}");
    }
}
