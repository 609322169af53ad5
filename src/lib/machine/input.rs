//! Acting on the conversation of a live session: delivering a message, interrupting a turn, choosing an answer.
//!
//! Programs that only accept messages, or only record events, are given [`NoInput`]: then they link neither the code that
//! types into sessions nor the clients of agent programs' servers.

use super::real::{RealHost, SessionInput};
use super::{choose, ways};
use crate::base::clock::Clock;
use crate::base::hold::Hold;
use crate::base::paths::Paths;
use crate::base::settings::Settings;
use crate::runtime::ScreenState;
use crate::world::peer::Peer;
use crate::world::{ChoiceError, Delivery, HostError, Landing};

impl<'a> RealHost<'a> {
    /// This machine, with the files below `paths`.
    pub fn new(paths: &'a Paths, settings: &'a Settings, clock: &'a dyn Clock) -> Self {
        RealHost::with_input(paths, settings, clock, &AllInput)
    }

    /// [`RealHost::new`] for a program that does not act on sessions: it links neither typing nor the clients of
    /// agent programs' servers.
    pub fn without_input(paths: &'a Paths, settings: &'a Settings, clock: &'a dyn Clock) -> Self {
        RealHost::with_input(paths, settings, clock, &NoInput)
    }
}

/// Acts by the program's own server or file, else by the session's terminal.
struct AllInput;

impl SessionInput for AllInput {
    fn deliver(&self, host: &RealHost<'_>, delivery: &Delivery<'_>) -> Landing {
        ways::deliver(host, delivery)
    }

    fn is_busy(&self, host: &RealHost<'_>, peer: &Peer) -> bool {
        ways::is_busy(host, peer)
    }

    fn interrupt(&self, host: &RealHost<'_>, peer: &Peer, keys: &[String]) -> Result<(), HostError> {
        ways::interrupt(host, peer, keys)
    }

    fn choose(
        &self,
        host: &RealHost<'_>,
        peer: &Peer,
        rule: &ScreenState,
        text: &str,
        answer: &str,
    ) -> Result<String, ChoiceError> {
        choose::choose(host, peer, rule, text, answer)
    }
}

/// Acts on no conversation.
struct NoInput;

const NONE: &str = "types nothing in this program";

impl SessionInput for NoInput {
    fn deliver(&self, _host: &RealHost<'_>, _delivery: &Delivery<'_>) -> Landing {
        Landing::Held(Hold::Setup, format!("this host {NONE}"))
    }

    fn is_busy(&self, _host: &RealHost<'_>, _peer: &Peer) -> bool {
        false
    }

    fn interrupt(&self, _host: &RealHost<'_>, _peer: &Peer, _keys: &[String]) -> Result<(), HostError> {
        Err(HostError::Unsupported(NONE))
    }

    fn choose(
        &self,
        _host: &RealHost<'_>,
        _peer: &Peer,
        _rule: &ScreenState,
        _text: &str,
        _answer: &str,
    ) -> Result<String, ChoiceError> {
        Err(HostError::Unsupported(NONE).into())
    }
}
