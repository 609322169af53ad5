//! Accepting a message: everything that can forbid it is asked first, then it is made durable, then a drain is
//! started. The sender never types into a session.

use crate::base::clock::{Deadline, wait_for};
use crate::base::evidence::{Evidence, Outcome};
use crate::base::exit::{Exit, Failure};
use crate::base::identity::{Identity, Intelligence, Personality, Runtime, Topic};
use crate::base::message_id::MessageId;
use crate::base::wake::Mode;
use crate::base::words::words;
use crate::base::{Marker, Paths, StateFile};
use crate::host::managed::Managed;
use crate::mailbox::tasks;
use crate::message::limits;
use crate::people::owner;
use crate::session::refuse;
use crate::store::open::NO_WAIT_NO_LINK;
use crate::store::profile::Profile;
use crate::store::queue::{Item, Place, Queue, Seq, Settled};
use crate::store::registry::{PeerRecord, Registry};
use crate::store::session_record::SessionRecord;
use crate::store::state_files::identities_with;
use crate::world::peer::{Peer, refuse_another, split_name};
use crate::world::{NotStarted, World};
use serde::Serialize;
use std::time::Duration;

/// Pause between two looks at an accepted item, at first: a warm delivery takes milliseconds.
const LOOK: Duration = Duration::from_micros(250);

/// What to send.
#[derive(Debug, Clone)]
pub struct Message {
    /// The recipient: `NAME` or `RUNTIME-NAME`.
    pub to: String,
    /// The recipient's runtime, where it matters.
    pub runtime: Option<Runtime>,
    /// Who sends it; by default the session's identity, else the peer of the current folder.
    pub from: Option<String>,
    /// The body.
    pub body: String,
    /// What it is about.
    pub topic: Option<Topic>,
    /// The message that it answers.
    pub re: Option<MessageId>,
    /// Absolute paths of files.
    pub attachments: Vec<String>,
    /// Steer a running turn.
    pub urgent: bool,
    /// How long to wait for it to settle.
    pub wait: Duration,
}

words! {
    /// What a sender is told of an accepted message.
    pub enum SendOutcome {
        /// It landed.
        Delivered = "delivered",
        /// It is durable, and has not landed yet.
        Queued = "queued",
    }
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SendReport {
    /// What became of it.
    pub outcome: SendOutcome,
    /// The message's id.
    pub id: String,
    /// To whom.
    pub identity: Identity,
    /// Whether the session was woken for it.
    pub woke: bool,
    /// `warm`, `fresh`, `resume`, or `filed` for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Why it was woken as it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// How many messages wait for this peer.
    pub waiting: usize,
    /// Why it is not delivered yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How long this took, in milliseconds.
    pub ms: u64,
}

impl SendReport {
    /// The line for people.
    pub fn line(&self) -> String {
        let SendReport { identity, id, waiting, .. } = self;
        if self.outcome == SendOutcome::Queued {
            let why = self.reason.as_deref().unwrap_or("waking");
            return format!("queued for {identity} ({waiting} waiting: {}) {id}", crate::base::exit::one_line(why));
        }
        match (&self.mode, &self.cause) {
            (Some(mode), Some(cause)) if self.woke => format!("delivered to {identity} (woke: {mode}, {cause}) {id}"),
            _ => format!("delivered to {identity} ({}) {id}", self.mode.as_deref().unwrap_or("warm")),
        }
    }
}

/// Accepts `message`, has it delivered, and watches it settle.
pub fn send(world: &World<'_>, message: Message) -> Result<SendReport, Failure> {
    let started = world.clock.monotonic();
    let registry = Registry::read(world.paths)?;
    let sender = Sender::find(world.paths, &registry, message.from.as_deref())?;
    let peer = Peer::named_in(world.paths, &registry, &message.to, message.runtime.as_ref())?;
    limits::check_body(&message.body)?;
    limits::check_attachments(&message.attachments)?;
    if peer.identity == sender.identity
        || (peer.is_ephemeral() && sender.identity.personality() == peer.identity.personality())
    {
        return Err(Failure::new(Exit::Refused, format!("{} cannot send to itself", sender.identity)));
    }
    refuse_by_policy(&peer, &sender)?;
    // What a unit of ours holds is started by that, which then has what waits delivered.
    let held = match world.host.managed_by(&peer.identity) {
        Some(by @ Managed::Foreign(_)) => {
            return Err(refuse::refuse_managed(world, &peer, by, "launchd-managed"));
        }
        managed => managed.is_some(),
    };
    refuse::refuse_stopped(world, &peer)?;
    if !peer.cwd().is_dir() {
        let why = format!("the working folder of {} does not exist: {}", peer.identity, peer.cwd().display());
        return Err(Failure::new(Exit::Refused, why));
    }
    // Nobody waits for a boot that can't come.
    if !held && !peer.is_mailbox() {
        world.host.preflight(&peer)?;
    }

    let item = Item {
        topic: message.topic,
        re: message.re,
        attachments: message.attachments,
        urgent: message.urgent,
        ..Item::new(sender.identity.clone(), sender.intelligence, message.body, world.now())
    };
    let seq = world.queue(&peer.identity).accept(&item, world.clock)?;
    withdraw_from_nobody(world, &peer, &item, seq)?;
    // From here on the message is accepted: nothing below may say otherwise.
    touch_kick(world);
    tasks::arm(world, &sender.identity, &sender.record);
    // Whoever holds the identity looks at the queue again after letting go.
    let have_delivered = || if world.is_held(&peer.identity) { Ok(()) } else { world.start_drain(&peer.identity) };
    let report = |not_started| watch(world, &peer, &item, seq, message.wait, not_started);
    let mut report = if message.wait.is_zero() {
        // Looked at as it was accepted, before a drain takes it up.
        let accepted = report(None);
        have_delivered().err().map_or(accepted, |why| report(Some(why)))
    } else {
        report(have_delivered().err())
    };
    report.ms = (world.clock.monotonic() - started).as_millis() as u64;
    Ok(report)
}

/// Who sends.
#[derive(Debug, Clone, PartialEq)]
pub struct Sender {
    /// Its identity.
    pub identity: Identity,
    /// Its nature.
    pub intelligence: Intelligence,
    /// What the registry knows of it.
    pub record: PeerRecord,
}

impl Sender {
    /// The sender: `given`, else `PEER_IDENTITY`, else the peer of the current folder, else the host's owner. Never
    /// another than `PEER_PERSONALITY` says where it is not given.
    pub fn find(paths: &Paths, registry: &Registry, given: Option<&str>) -> Result<Sender, Failure> {
        let session = std::env::var("PEER_IDENTITY").ok().filter(|value| !value.is_empty());
        let (name, runtime) = match given.map(str::to_owned).or(session) {
            Some(text) => split_name(registry, &text, None)?,
            None => {
                let cwd = std::env::current_dir()
                    .map_err(|error| Failure::new(Exit::Io, format!("no current folder: {error}")))?;
                match Profile::read(&cwd)? {
                    Some(profile) => (profile.personality().clone(), None),
                    None => match owner::owner(paths)? {
                        Some(owner) => (owner, None),
                        None => return Err(nobody_sends()),
                    },
                }
            }
        };
        if given.is_none() {
            refuse_another(&name)?;
        }
        Sender::registered(registry, &name, runtime)
    }

    fn registered(registry: &Registry, name: &Personality, runtime: Option<Runtime>) -> Result<Sender, Failure> {
        let record = registry.get(name).ok_or_else(|| {
            Failure::new(
                Exit::NoPeer,
                format!(
                    "unknown caller {:?}: a sender must be a peer, `iapeer create {name}` makes one",
                    name.as_str()
                ),
            )
        })?;
        let runtime = runtime.unwrap_or_else(|| record.default_runtime.clone());
        if !record.runtimes.contains(&runtime) {
            return Err(Failure::new(
                Exit::Usage,
                format!(
                    "runtime {:?} is not declared for caller {:?} (declared: {}): `iapeer add-runtime {runtime} --peer {name}` declares it",
                    runtime.as_str(),
                    name.as_str(),
                    record.declared()
                ),
            ));
        }
        Ok(Sender {
            identity: Identity::new(runtime, name.clone()),
            intelligence: record.intelligence,
            record: record.clone(),
        })
    }
}

fn nobody_sends() -> Failure {
    Failure::new(
        Exit::Usage,
        "who sends this? `iapeer create me --runtime person` makes you the owner of this host and the sender; \
         or give --from NAME, set PEER_IDENTITY, or run it in a peer's folder",
    )
}

/// A bridge that would drop the message later is not written to at all.
fn refuse_by_policy(peer: &Peer, sender: &Sender) -> Result<(), Failure> {
    if peer.identity.runtime().as_str() == "telegram" && !sender.record.telegram_bot() {
        return Err(Failure::new(
            Exit::Refused,
            format!(
                "telegram policy: {} has no interfaces.telegram.bot_username in its profile, message NOT delivered",
                sender.identity
            ),
        ));
    }
    Ok(())
}

/// Touches the file that a path unit watches. Best effort: the kick is a hint.
fn touch_kick(world: &World<'_>) {
    let path = world.paths.kick();
    let touch = || -> std::io::Result<()> {
        use std::os::unix::fs::OpenOptionsExt;
        let file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(NO_WAIT_NO_LINK)
            .open(&path)?;
        file.set_modified(std::time::SystemTime::now())
    };
    if let Err(error) = touch() {
        tracing::debug!("cannot touch {}: {error}", path.display());
    }
}

/// Takes an item back that was written to a peer while that was being removed or renamed: nobody looks at its queue any
/// more. One that went along to the new name is accepted.
fn withdraw_from_nobody(world: &World<'_>, peer: &Peer, item: &Item, seq: Seq) -> Result<(), Failure> {
    let name = peer.identity.personality();
    // What can't be told now is no reason to take anything back.
    if Registry::read(world.paths).map_or(true, |registry| registry.get(name).is_some()) {
        return Ok(());
    }
    let is_kept = || {
        identities_with(world.paths, StateFile::Queue)
            .iter()
            .any(|identity| world.queue(identity).find(item.id).is_ok_and(|found| found.is_some()))
    };
    if !world.queue(&peer.identity).remove(Place::Waiting, seq)? && is_kept() {
        return Ok(());
    }
    Err(Failure::new(Exit::NoPeer, format!("{name} was removed or renamed meanwhile: `iapeer list` shows the peers")))
}

/// Watches an accepted item until it settles or `wait` is over. Where no drain could be started there is nothing to wait
/// for: somebody else may have delivered it all the same.
fn watch(
    world: &World<'_>,
    peer: &Peer,
    item: &Item,
    seq: Seq,
    wait: Duration,
    not_started: Option<NotStarted>,
) -> SendReport {
    let queue = world.queue(&peer.identity);
    let report = |outcome, reason| SendReport {
        outcome,
        id: item.id.to_string(),
        identity: peer.identity.clone(),
        woke: false,
        mode: None,
        cause: None,
        waiting: queue.list(Place::Waiting).map_or(0, |list| list.len()),
        reason,
        ms: 0,
    };
    let deadline = Deadline::after(world.clock, if not_started.is_some() { Duration::ZERO } else { wait });
    let mut last_reason = None;
    let mut in_flight = None;
    let settled = wait_for(world.clock, deadline, LOOK, || match queue.settled(seq) {
        Settled::Gone => Some(Settled::Gone),
        Settled::Dead => Some(Settled::Dead),
        place @ (Settled::Waiting | Settled::Inflight) => {
            let at = if place == Settled::Waiting { Place::Waiting } else { Place::Inflight };
            let now = queue.peek(at, seq)?;
            // A worker keeps its task in flight until it answers: taken is delivered.
            if now.landed.is_some() {
                in_flight = Some(now);
                return Some(Settled::Gone);
            }
            // A failed try will not be repeated before the next tick: no use in waiting for it.
            if now.reason.is_some() {
                last_reason = now.reason;
                return Some(place);
            }
            None
        }
    });
    match settled {
        Some(Settled::Gone) => {
            delivered(world, peer, item, in_flight, report(SendOutcome::Delivered, None)).unwrap_or_else(|| {
                // Somebody took it out by hand, or removed the peer.
                report(SendOutcome::Queued, Some("no longer in the queue, and no delivery of it on record".into()))
            })
        }
        Some(Settled::Dead) => {
            let reason = queue.peek(Place::Dead, seq).and_then(|item| item.reason);
            report(SendOutcome::Queued, Some(format!("dead letter: {}", reason.unwrap_or_default())))
        }
        _ if world.markers(&peer.identity).has(Marker::Stopped) => {
            report(SendOutcome::Queued, Some("stopped meanwhile".into()))
        }
        _ => {
            let nobody =
                not_started.map(|why| format!("accepted, but nothing could be started: {why}; the next tick delivers"));
            report(SendOutcome::Queued, last_reason.or(nobody).or_else(|| why_waiting(world, &queue, seq)))
        }
    }
}

/// Why the item numbered `seq` waits, where that is not for its peer to wake.
fn why_waiting(world: &World<'_>, queue: &Queue, seq: Seq) -> Option<String> {
    let ahead = [Place::Inflight, Place::Waiting].into_iter().find_map(|place| {
        let first = queue.list(place).ok()?.first().copied().filter(|first| *first < seq)?;
        queue.peek(place, first)
    });
    match ahead {
        Some(item) => Some(item.reason.unwrap_or_else(|| "behind another message".into())),
        None => SessionRecord::peek(world.paths, queue.identity()).map(|_| "being delivered".into()),
    }
}

/// Completes the report of a delivered message: by the history, or, where the item is still in flight (a worker's open
/// task), by the item. `None`: nothing says that it was delivered.
fn delivered(
    world: &World<'_>,
    peer: &Peer,
    item: &Item,
    now: Option<Item>,
    mut report: SendReport,
) -> Option<SendReport> {
    let landed = match now.and_then(|now| now.landing) {
        Some(landed) => landed,
        None => {
            let line = world.history(&peer.identity).find(item.id, item.accepted).ok()??;
            line.landed.filter(|_| line.outcome == Outcome::Delivered)?
        }
    };
    report.woke = landed.mode.is_some();
    let unwoken = if landed.evidence == Evidence::Mailbox { "filed" } else { "warm" };
    report.mode = Some(landed.mode.map_or(unwoken, Mode::as_str).to_owned());
    report.cause = landed.cause.map(|cause| cause.to_string());
    Some(report)
}
