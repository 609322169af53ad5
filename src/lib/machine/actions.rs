//! Starting sessions and acting on their conversations: delivering a message, interrupting a turn, choosing an answer.
//!
//! Programs that only accept messages, or only record events, are given [`NoActions`]: then they link neither the code that
//! starts sessions and types into them nor the clients of agent programs' servers.

use super::real::{RealHost, SessionActions};
use super::{beside, choose, compact, ready, start, ways};
use crate::base::clock::Clock;
use crate::base::exit::{Exit, Failure};
use crate::base::hold::Hold;
use crate::base::paths::Paths;
use crate::base::settings::Settings;
use crate::runtime::ScreenState;
use crate::world::peer::Peer;
use crate::world::{ChoiceError, CompactError, Delivery, HostError, Landing, Launch, NotReady, Processes};
use std::time::Duration;

impl<'a> RealHost<'a> {
    /// This machine, with the files below `paths`.
    pub fn new(paths: &'a Paths, settings: &'a Settings, clock: &'a dyn Clock) -> Self {
        RealHost::with_actions(paths, settings, clock, &AllActions)
    }

    /// [`RealHost::new`] for a program that neither starts sessions nor acts on their conversations, and links no code
    /// for that.
    pub fn without_actions(paths: &'a Paths, settings: &'a Settings, clock: &'a dyn Clock) -> Self {
        RealHost::with_actions(paths, settings, clock, &NoActions)
    }
}

/// Acts on conversations by the program's own server or file, else by the session's terminal.
struct AllActions;

impl SessionActions for AllActions {
    fn start(&self, host: &RealHost<'_>, launch: &Launch<'_>) -> Result<Processes, Failure> {
        start::start(host, launch)
    }

    fn await_ready(&self, host: &RealHost<'_>, launch: &Launch<'_>, patience: Duration) -> Result<(), NotReady> {
        ready::await_ready(host, launch, patience)?;
        beside::tell(host, launch);
        Ok(())
    }

    fn deliver(&self, host: &RealHost<'_>, delivery: &Delivery<'_>) -> Landing {
        ways::deliver(host, delivery)
    }

    fn is_busy(&self, host: &RealHost<'_>, peer: &Peer) -> bool {
        ways::is_busy(host, peer)
    }

    fn interrupt(&self, host: &RealHost<'_>, peer: &Peer, keys: &[String]) -> Result<(), HostError> {
        ways::interrupt(host, peer, keys)
    }

    fn compact(&self, host: &RealHost<'_>, peer: &Peer, text: &str) -> Result<(), CompactError> {
        compact::compact(host, peer, text)
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

/// Starts no session and acts on no conversation.
struct NoActions;

const NONE: &str = "starts no session and types nothing in this program";

impl SessionActions for NoActions {
    fn start(&self, _host: &RealHost<'_>, _launch: &Launch<'_>) -> Result<Processes, Failure> {
        Err(Failure::new(Exit::Refused, format!("this host {NONE}")))
    }

    fn await_ready(&self, _host: &RealHost<'_>, _launch: &Launch<'_>, _patience: Duration) -> Result<(), NotReady> {
        Err(format!("this host {NONE}").into())
    }

    fn deliver(&self, _host: &RealHost<'_>, _delivery: &Delivery<'_>) -> Landing {
        Landing::Held(Hold::Setup, format!("this host {NONE}"))
    }

    fn is_busy(&self, _host: &RealHost<'_>, _peer: &Peer) -> bool {
        false
    }

    fn interrupt(&self, _host: &RealHost<'_>, _peer: &Peer, _keys: &[String]) -> Result<(), HostError> {
        Err(HostError::Unsupported(NONE))
    }

    fn compact(&self, _host: &RealHost<'_>, _peer: &Peer, _text: &str) -> Result<(), CompactError> {
        Err(HostError::Unsupported(NONE).into())
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
