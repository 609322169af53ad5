//! A session whose conversation is held by an app-server beside the terminal.
//!
//! The first program of the pane starts a keeper and waits until the server listens. Then it becomes the program that
//! shows the server's conversation, or, where the server does not listen, the program that holds the conversation
//! itself and into which messages are typed. The keeper starts the server, and ends with the server or with the pane's
//! program.
//!
//! A session may be woken while the server of the one before it is still ending. The keeper holds a lock until its server
//! has ended and its socket is removed, and the next keeper is started with that lock: one server at a time has the
//! socket and the conversation's files.

use crate::base::{DeliveryKind, Failure, Identity, SystemClock};
use crate::host::ProcessId;
use crate::host::beside::{self, Ended, Keeper};
use crate::host::program::become_program;
use crate::store::channel::Channel;
use crate::store::durable;
use crate::store::event_log::{self, Event, EventLog, Log};
use crate::store::lock::FileLock;
use crate::world::World;
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a server may take until it listens: as a rule it takes 0.05 s.
const PATIENCE: Duration = Duration::from_secs(5);

/// What to start: a JSON file that is written for each launch.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BesidePlan {
    /// The identity of the session.
    pub identity: Identity,
    /// The launch's name.
    pub launch: String,
    /// Where the server listens.
    pub socket: PathBuf,
    /// The server's command line.
    pub server: Vec<String>,
    /// The command line of the program that shows the server's conversation.
    pub attached: Vec<String>,
    /// The command line of the program where there is no server.
    pub alone: Vec<String>,
    /// The file for the server's output.
    pub log: PathBuf,
    /// The file whose lock the keeper holds.
    pub lock: PathBuf,
    /// The path of `<identity>.channel`.
    pub channel: PathBuf,
}

impl BesidePlan {
    /// Reads the plan in `file`.
    pub fn read(file: &Path) -> io::Result<BesidePlan> {
        let plan = durable::read_json(file).map_err(|error| io::Error::other(error.to_string()))?;
        plan.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Starts the server and becomes the pane's program. Returns only where that fails.
    pub fn run(&self, file: &Path) -> io::Error {
        let why = self.start_server(file).err().map(|why| format!("the app-server did not start: {why}"));
        let kind = if why.is_none() { DeliveryKind::AppServer } else { DeliveryKind::Type };
        let argv = if why.is_none() { &self.attached } else { &self.alone };
        // Where this file can't be written, messages are typed, which works in both cases.
        let _ = Channel { launch: self.launch.clone(), kind, why, http: None }.write(&self.channel);
        match argv.split_first() {
            Some((program, arguments)) => become_program(Path::new(program), arguments),
            None => io::ErrorKind::InvalidInput.into(),
        }
    }

    /// Starts the keeper and waits until its server listens. `Err`: why it does not.
    fn start_server(&self, file: &Path) -> Result<(), String> {
        let lock = FileLock::acquire(&self.lock, "iapeer-canary", PATIENCE, &SystemClock::default())
            .map_err(|error| format!("that of the session before has not ended: {error}"))?;
        clear(&self.socket);
        let own = std::process::id().to_string();
        let arguments: [&OsStr; 4] = ["--beside".as_ref(), file.as_ref(), "--program".as_ref(), own.as_ref()];
        let mut keeper =
            lock.into_stdio().and_then(|lock| Keeper::start(&arguments, lock)).map_err(|error| error.to_string())?;
        keeper.await_server(&self.socket, PATIENCE).map_err(|why| {
            keeper.end();
            format!("{why}{}", self.last_words())
        })
    }

    /// The last line that the server printed.
    fn last_words(&self) -> String {
        let text = event_log::tail(&self.log, 4096).unwrap_or_default();
        let last = text.lines().map(str::trim).rfind(|line| !line.is_empty());
        last.map(|line| format!(" ({})", crate::base::exit::one_line(line))).unwrap_or_default()
    }

    /// Keeps the server for the pane's program, whose pid is `program`. Where the server ends first, the session is of
    /// no use any more: the pane's program is ended, which counts as a death.
    pub fn keep(&self, world: &World<'_>, program: i32) -> Result<(), Failure> {
        let Some(program) = ProcessId::of(program) else { return Ok(()) };
        let ended = beside::serve(&self.server, program, &self.log)
            .map_err(|error| Failure::io("run the app-server of", &self.socket, &error));
        clear(&self.socket);
        // A server that never listened is handled by the pane's program, which waits for it.
        let used = Channel::of(world.paths, &self.identity, Some(&self.launch))
            .is_some_and(|channel| channel.kind == DeliveryKind::AppServer);
        if used && matches!(ended, Ok(Ended::Server)) {
            let event = Event::new("app-server-ended")
                .field("identity", &self.identity)
                .field("said", self.last_words())
                .field("outcome", "session-ended");
            EventLog::new(world.paths, world.settings).append(Log::Lifecycle, world.clock, &event);
            program.signal(Signal::SIGTERM);
        }
        ended.map(drop)
    }

    /// Writes the plan to `file`.
    pub(crate) fn write(&self, file: &Path) -> Result<(), Failure> {
        let text = serde_json::to_vec(self).map_err(|error| Failure::io("write", file, &error.into()))?;
        Ok(durable::write_volatile(file, &text)?)
    }
}

/// Removes a socket, and what it points to: Codex binds its socket elsewhere and links to it.
fn clear(socket: &Path) {
    if let Ok(real) = std::fs::read_link(socket) {
        let _ = std::fs::remove_file(&real);
    }
    let _ = std::fs::remove_file(socket);
}
