//! Asking: a message is sent, and the answer to it is printed for whoever waits for it.
//!
//! 1. The question is opened under its id, then accepted: no answer can come before drains know that somebody waits.
//! 2. Each look at the asker's queues finds what answers an open question; drains leave that there.
//! 3. With the asker's lock held the answer is told, then settled. After a crash in between it is delivered as well.
//! 4. When time is over the question is closed; what comes later is delivered like any other message.

use crate::base::clock::{Deadline, wait_for};
use crate::base::evidence::{Evidence, Landed};
use crate::base::exit::{Exit, Failure};
use crate::base::identity::Identity;
use crate::base::message_id::MessageId;
use crate::delivery::accept::{self, Acceptance, Accepted, Message};
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

/// Pause between two looks for an answer, at first.
const LOOK: Duration = Duration::from_millis(2);
/// How long one look waits for somebody who holds the asker.
const PATIENCE: Duration = Duration::from_millis(200);

/// What became of a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AskAnswered {
    /// What became of its message.
    #[serde(flatten)]
    pub report: SendReport,
    /// The answer; absent where none came in time.
    pub answer: Option<Letter>,
}

/// A question that waits for its answer.
struct Pending<'w> {
    id: MessageId,
    accepted: Box<Accepted<'w>>,
    _open: OpenQuestion,
}

/// Sends `message` to each of `recipients` and gives what became of each to `tell`, as the answers come; those without
/// one when `message.wait` is over. A recipient that refuses goes to `refuse`. What `tell` can't print stays unsettled.
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
        let sent = Peer::named_in(world.paths, &registry, to, message.runtime.as_ref()).and_then(|asked| {
            let open = OpenQuestion::open(world, asker, asked.identity.personality(), id)?;
            let message = Message { to: to.clone(), ask: Some(id), wait: Duration::ZERO, ..message.clone() };
            let mut accepted = match accept::accept(world, message)? {
                Acceptance::Accepted(accepted) => accepted,
                Acceptance::NotKept(report) => return Err(Failure::new(Exit::Refused, report.line())),
            };
            // What could not be started is made up for by the next tick: the question waits for its answer all the same.
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
    // Closed before anything is said: what comes from now on is delivered.
    drop(pending);
    for identity in &mine {
        // A drain that passed over it holds the lock still: whoever lets go after it starts another one.
        if world.queue(identity).has_waiting()? {
            drop(world.lock(identity, world.settings.lock_wait));
        }
    }
    done.unwrap_or(Ok(()))?;
    unanswered.into_iter().try_for_each(|report| tell(&AskAnswered { report, answer: None }))
}

/// Takes the answers that wait for `identity`.
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
        // Held by a drain that goes on for long: looked for again.
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
        let report = pending[at].accepted.report(world, Duration::ZERO, None);
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
