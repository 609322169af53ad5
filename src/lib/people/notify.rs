//! Notifying people at once, by `<root>/notify`, a program of the user's.
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
    /// What people are told of.
    pub enum Occasion {
        /// A message has come for a person.
        Message = "message",
        /// A message was given up.
        DeadLetter = "dead-letter",
        /// Nothing: the program is tried.
        Test = "test",
    }
}

/// What the program reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notification {
    /// What happened.
    pub event: Occasion,
    /// Whom it is about.
    pub peer: Option<Identity>,
    /// When: UTC, ISO 8601.
    pub ts: String,
    /// A line for people.
    pub text: String,
    /// What more there is to say, by event.
    #[serde(flatten)]
    pub more: serde_json::Map<String, Value>,
}

impl Notification {
    /// Something that happened to `peer` just now; `more` is an object.
    pub fn new(world: &World<'_>, event: Occasion, peer: Option<&Identity>, text: &str, more: Value) -> Notification {
        let more = if let Value::Object(more) = more { more } else { serde_json::Map::new() };
        let text = one_line(text).chars().take(TEXT).collect();
        Notification { event, peer: peer.cloned(), ts: world.now().utc(), text, more }
    }
}

/// Where the program is. `None`: there is none, or it may not be executed.
pub(crate) fn program(world: &World<'_>) -> Option<PathBuf> {
    find_program(&world.paths.notify().to_string_lossy(), None)
}

/// Has the program told, if there is one. Never fails the caller, and never keeps it.
pub fn notify(world: &World<'_>, make: impl FnOnce() -> Notification) {
    if program(world).is_none() {
        return;
    }
    let notification = make();
    if let Err(why) = start(world, &notification) {
        log(world, &notification, &why);
    }
}

/// The program was not told, or did not take it.
#[derive(Debug, thiserror::Error)]
enum NotTold {
    /// The folder of what is to be told can't be made.
    #[error(transparent)]
    Folder(Failure),
    /// What is to be told is no JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// It can't be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What runs the program could not be started.
    #[error(transparent)]
    NotStarted(#[from] NotStarted),
    /// The program did not run to its end.
    #[error(transparent)]
    Child(#[from] ChildError),
    /// The program failed.
    #[error("{status}: {said}")]
    Failed {
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        said: String,
    },
}

impl From<NotTold> for Failure {
    fn from(error: NotTold) -> Self {
        Failure::new(Exit::Refused, format!("notify: {error}"))
    }
}

fn start(world: &World<'_>, notification: &Notification) -> Result<(), NotTold> {
    // In a file: on a command line every user of the machine could read it.
    let dir = world.paths.notifications();
    paths::create_dirs(&dir).map_err(NotTold::Folder)?;
    let names = durable::names_of(&dir).unwrap_or_default();
    durable::sweep(&dir, &names, durable::LITTER_AGE);
    let path = dir.join(MessageId::generate(world.now()).to_string());
    let text = serde_json::to_vec(notification)?;
    durable::write_volatile(&path, &text)?;
    Ok(world.host.detach("iapeer", &["notify", "--event", &path.to_string_lossy()])?)
}

/// Runs the program with the event in `path`, and removes that.
pub(crate) fn run_event(world: &World<'_>, path: &Path) -> Result<(), Failure> {
    let bytes = durable::read_optional(path)?.unwrap_or_default();
    durable::remove(path)?;
    let notification: Notification = serde_json::from_slice(&bytes)
        .map_err(|error| Failure::new(Exit::DataErr, format!("{} is no event: {error}", path.display())))?;
    let Some(program) = program(world) else { return Ok(()) };
    Ok(run(&program, &notification).inspect_err(|why| log(world, &notification, why))?)
}

/// Runs the program with an event of no consequence, and waits for its end.
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

/// A message has come for the person `peer`.
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

/// A message to `to` was given up; `peer`: whom that is, where it is a peer of this host.
pub(crate) fn dead_letter(world: &World<'_>, to: &str, peer: Option<&Identity>, item: &Item, reason: &str) {
    notify(world, || {
        let text = format!("a message of {} to {to} is a dead letter: {reason}", item.from);
        let more = json!({ "id": item.id, "from": item.from, "topic": item.topic, "reason": reason });
        Notification::new(world, Occasion::DeadLetter, peer, &text, more)
    });
}
