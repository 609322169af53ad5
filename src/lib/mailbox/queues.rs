//! Queues for the operator: listing items, requeueing and dropping dead letters.

use crate::base::StateFile;
use crate::base::clock::EpochMs;
use crate::base::evidence::Outcome;
use crate::base::exit::{Exit, Failure};
use crate::base::hold::Hold;
use crate::base::identity::Identity;
use crate::base::message_id::MessageId;
use crate::store::durable;
use crate::store::history::Settlement;
use crate::store::queue::{Place, Seq};
use crate::store::registry::Registry;
use crate::store::state_files::identities_with;
use crate::world::World;
use crate::world::peer::{Peer, identities_of};
use serde::Serialize;

/// One item of one queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QueueRow {
    /// The identity whose queue this is.
    pub identity: Identity,
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
    /// The sender's identity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Identity>,
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

impl QueueRow {
    /// The item as one line for people.
    pub fn line(&self) -> String {
        let text = |part: Option<String>| part.unwrap_or_else(|| "-".into());
        let mut line = format!(
            "{}  {}  {}  {}  age:{}s  attempts:{}  from:{}",
            self.identity,
            self.place.as_str(),
            self.seq,
            text(self.id.map(|id| id.to_string())),
            self.age_secs,
            self.attempts,
            text(self.from.as_ref().map(Identity::to_string)),
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

/// The identities named, each as `RUNTIME-NAME` or, for all its runtimes, `NAME`; where none is named, every one that has
/// a queue. While the registry can't be used, nobody counts as unknown.
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

/// The identities, where each is written as one.
fn by_letter(named: &[String]) -> Option<Vec<Identity>> {
    named.iter().map(|text| text.parse().ok()).collect()
}

/// All items in the queues of `identities`; with `heads`, only the items that a drain would take up. A name that is no
/// peer's and has no queue is refused, since it is probably misspelled.
pub fn list(world: &World<'_>, identities: &[Identity], heads: bool) -> Result<Vec<QueueRow>, Failure> {
    let places: &[Place] = if heads { &[Place::Inflight, Place::Waiting] } else { &Place::ALL };
    let mut rows = Vec::new();
    for identity in identities {
        let queue = world.queue(identity);
        if !queue.dir().exists() {
            Peer::of(world.paths, identity)?;
        }
        for &place in places {
            for seq in queue.list(place)? {
                let item = queue.peek(place, seq);
                let unreadable = || {
                    let why = durable::read_optional(&queue.path(place, seq).with_extension("reason")).ok()??;
                    Some(String::from_utf8_lossy(&why).trim().to_owned())
                };
                rows.push(QueueRow {
                    identity: identity.clone(),
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

/// How many messages wait for `identity` because it is stopped.
pub fn held_back(world: &World<'_>, identity: &Identity) -> Result<usize, Failure> {
    if !world.markers(identity).is_stopped() {
        return Ok(0);
    }
    Ok(world.queue(identity).list(Place::Waiting)?.len())
}

fn find(world: &World<'_>, id: &str) -> Result<(Identity, Place, Seq), Failure> {
    let wanted: MessageId = id.parse().map_err(|error| Failure::new(Exit::Usage, format!("{error}")))?;
    for identity in identities_with(world.paths, StateFile::Queue)? {
        if let Some((place, seq)) = world.queue(&identity).find(wanted)? {
            return Ok((identity, place, seq));
        }
    }
    Err(no_such_item(id))
}

fn no_such_item(id: &str) -> Failure {
    Failure::new(Exit::NoInput, format!("no item {id} in any queue: `iapeer-drain --list` shows what there is"))
}

fn no_dead_letter(id: &str, place: Place, identity: &Identity) -> Failure {
    Failure::new(Exit::Refused, format!("{id} is not a dead letter, it is {} for {identity}", place.as_str()))
}

/// Accepts a dead letter again and starts a drain. Where the message waits already, because an earlier call was
/// interrupted, only the rest of the dead letter is removed.
pub fn requeue(world: &World<'_>, id: &str) -> Result<QueueRow, Failure> {
    let (identity, place, seq) = find(world, id)?;
    let queue = world.queue(&identity);
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
    world.kick(&identity);
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
    let queue = world.queue(&identity);
    let item = queue.peek(Place::Dead, seq).ok_or_else(|| no_such_item(id))?;
    let text = serde_json::to_string(&item).map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
    print(&text).map_err(|failure| Failure::new(failure.exit, format!("{id} stays: {failure}")))?;
    let line = Settlement::of(&item, seq, Outcome::Dropped, None, world.now());
    world.history(&identity).append(&line)?;
    Ok(queue.remove(Place::Dead, seq).map(drop)?)
}
