//! What every act of the lifecycle needs: where the files are, what time it is, and the host behind a seam.

use crate::base::clock::{Clock, EpochMs};
use crate::base::exit::{Exit, Failure};
use crate::base::identity::Identity;
use crate::base::message_id::MessageId;
use crate::base::paths::Paths;
use crate::base::settings::Settings;
use crate::canary::record::PaneEnd;
use crate::host::{Liveness, ProcessId};
use crate::runtime::manifest::Evidence;
use crate::runtime::transcript::TurnEnd;
use crate::store::event_log::{Event, EventLog, Log};
use crate::store::lock::{self, FileLock, LockError};
use crate::store::markers::{Marker, Markers, Turn};
use crate::store::queue::Queue;
use crate::store::session_record::SessionRecord;
use crate::world::peer::Peer;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long after a first look that finds a session gone the second one is taken (D6).
const SECOND_LOOK: Duration = Duration::from_millis(250);

/// The host as the lifecycle sees it. The real one talks to tmux and reads transcripts; the simulated one lets
/// whole days of fleet life run in a second.
pub trait Host: Send + Sync {
    /// Whether the session lives. With a record its server's pid and start time decide, else tmux is asked.
    fn liveness(&self, identity: &Identity, record: Option<&SessionRecord>) -> Liveness;

    /// Whether anything hints at a session: a socket, whoever listens on it.
    fn has_trace(&self, identity: &Identity) -> bool;

    /// Takes away what hints at a session where nothing listens any more: each look at it would have to look twice.
    /// The caller holds the identity's lock.
    fn clear_trace(&self, identity: &Identity);

    /// The processes of a session that lives.
    fn processes(&self, identity: &Identity) -> Result<Processes, String>;

    /// Identities for which there is a socket, with or without a record.
    fn sockets(&self) -> Vec<Identity>;

    /// When the transcript last moved, and, where a turn runs by what the hooks told, what record last ended one.
    /// Reads files only.
    fn transcript_times(&self, peer: &Peer, running: Option<&Turn>) -> TranscriptTimes;

    /// How many bytes this transcript has.
    fn transcript_size(&self, path: &Path) -> u64;

    /// When the terminal last moved. Asks tmux.
    fn terminal_times(&self, identity: &Identity) -> Result<TerminalTimes, String>;

    /// Whether there is a conversation to resume, and the agent's name for it where it has one.
    fn resumable(&self, peer: &Peer) -> Result<Option<String>, String>;

    /// Whether the peer's transcripts carry this message.
    fn carries(&self, peer: &Peer, id: MessageId) -> bool;

    /// Whether a session of this peer could be started at all: tmux, and the program of its runtime.
    fn preflight(&self, peer: &Peer) -> Result<(), Failure>;

    /// Starts a session. When this returns, its server answers; the agent may still be booting.
    fn start(&self, launch: &Launch<'_>) -> Result<Processes, StartError>;

    /// Waits until a started session is ready for input. The error is the reason, with the screen's tail.
    fn await_ready(&self, launch: &Launch<'_>, patience: Duration) -> Result<(), String>;

    /// Types a message into a live session and waits for evidence.
    fn deliver(&self, delivery: &Delivery<'_>) -> Landing;

    /// Whether a turn is running, by what its screen shows.
    fn is_busy(&self, peer: &Peer) -> bool;

    /// Presses one key in a live session.
    fn press(&self, peer: &Peer, key: &str) -> Result<(), String>;

    /// Types the control text `text` into an idle, empty composer and waits until the transcript says that a
    /// compaction is done.
    fn compact(&self, peer: &Peer, text: &str) -> Result<(), String>;

    /// Ends a session with everything that belongs to it (D36). The error says what remains.
    fn end(&self, identity: &Identity, server: Option<ProcessId>, pane: Option<ProcessId>) -> Result<(), String>;

    /// Whether each server of this host gets a canary, and its death is examined.
    fn has_canaries(&self) -> bool {
        false
    }

    /// How the session's program ended, if its server lives and keeps the dead pane. Asks tmux.
    fn dead_pane(&self, _identity: &Identity) -> Option<PaneEnd> {
        None
    }

    /// Starts a program of ours, detached from the caller.
    fn detach(&self, program: &str, arguments: &[&str]) -> Result<(), String>;

    /// Whether the service manager holds this peer, and which: `launchd` or `systemd` (D16).
    fn managed_by(&self, identity: &Identity) -> Option<&'static str>;

    /// Names this boot of the machine.
    fn boot_id(&self) -> Option<String>;
}

/// The processes of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Processes {
    /// The tmux server.
    pub server: ProcessId,
    /// The first process of its pane, if it lives.
    pub pane: Option<ProcessId>,
    /// The systemd unit it runs in.
    pub unit: Option<String>,
}

/// Times read from files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TranscriptTimes {
    /// The newest record's time.
    pub last: Option<EpochMs>,
    /// The newest record that ended a turn, where one runs.
    pub turn_end: Option<TurnEnd>,
}

/// Times asked of tmux.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TerminalTimes {
    /// When the window last changed.
    pub window: Option<EpochMs>,
    /// When an attached person last pressed a key.
    pub keystroke: Option<EpochMs>,
}

/// A session that did not start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartError {
    /// 69 where the host lacks something, 75 where trying again may help.
    pub exit: Exit,
    /// One line.
    pub reason: String,
}

/// What to start.
#[derive(Debug)]
pub struct Launch<'a> {
    /// Whose session.
    pub peer: &'a Peer,
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Its whole environment.
    pub env: Vec<(String, String)>,
    /// Where the pane's stream is logged.
    pub pane_log: PathBuf,
}

/// What to deliver.
#[derive(Debug)]
pub struct Delivery<'a> {
    /// To whom.
    pub peer: &'a Peer,
    /// The envelope, or several of which the last one is the message.
    pub text: &'a str,
    /// The message's id: what evidence is looked for.
    pub id: MessageId,
    /// This launch's name, for telling its hooks from those of an earlier one.
    pub launch: Option<&'a str>,
    /// The first message of a new session: evidence may take longer.
    pub boot: bool,
    /// Steer a running turn.
    pub urgent: bool,
    /// When the message was accepted.
    pub accepted: EpochMs,
    /// The message may already stand in the composer, from a delivery that was cut short.
    pub resumed: bool,
}

/// What became of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Landing {
    /// There is evidence that the session took it.
    Landed {
        /// What the evidence was.
        by: Evidence,
        /// A person's draft had to make way (D14).
        forced: bool,
    },
    /// Nothing was typed: something forbids it for now.
    Held(String),
    /// It was typed, and there is no evidence.
    Unknown(String),
    /// Nothing was typed, and something is wrong.
    Failed(String),
}

/// Paths, settings, time, host, logs: passed to everything.
pub struct World<'a> {
    /// Where the files are.
    pub paths: &'a Paths,
    /// The settings in force.
    pub settings: &'a Settings,
    /// Time.
    pub clock: &'a dyn Clock,
    /// The host.
    pub host: &'a dyn Host,
    /// The event logs.
    pub log: EventLog,
    /// The program that acts, for locks and logs.
    pub program: &'static str,
}

impl<'a> World<'a> {
    /// A world for `program`.
    pub fn new(
        paths: &'a Paths,
        settings: &'a Settings,
        clock: &'a dyn Clock,
        host: &'a dyn Host,
        program: &'static str,
    ) -> Self {
        World { paths, settings, clock, host, log: EventLog::new(paths, settings), program }
    }

    /// The time.
    pub fn now(&self) -> EpochMs {
        self.clock.now()
    }

    /// The state files of `identity`.
    pub fn markers<'i>(&'i self, identity: &'i Identity) -> Markers<'i> {
        Markers::of(self.paths, identity)
    }

    /// The queue of `identity`.
    pub fn queue(&self, identity: &Identity) -> Queue {
        Queue::of(self.paths, identity)
    }

    /// Takes the identity's lock: what starts, ends or types into the session holds it.
    pub fn lock(&self, identity: &Identity, wait: Duration) -> Result<Held<'_>, LockError> {
        let lock = self.lock_to_deliver(identity, wait)?;
        Ok(Held { lock: Some(lock), world: self, identity: identity.clone() })
    }

    /// [`World::lock`] for a drain, which looks at the queue again by itself after letting go.
    pub fn lock_to_deliver(&self, identity: &Identity, wait: Duration) -> Result<FileLock, LockError> {
        FileLock::acquire(&self.paths.state(identity, "lock"), self.program, wait, self.clock)
    }

    /// Whether somebody holds the identity's lock, and thus will look at the queue after letting go.
    ///
    /// A drain that tries the lock in the moment of this look finds it taken and leaves: whoever is told that it is
    /// free starts one.
    pub fn is_held(&self, identity: &Identity) -> bool {
        lock::is_held(&self.paths.state(identity, "lock"))
    }

    /// Appends to `lifecycle.log`.
    pub fn lifecycle(&self, event: &Event) {
        self.log.append(Log::Lifecycle, self.clock, event);
    }

    /// Appends to `delivery.log`.
    pub fn delivery(&self, event: &Event) {
        self.log.append(Log::Delivery, self.clock, event);
    }

    /// Looks whether a session lives. Gone must hold twice before anyone acts on it.
    pub fn liveness(&self, identity: &Identity, record: Option<&SessionRecord>) -> Liveness {
        // Nothing recorded and no socket: there is nothing that could turn out to live after all.
        if record.is_none() && !self.host.has_trace(identity) {
            return Liveness::Gone;
        }
        match self.host.liveness(identity, record) {
            Liveness::Gone => {
                self.clock.sleep(SECOND_LOOK);
                self.host.liveness(identity, record)
            }
            seen => seen,
        }
    }

    /// Starts a detached drain of `identity`. A drain that can't be started is made up for by the next tick.
    pub fn kick(&self, identity: &Identity) {
        if let Err(error) = self.host.detach("iapeer-drain", &[identity.as_str()]) {
            tracing::warn!("cannot start iapeer-drain for {identity}: {error}; the next tick delivers");
        }
    }

    /// [`World::kick`] where something waits.
    pub fn kick_if_waiting(&self, identity: &Identity) {
        if self.queue(identity).has_waiting().unwrap_or(true) {
            self.kick(identity);
        }
    }
}

/// An identity's lock, held. Whoever lets go of it, on whatever way out, looks at the queue again: a sender that found
/// it taken started no drain, and a drain that found it taken left.
#[must_use]
pub struct Held<'w> {
    lock: Option<FileLock>,
    world: &'w World<'w>,
    identity: Identity,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        drop(self.lock.take());
        // A crash is a crash: the next tick delivers, as after a kill.
        if std::thread::panicking() {
            return;
        }
        // What waits for a stopped peer waits for its start.
        if !self.world.markers(&self.identity).has(Marker::Stopped) {
            self.world.kick_if_waiting(&self.identity);
        }
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Failure::new(error.exit, error.reason)
    }
}
