//! Notices from iapeer to a peer: ordinary messages from `system-iapeer` (D28).
//!
//! A notice that can't be accepted into its peer's queue now (the peer is stopped, the queue can't be written) waits in
//! `<root>/state/notices/<identity>.<id>`. The tick, the peer's next drain or `iapeer start` delivers it later.

use crate::base::exit::{Exit, Failure};
use crate::base::identity::{Identity, Intelligence, Topic};
use crate::base::message_id::MessageId;
use crate::base::paths;
use crate::store::durable;
use crate::store::queue::{Item, nobody};
use crate::store::registry::Registry;
use crate::world::World;
use crate::world::peer::Peer;

/// Tells `from`, the sender of `item`, that its message to `to` became a dead letter: once, and never about a notice.
/// `item.notice` is the id of the notice; `again` says that an interrupted burial may have sent it already. An error
/// means that the notice is stored nowhere yet.
pub(crate) fn dead_letter(
    world: &World<'_>,
    to: &str,
    from: &Identity,
    item: &Item,
    reason: &str,
    again: bool,
) -> Result<(), Failure> {
    let Some(id) = item.notice.filter(|_| item.from != nobody()) else { return Ok(()) };
    let body = format!(
        "Your message {id} to {to} is kept as a dead letter: {reason}\n\
         `iapeer-drain --list {to}` shows it, `iapeer-drain --requeue {id}` tries again.",
        id = item.id
    );
    let topic = Topic::parse("delivery-failed").ok().flatten();
    let notice = Item { id, topic, ..Item::new(nobody(), Intelligence::Absent, body, world.now()) };
    let given = if again { Given::Perhaps } else { Given::Never };
    let later = |identity: &Identity, failure: Failure| {
        tracing::warn!("cannot tell {identity} about a dead letter yet: {failure}");
        keep(world, identity, &notice)
    };
    match find(world, from) {
        Ok(None) => Ok(()),
        Ok(Some(sender)) if world.host.managed_by(&sender.identity).is_some() => Ok(()),
        Ok(Some(sender)) if world.markers(&sender.identity).is_stopped() => keep(world, &sender.identity, &notice),
        Ok(Some(sender)) => give(world, &sender, &notice, given).or_else(|failure| later(&sender.identity, failure)),
        // Whether there is such a peer is not known: the notice waits until it is.
        Err(failure) => later(from, failure),
    }
}

/// Puts the waiting notices into the queues of their peers, or only those for the peer of `only`. A notice for which
/// that fails keeps waiting.
pub(crate) fn give_waiting(world: &World<'_>, only: Option<&Identity>) {
    let dir = world.paths.notices_dir();
    let mut left = false;
    let names = match durable::names_of(&dir) {
        Ok(names) => names,
        Err(error) => return tracing::warn!("{error}: notices wait on"),
    };
    for name in names {
        let Some(identity) = name.split_once('.').and_then(|(identity, _)| identity.parse::<Identity>().ok()) else {
            continue;
        };
        if only.is_some_and(|only| only.personality() != identity.personality()) {
            left = true;
            continue;
        }
        let path = dir.join(&name);
        let given = durable::read_json::<Item>(&path).map_err(Failure::from).and_then(|notice| {
            let (Some(notice), Some(peer)) = (notice, find(world, &identity)?) else { return Ok(Some(())) };
            if world.markers(&peer.identity).is_stopped() {
                return Ok(None);
            }
            give(world, &peer, &notice, Given::Perhaps).map(Some)
        });
        match given.and_then(|given| given.map(|()| durable::remove(&path)).transpose().map_err(Failure::from)) {
            Ok(Some(_)) => {}
            Ok(None) => left = true,
            Err(failure) => {
                left = true;
                tracing::warn!("cannot give {identity} a notice yet: {failure}");
            }
        }
    }
    if !left {
        // Without the folder, later ticks have nothing to read.
        durable::remove_if_empty(&dir);
    }
}

/// The peer of `identity`, on another of its runtimes where it no longer has that one. `None`: the registry could be
/// read and has no such peer.
fn find(world: &World<'_>, identity: &Identity) -> Result<Option<Peer>, Failure> {
    let registry = Registry::read(world.paths)?;
    let Some(record) = registry.get(identity.personality()) else { return Ok(None) };
    let runtime = Some(identity.runtime()).filter(|runtime| record.runtimes.contains(runtime));
    Peer::find(world.paths, identity.personality(), runtime).map(Some)
}

/// Whether a notice may have been put into the queue before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Given {
    Never,
    Perhaps,
}

fn give(world: &World<'_>, peer: &Peer, notice: &Item, given: Given) -> Result<(), Failure> {
    let queue = world.queue(&peer.identity);
    let was_given = || {
        queue.find(notice.id).is_ok_and(|found| found.is_some())
            || world.history(&peer.identity).forbids(notice).unwrap_or(false)
            || world.host.carries(peer, notice.id)
    };
    if given == Given::Never || !was_given() {
        queue.accept(notice, world.clock)?;
    }
    world.kick(&peer.identity);
    Ok(())
}

fn keep(world: &World<'_>, identity: &Identity, notice: &Item) -> Result<(), Failure> {
    let dir = world.paths.notices_dir();
    paths::create_dirs(&dir)?;
    durable::sync_dir(&world.paths.state_root())?;
    let text = serde_json::to_vec(notice).map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
    durable::publish(&dir.join(format!("{identity}.{}", notice.id)), &text)?;
    Ok(())
}

/// Moves the notices that wait for `from` to `to`: the peer was renamed.
pub fn rename(world: &World<'_>, from: &Identity, to: &Identity) -> Result<(), Failure> {
    let dir = world.paths.notices_dir();
    for name in durable::names_of(&dir)? {
        if let Some(id) = name.strip_prefix(&format!("{from}.")).and_then(|id| id.parse::<MessageId>().ok()) {
            durable::move_file(&dir.join(&name), &dir.join(format!("{to}.{id}")))?;
        }
    }
    Ok(())
}
