//! The ways by which messages go into a session, tried in order: by the program's own server or file, then typed.

use super::app_server::AppServerWay;
use super::beside;
use super::deliver::{Typing, to_router};
use super::file_way::FileWay;
use super::http_way::HttpWay;
use super::real::RealHost;
use super::way::{Unusable, Way};
use crate::base::DeliveryKind;
use crate::base::StateFile;
use crate::base::hold::Hold;
use crate::base::identity::Identity;
use crate::runtime::manifest::Kind;
use crate::store::channel::Channel;
use crate::store::session_record::SessionRecord;
use crate::world::peer::Peer;
use crate::world::{Delivery, HostError, Landing};

/// Delivers into a live session.
pub(crate) fn deliver(host: &RealHost<'_>, delivery: &Delivery<'_>) -> Landing {
    let peer = delivery.peer;
    if peer.manifest.kind == Kind::Router {
        return to_router(host, delivery);
    }
    let channel = Channel::of(host.paths, &peer.identity, delivery.launch);
    let mut unusable = None;
    for way in of(channel.as_ref()) {
        match way.hand_over(host, delivery) {
            Ok(landing) => {
                if channel.is_some() {
                    note(host, delivery, way.kind(), unusable);
                }
                return landing;
            }
            Err(Unusable(why)) => unusable = Some(why),
        }
    }
    Landing::Held(Hold::Setup, unusable.unwrap_or_default())
}

/// The ways into the session of `channel`, the best first.
fn of(channel: Option<&Channel>) -> &'static [&'static dyn Way] {
    match channel.map(|channel| channel.kind) {
        Some(DeliveryKind::AppServer) => &[&AppServerWay, &Typing],
        Some(DeliveryKind::Http) => &[&HttpWay, &Typing],
        Some(DeliveryKind::File) => &[&FileWay, &Typing],
        Some(DeliveryKind::Type) | None => &[&Typing],
    }
}

/// The ways into the peer's current session.
fn now(host: &RealHost<'_>, identity: &Identity) -> &'static [&'static dyn Way] {
    let launch = SessionRecord::launch_of(host.paths, identity);
    of(Channel::of(host.paths, identity, launch.as_deref()).as_ref())
}

/// Whether a turn is running, by the first way that can tell.
pub(super) fn is_busy(host: &RealHost<'_>, peer: &Peer) -> bool {
    now(host, &peer.identity).iter().find_map(|way| way.is_busy(host, peer).ok()).unwrap_or(false)
}

/// Interrupts the running turn by the first way that can; the last way presses `keys`.
pub(super) fn interrupt(host: &RealHost<'_>, peer: &Peer, keys: &[String]) -> Result<(), HostError> {
    for way in now(host, &peer.identity) {
        match way.interrupt(host, peer, keys) {
            Ok(done) => return done,
            Err(Unusable(why)) => tracing::warn!("{}: interrupted in another way: {why}", peer.identity),
        }
    }
    Ok(())
}

/// Gives `answer` to the approval about which the screen says `text`, by a way that needs no key. Returns a text for
/// people: the answer, and what it was given to.
pub(super) fn answer(host: &RealHost<'_>, identity: &Identity, text: &str, answer: &str) -> Option<String> {
    now(host, identity).iter().find_map(|way| way.answer(host, identity, text, answer))
}

/// Records in the log and in `<identity>.channel` that this message went in by another way than the last one, and why.
fn note(host: &RealHost<'_>, delivery: &Delivery<'_>, kind: DeliveryKind, why: Option<String>) {
    let identity = &delivery.peer.identity;
    // The file is read again: a way may have written to it.
    let before = Channel::of(host.paths, identity, delivery.launch);
    let Some(before) = before.filter(|before| before.kind != DeliveryKind::Type) else { return };
    // The kind stays: the next message tries the better way again.
    if before.why == why {
        return;
    }
    beside::log_kind(host, identity, kind, why.as_deref());
    let now = Channel { why, ..before };
    if let Err(error) = now.write(&host.paths.state(identity, StateFile::Channel)) {
        tracing::warn!("{identity}: {error}");
    }
}
