//! The trait through which the rules use the machine. The real host (`machine`) talks to tmux and reads transcripts; a
//! simulated host lets tests run days of many peers in a second.

use crate::base::clock::EpochMs;
use crate::base::evidence::Evidence;
use crate::base::exit::Failure;
use crate::base::hold::Hold;
use crate::base::identity::Identity;
use crate::base::message_id::MessageId;
use crate::base::wake::NothingToResume;
use crate::base::{DeliveryKind, Liveness};
use crate::host::ProcessId;
use crate::host::managed::Managed;
use crate::host::tmux::PaneId;
use crate::host::usage::Usage;
use crate::runtime::transcript::TurnEnd;
use crate::runtime::{Screen, ScreenState, Told};
use crate::store::channel::HttpPlace;
use crate::store::durable::StoreError;
use crate::store::markers::Turn;
use crate::store::session_record::SessionRecord;
use crate::world::error::{ChoiceError, CompactError, HostError, NotStarted};
use crate::world::peer::Peer;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Lets a program begin that was made ready. The error says why the program does not run.
pub(crate) type Begin<'a> = Box<dyn FnOnce() -> Result<(), NotStarted> + 'a>;

/// The machine, as the rules use it.
pub trait Host: Send + Sync {
    /// Probes whether the session is alive: by the pid and start time of the server in `record`, else by asking tmux.
    fn liveness(&self, identity: &Identity, record: Option<&SessionRecord>) -> Liveness;

    /// Whether there is a socket for the session, even if no server listens on it.
    fn has_trace(&self, identity: &Identity) -> bool;

    /// Removes a stale tmux socket on which no server listens, so that later probes need no second try. The caller
    /// holds the identity's lock.
    fn clear_trace(&self, identity: &Identity);

    /// The processes of a live session.
    fn processes(&self, identity: &Identity) -> Result<Processes, HostError>;

    /// Identities for which there is a socket, with or without a record.
    fn sockets(&self) -> Result<Vec<Identity>, StoreError>;

    /// When the transcript last grew and, where a turn runs according to the hooks, which record last ended a turn.
    /// Reads files only.
    fn transcript_times(&self, peer: &Peer, running: Option<&Turn>) -> TranscriptTimes;

    /// The size of this transcript in bytes.
    fn transcript_size(&self, path: &Path) -> u64;

    /// When the terminal last changed. Asks tmux.
    fn terminal_times(&self, identity: &Identity) -> Result<TerminalTimes, HostError>;

    /// Whether there is a conversation to resume, and the agent's name for it where it has one.
    fn resumable(&self, peer: &Peer) -> Result<Option<String>, NothingToResume>;

    /// Whether the peer's transcripts contain this message's id.
    fn carries(&self, peer: &Peer, id: MessageId) -> bool;

    /// When a turn of the peer took this message, by the peer's transcript; 1970 where the transcript does not say
    /// when.
    fn taken_at(&self, peer: &Peer, id: MessageId) -> Option<EpochMs> {
        self.carries(peer, id).then(EpochMs::default)
    }

    /// Whether the session's screen shows a message in the program's own queue, or a running turn.
    fn has_queued(&self, _peer: &Peer) -> bool {
        false
    }

    /// Checks whether a session of this peer could be started: tmux and the program of its runtime are installed.
    fn preflight(&self, peer: &Peer) -> Result<(), Failure>;

    /// Starts a session. When this returns, its server answers; the agent may still be booting. The error's exit code
    /// is 69 or 78 where the host lacks something; with any other code, another try may help.
    fn start(&self, launch: &Launch<'_>) -> Result<Processes, Failure>;

    /// Waits until a started session is ready for input.
    fn await_ready(&self, launch: &Launch<'_>, patience: Duration) -> Result<(), NotReady>;

    /// Hands a message to a live session, in the best way that the session has, and waits for evidence.
    fn deliver(&self, delivery: &Delivery<'_>) -> Landing;

    /// Whether a turn is running, according to the session's screen.
    fn is_busy(&self, peer: &Peer) -> bool;

    /// Interrupts the running turn of a live session: by `keys`, where there is no better way.
    fn interrupt(&self, peer: &Peer, keys: &[String]) -> Result<(), HostError>;

    /// Types the control text `text` into an idle, empty composer and waits until the transcript says that a
    /// compaction is done.
    fn compact(&self, peer: &Peer, text: &str) -> Result<(), CompactError>;

    /// Ends a session with all its processes (D36). The error says which remain.
    fn end(&self, identity: &Identity, server: Option<ProcessId>, pane: Option<ProcessId>) -> Result<(), HostError>;

    /// What the session's screen shows, and whether somebody is attached. Asks tmux.
    fn view(&self, _peer: &Peer) -> Result<View, HostError> {
        Err(HostError::Unsupported("shows no screens"))
    }

    /// Chooses `answer` on the screen that `rule` matches and that showed `text`. After each key the screen is read
    /// again; the answer is confirmed only where the cursor is seen on its label, and not at all where the screen has
    /// changed. Returns the row that was confirmed. The caller holds the identity's lock.
    fn choose(&self, _peer: &Peer, _rule: &ScreenState, _text: &str, _answer: &str) -> Result<String, ChoiceError> {
        Err(HostError::Unsupported("takes no keys").into())
    }

    /// When the session last printed anything, according to its pane log.
    fn last_output(&self, _identity: &Identity) -> Option<EpochMs> {
        None
    }

    /// The error or limit with which the transcript ends, and when that record was written.
    fn transcript_trouble(&self, _peer: &Peer) -> Option<(EpochMs, Told)> {
        None
    }

    /// What the processes of these sessions use, by their panes' first processes.
    fn usage(&self, _panes: &[i32]) -> BTreeMap<i32, Usage> {
        BTreeMap::new()
    }

    /// Runs the owner's program `<root>/notify` with `event` on its standard input, and does not wait for its end.
    fn notify(&self, _program: &Path, _event: &str) -> Result<(), NotStarted> {
        Ok(())
    }

    /// Whether each server on this host gets a canary, and the server's death is examined.
    fn has_canaries(&self) -> bool {
        false
    }

    /// How the session's program ended, if its server is alive and keeps the dead pane. Asks tmux.
    fn dead_pane(&self, _identity: &Identity) -> Option<PaneEnd> {
        None
    }

    /// Starts one of iapeer's programs, detached from the caller.
    fn detach(&self, program: &str, arguments: &[&str]) -> Result<(), NotStarted>;

    /// Starts a detached drain that does not read the queue of `identity` before it is told to begin, so that its
    /// program is loaded while the caller still works. Calling the returned function tells it to begin; so does
    /// dropping the function, and the end of this program.
    fn ready_drain<'a>(&'a self, identity: &Identity) -> Begin<'a> {
        let identity = identity.clone();
        Box::new(move || self.detach("iapeer-drain", &[identity.as_str()]))
    }

    /// Whether a service manager runs this peer, which one, and through whose unit (D16).
    fn managed_by(&self, identity: &Identity) -> Option<Managed>;

    /// The id of this boot of the machine.
    fn boot_id(&self) -> Option<String>;
}

/// What a session shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// The session's screen.
    pub screen: Screen,
    /// Whether a terminal is attached.
    pub attached: bool,
}

/// The processes of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Processes {
    /// The tmux server.
    pub server: ProcessId,
    /// The first process of the session's pane, if that process is alive.
    pub pane: Option<ProcessId>,
    /// The pane's name on the server.
    pub pane_id: Option<PaneId>,
    /// The systemd unit in which the server runs; `None`: it runs in no unit of its own.
    pub unit: Option<String>,
}

/// Times read from files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TranscriptTimes {
    /// The newest record's time.
    pub last: Option<EpochMs>,
    /// The newest record that ended a turn; read only where a turn runs according to the hooks.
    pub turn_end: Option<TurnEnd>,
}

/// Times that tmux has reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TerminalTimes {
    /// When the window last changed.
    pub window: Option<EpochMs>,
    /// When an attached person last pressed a key.
    pub keystroke: Option<EpochMs>,
}

/// A session that did not become ready for input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotReady {
    /// The reason, with the last rows of the screen.
    pub reason: String,
    /// What the session waits for, where it is alive and waits for a person (a login, an unknown dialog). Such a boot
    /// counts neither as a death nor as a try of the message for which the peer was woken.
    pub hold: Option<Hold>,
}

impl From<String> for NotReady {
    fn from(reason: String) -> Self {
        NotReady { reason, hold: None }
    }
}

/// A session to start.
#[derive(Debug)]
pub struct Launch<'a> {
    /// The peer whose session is started.
    pub peer: &'a Peer,
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// The program's whole environment.
    pub env: Vec<(String, String)>,
    /// The file to which the pane's output is logged.
    pub pane_log: PathBuf,
    /// The size of that file before the start: the content after it is this session's.
    pub pane_log_from: u64,
    /// The name of this launch.
    pub name: String,
    /// By which way messages are to go into the session.
    pub way: LaunchWay,
}

/// By which way messages are to go into a session that is about to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LaunchWay {
    /// They are typed: the program offers nothing else.
    Type,
    /// They are typed, for this reason, though the program offers a better way.
    TypeBecause(String),
    /// By an app-server; where that does not come up, `argv` of the launch is started and messages are typed.
    AppServer(Beside),
    /// By the program's own HTTP server, which it starts with its terminal.
    Http(HttpPlace),
    /// By a file that the program reads.
    File,
}

impl LaunchWay {
    /// The manifest's group of arguments, and of variables, that belongs to the way.
    pub(crate) fn group(&self) -> Option<&'static str> {
        match self {
            LaunchWay::Http(_) => Some(DeliveryKind::Http.as_str()),
            LaunchWay::File => Some(DeliveryKind::File.as_str()),
            // The app-server and what is attached to it have command lines of their own.
            LaunchWay::Type | LaunchWay::TypeBecause(_) | LaunchWay::AppServer(_) => None,
        }
    }
}

/// An app-server beside a session's terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beside {
    /// The server's command line.
    pub server: Vec<String>,
    /// The command line of the program in the terminal.
    pub attached: Vec<String>,
    /// Where the server listens.
    pub socket: PathBuf,
}

/// A message to deliver.
#[derive(Debug)]
pub struct Delivery<'a> {
    /// The recipient.
    pub peer: &'a Peer,
    /// The envelope, or several of which the last one is the message.
    pub text: &'a str,
    /// The message's id, which evidence of delivery must contain.
    pub id: MessageId,
    /// This launch's name, which tells its hooks from those of an earlier launch.
    pub launch: Option<&'a str>,
    /// Whether this is the first message of a new session, for which evidence may take longer.
    pub boot: bool,
    /// Whether the message is to steer a running turn.
    pub urgent: bool,
    /// When the message was accepted.
    pub accepted: EpochMs,
    /// Whether an interrupted delivery may have handed the message over before, or left it in the composer.
    pub resumed: bool,
}

/// What became of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Landing {
    /// There is evidence that the session took the message.
    Landed {
        /// What the evidence was.
        by: Evidence,
        /// A person's draft had to make way (D14).
        forced: bool,
    },
    /// The program has the message in its own queue, behind the running turn: no turn has taken it yet.
    Queued {
        /// A person's draft had to make way (D14).
        forced: bool,
    },
    /// Nothing was handed over: this hold forbids it for now, for this reason.
    Held(Hold, String),
    /// The message was or may have been handed over, and there is no evidence that the session took it.
    Unknown(String),
    /// Nothing was handed over, because of the message itself: the failure counts as a try.
    Failed(String),
}

/// How a pane's program ended, as tmux reports it; both fields are `None` where tmux does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PaneEnd {
    /// The program's exit status.
    pub status: Option<i32>,
    /// The signal that ended the program.
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
