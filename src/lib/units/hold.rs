//! `iapeer-run`: holds one always-on peer in the foreground, for its service unit.

use crate::base::Marker;
use crate::base::exit::{Exit, Failure};
use crate::base::identity::Identity;
use crate::host::ProcessId;
use crate::host::process::{ExitWatch, signal_stream};
use crate::runtime::Kind;
use crate::session::bring_up::{self, Call, Caller, Guard};
use crate::session::end::{self, End};
use crate::session::rule::WakeRequest;
use crate::session::settle::{self, Standing};
use crate::store::event_log::Event;
use crate::world::World;
use crate::world::peer::Peer;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// A session that ends within this time of its start counts as not started.
const SETTLED: Duration = Duration::from_secs(2);

/// Starts the session of `identity`, or takes over a live one, and holds it until it ends (the service manager then runs
/// this program again) or until TERM or INT, which end the session.
pub fn run(world: &World<'_>, identity: &Identity) -> Result<Exit, Failure> {
    let peer = Peer::of(world.paths, identity)?;
    if peer.manifest.kind != Kind::Router {
        let why = format!("{identity} is not on an always-on runtime: messages wake it, and so does `iapeer-wake`");
        return Err(Failure::new(Exit::Refused, why));
    }
    // Installed before the start, so that a signal during the start is not lost.
    let asked = signal_stream(&[SIGTERM, SIGINT])
        .map_err(|error| Failure::new(Exit::Internal, format!("cannot wait for signals: {error}")))?;
    let lock = world.lock(identity, world.settings.lock_wait + world.settings.boot_deadline)?;
    // An always-on peer is stopped by stopping its unit: an older marker must not prevent the start.
    world.markers(identity).clear(Marker::Stopped)?;
    let call = Call { request: WakeRequest::Fresh, topic: None, guard: Guard::Passed, caller: Caller::Holder };
    let up = bring_up::bring_up(world, &peer, call).map_err(|not_up| not_up.failure)?;
    drop(lock);
    let began = world.clock.monotonic();
    let server =
        up.record.server.ok_or_else(|| Failure::new(Exit::TryAgain, format!("{identity}: it has no server")))?;
    // Both are watched, since tmux keeps the pane of a program that has ended. Without a pid in the record, the program
    // had ended before it could be recorded.
    let pane = up.record.pane.map(watch).transpose()?.flatten();
    let stopped = match (watch(server)?, pane) {
        (Some(server), Some(pane)) => first(&[&server, &pane], &asked)?,
        _ => false,
    };
    let lock = world.lock(identity, world.settings.lock_wait)?;
    let (standing, _) = settle::settle(world, identity)?;
    let event = Event::new("run").field("identity", identity).field("server", server.pid);
    if stopped {
        world.lifecycle(&event.field("outcome", "stopped"));
        if let Standing::Live(record) = standing {
            end::end(world, identity, Some(&record), &End::new("stop"))?;
        }
        return Ok(Exit::Ok);
    }
    drop(lock);
    world.lifecycle(&event.field("outcome", "ended"));
    if up.woke.is_some() && world.clock.monotonic() - began < SETTLED {
        let why = format!("{identity}: its session ended right after its start: `iapeer-canary --report` may tell why");
        return Err(Failure::new(Exit::TryAgain, why));
    }
    Ok(Exit::Ok)
}

fn watch(process: ProcessId) -> Result<Option<ExitWatch>, Failure> {
    ExitWatch::on(process)
        .map_err(|error| Failure::new(Exit::Internal, format!("cannot watch pid {}: {error}", process.pid)))
}

/// Waits until one of `ends` has ended (`false`) or a signal asks this program to stop (`true`).
fn first(ends: &[&ExitWatch], asked: &UnixStream) -> Result<bool, Failure> {
    loop {
        let mut fds = vec![PollFd::new(asked.as_fd(), PollFlags::POLLIN)];
        fds.extend(ends.iter().map(|end| PollFd::new(end.descriptor(), PollFlags::POLLIN)));
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) => {
                let ready = |fd: &PollFd<'_>| fd.revents().is_some_and(|events| !events.is_empty());
                if fds.iter().any(ready) {
                    return Ok(ready(&fds[0]));
                }
            }
            Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(Failure::new(Exit::Internal, format!("cannot wait: {error}"))),
        }
    }
}
