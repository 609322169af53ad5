//! What a tick observes of one session before it decides.

use crate::attention::hold;
use crate::base::Liveness;
use crate::base::Marker;
use crate::base::clock::EpochMs;
use crate::base::exit::Failure;
use crate::base::identity::Identity;
use crate::delivery::worker;
use crate::runtime::Kind;
use crate::session::activity::{Activity, Quiet};
use crate::store::registry::Registry;
use crate::store::session_record::SessionRecord;
use crate::supervision::rule::{Bounds, SessionSeen, decide};
use crate::world::peer::{Manifests, Peer};
use crate::world::{HostError, World};
use std::time::Duration;

/// What is the same for all sessions, read once for those that are only examined: with a thousand sessions, a read for
/// each is most of a tick's time.
#[derive(Debug)]
pub(super) struct Roster {
    registry: Result<Registry, Failure>,
    manifests: Manifests,
    clock_set_at: Option<EpochMs>,
}

impl Roster {
    pub(super) fn read(world: &World<'_>) -> Roster {
        Roster {
            registry: Registry::read(world.paths).map_err(Failure::from),
            manifests: Manifests::default(),
            clock_set_at: world.clock_set_at(),
        }
    }

    /// The error says why the registry can't be read: then it is not known which identities are peers.
    pub(super) fn is_readable(&self) -> Result<(), Failure> {
        self.registry.as_ref().map(drop).map_err(Failure::clone)
    }

    pub(super) fn peer(&self, world: &World<'_>, identity: &Identity) -> Result<Peer, Failure> {
        Peer::among(world.paths, self.registry.as_ref().map_err(Failure::clone)?, &self.manifests, identity)
    }
}

/// What was observed of a session.
#[derive(Debug)]
pub(super) struct Observed {
    pub(super) seen: SessionSeen,
    /// The peer, where its session lives.
    pub(super) peer: Option<Peer>,
    /// Why tmux gave no answer about the terminal, if it gave none.
    pub(super) error: Option<HostError>,
}

/// Observes one session.
pub(super) fn observe(
    world: &World<'_>,
    roster: &Roster,
    identity: &Identity,
    record: Option<&SessionRecord>,
    liveness: Liveness,
) -> Result<Observed, Failure> {
    let markers = world.markers(identity);
    let mut seen = SessionSeen {
        managed: false,
        liveness,
        stopped: markers.has(Marker::Stopped)?,
        new_eager: markers.has(Marker::NewEager)?,
        ephemeral: false,
        always_on: false,
        armed: markers.has(Marker::EphemeralArmed)?,
        working: false,
        waiting: record.is_some_and(|record| hold::keeps_awake(world, record, world.now())),
        age: Duration::ZERO,
        quiet: world.settings.ephemeral_quiet,
    };
    let (Some(record), Liveness::Alive) = (record, liveness) else {
        return Ok(Observed { seen, peer: None, error: None });
    };
    let peer = roster.peer(world, identity)?;
    seen.ephemeral = peer.is_ephemeral();
    seen.always_on = peer.manifest.kind == Kind::Router;
    let now = world.now();
    let mut activity = Activity::for_reaping(world, &peer, record, roster.clock_set_at);
    seen.quiet = worker::bound(world, &peer, &activity);
    let fill = |seen: &mut SessionSeen, activity: &Activity| {
        seen.working = activity.quiet() == Quiet::Working;
        seen.age = activity.quiet().age(now);
    };
    fill(&mut seen, &activity);
    // Where the files alone show that the session is active, tmux is not asked: most sessions, most of the time, cost
    // no tmux call.
    let bounds = Bounds { unarmed: world.settings.ephemeral_unarmed, idle: world.settings.idle };
    if seen.stopped || !decide(&seen, bounds).action.acts() {
        return Ok(Observed { seen, peer: Some(peer), error: None });
    }
    if let Err(error) = activity.ask_terminal(world, identity) {
        return Ok(Observed { seen, peer: Some(peer), error: Some(error) });
    }
    fill(&mut seen, &activity);
    Ok(Observed { seen, peer: Some(peer), error: None })
}
