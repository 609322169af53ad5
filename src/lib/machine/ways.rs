//! The ways by which a message goes into a session, tried in order: by the program's app-server, and typed.

use super::app_server::{self, AppServerWay};
use super::beside;
use super::deliver::{Typing, to_router};
use super::hurry;
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
    let by_server = channel.as_ref().is_some_and(|channel| channel.kind == DeliveryKind::AppServer);
    let ways: &[&dyn Way] = if by_server { &[&AppServerWay, &Typing] } else { &[&Typing] };
    let mut unusable = None;
    for way in ways {
        match way.hand_over(host, delivery) {
            Ok(landing) => {
                note(host, delivery, channel.as_ref(), way.kind(), unusable);
                return landing;
            }
            Err(Unusable(why)) => unusable = Some(why),
        }
    }
    Landing::Held(Hold::Setup, unusable.unwrap_or_default())
}

/// Whether an app-server holds the conversation of the peer's session.
pub(super) fn by_server(host: &RealHost<'_>, identity: &Identity) -> bool {
    let launch = SessionRecord::peek(host.paths, identity).and_then(|record| record.launch);
    Channel::of(host.paths, identity, launch.as_deref()).is_some_and(|channel| channel.kind == DeliveryKind::AppServer)
}

/// Whether a turn is running, as the session's app-server says. `None`: there is none, or it does not say.
pub(super) fn is_busy(host: &RealHost<'_>, identity: &Identity) -> Option<bool> {
    by_server(host, identity).then(|| app_server::is_busy(host, identity).ok())?
}

/// Interrupts the running turn: by the app-server, else by `keys`.
pub(super) fn interrupt(host: &RealHost<'_>, peer: &Peer, keys: &[String]) -> Result<(), HostError> {
    let identity = &peer.identity;
    if by_server(host, identity) {
        match app_server::interrupt(host, identity) {
            Ok(()) => return Ok(()),
            Err(why) => tracing::warn!("{identity}: interrupted by keys, since its app-server did not: {why}"),
        }
    }
    Ok(hurry::press(host, peer, keys)?)
}

/// Says in the log and in `<identity>.channel` that messages go in by another way than the last one, and why.
fn note(
    host: &RealHost<'_>,
    delivery: &Delivery<'_>,
    before: Option<&Channel>,
    kind: DeliveryKind,
    why: Option<String>,
) {
    let Some(before) = before.filter(|before| before.kind == DeliveryKind::AppServer) else { return };
    // The kind stays: the next message tries the server again.
    if before.why == why {
        return;
    }
    let identity = &delivery.peer.identity;
    beside::log_kind(host, identity, kind, why.as_deref());
    let now = Channel { why, ..before.clone() };
    if let Err(error) = now.write(&host.paths.state(identity, StateFile::Channel)) {
        tracing::warn!("{identity}: {error}");
    }
}
