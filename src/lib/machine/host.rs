//! The real host: implements the trait with tmux, processes and transcripts.

use super::real::RealHost;
use super::{choose, ready, unit};
use crate::base::Liveness;
use crate::base::clock::{Deadline, EpochMs, wait_for};
use crate::base::exit::Failure;
use crate::base::identity::Identity;
use crate::base::message_id::MessageId;
use crate::base::wake::NothingToResume;
use crate::host::ProcessId;
use crate::host::managed::{self, Managed};
use crate::host::obstacle::Obstacle;
use crate::host::process;
use crate::host::spawn::{self, Gated, SpawnError};
use crate::host::tmux::{self, PaneLook, Server, TmuxError};
use crate::host::usage::Usage;
use crate::runtime::screen::Sight;
use crate::runtime::{ScreenState, Told};
use crate::session::launch;
use crate::store::durable::{self, StoreError};
use crate::store::markers::Turn;
use crate::store::session_record::SessionRecord;
use crate::world::peer::Peer;
use crate::world::{
    Begin, ChoiceError, CompactError, Delivery, Host, HostError, Landing, Launch, NotReady, NotStarted, PaneEnd,
    Processes, TerminalTimes, TranscriptTimes, View,
};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a tmux server may take to report how its pane's program ended, after it was made to check its children: each
/// try may be lost, too, and on a loaded machine one takes a fifth of a second.
const POKE_PATIENCE: Duration = Duration::from_secs(3);

impl RealHost<'_> {
    /// The environment in which iapeer's own programs are started.
    fn own_environment(&self) -> Vec<(OsString, OsString)> {
        let mut environment = launch::allowed(launch::environment());
        environment.insert("IAPEER_ROOT".into(), self.paths.root().to_string_lossy().into_owned());
        if let Ok(level) = std::env::var("IAPEER_LOG") {
            environment.insert("IAPEER_LOG".into(), level);
        }
        environment.into_iter().map(|(key, value)| (key.into(), value.into())).collect()
    }
}

impl RealHost<'_> {
    /// `look`, completed where its pane is dead and tmux has not said yet how the program ended: tmux may not have waited
    /// for the program, and tmux 3.3a may have lost the SIGCHLD of the end (D32): it checks its children again when one
    /// more child ends.
    pub(crate) fn with_ending(&self, server: &Server<'_>, look: PaneLook) -> PaneLook {
        if !look.pane_dead || look.has_ending() {
            return look;
        }
        let patience = Deadline::after(self.clock, POKE_PATIENCE);
        let poked = wait_for(self.clock, patience, Duration::from_millis(10), || {
            server.poke().ok()?;
            server.look().ok().filter(PaneLook::has_ending)
        });
        poked.unwrap_or(look)
    }
}

impl Host for RealHost<'_> {
    fn liveness(&self, identity: &Identity, record: Option<&SessionRecord>) -> Liveness {
        // A recorded server is probed by pid and start time, without a tmux call; a socket file proves nothing.
        if let Some(server) = record.and_then(|record| record.server) {
            match process::liveness(&server) {
                Liveness::Alive => {}
                seen => return seen,
            }
            // The server is alive, and its session ends with its pane. A live pane process needs no tmux call either.
            if let Some(pane) = record.and_then(|record| record.pane)
                && process::liveness(&pane) == Liveness::Alive
            {
                return Liveness::Alive;
            }
        } else if !self.paths.socket(identity).exists() {
            return Liveness::Gone;
        }
        match self.server(identity).and_then(|server| server.look()) {
            // A dead pane that remain-on-exit keeps is no session.
            Ok(look) if look.pane_dead => Liveness::Gone,
            Ok(_) => Liveness::Alive,
            Err(TmuxError::NoServer | TmuxError::NoSession) => Liveness::Gone,
            Err(_) => Liveness::Unknown,
        }
    }

    fn has_trace(&self, identity: &Identity) -> bool {
        self.paths.socket(identity).symlink_metadata().is_ok()
    }

    fn clear_trace(&self, identity: &Identity) {
        let socket = self.paths.socket(identity);
        if tmux::is_refused(&socket) {
            let _ = std::fs::remove_file(socket);
        }
    }

    fn processes(&self, identity: &Identity) -> Result<Processes, HostError> {
        let look = self.server(identity)?.look()?;
        let server = ProcessId::of(look.server_pid).ok_or(HostError::ServerEnded)?;
        Ok(Processes {
            server,
            pane: look.pane_pid.and_then(ProcessId::of),
            pane_id: look.pane,
            unit: unit::of_server(self, identity, server),
        })
    }

    fn sockets(&self) -> Result<Vec<Identity>, StoreError> {
        let mut found: Vec<Identity> = durable::names_of(self.paths.socket_dir())?
            .iter()
            .filter_map(|name| name.strip_prefix("tmux-iap-")?.strip_suffix(".sock")?.parse().ok())
            .collect();
        found.sort();
        Ok(found)
    }

    fn transcript_times(&self, peer: &Peer, running: Option<&Turn>) -> TranscriptTimes {
        self.transcripts(peer).map_or_else(TranscriptTimes::default, |transcripts| TranscriptTimes {
            last: transcripts.last_activity(),
            turn_end: running.and_then(|turn| transcripts.last_turn_end(turn)),
        })
    }

    fn transcript_size(&self, path: &Path) -> u64 {
        std::fs::metadata(path).map_or(0, |meta| meta.len())
    }

    fn terminal_times(&self, identity: &Identity) -> Result<TerminalTimes, HostError> {
        let survey = self.server(identity)?.survey(false)?;
        Ok(TerminalTimes {
            window: Some(EpochMs(survey.look.window_activity * 1000)),
            keystroke: survey.clients.iter().map(|client| client.activity).max(),
        })
    }

    fn resumable(&self, peer: &Peer) -> Result<Option<String>, NothingToResume> {
        if !peer.manifest.groups.contains_key("resume") {
            return Err(NothingToResume::Runtime(peer.manifest.runtime.clone()));
        }
        let Some(transcripts) = self.transcripts(peer) else { return Ok(None) };
        let newest = transcripts.newest().ok_or(NothingToResume::NoTranscript)?;
        Ok(transcripts.session(&newest))
    }

    fn carries(&self, peer: &Peer, id: MessageId) -> bool {
        self.transcripts(peer).is_some_and(|transcripts| transcripts.carries(id))
    }

    fn taken_at(&self, peer: &Peer, id: MessageId) -> Option<EpochMs> {
        self.transcripts(peer)?.taken_at(id)
    }

    fn has_queued(&self, peer: &Peer) -> bool {
        let Some(rules) = peer.manifest.screen.as_ref() else { return false };
        ready::look(self, peer).is_ok_and(|screen| {
            matches!(screen.sight(rules), Sight::Input { busy: true, .. })
                || screen.shows_any(&peer.manifest.keys.queued)
        })
    }

    fn preflight(&self, peer: &Peer) -> Result<(), Failure> {
        self.tmux()?;
        let environment = launch::allowed(launch::environment());
        launch::find_program(self.paths, peer, &environment)?;
        self.paths.check_socket(&peer.identity)
    }

    fn start(&self, launch: &Launch<'_>) -> Result<Processes, Failure> {
        self.actions.start(self, launch)
    }

    fn await_ready(&self, launch: &Launch<'_>, patience: Duration) -> Result<(), NotReady> {
        self.actions.await_ready(self, launch, patience)
    }

    fn deliver(&self, delivery: &Delivery<'_>) -> Landing {
        self.actions.deliver(self, delivery)
    }

    fn is_busy(&self, peer: &Peer) -> bool {
        self.actions.is_busy(self, peer)
    }

    fn interrupt(&self, peer: &Peer, keys: &[String]) -> Result<(), HostError> {
        self.actions.interrupt(self, peer, keys)
    }

    fn compact(&self, peer: &Peer, text: &str) -> Result<(), CompactError> {
        self.actions.compact(self, peer, text)
    }

    fn end(&self, identity: &Identity, server: Option<ProcessId>, pane: Option<ProcessId>) -> Result<(), HostError> {
        // The processes of the session are known only while its first process is alive: list them before ending it.
        let mut family = pane.map(|pane| process::tree(&pane)).unwrap_or_default();
        unit::end(self, identity, server);
        let lives = match server {
            Some(server) => process::liveness(&server) != Liveness::Gone,
            None => self.paths.socket(identity).exists(),
        };
        if lives {
            match self.server(identity).and_then(|server| server.kill()) {
                Ok(()) | Err(TmuxError::NoServer | TmuxError::NoSession) => {}
                // A server that does not answer is ended by pid; without a pid nothing more can be done.
                Err(error) if server.is_none() => return Err(error.into()),
                Err(error) => {
                    tracing::warn!("{identity}: tmux does not end the session ({error}): ending its server by pid")
                }
            }
            family.extend(server);
        }
        let left = process::end_all(&family, self.settings.end_grace, self.clock);
        if left.is_empty() {
            // tmux leaves its socket behind; it is removed so that the next probe needs no second one.
            if server.is_some_and(|server| process::liveness(&server) == Liveness::Gone) {
                let _ = std::fs::remove_file(self.paths.socket(identity));
            }
            return Ok(());
        }
        Err(HostError::Remain(left.iter().map(|process| process.pid).collect()))
    }

    fn view(&self, peer: &Peer) -> Result<View, HostError> {
        choose::view(self, peer)
    }

    fn choose(&self, peer: &Peer, rule: &ScreenState, text: &str, answer: &str) -> Result<String, ChoiceError> {
        self.actions.choose(self, peer, rule, text, answer)
    }

    fn last_output(&self, identity: &Identity) -> Option<EpochMs> {
        std::fs::metadata(self.paths.pane_log(identity)).and_then(|meta| meta.modified()).ok().map(EpochMs::from)
    }

    fn transcript_trouble(&self, peer: &Peer) -> Option<(EpochMs, Told)> {
        self.transcripts(peer)?.trouble()
    }

    fn usage(&self, panes: &[i32]) -> BTreeMap<i32, Usage> {
        crate::host::usage::of(panes)
    }

    fn notify(&self, program: &Path, event: &str) -> Result<(), NotStarted> {
        spawn::with_input(program, event.as_bytes())
            .map_err(|source| NotStarted::Owners { program: program.to_owned(), source })
    }

    fn has_canaries(&self) -> bool {
        true
    }

    fn dead_pane(&self, identity: &Identity) -> Option<PaneEnd> {
        let server = self.server(identity).ok()?;
        let look = server.look().ok().filter(|look| look.pane_dead)?;
        let look = self.with_ending(&server, look);
        Some(PaneEnd { status: look.dead_status, signal: look.dead_signal })
    }

    fn detach(&self, program: &str, arguments: &[&str]) -> Result<(), NotStarted> {
        let path: PathBuf = launch::bin_dir().join(program);
        let environment = self.own_environment();
        let names: Vec<&str> = environment.iter().filter_map(|(name, _)| name.to_str()).collect();
        let (program, arguments) = match unit::escape(self, &path, arguments, &names) {
            Some(escape) => {
                // systemd-run does not report that the program can't be run.
                Obstacle::to(&path).map_or(Ok(()), |obstacle| Err(SpawnError::Obstacle(obstacle)))?;
                escape
            }
            None => (path, arguments.iter().map(OsString::from).collect()),
        };
        Ok(spawn::detached(&program, &arguments, &environment)?)
    }

    fn ready_drain<'a>(&'a self, identity: &Identity) -> Begin<'a> {
        let words = vec!["--gated".into(), identity.as_str().into()];
        let identity = identity.clone();
        let detach = move || self.detach("iapeer-drain", &[identity.as_str()]);
        // systemd-run does not pass the gate, an inherited pipe, on.
        if unit::has_to_escape(self, "iapeer-drain") {
            return Box::new(detach);
        }
        match Gated::start(launch::bin_dir().join("iapeer-drain"), words, self.own_environment()) {
            Ok(gated) => Box::new(|| Ok(gated.begin()?)),
            // No pipe or no thread could be made.
            Err(_) => Box::new(detach),
        }
    }

    fn managed_by(&self, identity: &Identity) -> Option<Managed> {
        managed::by(self.paths, identity)
    }

    fn boot_id(&self) -> Option<String> {
        process::boot_id()
    }
}
