//! `iapeer status`: the last tick, sessions, queues, dead letters, and servers without a canary.

use crate::base::exit::Failure;
use crate::base::identity::Identity;
use crate::base::span::said;
use crate::base::{AttentionState, DeliveryKind, StateFile};
use crate::operator::list::{self, Status as Standing};
use crate::store::channel::Channel;
use crate::store::lock;
use crate::store::session_record::SessionRecord;
use crate::store::state_files::identities_with;
use crate::supervision::tick;
use crate::world::World;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// A tick older than this has been missed: the timer's period is 60 s.
pub(crate) const TICK_IS_DUE: Duration = Duration::from_secs(180);

/// How far the last tick's stamp may be ahead of the clock: a clock that is being slewed may run behind it.
pub(crate) const STAMP_AHEAD: Duration = Duration::from_secs(2);

/// The state of the whole host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Overview {
    /// Seconds since the last tick; absent if there was none, or its stamp is in the future.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tick_age_secs: Option<u64>,
    /// How many seconds the last tick's stamp is ahead of the clock, which was set back since then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tick_ahead_secs: Option<u64>,
    /// Whether the last tick was not too long ago.
    pub ticking: bool,
    /// The number of registered peers.
    pub peers: usize,
    /// How many peers are in each state.
    pub states: BTreeMap<&'static str, usize>,
    /// Live sessions.
    pub live: Vec<Identity>,
    /// Identities that are stopped.
    pub stopped: Vec<Identity>,
    /// Identities of which tmux does not say whether a session is alive.
    pub unknown: Vec<Identity>,
    /// The number of messages that wait.
    pub waiting: usize,
    /// The number of messages that were handed over and have no evidence or answer yet.
    pub inflight: usize,
    /// The number of dead letters.
    pub dead: usize,
    /// The number of files in queues that are no messages.
    pub corrupt: usize,
    /// Identities whose queue can't be read and is not counted.
    pub unreadable: Vec<Identity>,
    /// The way of messages into each live session that offers another one than typing.
    pub delivery: Vec<Delivered>,
    /// Sessions whose server no canary watches.
    pub unwatched: Vec<Identity>,
}

/// The way of messages into a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Delivered {
    /// The identity of the session.
    pub identity: Identity,
    /// The way.
    pub kind: DeliveryKind,
    /// Why there is no better way, or why the last message was typed nevertheless.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl Overview {
    /// The lines for people.
    pub(crate) fn lines(&self) -> Vec<String> {
        let names = |identities: &[Identity]| -> String {
            let names: Vec<&str> = identities.iter().map(Identity::as_str).collect();
            if names.is_empty() { String::new() } else { format!(": {}", names.join(" ")) }
        };
        let ago = |secs| said(Duration::from_secs(secs));
        let tick = match (self.tick_age_secs, self.ticking) {
            (None, _) if self.tick_ahead_secs.is_some() => format!(
                "tick: nobody knows when: the last one's stamp lies {} in the future, so the clock was set back since",
                ago(self.tick_ahead_secs.unwrap_or_default())
            ),
            (None, _) => "tick: never ran: run iapeer-superviser every minute, or `iapeer units install`".to_owned(),
            (Some(age), true) => format!("tick: {} ago", ago(age)),
            (Some(age), false) => format!("tick: OVERDUE, the last one was {} ago", ago(age)),
        };
        let mut lines = vec![
            tick,
            format!("peers: {}, live {}{}", self.peers, self.live.len(), names(&self.live)),
            format!("states: {}", self.totals()),
            format!(
                "queues: {} waiting, {} in flight, {} dead, {} corrupt",
                self.waiting, self.inflight, self.dead, self.corrupt
            ),
        ];
        lines.extend(self.delivery.iter().map(|one| {
            let why = one.why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
            format!("delivery: {} by {}{why}", one.identity, one.kind)
        }));
        for (what, which) in [
            ("stopped", &self.stopped),
            ("unknown", &self.unknown),
            ("unreadable queues", &self.unreadable),
            ("unwatched", &self.unwatched),
        ] {
            if !which.is_empty() {
                lines.push(format!("{what}{}", names(which)));
            }
        }
        lines
    }
}

impl Overview {
    /// The totals in words, the states that need a person first.
    fn totals(&self) -> String {
        let each = AttentionState::ALL.into_iter().filter_map(|state| {
            let count = self.states.get(state.as_str())?;
            Some(format!("{count} {state}"))
        });
        let words = each.collect::<Vec<_>>().join(", ");
        if words.is_empty() { "none".to_owned() } else { words }
    }
}

/// Reads the state of the host; changes nothing.
pub(crate) fn overview(world: &World<'_>) -> Result<Overview, Failure> {
    let listed = list::peers(world)?;
    let mut seen = Overview { peers: listed.len(), states: list::totals(&listed), ..Overview::default() };
    if let Some(at) = tick::last_tick(world.paths) {
        let (age, ahead) = (world.now().since(at), at.since(world.now()));
        if ahead > STAMP_AHEAD {
            seen.tick_ahead_secs = Some(ahead.as_secs());
        } else {
            seen.tick_age_secs = Some(age.as_secs());
            seen.ticking = age <= TICK_IS_DUE;
        }
    }
    for peer in &listed {
        for on in &peer.runtimes {
            let identity = Identity::new(on.runtime.clone(), peer.personality.clone());
            match on.status {
                Standing::Live => {
                    if !lock::is_seen_held(&world.paths.state(&identity, StateFile::CanaryLock)) {
                        seen.unwatched.push(identity.clone());
                    }
                    let launch = SessionRecord::launch_of(world.paths, &identity);
                    if let Some(channel) = Channel::of(world.paths, &identity, launch.as_deref()) {
                        let Channel { kind, why, .. } = channel;
                        seen.delivery.push(Delivered { identity: identity.clone(), kind, why });
                    }
                    seen.live.push(identity);
                }
                Standing::Stopped => seen.stopped.push(identity),
                Standing::Unknown => seen.unknown.push(identity),
                Standing::Asleep => {}
            }
        }
    }
    for identity in identities_with(world.paths, StateFile::Queue)? {
        match world.queue(&identity).counts() {
            Ok([waiting, inflight, dead, corrupt]) => {
                seen.waiting += waiting;
                seen.inflight += inflight;
                seen.dead += dead;
                seen.corrupt += corrupt;
            }
            Err(_) => seen.unreadable.push(identity),
        }
    }
    Ok(seen)
}
