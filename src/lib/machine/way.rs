//! A way by which a message goes into a session.

use super::real::RealHost;
use crate::base::DeliveryKind;
use crate::base::hold::Hold;
use crate::base::identity::Identity;
use crate::store::markers::{Markers, TurnState};
use crate::world::peer::Peer;
use crate::world::{Delivery, HostError, Landing};
use std::time::Duration;

/// A way by which a message goes into a session, and by which its turn is known and controlled.
pub(super) trait Way {
    /// The kind of this way.
    fn kind(&self) -> DeliveryKind;

    /// Hands the message over and waits for evidence.
    fn hand_over(&self, host: &RealHost<'_>, delivery: &Delivery<'_>) -> Result<Landing, Unusable>;

    /// Whether a turn is running.
    fn is_busy(&self, host: &RealHost<'_>, peer: &Peer) -> Result<bool, Unusable>;

    /// Interrupts the running turn; `keys` are those that do it in the terminal. The inner error is final: no other way is
    /// tried.
    fn interrupt(&self, host: &RealHost<'_>, peer: &Peer, keys: &[String]) -> Result<Result<(), HostError>, Unusable>;

    /// Gives `answer`, a word of the manifest's, to the approval about which the screen says `text`. Returns a text for
    /// people: the answer, and what it was given to. `None`: the answer was not given, and is to be chosen on the
    /// screen.
    fn answer(&self, _host: &RealHost<'_>, _identity: &Identity, _text: &str, _answer: &str) -> Option<String> {
        None
    }
}

/// How long a turn may still show as running after a hook has reported its end: the hook is called before the end.
pub(super) const ENDING: Duration = Duration::from_secs(3);

/// Whether a hook has reported the end of the session's last turn.
pub(super) fn is_over(host: &RealHost<'_>, delivery: &Delivery<'_>) -> bool {
    let turn = Markers::of(host.paths, &delivery.peer.identity).turn_of(delivery.launch);
    turn.is_some_and(|turn| turn.state == TurnState::Idle)
}

/// How long to wait for evidence that a turn took a message that was handed over.
pub(super) fn patience(host: &RealHost<'_>, delivery: &Delivery<'_>) -> Duration {
    let settings = host.settings;
    if delivery.boot { settings.ready_gate } else { settings.submit_timeout + settings.liveness_grace }
}

/// The message is not handed over while a turn runs: a program's own queue is lost with the program, or outlives the
/// session.
pub(super) fn held_by_the_turn() -> Landing {
    Landing::Held(Hold::Turn, "a turn is running, and the message goes in at its end".into())
}

/// Why a way can't be used: the session got nothing by it, so that the next way may be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unusable(pub(super) String);
