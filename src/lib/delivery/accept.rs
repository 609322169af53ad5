//! Accepting a message: every rule that can refuse the message is checked first, then the message is made durable, then
//! a drain is started. The sender's program never types into a session itself.

use super::afar;
pub use super::message::Message;
use super::recipient::Recipient;
use super::report::Watched;
pub use super::report::{SendOutcome, SendReport};
use super::sender::Sender;
use crate::base::StateFile;
use crate::base::address::{Address, Origin};
use crate::base::clock::EpochMs;
use crate::base::exit::{Exit, Failure};
use crate::base::message_id::MessageId;
use crate::delivery::addressee::Addressee;
use crate::host::managed::Managed;
use crate::mailbox::armed;
use crate::message::limits;
use crate::session::{refuse, settle};
use crate::store::event_log::Event;
use crate::store::open::NO_WAIT_NO_LINK;
use crate::store::queue::{Item, Place, Queue, QueueError, Seq, Settled};
use crate::store::registry::{PeerRecord, Registry};
use crate::store::state_files::identities_with;
use crate::world::peer::Peer;
use crate::world::{Begin, NotStarted, World};
use std::time::Duration;

/// How far the clock that made a message id may be ahead of this machine's clock.
const CLOCKS_APART: Duration = Duration::from_secs(86_400);

/// A message that was accepted: it is durable.
pub struct Accepted<'w> {
    /// The recipient.
    pub to: Recipient,
    item: Item,
    seq: Seq,
    started: Duration,
    ready: Option<Begin<'w>>,
}

impl Accepted<'_> {
    /// Has the message delivered by a drain, or handed over to its host. Returns the reason where no program could be
    /// started. No drain is started while another program holds the identity's lock: that program checks the queue
    /// again after it has released the lock.
    pub fn deliver(&mut self, world: &World<'_>) -> Option<NotStarted> {
        match (self.ready.take(), &self.to) {
            (Some(begin), _) => begin().err(),
            (None, Recipient::Afar(address)) => world.start_push(address.host()).err(),
            (None, Recipient::Here(peer)) if world.is_held(&peer.identity) => None,
            (None, Recipient::Here(peer)) => world.start_drain(&peer.identity).err(),
        }
    }

    /// Watches the message for at most `wait` and reports its outcome. Does not wait where no program could be started.
    pub fn report(&self, world: &World<'_>, wait: Duration, not_started: Option<NotStarted>) -> SendReport {
        let watched = Watched { world, to: &self.to, item: &self.item, seq: self.seq };
        let mut report = watched.report(wait, not_started);
        report.ms = (world.clock.monotonic() - self.started).as_millis() as u64;
        report
    }

    /// Whether the message became a dead letter.
    pub fn is_dead(&self, world: &World<'_>) -> bool {
        self.to.queue(world).settled(self.seq) == Settled::Dead
    }
}

/// What accepting a message came to.
pub enum Acceptance<'w> {
    /// The message is durable.
    Accepted(Box<Accepted<'w>>),
    /// The message was not kept: it answers a message of iapeer's own and nobody reads such answers, or with
    /// [`Message::no_pile`] an earlier message of its sender still waits.
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

/// Accepts `message`: checks every rule that can refuse the message, then makes the message durable.
pub fn accept<'w>(world: &World<'w>, message: Message) -> Result<Acceptance<'w>, Failure> {
    let id = message.ask.unwrap_or_else(|| MessageId::generate(world.now()));
    accept_or_log(world, message, id)
}

/// [`accept_as`], with a line in the log for a message that is refused or can't be made durable.
fn accept_or_log<'w>(world: &World<'w>, message: Message, id: MessageId) -> Result<Acceptance<'w>, Failure> {
    let (to, from) = (message.to.clone(), message.from.clone());
    accept_as(world, message, id).inspect_err(|failure| {
        let outcome = if failure.exit == Exit::Io { "failed" } else { "refused" };
        let event = Event::new("delivery")
            .field("id", id)
            .field("path", if world.program == "iapeer-mcp" { "mcp" } else { "cli" })
            .maybe("caller", from.or_else(|| std::env::var("PEER_IDENTITY").ok()))
            .field("to", to)
            .field("outcome", outcome)
            .field("ok", false)
            .field("err", &failure.message);
        world.delivery(&event);
    })
}

/// [`accept`] under an id that the caller derives from where the message comes from. `None`: the recipient has or had a
/// message with this id. The caller ensures that no other program uses this id at the same time.
pub(crate) fn accept_once<'w>(
    world: &World<'w>,
    message: Message,
    id: MessageId,
) -> Result<Option<Acceptance<'w>>, Failure> {
    let registry = Registry::read(world.paths)?;
    let from = Sender::find(world.paths, &registry, message.from.as_deref())?.identity.into();
    let to = match Addressee::of(world, &registry, &message.to, message.runtime.as_ref(), &from)? {
        Addressee::Peer(peer) => Some(Recipient::Here(peer)),
        Addressee::Afar(address) => Some(Recipient::Afar(address)),
        Addressee::Nobody(_) => None,
    };
    if let Some(to) = to {
        let is_kept = to.queue(world).find(id)?.is_some();
        // The message was accepted after its id was made, but another machine's clock may have made the id.
        let made = id.made().min(world.now());
        let accepted = EpochMs(made.0.saturating_sub(CLOCKS_APART.as_millis() as u64));
        if is_kept || to.history(world).find(id, accepted)?.is_some() {
            return Ok(None);
        }
    }
    accept_or_log(world, message, id).map(Some)
}

fn accept_as<'w>(world: &World<'w>, message: Message, id: MessageId) -> Result<Acceptance<'w>, Failure> {
    let started = world.clock.monotonic();
    let registry = Registry::read(world.paths)?;
    let sender = Sender::find(world.paths, &registry, message.from.as_deref())?;
    let from = sender.identity.clone().into();
    let addressee = Addressee::of(world, &registry, &message.to, message.runtime.as_ref(), &from)?;
    limits::check_body(&message.body)?;
    limits::check_attachments(&message.attachments)?;
    let answer = sender.answer(world, &message);
    let answers_task = answer.is_some();
    let arm = || {
        if answers_task {
            armed::arm(world, &sender.identity);
        }
    };
    let no_pile = message.no_pile;
    let draft = Item {
        id,
        topic: message.topic,
        re: message.re,
        attachments: message.attachments,
        urgent: message.urgent,
        answers_task,
        launch: answer.and_then(|answer| answer.launch),
        ..Item::new(sender.identity.clone(), sender.intelligence, message.body, world.now())
    };
    let still_waits = |queue: &Queue, address: Option<&Address>| match no_pile {
        true => queue.still_waits(|item| item.from == sender.identity && item.to.as_ref() == address),
        false => Ok(None),
    };
    let peer = match addressee {
        Addressee::Peer(peer) => *peer,
        Addressee::Afar(address) => {
            let outbox = world.outbox(address.host());
            if let Some(earlier) = still_waits(&outbox.queue, Some(&address))? {
                arm();
                return Ok(Acceptance::NotKept(SendReport::skipped(world, &Recipient::Afar(address), &earlier)));
            }
            let (item, seq) = afar::accept(world, &outbox, &address, draft)?;
            arm();
            let to = Recipient::Afar(address);
            return Ok(Acceptance::Accepted(Box::new(Accepted { to, item, seq, started, ready: None })));
        }
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
    let speaks = sender.record.as_ref().is_some_and(PeerRecord::telegram_bot);
    let held = refuse_recipient(world, &peer, &from, speaks)?;
    refuse_unstartable(world, &peer, held)?;

    let queue = world.queue(&peer.identity);
    if let Some(earlier) = still_waits(&queue, None)? {
        return Ok(Acceptance::NotKept(SendReport::skipped(world, &Recipient::Here(Box::new(peer)), &earlier)));
    }
    let item = Item { accepted: world.now(), ..draft };
    // A drain is loaded while the message is written. A program that holds the identity's lock checks the queue again
    // after it has released the lock.
    let ready = (!world.is_held(&peer.identity)).then(|| world.host.ready_drain(&peer.identity));
    let seq = queue.accept(&item, world.clock).map_err(not_kept)?;
    withdraw_from_nobody(world, &peer, &item, seq)?;
    // From here on the message is accepted: no failure below may be reported as a refusal.
    touch_kick(world);
    arm();
    let to = Recipient::Here(Box::new(peer));
    Ok(Acceptance::Accepted(Box::new(Accepted { to, item, seq, started, ready })))
}

/// The failure of a queue that could not be written: nothing was kept, and the message itself was not refused.
fn not_kept(error: QueueError) -> Failure {
    let Failure { exit, message } = error.into();
    match exit {
        Exit::NoPerm | Exit::CantCreate => Failure::new(Exit::Io, message),
        exit => Failure::new(exit, message),
    }
}

/// Whether a unit that iapeer has written runs the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeldByUnit {
    /// The unit starts the peer, and then a drain is started.
    Yes,
    No,
}

/// Refuses a message of `from` for what `peer` is or what state it is in; `speaks`: the sender has a bot of its own.
pub(crate) fn refuse_recipient(
    world: &World<'_>,
    peer: &Peer,
    from: &Origin,
    speaks: bool,
) -> Result<HeldByUnit, Failure> {
    refuse_by_policy(peer, from, speaks)?;
    let held = match world.host.managed_by(&peer.identity) {
        Some(by @ Managed::Foreign(_)) => return Err(refuse::refuse_managed(world, peer, by, "launchd-managed")),
        Some(_) => HeldByUnit::Yes,
        None => HeldByUnit::No,
    };
    refuse::refuse_stopped(world, peer)?;
    if !peer.cwd().is_dir() {
        let why = format!("the working folder of {} does not exist: {}", peer.identity, peer.cwd().display());
        return Err(Failure::new(Exit::Refused, why));
    }
    Ok(held)
}

/// Refuses a message for which the peer could never be started. A session that lives needs no start: its program's file
/// may be away for a moment, while an update replaces it.
pub(crate) fn refuse_unstartable(world: &World<'_>, peer: &Peer, held: HeldByUnit) -> Result<(), Failure> {
    if held == HeldByUnit::Yes || peer.is_mailbox() {
        return Ok(());
    }
    // Almost every program is where it should be, and probing the session costs more: so the session is probed last.
    world.host.preflight(peer).or_else(|why| if settle::is_live(world, &peer.identity) { Ok(()) } else { Err(why) })
}

/// Refuses a message for a Telegram bridge that would have to drop it, because neither the sender nor the recipient has
/// a bot.
fn refuse_by_policy(peer: &Peer, from: &Origin, speaks: bool) -> Result<(), Failure> {
    if peer.identity.runtime().as_str() == "telegram" && !speaks && !peer.record.telegram_bot() {
        return Err(Failure::new(
            Exit::Refused,
            format!(
                "telegram policy: {from} has no interfaces.telegram.bot_username in its profile, and {} has no bot for \
                 all, message NOT delivered; `iapeer connect telegram` connects one",
                peer.identity
            ),
        ));
    }
    Ok(())
}

/// Touches the file that a path unit watches. A failure is ignored: the file only makes the path unit react sooner.
pub(crate) fn touch_kick(world: &World<'_>) {
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
