//! Notifying people at once, by a program of the user, `<root>/notify`.
//!
//! The program runs detached, in a process session of its own, for at most `LIMIT`; no caller waits for it. It gets the
//! event as JSON on its standard input, and `IAPEER_EVENT`, `IAPEER_PEER` and `IAPEER_TEXT` in its environment. A
//! failure is logged in `lifecycle.log`.

use crate::base::exit::{Exit, Failure, one_line};
use crate::base::identity::Identity;
use crate::base::message_id::MessageId;
use crate::base::paths;
use crate::base::words::words;
use crate::host::child::{self, ChildError};
use crate::host::spawn::find_program;
use crate::people::Letter;
use crate::store::durable::{self, StoreError};
use crate::store::event_log::Event;
use crate::store::queue::Item;
use crate::world::{NotStarted, World};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// How long the program may take.
const LIMIT: Duration = Duration::from_secs(30);
/// Longest text for people, in characters.
const TEXT: usize = 200;

words! {
    /// The events that people are notified of.
    pub enum Occasion {
        /// A message has come for a person.
        Message = "message",
        /// A message was given up.
        DeadLetter = "dead-letter",
        /// A test of the program.
        Test = "test",
    }
}

/// The event that the program reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notification {
    /// What happened.
    pub event: Occasion,
    /// The peer that the event is about.
    pub peer: Option<Identity>,
    /// When: UTC, ISO 8601.
    pub ts: String,
    /// A line for people.
    pub text: String,
    /// Further fields, which depend on the event.
    #[serde(flatten)]
    pub more: serde_json::Map<String, Value>,
}

impl Notification {
    /// An event of `peer` that happened just now; `more` is a JSON object.
    pub fn new(world: &World<'_>, event: Occasion, peer: Option<&Identity>, text: &str, more: Value) -> Notification {
        let more = if let Value::Object(more) = more { more } else { serde_json::Map::new() };
        let text = one_line(text).chars().take(TEXT).collect();
        Notification { event, peer: peer.cloned(), ts: world.now().utc(), text, more }
    }
}

/// The path of the program. `None`: there is none, or it is not executable.
pub(crate) fn program(world: &World<'_>) -> Option<PathBuf> {
    find_program(&world.paths.notify().to_string_lossy(), None)
}

/// Starts the program with the notification that `make` returns, if there is a program. A failure is only logged, and the
/// program's end is not waited for.
pub fn notify(world: &World<'_>, make: impl FnOnce() -> Notification) {
    if program(world).is_none() {
        return;
    }
    let notification = make();
    if let Err(why) = start(world, &notification) {
        log(world, &notification, &why);
    }
}

/// Why the program did not get the event, or failed.
#[derive(Debug, thiserror::Error)]
enum NotTold {
    /// The folder of pending events can't be created.
    #[error(transparent)]
    Folder(Failure),
    /// The event can't be encoded as JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// The event's file can't be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The `iapeer` that runs the program could not be started.
    #[error(transparent)]
    NotStarted(#[from] NotStarted),
    /// The program did not run to its end.
    #[error(transparent)]
    Child(#[from] ChildError),
    /// The program failed.
    #[error("{status}: {said}")]
    Failed {
        /// The program's exit status.
        status: ExitStatus,
        /// The start of the program's standard error, in one line.
        said: String,
    },
}

impl From<NotTold> for Failure {
    fn from(error: NotTold) -> Self {
        Failure::new(Exit::Refused, format!("notify: {error}"))
    }
}

fn start(world: &World<'_>, notification: &Notification) -> Result<(), NotTold> {
    // The event is passed in a file: on a command line every user of the machine could read it.
    let dir = world.paths.notifications();
    paths::create_dirs(&dir).map_err(NotTold::Folder)?;
    let names = durable::names_of(&dir).unwrap_or_default();
    durable::sweep(&dir, &names, durable::LITTER_AGE);
    let path = dir.join(MessageId::generate(world.now()).to_string());
    let text = serde_json::to_vec(notification)?;
    durable::write_volatile(&path, &text)?;
    Ok(world.host.detach("iapeer", &["notify", "--event", &path.to_string_lossy()])?)
}

/// Runs the program with the event in the file `path`, and removes the file.
pub(crate) fn run_event(world: &World<'_>, path: &Path) -> Result<(), Failure> {
    let bytes = durable::read_optional(path)?.unwrap_or_default();
    durable::remove(path)?;
    let notification: Notification = serde_json::from_slice(&bytes)
        .map_err(|error| Failure::new(Exit::DataErr, format!("{} is no event: {error}", path.display())))?;
    let Some(program) = program(world) else { return Ok(()) };
    Ok(run(&program, &notification).inspect_err(|why| log(world, &notification, why))?)
}

/// Runs the program with a test event, and waits for its end.
pub fn test(world: &World<'_>) -> Result<(), Failure> {
    let path = world.paths.notify();
    let Some(program) = program(world) else {
        let why = format!(
            "there is no executable {}: share/iapeer/notify has examples to copy (notify-send, osascript, ntfy, mail)",
            path.display()
        );
        return Err(Failure::new(Exit::NoInput, why));
    };
    Ok(run(&program, &Notification::new(world, Occasion::Test, None, "a test of iapeer", json!({})))?)
}

fn run(program: &Path, notification: &Notification) -> Result<(), NotTold> {
    let input = serde_json::to_vec(notification)?;
    let environment = [
        ("IAPEER_EVENT", notification.event.to_string()),
        ("IAPEER_PEER", notification.peer.as_ref().map(Identity::to_string).unwrap_or_default()),
        ("IAPEER_TEXT", notification.text.clone()),
    ];
    let (status, said) = child::run_with(program, &[""; 0], &environment, input, LIMIT, &AtomicBool::new(false))?;
    if status.success() { Ok(()) } else { Err(NotTold::Failed { status, said: one_line(&said) }) }
}

fn log(world: &World<'_>, notification: &Notification, why: &NotTold) {
    let event = Event::new("notify")
        .field("event", notification.event)
        .maybe("peer", notification.peer.as_ref())
        .field("outcome", "failed")
        .field("reason", one_line(&why.to_string()));
    world.lifecycle(&event);
}

/// Notifies people that a message has come for the person `peer`.
pub(crate) fn message(world: &World<'_>, peer: &Identity, item: &Item) {
    notify(world, || {
        let letter = Letter::of(item);
        let text = format!("{}: {}", letter.from, letter.body);
        let more = json!({
            "id": letter.id, "from": letter.from, "topic": letter.topic, "re": letter.re,
            "attachments": letter.attachments, "body": letter.body,
        });
        Notification::new(world, Occasion::Message, Some(peer), &text, more)
    });
}

/// Notifies people that a message to `to` is a dead letter; `peer`: the identity of `to`, if it is a peer of this host.
pub(crate) fn dead_letter(world: &World<'_>, to: &str, peer: Option<&Identity>, item: &Item, reason: &str) {
    notify(world, || {
        let text = format!("a message of {} to {to} is a dead letter: {reason}", item.from);
        let more = json!({ "id": item.id, "from": item.from, "topic": item.topic, "reason": reason });
        Notification::new(world, Occasion::DeadLetter, peer, &text, more)
    });
}
