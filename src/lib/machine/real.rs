//! The state that all of this room shares: paths, and tmux and the service manager, which are looked up once.

use crate::base::clock::Clock;
use crate::base::exit::Failure;
use crate::base::identity::Identity;
use crate::base::paths::Paths;
use crate::base::settings::Settings;
use crate::host::service::UserManager;
use crate::host::tmux::{PaneId, Server, Tmux, TmuxError};
use crate::runtime::ScreenState;
use crate::runtime::transcript::Transcripts;
use crate::session::transcripts;
use crate::store::session_record::SessionRecord;
use crate::world::peer::Peer;
use crate::world::{ChoiceError, CompactError, Delivery, HostError, Landing, Launch, NotReady, Processes};
use std::sync::OnceLock;
use std::time::Duration;

/// How a program starts sessions and acts on their conversations. [`crate::world::Host`] says more about each function.
pub(super) trait SessionActions: Send + Sync {
    /// Starts a session.
    fn start(&self, host: &RealHost<'_>, launch: &Launch<'_>) -> Result<Processes, Failure>;

    /// Waits until a started session is ready for input.
    fn await_ready(&self, host: &RealHost<'_>, launch: &Launch<'_>, patience: Duration) -> Result<(), NotReady>;

    /// Hands a message over and waits for evidence.
    fn deliver(&self, host: &RealHost<'_>, delivery: &Delivery<'_>) -> Landing;

    /// Whether a turn is running, as the session's server or its screen says.
    fn is_busy(&self, host: &RealHost<'_>, peer: &Peer) -> bool;

    /// Interrupts the running turn.
    fn interrupt(&self, host: &RealHost<'_>, peer: &Peer, keys: &[String]) -> Result<(), HostError>;

    /// Has the conversation compacted by the control text `text`.
    fn compact(&self, host: &RealHost<'_>, peer: &Peer, text: &str) -> Result<(), CompactError>;

    /// Chooses `answer` on the screen of `rule`, which showed `text`.
    fn choose(
        &self,
        host: &RealHost<'_>,
        peer: &Peer,
        rule: &ScreenState,
        text: &str,
        answer: &str,
    ) -> Result<String, ChoiceError>;
}

/// This machine.
pub struct RealHost<'a> {
    pub(crate) paths: &'a Paths,
    pub(crate) settings: &'a Settings,
    pub(crate) clock: &'a dyn Clock,
    /// How this program starts sessions and acts on their conversations.
    pub(super) actions: &'static dyn SessionActions,
    tmux: OnceLock<Result<Tmux, TmuxError>>,
    manager: OnceLock<Option<UserManager>>,
}

impl<'a> RealHost<'a> {
    /// This machine, with the files below `paths`; `actions` starts sessions and acts on their conversations.
    pub(super) fn with_actions(
        paths: &'a Paths,
        settings: &'a Settings,
        clock: &'a dyn Clock,
        actions: &'static dyn SessionActions,
    ) -> Self {
        RealHost { paths, settings, clock, actions, tmux: OnceLock::new(), manager: OnceLock::new() }
    }

    /// tmux, looked up once.
    pub(crate) fn tmux(&self) -> Result<&Tmux, TmuxError> {
        self.tmux.get_or_init(|| Tmux::find(self.settings.tmux_timeout)).as_ref().map_err(Clone::clone)
    }

    /// The user manager, if one answers and is to be used. It is probed once.
    pub(crate) fn manager(&self) -> Option<&UserManager> {
        let reach = || self.settings.use_service_manager.then(UserManager::reach).flatten();
        self.manager.get_or_init(reach).as_ref()
    }

    /// The tmux server of `identity`, with the pane that its agent was started in.
    pub fn server(&self, identity: &Identity) -> Result<Server<'_>, TmuxError> {
        let recorded = SessionRecord::peek(self.paths, identity).and_then(|record| record.pane_id);
        Ok(self.new_server(identity)?.at(recorded.unwrap_or(PaneId::FIRST)))
    }

    /// The tmux server of `identity` that is about to be started: its pane has no id yet.
    pub(crate) fn new_server(&self, identity: &Identity) -> Result<Server<'_>, TmuxError> {
        Ok(self.tmux()?.server(&self.paths.socket(identity), identity.as_str()))
    }

    /// The transcripts of `peer`, where its runtime has any.
    pub(crate) fn transcripts<'m>(&self, peer: &'m Peer) -> Option<Transcripts<'m>> {
        transcripts::of(self.paths, peer)
    }
}
