//! Open questions: `<root>/state/asks/<asker>/<question id>-<asked peer>`, a file that the asking program keeps locked
//! while it waits. An answer to an open question is not delivered: the asking program takes it out of the queue and
//! prints it. When that program dies, the kernel releases the lock, and the answer is delivered like any other message.

use crate::base::address::{Address, Contact};
use crate::base::clock::EpochMs;
use crate::base::exit::Failure;
use crate::base::identity::{Identity, Personality};
use crate::base::message_id::MessageId;
use crate::base::paths;
use crate::base::step::{self, Point};
use crate::people::answer::{self, Said};
use crate::store::durable;
use crate::store::history::History;
use crate::store::lock::{self, FileLock};
use crate::store::queue::{Item, Place, Queue};
use crate::store::registry::Registry;
use crate::world::World;
use std::path::PathBuf;
use std::time::Duration;

/// A question of this program, open until this is dropped.
#[derive(Debug)]
pub(crate) struct OpenQuestion {
    path: PathBuf,
    _lock: FileLock,
}

impl OpenQuestion {
    /// Opens the question `id` of `asker` to `asked`, before it is sent.
    pub(crate) fn open(
        world: &World<'_>,
        asker: &Personality,
        asked: &Contact,
        id: MessageId,
    ) -> Result<OpenQuestion, Failure> {
        let dir = world.paths.asks(asker);
        paths::create_dirs(&dir)?;
        // Files that killed askers left are removed.
        for (name, id, _) in parsed(&durable::names_of(&dir)?) {
            let path = dir.join(name);
            if world.now().since(id.made()) > durable::LITTER_AGE && !lock::is_held(&path) {
                let _ = step::unlink(Point::SweepUnlink, &path);
            }
        }
        let path = dir.join(format!("{id}-{asked}"));
        let lock = FileLock::acquire(&path, world.program, Duration::ZERO, world.clock)?;
        Ok(OpenQuestion { path, _lock: lock })
    }
}

impl Drop for OpenQuestion {
    fn drop(&mut self) {
        let _ = step::unlink(Point::AskRemove, &self.path);
    }
}

/// The questions that a peer has open.
pub(crate) struct Asks<'w> {
    world: &'w World<'w>,
    asker: Personality,
    open: Vec<(MessageId, Contact)>,
}

impl<'w> Asks<'w> {
    /// The open questions of `asker`. Without any, this costs one listing of a folder.
    pub(crate) fn of(world: &'w World<'w>, asker: &Personality) -> Asks<'w> {
        let dir = world.paths.asks(asker);
        let names = durable::names_of(&dir).unwrap_or_default();
        let open = parsed(&names).filter(|(name, ..)| lock::is_held(&dir.join(name)));
        Asks { world, asker: asker.clone(), open: open.map(|(_, id, asked)| (id, asked)).collect() }
    }

    /// The open question that `item` answers: the one that it names in `re`; without `re`, the only open question to its
    /// sender, if nothing else is open between the two.
    pub(crate) fn answered_by(&self, item: &Item) -> Option<MessageId> {
        if let Some(re) = item.re {
            return self.open.iter().map(|(id, _)| *id).find(|id| *id == re);
        }
        let mut asked = self.open.iter().filter(|(_, asked)| asked.is(&item.from)).map(|(id, _)| *id);
        let question = asked.next().filter(|id| id.made() < item.accepted)?;
        let alone = asked.next().is_none() && !answer::is_anything_else_open(self.said_before(item)?, question);
        alone.then_some(question)
    }

    /// What the asker and the sender of `item` said to each other before `item`. `None`: that can't be read.
    fn said_before(&self, item: &Item) -> Option<Vec<(EpochMs, Said)>> {
        let (sender, asker) = (item.from.contact(), Contact::from(self.asker.clone()));
        let mut said = Vec::new();
        for (to, from) in [(&sender, &asker), (&asker, &sender)] {
            let means = |id, re: Option<MessageId>| match (to == &sender, re) {
                // A message of the asker that answers one needs no answer.
                (true, Some(_)) => None,
                (true, None) => Some(Said::Asked(id)),
                (false, re) => Some(Said::Answered(re)),
            };
            // An outbox contains the messages to all peers of its host.
            let is_for = |address: Option<&Address>| address.is_none_or(|address| address.is(&item.from));
            for (queue, history) in self.kept_for(to)? {
                for line in history.lines().ok()? {
                    if line.from.contact() == *from && is_for(line.to.as_ref()) {
                        said.extend(means(line.id, line.re).map(|what| (line.accepted, what)));
                    }
                }
                for place in [Place::Inflight, Place::Waiting] {
                    let items = queue.list(place).ok()?.into_iter().filter_map(|seq| queue.peek(place, seq));
                    let wanted = |other: &Item| {
                        other.from.contact() == *from && is_for(other.to.as_ref()) && other.id != item.id
                    };
                    for other in items.filter(wanted) {
                        said.extend(means(other.id, other.re).map(|what| (other.accepted, what)));
                    }
                }
            }
        }
        said.retain(|(at, _)| *at <= item.accepted);
        said.sort_by_key(|(at, _)| *at);
        Some(said)
    }

    /// The queues and histories of the messages to `to`. `None`: they can't be read.
    fn kept_for(&self, to: &Contact) -> Option<Vec<(Queue, History)>> {
        if let Some(host) = to.host() {
            let outbox = self.world.outbox(host);
            return Some(vec![(outbox.queue, outbox.history)]);
        }
        let registry = Registry::read(self.world.paths).ok()?;
        let identities = registry.get(to.name())?.runtimes.iter();
        let identities = identities.map(|runtime| Identity::new(runtime.clone(), to.name().clone()));
        Some(identities.map(|identity| (self.world.queue(&identity), self.world.history(&identity))).collect())
    }
}

/// Parses the names of ask files: the name, the question's id and the peer that was asked.
fn parsed(names: &[String]) -> impl Iterator<Item = (&str, MessageId, Contact)> {
    names.iter().filter_map(|name| {
        let (id, asked) = name.split_once('-')?;
        Some((name.as_str(), id.parse().ok()?, asked.parse().ok()?))
    })
}
