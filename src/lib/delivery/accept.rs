//! Accepting a message: everything that can forbid it is asked first, then it is made durable, then a drain is
//! started. The sender never types into a session.

use super::report::watch;
pub use super::report::{SendOutcome, SendReport};
use super::sender::Sender;
use crate::base::StateFile;
use crate::base::clock::EpochMs;
use crate::base::exit::{Exit, Failure};
use crate::base::identity::{Runtime, Topic};
use crate::base::message_id::MessageId;
use crate::delivery::addressee::Addressee;
use crate::host::managed::Managed;
use crate::mailbox::tasks;
use crate::message::limits;
use crate::session::refuse;
use crate::store::open::NO_WAIT_NO_LINK;
use crate::store::queue::{Item, Place, Queue, Seq, Settled};
use crate::store::registry::{PeerRecord, Registry};
use crate::store::state_files::identities_with;
use crate::world::peer::Peer;
use crate::world::{Begin, NotStarted, World};
use std::time::Duration;

/// How far another machine's clock may be ahead of ours.
const CLOCKS_APART: Duration = Duration::from_secs(86_400);

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
    /// Its sender waits for the answer, and has opened the question under this id.
    pub ask: Option<MessageId>,
    /// Absolute paths of files.
    pub attachments: Vec<String>,
    /// Steer a running turn.
    pub urgent: bool,
    /// Keep nothing where an earlier message of this sender still waits.
    pub no_pile: bool,
    /// How long to wait for it to settle.
    pub wait: Duration,
}

/// A message that is accepted: durable, whatever happens.
pub struct Accepted<'w> {
    /// To whom.
    pub peer: Peer,
    item: Item,
    seq: Seq,
    started: Duration,
    ready: Option<Begin<'w>>,
}

impl Accepted<'_> {
    /// Has it delivered. The answer: why no drain could be started. Whoever holds the identity looks at the queue again
    /// after letting go.
    pub fn deliver(&mut self, world: &World<'_>) -> Option<NotStarted> {
        match self.ready.take() {
            Some(begin) => begin().err(),
            None if world.is_held(&self.peer.identity) => None,
            None => world.start_drain(&self.peer.identity).err(),
        }
    }

    /// Watches it for at most `wait`; not at all where no drain could be started.
    pub fn report(&self, world: &World<'_>, wait: Duration, not_started: Option<NotStarted>) -> SendReport {
        let mut report = watch(world, &self.peer, &self.item, self.seq, wait, not_started);
        report.ms = (world.clock.monotonic() - self.started).as_millis() as u64;
        report
    }

    /// Whether it became a dead letter.
    pub fn is_dead(&self, world: &World<'_>) -> bool {
        world.queue(&self.peer.identity).settled(self.seq) == Settled::Dead
    }
}

/// What accepting a message came to.
pub enum Acceptance<'w> {
    /// It is durable.
    Accepted(Box<Accepted<'w>>),
    /// There is nothing to deliver: it answers what nobody reads answers to, or with [`Message::no_pile`] an earlier one
    /// of its sender still waits.
    NotKept(SendReport),
}

/// Accepts `message`, has it delivered, and watches it settle.
pub fn send(world: &World<'_>, message: Message) -> Result<SendReport, Failure> {
    let wait = message.wait;
    let mut accepted = match accept(world, message)? {
        Acceptance::Accepted(accepted) => accepted,
        Acceptance::NotKept(report) => return Ok(report),
    };
    if wait.is_zero() {
        // Looked at as it was accepted, before a drain takes it up.
        let report = accepted.report(world, wait, None);
        let not_started = accepted.deliver(world);
        return Ok(not_started.map_or(report, |why| accepted.report(world, wait, Some(why))));
    }
    let not_started = accepted.deliver(world);
    Ok(accepted.report(world, wait, not_started))
}

/// Accepts `message`: everything that can forbid it is asked, then it is made durable.
pub fn accept<'w>(world: &World<'w>, message: Message) -> Result<Acceptance<'w>, Failure> {
    let id = message.ask.unwrap_or_else(|| MessageId::generate(world.now()));
    accept_as(world, message, id)
}

/// [`accept`] under an id that the caller derives from where the message comes from: `None` where the recipient has that
/// message already, or had it. Whoever calls is alone with this id.
pub(crate) fn accept_once<'w>(
    world: &World<'w>,
    message: Message,
    id: MessageId,
) -> Result<Option<Acceptance<'w>>, Failure> {
    let registry = Registry::read(world.paths)?;
    let sender = Sender::find(world.paths, &registry, message.from.as_deref())?;
    if let Addressee::Peer(peer) = Addressee::of(world, &registry, &message.to, message.runtime.as_ref(), &sender)? {
        let is_kept = world.queue(&peer.identity).find(id)?.is_some();
        // It was accepted after it was made, by a clock that may be another one than ours.
        let made = id.made().min(world.now());
        let accepted = EpochMs(made.0.saturating_sub(CLOCKS_APART.as_millis() as u64));
        if is_kept || world.history(&peer.identity).find(id, accepted)?.is_some() {
            return Ok(None);
        }
    }
    accept_as(world, message, id).map(Some)
}

fn accept_as<'w>(world: &World<'w>, message: Message, id: MessageId) -> Result<Acceptance<'w>, Failure> {
    let started = world.clock.monotonic();
    let registry = Registry::read(world.paths)?;
    let sender = Sender::find(world.paths, &registry, message.from.as_deref())?;
    let addressee = Addressee::of(world, &registry, &message.to, message.runtime.as_ref(), &sender)?;
    limits::check_body(&message.body)?;
    limits::check_attachments(&message.attachments)?;
    let arm = || {
        // Who asks goes on when it has its answer: it has not answered its own task.
        if let Some(record) = sender.record.as_ref().filter(|_| message.ask.is_none()) {
            tasks::arm(world, &sender.identity, record);
        }
    };
    let peer = match addressee {
        Addressee::Peer(peer) => *peer,
        Addressee::Nobody(answered) => {
            arm();
            return Ok(Acceptance::NotKept(SendReport::noted(answered, id)));
        }
    };
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

    let queue = world.queue(&peer.identity);
    if message.no_pile
        && let Some(earlier) = still_waits(&queue, &sender)?
    {
        return Ok(Acceptance::NotKept(SendReport::skipped(&queue, &earlier)));
    }
    let new = Item::new(sender.identity.clone(), sender.intelligence, message.body, world.now());
    let item = Item {
        id,
        topic: message.topic,
        re: message.re,
        attachments: message.attachments,
        urgent: message.urgent,
        ..new
    };
    // A drain is loaded while the message is written. Whoever holds the identity looks at the queue again after letting go.
    let ready = (!world.is_held(&peer.identity)).then(|| world.host.ready_drain(&peer.identity));
    let seq = queue.accept(&item, world.clock)?;
    withdraw_from_nobody(world, &peer, &item, seq)?;
    // From here on the message is accepted: nothing below may say otherwise.
    touch_kick(world);
    arm();
    Ok(Acceptance::Accepted(Box::new(Accepted { peer, item, seq, started, ready })))
}

/// An earlier message of `sender` that still waits in `queue`.
fn still_waits(queue: &Queue, sender: &Sender) -> Result<Option<Item>, Failure> {
    for place in [Place::Inflight, Place::Waiting] {
        for seq in queue.list(place)? {
            let waits = |item: &Item| item.from == sender.identity && item.landed.is_none();
            if let Some(item) = queue.peek(place, seq).filter(waits) {
                return Ok(Some(item));
            }
        }
    }
    Ok(None)
}

/// A bridge that would drop the message later is not written to at all.
fn refuse_by_policy(peer: &Peer, sender: &Sender) -> Result<(), Failure> {
    let speaks = sender.record.as_ref().is_some_and(PeerRecord::telegram_bot) || peer.record.telegram_bot();
    if peer.identity.runtime().as_str() == "telegram" && !speaks {
        return Err(Failure::new(
            Exit::Refused,
            format!(
                "telegram policy: {from} has no interfaces.telegram.bot_username in its profile, and {} has no bot for \
                 all, message NOT delivered; `iapeer connect telegram` connects one",
                peer.identity,
                from = sender.identity
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
    // What can't be told is taken for kept: a message is said to be lost only where that is sure.
    let is_kept = || {
        identities_with(world.paths, StateFile::Queue).map_or(true, |identities| {
            identities.iter().any(|identity| world.queue(identity).find(item.id).map_or(true, |found| found.is_some()))
        })
    };
    if !world.queue(&peer.identity).remove(Place::Waiting, seq)? && is_kept() {
        return Ok(());
    }
    Err(Failure::new(Exit::NoPeer, format!("{name} was removed or renamed meanwhile: `iapeer list` shows the peers")))
}
