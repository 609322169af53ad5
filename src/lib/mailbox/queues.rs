//! Queues for the operator: listing items, requeueing and dropping dead letters.

use crate::base::StateFile;
use crate::base::address::{HostName, Origin};
use crate::base::clock::EpochMs;
use crate::base::evidence::Outcome;
use crate::base::exit::{Exit, Failure};
use crate::base::hold::Hold;
use crate::base::identity::{Identity, NameError};
use crate::base::message_id::MessageId;
use crate::base::span::said;
use crate::store::durable;
use crate::store::history::{History, Settlement};
use crate::store::hosts::HostFile;
use crate::store::outbox;
use crate::store::queue::{Item, Place, Queue, Seq};
use crate::store::registry::Registry;
use crate::store::state_files::identities_with;
use crate::world::World;
use crate::world::peer::{Peer, identities_of};
use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// One item of one queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QueueRow {
    /// Whose queue this is: RUNTIME-NAME, or @HOST.
    pub identity: QueueOf,
    /// The item's place in the queue.
    pub place: Place,
    /// The item's number, which is its place in the order.
    pub seq: Seq,
    /// The message's id; absent where the item can't be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<MessageId>,
    /// Seconds since the message was accepted.
    pub age_secs: u64,
    /// The number of failed tries.
    pub attempts: u32,
    /// The sender.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Origin>,
    /// The message's topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// What holds the message, if anything does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<Hold>,
    /// Why the message was not delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Whose queue a queue is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(into = "String")]
pub enum QueueOf {
    /// A peer's.
    Peer(Identity),
    /// Another host's: the outbox for it.
    Host(HostName),
}

impl QueueOf {
    fn queue(&self, world: &World<'_>) -> Queue {
        match self {
            QueueOf::Peer(identity) => world.queue(identity),
            QueueOf::Host(host) => world.outbox(host).queue,
        }
    }

    fn history(&self, world: &World<'_>) -> History {
        match self {
            QueueOf::Peer(identity) => world.history(identity),
            QueueOf::Host(host) => world.outbox(host).history,
        }
    }

    /// Starts the program that delivers the messages of the queue, or hands them over.
    fn kick(&self, world: &World<'_>) {
        match self {
            QueueOf::Peer(identity) => drop(world.kick(identity)),
            QueueOf::Host(host) => {
                if let Err(error) = world.start_push(host) {
                    tracing::warn!("cannot start iapeer-relay for {host}: {error}; the next tick does");
                }
            }
        }
    }

    /// Every queue that there is.
    fn all(world: &World<'_>) -> Result<Vec<QueueOf>, Failure> {
        let peers = identities_with(world.paths, StateFile::Queue)?.into_iter().map(QueueOf::Peer);
        let hosts = outbox::hosts_with_outbox(world.paths)?.into_iter().map(QueueOf::Host);
        Ok(peers.chain(hosts).collect())
    }
}

impl fmt::Display for QueueOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            QueueOf::Peer(identity) => identity.fmt(f),
            QueueOf::Host(host) => write!(f, "@{host}"),
        }
    }
}

impl From<QueueOf> for String {
    fn from(of: QueueOf) -> String {
        of.to_string()
    }
}

impl QueueRow {
    /// The item as one line for people.
    pub fn line(&self) -> String {
        let text = |part: Option<String>| part.unwrap_or_else(|| "-".into());
        let mut line = format!(
            "{}  {}  {}  {}  age:{}  attempts:{}  from:{}",
            self.identity,
            self.place.as_str(),
            self.seq,
            text(self.id.map(|id| id.to_string())),
            said(Duration::from_secs(self.age_secs)),
            self.attempts,
            text(self.from.as_ref().map(Origin::to_string)),
        );
        if let Some(topic) = &self.topic {
            line.push_str(&format!("  topic:{topic}"));
        }
        if let Some(held) = &self.held {
            line.push_str(&format!("  held:{held}"));
        }
        if let Some(reason) = &self.reason {
            line.push_str(&format!("  {reason}"));
        }
        line
    }
}

/// The identities named, each as `RUNTIME-NAME` or, for all its runtimes, `NAME`; where none is named, every one that
/// has a queue. Where the registry can't be read, only `RUNTIME-NAME` is understood, and is not checked.
pub fn chosen(world: &World<'_>, named: &[String]) -> Result<Vec<Identity>, Failure> {
    if named.is_empty() {
        return Ok(identities_with(world.paths, StateFile::Queue)?);
    }
    let registry = match Registry::read(world.paths) {
        Ok(registry) => registry,
        Err(failure) => return by_letter(named).ok_or_else(|| failure.into()),
    };
    let state = durable::names_of(&world.paths.state_dir())?;
    let has_state = |identity: &Identity| {
        let prefix = format!("{identity}.");
        state.iter().any(|name| name.starts_with(&prefix) && !name.ends_with("lock")) || world.host.has_trace(identity)
    };
    let each = named.iter().map(|text| identities_of(&registry, text, has_state));
    Ok(each.collect::<Result<Vec<_>, _>>()?.concat())
}

/// The identities, where each of `named` is written as `RUNTIME-NAME`.
fn by_letter(named: &[String]) -> Option<Vec<Identity>> {
    named.iter().map(|text| text.parse().ok()).collect()
}

/// The queues named, RUNTIME-NAME or @HOST, or, where none is named, every one that there is.
pub fn all_chosen(world: &World<'_>, named: &[String]) -> Result<Vec<QueueOf>, Failure> {
    if named.is_empty() {
        return QueueOf::all(world);
    }
    let mut queues = Vec::new();
    for text in named {
        match text.split_once('@') {
            None => queues.extend(chosen(world, std::slice::from_ref(text))?.into_iter().map(QueueOf::Peer)),
            Some((_, host)) => {
                let usage = |error: NameError| Failure::new(Exit::Usage, error.to_string());
                queues.push(QueueOf::Host(host.parse().map_err(usage)?));
            }
        }
    }
    Ok(queues)
}

/// All items in these queues; with `heads`, only the items that a drain would take up. A name that is no peer's and has
/// no queue is refused (67), since it is probably misspelled.
pub fn list(world: &World<'_>, queues: &[QueueOf], heads: bool) -> Result<Vec<QueueRow>, Failure> {
    let places: &[Place] = if heads { &[Place::Inflight, Place::Waiting] } else { &Place::ALL };
    let mut rows = Vec::new();
    for of in queues {
        let queue = of.queue(world);
        if !queue.dir().exists() {
            match of {
                QueueOf::Peer(identity) => drop(Peer::of(world.paths, identity)?),
                QueueOf::Host(host) => drop(HostFile::known(world.paths, host)?),
            }
        }
        for &place in places {
            for seq in queue.list(place)? {
                let item = queue.peek(place, seq);
                let unreadable = || {
                    let why = durable::read_optional(&queue.path(place, seq).with_extension("reason")).ok()??;
                    Some(String::from_utf8_lossy(&why).trim().to_owned())
                };
                rows.push(QueueRow {
                    identity: of.clone(),
                    place,
                    seq,
                    id: item.as_ref().map(|item| item.id),
                    age_secs: world
                        .now()
                        .since(item.as_ref().map_or(EpochMs(world.now().0), |item| item.accepted))
                        .as_secs(),
                    attempts: item.as_ref().map_or(0, |item| item.attempts),
                    from: item.as_ref().map(|item| item.from.clone()),
                    topic: item.as_ref().and_then(|item| item.topic.as_ref()).map(ToString::to_string),
                    held: item.as_ref().and_then(|item| item.held).map(|held| held.why),
                    reason: item.as_ref().and_then(|item| item.reason.clone()).or_else(unreadable),
                });
            }
        }
    }
    Ok(rows)
}

/// How many messages wait for `identity` because the peer is stopped; 0 where it is not.
pub fn held_back(world: &World<'_>, identity: &Identity) -> Result<usize, Failure> {
    if !world.markers(identity).is_stopped() {
        return Ok(0);
    }
    Ok(world.queue(identity).list(Place::Waiting)?.len())
}

fn find(world: &World<'_>, id: &str) -> Result<(QueueOf, Place, Seq), Failure> {
    let wanted: MessageId = id.parse().map_err(|error| Failure::new(Exit::Usage, format!("{error}")))?;
    for of in QueueOf::all(world)? {
        if let Some((place, seq)) = of.queue(world).find(wanted)? {
            return Ok((of, place, seq));
        }
    }
    Err(no_such_item(id))
}

fn no_such_item(id: &str) -> Failure {
    Failure::new(Exit::NoInput, format!("no item {id} in any queue: `iapeer-drain --list` shows what there is"))
}

fn no_dead_letter(id: &str, place: Place, identity: &QueueOf) -> Failure {
    Failure::new(Exit::Refused, format!("{id} is not a dead letter, it is {} for {identity}", place.as_str()))
}

/// One item with its text, as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShownItem {
    /// Whose queue the item is in.
    pub identity: QueueOf,
    /// The item's place in the queue.
    pub place: Place,
    /// The item's number.
    pub seq: Seq,
    /// When the message was accepted, UTC.
    pub accepted_at: String,
    /// The item, as its file has it.
    pub item: Item,
}

impl ShownItem {
    /// The item for people: a head, then the text.
    pub fn text(&self) -> String {
        let ShownItem { identity, place, seq, accepted_at, item } = self;
        let mut text =
            format!("id: {}\nfrom: {}\nto: {identity}\nplace: {} {seq}\n", item.id, item.from, place.as_str());
        text += &format!("accepted: {accepted_at}\nattempts: {}\n", item.attempts);
        if let Some(topic) = &item.topic {
            text += &format!("topic: {topic}\n");
        }
        if let Some(reason) = &item.reason {
            text += &format!("reason: {reason}\n");
        }
        for path in &item.attachments {
            text += &format!("attachment: {path}\n");
        }
        format!("{text}\n{}", item.task)
    }
}

/// Reads an item, wherever it is; changes nothing.
pub fn show(world: &World<'_>, id: &str) -> Result<ShownItem, Failure> {
    let (identity, place, seq) = find(world, id)?;
    let item = identity.queue(world).peek(place, seq).ok_or_else(|| no_such_item(id))?;
    Ok(ShownItem { identity, place, seq, accepted_at: item.accepted.utc_seconds(), item })
}

/// Accepts a dead letter again and starts a drain. Where the message waits already, because an earlier call was
/// interrupted, only the dead letter is removed.
pub fn requeue(world: &World<'_>, id: &str) -> Result<QueueRow, Failure> {
    let (identity, place, seq) = find(world, id)?;
    let queue = identity.queue(world);
    let new = match place {
        Place::Dead => queue.requeue(seq, world.clock)?.ok_or_else(|| no_such_item(id))?,
        Place::Waiting | Place::Inflight => {
            if let Some(dead) = queue.find_in(Place::Dead, id.parse().map_err(|_| no_such_item(id))?)? {
                queue.remove(Place::Dead, dead)?;
            }
            seq
        }
        Place::Corrupt => return Err(no_dead_letter(id, place, &identity)),
    };
    identity.kick(world);
    let rows = list(world, std::slice::from_ref(&identity), true)?;
    Ok(rows.into_iter().find(|row| row.seq == new && row.place != Place::Dead).unwrap_or(QueueRow {
        identity,
        place: Place::Waiting,
        seq: new,
        id: id.parse().ok(),
        age_secs: 0,
        attempts: 0,
        from: None,
        topic: None,
        held: None,
        reason: None,
    }))
}

/// Drops a dead letter after `print` was given its JSON: where `print` fails, the dead letter stays.
pub fn drop_item(world: &World<'_>, id: &str, print: impl FnOnce(&str) -> Result<(), Failure>) -> Result<(), Failure> {
    let (identity, place, seq) = find(world, id)?;
    if place != Place::Dead {
        return Err(no_dead_letter(id, place, &identity));
    }
    let queue = identity.queue(world);
    let item = queue.peek(Place::Dead, seq).ok_or_else(|| no_such_item(id))?;
    let text = serde_json::to_string(&item).map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
    print(&text).map_err(|failure| Failure::new(failure.exit, format!("{id} stays: {failure}")))?;
    let line = Settlement::of(&item, seq, Outcome::Dropped, None, world.now());
    identity.history(world).append(&line)?;
    Ok(queue.remove(Place::Dead, seq).map(drop)?)
}
