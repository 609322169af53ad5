//! Refusing a wake that the peer's state forbids, with the line in `lifecycle.log` and the words for the caller.

use crate::base::exit::{Exit, Failure};
use crate::host::managed::Managed;
use crate::store::event_log::Event;
use crate::world::World;
use crate::world::peer::Peer;

/// Refuses a wake that the peer's nature or state forbids: it is a mailbox, stopped, or run by the service manager.
pub(crate) fn refuse_by_state(world: &World<'_>, peer: &Peer) -> Result<(), Failure> {
    refuse_mailbox(peer)?;
    if let Some(by) = world.host.managed_by(&peer.identity) {
        return Err(refuse_managed(world, peer, by, "launchd-managed"));
    }
    refuse_stopped(world, peer)
}

/// Refuses to wake a peer that has no session (a person): messages to it are filed.
pub(crate) fn refuse_mailbox(peer: &Peer) -> Result<(), Failure> {
    if !peer.is_mailbox() {
        return Ok(());
    }
    let name = peer.identity.personality();
    let why = format!("{name} has a mailbox and no session: `iapeer inbox {name}` shows what has come");
    Err(Failure::new(Exit::Refused, why))
}

/// Refuses to wake a peer that was stopped.
pub(crate) fn refuse_stopped(world: &World<'_>, peer: &Peer) -> Result<(), Failure> {
    if world.markers(&peer.identity).is_stopped() {
        log_refusal(world, peer, "stopped", "");
        return Err(stopped(peer));
    }
    Ok(())
}

/// [`refuse_stopped`] with the lock held: the caller checked before it took the lock, so the peer was stopped in
/// between.
pub(crate) fn refuse_mid_wake(world: &World<'_>, peer: &Peer) -> Result<(), Failure> {
    if world.markers(&peer.identity).is_stopped() {
        log_refusal(world, peer, "stopped-mid-wake", "");
        return Err(stopped(peer));
    }
    Ok(())
}

/// The refusal to wake a peer that the service manager runs, with its line in the log.
pub(crate) fn refuse_managed(world: &World<'_>, peer: &Peer, by: Managed, cause: &'static str) -> Failure {
    world.lifecycle(&wake_event(peer, "refused", cause).field("by", by));
    let why = format!("{} is launchd-managed (by {by}): it is always on and not woken by messages", peer.identity);
    Failure::new(Exit::Refused, why)
}

/// What a caller is told about a stopped peer.
pub fn stopped(peer: &Peer) -> Failure {
    let name = peer.identity.personality();
    Failure::new(
        Exit::Refused,
        format!(
            "{:?} ({}) is stopped and not accepting messages: `iapeer start {name}` lets it resume",
            name.as_str(),
            peer.identity.runtime()
        ),
    )
}

/// Logs that a wake was refused, and why.
pub(crate) fn log_refusal(world: &World<'_>, peer: &Peer, cause: &'static str, reason: &str) {
    let event = wake_event(peer, "refused", cause).maybe("reason", (!reason.is_empty()).then_some(reason));
    world.lifecycle(&event);
}

pub(crate) fn wake_event(peer: &Peer, mode: &str, cause: &str) -> Event {
    Event::new("wake")
        .field("personality", peer.identity.personality())
        .field("identity", &peer.identity)
        .field("runtime", peer.identity.runtime())
        .field("mode", mode)
        .field("cause", cause)
}
