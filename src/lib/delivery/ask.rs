//! Asking: sends a message and prints the answer to it for the program that waits (the asker).
//!
//! 1. The question is opened under its id, then its message is accepted: no answer can arrive before drains know that
//!    an asker waits for it.
//! 2. The asker searches its own queues for messages that answer an open question; drains leave those messages in the
//!    queue.
//! 3. With the asker's identity locked the answer is printed, then settled. After a crash between the two it is
//!    delivered as well.
//! 4. When the time is over the question is closed; an answer that comes later is delivered like any other message.

use crate::base::address::Contact;
use crate::base::clock::{Deadline, wait_for};
use crate::base::evidence::{Evidence, Landed};
use crate::base::exit::{Exit, Failure};
use crate::base::identity::Identity;
use crate::base::message_id::MessageId;
use crate::delivery::accept::{self, Acceptance, Accepted, Message};
use crate::delivery::addressee::Addressee;
use crate::delivery::report::SendReport;
use crate::delivery::sender::Sender;
use crate::mailbox::ledger::{Entry, Ledger};
use crate::people::asks::{Asks, OpenQuestion};
use crate::people::{Inbox, Letter};
use crate::store::queue::{Item, Place};
use crate::store::registry::Registry;
use crate::world::World;
use crate::world::peer::Peer;
use serde::Serialize;
use std::time::Duration;

/// The first pause between two searches for an answer.
const LOOK: Duration = Duration::from_millis(2);
/// How long one search waits for another program that holds the lock of the asker's identity.
const PATIENCE: Duration = Duration::from_millis(200);
/// How long the report of an answered question waits for the question's settlement: an agent may answer before the drain that
/// delivered the question has recorded its delivery.
const SETTLEMENT: Duration = Duration::from_secs(1);

/// What became of a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AskAnswered {
    /// What became of the question's message.
    #[serde(flatten)]
    pub report: SendReport,
    /// The answer; `None`: none came in time.
    pub answer: Option<Letter>,
}

/// A question that waits for its answer.
struct Pending<'w> {
    id: MessageId,
    accepted: Box<Accepted<'w>>,
    _open: OpenQuestion,
}

/// Sends `message` to each of `recipients`. Calls `tell` for each as its answer comes, and for those without an answer
/// when `message.wait` is over. Calls `refuse` for a recipient to which the message could not be sent. An answer that
/// `tell` can't print stays unsettled.
pub fn ask(
    world: &World<'_>,
    message: &Message,
    recipients: &[String],
    mut tell: impl FnMut(&AskAnswered) -> Result<(), Failure>,
    mut refuse: impl FnMut(&str, Failure) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let deadline = Deadline::after(world.clock, message.wait);
    let registry = Registry::read(world.paths)?;
    let sender = Sender::find(world.paths, &registry, message.from.as_deref())?;
    let asker = sender.identity.personality();
    let mut pending = Vec::new();
    for to in recipients {
        let id = MessageId::generate(world.now());
        let from = sender.identity.clone().into();
        let asked = Addressee::of(world, &registry, to, message.runtime.as_ref(), &from).map(|asked| match asked {
            Addressee::Peer(peer) => Some(peer.identity.personality().clone().into()),
            Addressee::Afar(address) => address.to_string().parse().ok(),
            Addressee::Nobody(nobody) => Some(nobody.personality().clone().into()),
        });
        let sent = asked.and_then(|asked: Option<Contact>| {
            let asked =
                asked.ok_or_else(|| Failure::new(Exit::Usage, format!("{to:?} is too long a name to be asked")))?;
            let open = OpenQuestion::open(world, asker, &asked, id)?;
            let message = Message { to: to.clone(), ask: Some(id), wait: Duration::ZERO, ..message.clone() };
            let mut accepted = match accept::accept(world, message)? {
                Acceptance::Accepted(accepted) => accepted,
                Acceptance::NotKept(report) => return Err(Failure::new(Exit::Refused, report.line())),
            };
            // Where no drain could be started, the next tick starts one: the asker waits for the answer all the same.
            accepted.deliver(world);
            Ok(Pending { id, accepted, _open: open })
        });
        match sent {
            Ok(question) => pending.push(question),
            Err(failure) => refuse(to, failure)?,
        }
    }
    let declared = registry.get(asker).into_iter().flat_map(|record| &record.runtimes);
    let mut mine: Vec<Identity> = declared.map(|runtime| Identity::new(runtime.clone(), asker.clone())).collect();
    if !mine.contains(&sender.identity) {
        mine.push(sender.identity.clone());
    }
    let done = wait_for(world.clock, deadline, LOOK, || {
        let looked = mine.iter().try_for_each(|identity| look(world, identity, &mut pending, &mut tell));
        let over = looked.is_err() || pending.iter().all(|question| question.accepted.is_dead(world));
        over.then_some(looked)
    });
    let unanswered: Vec<SendReport> =
        pending.iter().map(|question| question.accepted.report(world, Duration::ZERO, None)).collect();
    // Questions are closed before anything is printed: an answer that comes from now on is delivered as a message.
    drop(pending);
    for identity in &mine {
        // A drain that passed over the answer still holds the lock: whoever releases the lock later starts another
        // drain.
        if world.queue(identity).has_waiting()? {
            drop(world.lock(identity, world.settings.lock_wait));
        }
    }
    done.unwrap_or(Ok(()))?;
    unanswered.into_iter().try_for_each(|report| tell(&AskAnswered { report, answer: None }))
}

/// Takes the answers that wait in the queue of `identity`.
fn look(
    world: &World<'_>,
    identity: &Identity,
    pending: &mut Vec<Pending<'_>>,
    tell: &mut impl FnMut(&AskAnswered) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let queue = world.queue(identity);
    for seq in queue.list(Place::Waiting)? {
        let answers = |item: &Item| {
            let question = Asks::of(world, identity.personality()).answered_by(item)?;
            pending.iter().position(|pending| pending.id == question)
        };
        if queue.peek(Place::Waiting, seq).and_then(|item| answers(&item)).is_none() {
            continue;
        }
        // A drain holds the lock for long: the next search tries again.
        let Ok(held) = world.lock(identity, PATIENCE) else { return Ok(()) };
        let Some(item) = queue.read(Place::Waiting, seq)? else { continue };
        let Some(at) = answers(&item) else { continue };
        let peer = Peer::of(world.paths, identity)?;
        let mut ledger = Ledger::new(world, &peer, &queue);
        let letter = Letter { unread: false, ..Letter::of(&item) };
        let entry = Entry { place: Place::Waiting, seq, item };
        if ledger.drop_duplicate(&entry)? {
            continue;
        }
        let report = pending[at].accepted.report(world, SETTLEMENT, None);
        tell(&AskAnswered { report, answer: Some(letter) })?;
        if peer.is_mailbox() {
            Inbox::of(peer.cwd()).file_read(&entry.item)?;
        }
        ledger.settle(entry, Landed { evidence: Evidence::Asked, forced: false, mode: None, cause: None })?;
        drop(pending.remove(at));
        drop(held);
    }
    Ok(())
}
