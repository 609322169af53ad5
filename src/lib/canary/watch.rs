//! Watches one server until it ends. The canary sleeps in poll(2) meanwhile.

use crate::base::Liveness;
use crate::base::ProcessEnd;
use crate::base::StateFile;
use crate::base::exit::{Exit, Failure};
use crate::base::identity::Identity;
use crate::canary::evidence::{self, SeenBefore};
use crate::canary::rule::judge;
use crate::canary::{pane, record};
use crate::host::ProcessId;
use crate::host::process::{ExitWatch, liveness, signal_stream};
use crate::host::slim;
use crate::host::tmux::{Tmux, Waiter};
use crate::store::lock::{FileLock, LockError};
use crate::store::session_record::SessionRecord;
use crate::world::World;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// How long to wait for the canary of the previous server, which may still be writing its record.
const PREDECESSOR: Duration = Duration::from_secs(10);
/// A client that ended within this time of the server's end counts as ended together with it.
const TOGETHER: Duration = Duration::from_secs(2);
/// How long a server must outlive an OOM kill in its cgroup before that kill counts as another process's.
const OUTLIVE_MS: u16 = 200;
/// How long a canary that was told to end waits to see whether the server ends too.
const SWEEP_MS: u16 = 1000;
/// How long to wait for the client after the server's end.
const CLIENT_WAIT: Duration = Duration::from_millis(500);

/// Watches the recorded server of `identity` until it ends, and records its end unless it was deliberate.
pub fn watch(world: &World<'_>, identity: &Identity) -> Result<Exit, Failure> {
    let path = world.paths.state(identity, StateFile::CanaryLock);
    let _lock = match FileLock::acquire(&path, world.program, PREDECESSOR, world.clock) {
        Ok(lock) => lock,
        // The holder of the lock already watches a server of this identity.
        Err(LockError::Held { .. }) => return Ok(Exit::Ok),
        Err(error) => return Err(error.into()),
    };
    let none = || Failure::new(Exit::Refused, format!("{identity} has no session to watch: iapeer-wake starts one"));
    let record = SessionRecord::peek(world.paths, identity).ok_or_else(none)?;
    let server = record.server.ok_or_else(none)?;
    let watch = match ExitWatch::on(server) {
        Ok(Some(watch)) => watch,
        // The server ended before the watch began.
        Ok(None) => return unwatched(world, &record, server),
        Err(error) => {
            tracing::warn!("this kernel does not tell of a process's end ({error}): looking once a second");
            while liveness(&server) != Liveness::Gone {
                world.clock.sleep(Duration::from_secs(1));
            }
            return unwatched(world, &record, server);
        }
    };
    let mut before = SeenBefore::of(server);
    let mut client = WaitClient::start(world, identity);
    let mut pane = PaneWatch::of(&record);
    let mut pane_ended = || pane::unreported(world, identity, server);
    let woken = until_end(&watch, &mut pane, &mut pane_ended, &mut client, &mut before)
        .map_err(|error| Failure::new(Exit::Io, format!("cannot watch the server of {identity}: {error}")))?;
    let WokenBy::ServerEnded(ending) = woken else { return Ok(Exit::Ok) };
    let ended = Instant::now();
    if record::is_deliberate(world, identity, server) {
        return Ok(Exit::Ok);
    }
    let (rc, together) = client.map(|client| client.finish(ended)).unwrap_or_default();
    let (evidence, sections) = before.collect(world, &record, server, ending, rc.filter(|_| together));
    record::server_exit(world, identity, server, rc, &judge(&evidence), sections)?;
    Ok(Exit::Ok)
}

/// Records the end of a server that no canary watched, unless the end was deliberate or is recorded already.
pub(crate) fn unwatched(world: &World<'_>, record: &SessionRecord, server: ProcessId) -> Result<Exit, Failure> {
    if !record::is_deliberate(world, &record.identity, server) {
        let (evidence, sections) = evidence::afterwards(world, record, server);
        record::server_exit(world, &record.identity, server, None, &judge(&evidence), sections)?;
    }
    Ok(Exit::Ok)
}

/// What ended the wait.
enum WokenBy {
    /// The server has ended.
    ServerEnded(Option<ProcessEnd>),
    /// The canary was told to end (TERM, INT, HUP).
    Dismissed,
}

/// The watch on the pane's first process, while that lives.
struct PaneWatch(Option<ExitWatch>);

impl PaneWatch {
    fn of(record: &SessionRecord) -> PaneWatch {
        PaneWatch(record.pane.and_then(|pane| ExitWatch::on(pane).ok().flatten()))
    }
}

/// Sleeps until the server has ended. `pane_ended` is called when the pane's first process has ended before that.
fn until_end(
    watch: &ExitWatch,
    pane: &mut PaneWatch,
    pane_ended: &mut dyn FnMut(),
    client: &mut Option<WaitClient>,
    before: &mut SeenBefore,
) -> io::Result<WokenBy> {
    // Becomes readable when the canary is told to end.
    let dismissal = signal_stream(&[SIGTERM, SIGINT, SIGHUP])?;
    let mut timeout = PollTimeout::NONE;
    slim::slim();
    loop {
        let mut wanted =
            vec![PollFd::new(watch.descriptor(), PollFlags::POLLIN), PollFd::new(dismissal.as_fd(), PollFlags::POLLIN)];
        let client_at = client.as_ref().and_then(WaitClient::descriptor).map(|fd| {
            wanted.push(PollFd::new(fd, PollFlags::POLLIN));
            wanted.len() - 1
        });
        let events = before.cgroup.as_ref().filter(|events| events.notifies && timeout.is_none());
        let memory_at = events.map(|events| {
            wanted.push(PollFd::new(events.as_fd(), PollFlags::POLLPRI));
            wanted.len() - 1
        });
        let pane_at = pane.0.as_ref().map(|pane| {
            wanted.push(PollFd::new(pane.descriptor(), PollFlags::POLLIN));
            wanted.len() - 1
        });
        match poll(&mut wanted, timeout) {
            Err(Errno::EINTR) => continue,
            Err(error) => return Err(error.into()),
            Ok(_) => {}
        }
        let says = |at: usize| wanted[at].any().unwrap_or(false);
        let (server, dismissed) = (says(0), says(1));
        let (client_ended, memory) = (client_at.is_some_and(says), memory_at.is_some_and(says));
        let pane_died = pane_at.is_some_and(says);
        drop(wanted);
        if pane_died {
            pane.0 = None;
            if !server && !dismissed {
                pane_ended();
                slim::slim();
            }
        }
        if client_ended && let Some(client) = client {
            client.note_end();
        }
        if server {
            return Ok(WokenBy::ServerEnded(watch.ending()));
        }
        if dismissed {
            // A kill by pattern may hit canary and server together; a signal meant for the canary alone leaves the server.
            let ended =
                poll(&mut [PollFd::new(watch.descriptor(), PollFlags::POLLIN)], PollTimeout::from(SWEEP_MS))? > 0;
            return Ok(if ended { WokenBy::ServerEnded(watch.ending()) } else { WokenBy::Dismissed });
        }
        if memory {
            timeout = PollTimeout::from(OUTLIVE_MS);
        } else if timeout.is_some() {
            // The OOM kill hit another process: the server has outlived it.
            timeout = PollTimeout::NONE;
            before.renew();
        }
    }
}

/// A tmux client that is attached to the server: the way it ends is evidence of how the server ended.
struct WaitClient {
    waiter: Waiter,
    /// When it ended.
    ended: Option<Instant>,
    code: Option<i32>,
}

impl WaitClient {
    /// Starts the client. `None` where it can't be started: its exit code is optional evidence.
    fn start(world: &World<'_>, identity: &Identity) -> Option<WaitClient> {
        let tmux = Tmux::find(world.settings.tmux_timeout).ok()?;
        let server = tmux.server(&world.paths.socket(identity), identity.as_str());
        let waiter = server.waiter(&format!("iap-canary-{identity}")).ok()?;
        Some(WaitClient { waiter, ended: None, code: None })
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.waiter.descriptor().filter(|_| self.ended.is_none())
    }

    /// The client wrote something or ended; in either case it is about to end.
    fn note_end(&mut self) {
        self.ended = Some(Instant::now());
        self.code = self.waiter.exit_code();
    }

    /// The client's exit code, if the client ended together with the server, at `ended`.
    fn finish(mut self, ended: Instant) -> (Option<i32>, bool) {
        let limit = PollTimeout::try_from(CLIENT_WAIT).unwrap_or(PollTimeout::ZERO);
        if let Some(fd) = self.descriptor() {
            let spoke = poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], limit).is_ok_and(|count| count > 0);
            if !spoke {
                // The client has not noticed the server's end: killing it now would make its exit code ours.
                self.waiter.dismiss();
                return (None, false);
            }
            self.note_end();
        }
        let together = self.ended.is_some_and(|at| ended.saturating_duration_since(at) <= TOGETHER);
        (self.code, together)
    }
}
