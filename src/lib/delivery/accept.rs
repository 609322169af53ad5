//! Accepting a message: every rule that can refuse the message is checked first, then the message is made durable, then
//! a drain is started. The sender's program never types into a session itself.

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
use crate::session::{refuse, settle};
use crate::store::open::NO_WAIT_NO_LINK;
use crate::store::queue::{Item, Place, Queue, Seq, Settled};
use crate::store::registry::{PeerRecord, Registry};
use crate::store::state_files::identities_with;
use crate::world::peer::Peer;
use crate::world::{Begin, NotStarted, World};
use std::time::Duration;

/// How far the clock that made a message id may be ahead of this machine's clock.
const CLOCKS_APART: Duration = Duration::from_secs(86_400);

/// What to send.
#[derive(Debug, Clone)]
pub struct Message {
    /// The recipient: `NAME` or `RUNTIME-NAME`.
    pub to: String,
    /// The recipient's runtime; `None`: its default one.
    pub runtime: Option<Runtime>,
    /// Who sends the message; `None`: the session's identity, else the peer of the current folder.
    pub from: Option<String>,
    /// The body.
    pub body: String,
    /// The topic of the message.
    pub topic: Option<Topic>,
    /// The message that this one answers.
    pub re: Option<MessageId>,
    /// Set where the sender waits for the answer: the id under which it has opened the question.
    pub ask: Option<MessageId>,
    /// Absolute paths of files.
    pub attachments: Vec<String>,
    /// Whether the message is to steer a running turn.
    pub urgent: bool,
    /// Whether the message is dropped where an earlier message of this sender still waits.
    pub no_pile: bool,
    /// How long to wait for the message to settle.
    pub wait: Duration,
}

/// A message that was accepted: it is durable.
pub struct Accepted<'w> {
    /// The recipient.
    pub peer: Peer,
    item: Item,
    seq: Seq,
    started: Duration,
    ready: Option<Begin<'w>>,
}

impl Accepted<'_> {
    /// Has the message delivered by a drain. Returns the reason where none could be started. None is needed while another
    /// program holds the identity's lock: that program checks the queue again after it has released the lock.
    pub fn deliver(&mut self, world: &World<'_>) -> Option<NotStarted> {
        match self.ready.take() {
            Some(begin) => begin().err(),
            None if world.is_held(&self.peer.identity) => None,
            None => world.start_drain(&self.peer.identity).err(),
        }
    }

    /// Watches the message for at most `wait` and reports its outcome. Does not wait where no drain could be started.
    pub fn report(&self, world: &World<'_>, wait: Duration, not_started: Option<NotStarted>) -> SendReport {
        let mut report = watch(world, &self.peer, &self.item, self.seq, wait, not_started);
        report.ms = (world.clock.monotonic() - self.started).as_millis() as u64;
        report
    }

    /// Whether the message became a dead letter.
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

/// Accepts `message`, starts a drain for it, and watches it until it settles or its `wait` is over.
pub fn send(world: &World<'_>, message: Message) -> Result<SendReport, Failure> {
    let wait = message.wait;
    let mut accepted = match accept(world, message)? {
        Acceptance::Accepted(accepted) => accepted,
        Acceptance::NotKept(report) => return Ok(report),
    };
    if wait.is_zero() {
        // The report is made before the drain is started, so that it says what acceptance found.
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
        // The message was accepted after its id was made, but another machine's clock may have made the id.
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
        // A worker that asks a question goes on once it has the answer: the question does not answer its own task.
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
    // A peer that is held by a unit of ours is started by that unit, which then starts a drain.
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
    // Refuse now a message for which the peer could never be started. A session that lives needs no start: its program's
    // file may be away for a moment, while an update replaces it.
    if !held && !peer.is_mailbox() && !settle::is_live(world, &peer.identity) {
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
    // A drain is loaded while the message is written. A program that holds the identity's lock checks the queue again
    // after it has released the lock.
    let ready = (!world.is_held(&peer.identity)).then(|| world.host.ready_drain(&peer.identity));
    let seq = queue.accept(&item, world.clock)?;
    withdraw_from_nobody(world, &peer, &item, seq)?;
    // From here on the message is accepted: no failure below may be reported as a refusal.
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

/// Refuses a message for a Telegram bridge that would have to drop it, because neither the sender nor the recipient has
/// a bot.
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

/// Touches the file that a path unit watches. A failure is ignored: the file only makes the path unit react sooner.
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

/// Takes back an item that was accepted while its peer was being removed or renamed: no drain reads that queue any
/// more. An item that the rename has moved to the new name's queue stays accepted.
fn withdraw_from_nobody(world: &World<'_>, peer: &Peer, item: &Item, seq: Seq) -> Result<(), Failure> {
    let name = peer.identity.personality();
    // Where the registry can't be read, the item stays.
    if Registry::read(world.paths).map_or(true, |registry| registry.get(name).is_some()) {
        return Ok(());
    }
    // Where a queue can't be read, the item counts as kept: the sender is told that the message is lost only where that
    // is certain.
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
