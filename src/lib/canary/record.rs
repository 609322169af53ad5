//! Records an end once: a line in `exits.log`, a forensics file, and `<identity>.last-death`, by which other programs
//! that notice the same end know that it is recorded.

use crate::base::StateFile;
use crate::base::clock::EpochMs;
use crate::base::exit::{Exit, Failure};
use crate::base::identity::Identity;
use crate::base::paths;
use crate::canary::rule::CauseFound;
use crate::host::ProcessId;
use crate::host::forensics::{self, Section};
use crate::store::durable;
use crate::store::event_log::{self, Event, Log};
use crate::store::lock::FileLock;
use crate::store::markers::Intent;
use crate::store::pane_log;
use crate::store::registry::Registry;
use crate::world::{PaneEnd, World};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The time limit for collecting the machine's state; with the other steps, recording takes less than two seconds.
const FORENSICS_TIME: Duration = Duration::from_millis(700);
/// How long to wait for another program that is recording the same end.
const RECORDER_WAIT: Duration = Duration::from_secs(5);

/// What ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// The tmux server.
    ServerExit,
    /// The program in the pane.
    SessionExit,
}

/// `<identity>.last-death`: the end that was recorded last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastDeath {
    /// When it was recorded.
    pub at: EpochMs,
    /// What ended.
    pub event: Ended,
    /// The server, or the server of the session.
    pub server: Option<ProcessId>,
    /// The class of [`super::Cause`], or `exit-status-N`, `exit-signal-N`, `exit-unknown`.
    pub cause: String,
    /// The forensics file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forensics: Option<PathBuf>,
    /// Whether the peer has been healthy since.
    #[serde(default)]
    pub over: bool,
}

impl LastDeath {
    fn path(world: &World<'_>, identity: &Identity) -> PathBuf {
        world.paths.state(identity, StateFile::LastDeath)
    }

    fn read(world: &World<'_>, identity: &Identity) -> Option<LastDeath> {
        durable::peek_json(&LastDeath::path(world, identity))
    }

    /// The last death of `identity`, unless it has been healthy since.
    pub fn of(world: &World<'_>, identity: &Identity) -> Option<LastDeath> {
        LastDeath::read(world, identity).filter(|death| !death.over)
    }

    fn write(&self, world: &World<'_>, identity: &Identity) -> Result<(), Failure> {
        let line = serde_json::to_string(self).map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
        Ok(durable::write_atomic(&LastDeath::path(world, identity), format!("{line}\n").as_bytes())?)
    }

    /// Writes the file, and removes it again where the peer is not registered: the file of a peer that was removed or
    /// renamed meanwhile would stay for good. The registry is read after the write, since a removal deletes the peer's
    /// files once more after it has changed the registry.
    fn keep(&self, world: &World<'_>, identity: &Identity) -> Result<(), Failure> {
        self.write(world, identity)?;
        if Registry::read(world.paths).is_ok_and(|registry| registry.get(identity.personality()).is_none()) {
            durable::remove(&LastDeath::path(world, identity))?;
        }
        Ok(())
    }
}

/// Notes that `identity` is healthy again. The file stays, so that a late recorder of the same end still finds that it is
/// recorded.
pub fn healthy(world: &World<'_>, identity: &Identity) -> Result<(), Failure> {
    match LastDeath::of(world, identity) {
        Some(death) => LastDeath { over: true, ..death }.write(world, identity),
        None => Ok(()),
    }
}

/// Whether the end of this server was deliberate: the intent under way, or the one completed last, names it.
pub(crate) fn is_deliberate(world: &World<'_>, identity: &Identity, server: ProcessId) -> bool {
    // In this order: a finished intent is renamed from the one name to the other.
    [StateFile::Teardown, StateFile::Ended].into_iter().any(|file| {
        let intent: Option<Intent> = durable::peek_json(&world.paths.state(identity, file));
        intent.is_some_and(|intent| intent.server == Some(server))
    })
}

fn lock(world: &World<'_>, identity: &Identity) -> Result<FileLock, Failure> {
    let path = world.paths.state(identity, StateFile::DeathLock);
    Ok(FileLock::acquire(&path, world.program, RECORDER_WAIT, world.clock)?)
}

fn is_recorded(world: &World<'_>, identity: &Identity, event: Ended, server: ProcessId) -> bool {
    LastDeath::read(world, identity).is_some_and(|last| last.event == event && last.server == Some(server))
}

/// Whether the end of the program of this server's session is recorded.
pub(crate) fn session_exit_is_known(world: &World<'_>, identity: &Identity, server: ProcessId) -> bool {
    is_recorded(world, identity, Ended::SessionExit, server)
}

/// Records the end of a server. Returns whether it had not been recorded before.
pub fn server_exit(
    world: &World<'_>,
    identity: &Identity,
    server: ProcessId,
    wait_rc: Option<i32>,
    verdict: &CauseFound,
    evidence: Vec<Section>,
) -> Result<bool, Failure> {
    let _lock = lock(world, identity)?;
    if is_recorded(world, identity, Ended::ServerExit, server) {
        return Ok(false);
    }
    let now = world.now();
    let rc = wait_rc.map_or_else(|| "unknown".to_owned(), |rc| rc.to_string());
    let head = format!(
        "server-death identity={identity} ts={} server_pid={} wait_rc={rc} cause={}\n",
        now.utc_seconds(),
        server.pid,
        verdict.cause
    );
    let mut sections = vec![("evidence", format!("{}\n", verdict.because))];
    sections.extend(evidence);
    // The log line is written even if the forensics file can't be.
    let file = write_forensics(world, identity, now, &head, sections)
        .inspect_err(|failure| tracing::warn!("no forensics: {failure}"))
        .ok();
    let event = Event::new("server-exit")
        .field("identity", identity)
        .field("server_pid", server.pid)
        .field("wait_rc", rc)
        .field("cause", verdict.cause)
        .field("forensics", file.as_deref().unwrap_or(Path::new("")).display());
    world.log.append(Log::Exits, world.clock, &event);
    let death = LastDeath {
        at: now,
        event: Ended::ServerExit,
        server: Some(server),
        cause: verdict.cause.to_string(),
        forensics: file,
        over: false,
    };
    death.keep(world, identity)?;
    Ok(true)
}

/// Records that the program of a session ended while its server lives. Returns whether it had not been recorded before.
pub fn session_exit(world: &World<'_>, identity: &Identity, server: ProcessId, end: PaneEnd) -> Result<bool, Failure> {
    let _lock = lock(world, identity)?;
    if is_recorded(world, identity, Ended::SessionExit, server) || is_deliberate(world, identity, server) {
        return Ok(false);
    }
    let number = |value: Option<i32>| value.map(|value| value.to_string());
    let status = match end {
        PaneEnd { status: None, signal: None } => Some("unknown".to_owned()),
        end => number(end.status),
    };
    let event = Event::new("session-exit")
        .field("identity", identity)
        .field("dead_status", status.unwrap_or_default())
        .field("dead_signal", number(end.signal).unwrap_or_default());
    world.log.append(Log::Exits, world.clock, &event);
    let death = LastDeath {
        at: world.now(),
        event: Ended::SessionExit,
        server: Some(server),
        cause: end.cause(),
        forensics: None,
        over: false,
    };
    death.keep(world, identity)?;
    Ok(true)
}

fn write_forensics(
    world: &World<'_>,
    identity: &Identity,
    now: EpochMs,
    head: &str,
    mut sections: Vec<Section>,
) -> Result<PathBuf, Failure> {
    let dir = world.paths.server_deaths_dir();
    paths::create_dirs(&dir)?;
    sections.extend(forensics::machine(Instant::now() + FORENSICS_TIME));
    sections.push(("last-screen", pane_log::last_lines(&world.paths.pane_log(identity))));
    sections.push(("lifecycle", lifecycle_lines(world, identity)));
    let mut text = head.to_owned();
    for (title, body) in sections.iter().filter(|(_, body)| !body.trim().is_empty()) {
        text.push_str(&format!("\n--- {title}\n{}\n", body.trim_end()));
    }
    // Two servers may die within a second. The lock is held, so no other program takes the name meanwhile.
    let mut second = now.0 / 1000;
    let mut path = dir.join(format!("{identity}-{second}.txt"));
    while path.exists() {
        second += 1;
        path = dir.join(format!("{identity}-{second}.txt"));
    }
    durable::write_atomic(&path, text.as_bytes())?;
    Ok(path)
}

fn lifecycle_lines(world: &World<'_>, identity: &Identity) -> String {
    let text = event_log::tail(&world.paths.event_log(Log::Lifecycle.file_name()), 256 * 1024).unwrap_or_default();
    let name = format!("identity={identity}");
    let own: Vec<&str> = text.lines().filter(|line| line.split(' ').any(|word| word == name)).collect();
    own[own.len().saturating_sub(30)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_pane_end() {
        assert_eq!(PaneEnd { status: Some(3), signal: None }.cause(), "exit-status-3");
        assert_eq!(PaneEnd { status: None, signal: Some(9) }.cause(), "exit-signal-9");
        assert_eq!(PaneEnd::default().cause(), "exit-unknown");
    }
}
