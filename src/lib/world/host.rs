//! The host as the rules see it. The real host (`machine`) talks to tmux and reads transcripts; the simulated one lets
//! whole days of fleet life run in a second.

use crate::base::Liveness;
use crate::base::clock::EpochMs;
use crate::base::evidence::Evidence;
use crate::base::exit::{Exit, Failure};
use crate::base::hold::Hold;
use crate::base::identity::Identity;
use crate::base::message_id::MessageId;
use crate::base::wake::NothingToResume;
use crate::host::ProcessId;
use crate::host::managed::Managed;
use crate::host::tmux::PaneId;
use crate::host::usage::Usage;
use crate::runtime::transcript::TurnEnd;
use crate::runtime::{Screen, ScreenState, Told};
use crate::store::durable::StoreError;
use crate::store::markers::Turn;
use crate::store::session_record::SessionRecord;
use crate::world::error::{ChoiceError, CompactError, HostError, NotStarted};
use crate::world::peer::Peer;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Lets a program begin that was made ready. Says whether it runs.
pub type Begin<'a> = Box<dyn FnOnce() -> Result<(), NotStarted> + 'a>;

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
    fn processes(&self, identity: &Identity) -> Result<Processes, HostError>;

    /// Identities for which there is a socket, with or without a record.
    fn sockets(&self) -> Result<Vec<Identity>, StoreError>;

    /// When the transcript last moved, and, where a turn runs by what the hooks told, what record last ended one.
    /// Reads files only.
    fn transcript_times(&self, peer: &Peer, running: Option<&Turn>) -> TranscriptTimes;

    /// How many bytes this transcript has.
    fn transcript_size(&self, path: &Path) -> u64;

    /// When the terminal last moved. Asks tmux.
    fn terminal_times(&self, identity: &Identity) -> Result<TerminalTimes, HostError>;

    /// Whether there is a conversation to resume, and the agent's name for it where it has one.
    fn resumable(&self, peer: &Peer) -> Result<Option<String>, NothingToResume>;

    /// Whether the peer's transcripts carry this message.
    fn carries(&self, peer: &Peer, id: MessageId) -> bool;

    /// Whether a session of this peer could be started at all: tmux, and the program of its runtime.
    fn preflight(&self, peer: &Peer) -> Result<(), Failure>;

    /// Starts a session. When this returns, its server answers; the agent may still be booting.
    fn start(&self, launch: &Launch<'_>) -> Result<Processes, StartError>;

    /// Waits until a started session is ready for input.
    fn await_ready(&self, launch: &Launch<'_>, patience: Duration) -> Result<(), NotReady>;

    /// Types a message into a live session and waits for evidence.
    fn deliver(&self, delivery: &Delivery<'_>) -> Landing;

    /// Whether a turn is running, by what its screen shows.
    fn is_busy(&self, peer: &Peer) -> bool;

    /// Presses one key in a live session.
    fn press(&self, peer: &Peer, key: &str) -> Result<(), HostError>;

    /// Types the control text `text` into an idle, empty composer and waits until the transcript says that a
    /// compaction is done.
    fn compact(&self, peer: &Peer, text: &str) -> Result<(), CompactError>;

    /// Ends a session with everything that belongs to it (D36). The error says what remains.
    fn end(&self, identity: &Identity, server: Option<ProcessId>, pane: Option<ProcessId>) -> Result<(), HostError>;

    /// What the session's screen shows, and whether somebody is attached. Asks tmux.
    fn view(&self, _peer: &Peer) -> Result<View, HostError> {
        Err(HostError::Unsupported("shows no screens"))
    }

    /// Chooses `answer` on the screen that `rule` knows and that said `text`: one key a look, confirmed only where the
    /// cursor is seen on the answer's label, and given up where the screen has changed. Returns the row that was
    /// confirmed. The caller holds the identity's lock.
    fn choose(&self, _peer: &Peer, _rule: &ScreenState, _text: &str, _answer: &str) -> Result<String, ChoiceError> {
        Err(HostError::Unsupported("takes no keys").into())
    }

    /// When the session last printed anything, by its log.
    fn last_output(&self, _identity: &Identity) -> Option<EpochMs> {
        None
    }

    /// The error or limit that the transcript ends with, and when that was written.
    fn transcript_trouble(&self, _peer: &Peer) -> Option<(EpochMs, Told)> {
        None
    }

    /// What the processes of these sessions use, by their panes' first processes.
    fn usage(&self, _panes: &[i32]) -> BTreeMap<i32, Usage> {
        BTreeMap::new()
    }

    /// Runs the owner's program with `event` on its standard input, and does not wait for it.
    fn notify(&self, _program: &Path, _event: &str) -> Result<(), NotStarted> {
        Ok(())
    }

    /// Whether each server of this host gets a canary, and its death is examined.
    fn has_canaries(&self) -> bool {
        false
    }

    /// How the session's program ended, if its server lives and keeps the dead pane. Asks tmux.
    fn dead_pane(&self, _identity: &Identity) -> Option<PaneEnd> {
        None
    }

    /// Starts a program of ours, detached from the caller.
    fn detach(&self, program: &str, arguments: &[&str]) -> Result<(), NotStarted>;

    /// Starts a detached drain that does not look at the queue of `identity` before it is let begin, so that it can be
    /// loaded while there is still something to do. The answer lets it begin; so does dropping the answer, and the end
    /// of this program.
    fn ready_drain<'a>(&'a self, identity: &Identity) -> Begin<'a> {
        let identity = identity.clone();
        Box::new(move || self.detach("iapeer-drain", &[identity.as_str()]))
    }

    /// Whether a service manager holds this peer, which, and through whose unit (D16).
    fn managed_by(&self, identity: &Identity) -> Option<Managed>;

    /// Names this boot of the machine.
    fn boot_id(&self) -> Option<String>;
}

/// What a session shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Its screen.
    pub screen: Screen,
    /// Somebody's terminal is attached.
    pub attached: bool,
}

/// The processes of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Processes {
    /// The tmux server.
    pub server: ProcessId,
    /// The first process of its pane, if it lives.
    pub pane: Option<ProcessId>,
    /// Its pane's name on the server.
    pub pane_id: Option<PaneId>,
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

/// A session that did not become ready for input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotReady {
    /// Why, with what the screen shows last.
    pub reason: String,
    /// What it waits for, where it lives and waits for a person: a login, a dialog that nobody knows. That is neither a
    /// death nor a try of the message that woke it.
    pub hold: Option<Hold>,
}

impl From<String> for NotReady {
    fn from(reason: String) -> Self {
        NotReady { reason, hold: None }
    }
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
    /// How many bytes that had before: what stands beyond is of this session.
    pub pane_log_from: u64,
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
    /// Nothing was typed: this forbids it for now, in these words.
    Held(Hold, String),
    /// It was typed, and there is no evidence.
    Unknown(String),
    /// Nothing was typed, and the message itself is why.
    Failed(String),
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Failure::new(error.exit, error.reason)
    }
}

/// How a pane's program ended, as tmux tells it; neither where it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PaneEnd {
    /// Its exit status.
    pub status: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
}

impl PaneEnd {
    pub(crate) fn cause(self) -> String {
        match (self.status, self.signal) {
            (_, Some(signal)) => format!("exit-signal-{signal}"),
            (Some(status), None) => format!("exit-status-{status}"),
            (None, None) => "exit-unknown".into(),
        }
    }
}
