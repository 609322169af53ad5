//! What every act of the lifecycle needs: where the files are, what time it is, and the host behind a seam.

use crate::base::Liveness;
use crate::base::StateFile;
use crate::base::clock::{Clock, EpochMs};
use crate::base::identity::Identity;
use crate::base::paths::Paths;
use crate::base::settings::Settings;
use crate::store::clock_jump::Clocks;
use crate::store::event_log::{Event, EventLog, Log};
use crate::store::history::History;
use crate::store::lock::{self, FileLock, LockError};
use crate::store::markers::Markers;
use crate::store::queue::Queue;
use crate::store::session_record::SessionRecord;
use crate::world::error::NotStarted;
use crate::world::host::Host;
use std::time::Duration;

/// How long after a first look that finds a session gone the second one is taken (D6).
const SECOND_LOOK: Duration = Duration::from_millis(250);

/// Paths, settings, time, host, logs: passed to everything.
pub struct World<'a> {
    /// Where the files are.
    pub paths: &'a Paths,
    /// The settings in force.
    pub settings: &'a Settings,
    /// Time.
    pub clock: &'a dyn Clock,
    /// The host.
    pub host: &'a dyn Host,
    /// The event logs.
    pub log: EventLog,
    /// The program that acts, for locks and logs.
    pub program: &'static str,
}

impl<'a> World<'a> {
    /// A world for `program`.
    pub fn new(
        paths: &'a Paths,
        settings: &'a Settings,
        clock: &'a dyn Clock,
        host: &'a dyn Host,
        program: &'static str,
    ) -> Self {
        World { paths, settings, clock, host, log: EventLog::new(paths, settings), program }
    }

    /// The time.
    pub fn now(&self) -> EpochMs {
        self.clock.now()
    }

    /// When the wall clock was last set forward in this boot, as far as ticks can tell: what was before that is not as
    /// long ago as it seems.
    pub(crate) fn clock_set_at(&self) -> Option<EpochMs> {
        let before = Clocks::noted(self.paths)?;
        self.clocks().set_at(&before)
    }

    /// What the clocks say.
    pub fn clocks(&self) -> Clocks {
        Clocks::now(self.clock.now(), self.clock.uptime(), self.host.boot_id())
    }

    /// The state files of `identity`.
    pub fn markers<'i>(&'i self, identity: &'i Identity) -> Markers<'i> {
        Markers::of(self.paths, identity)
    }

    /// The queue of `identity`.
    pub fn queue(&self, identity: &Identity) -> Queue {
        Queue::of(self.paths, identity)
    }

    /// The history of `identity`'s messages.
    pub fn history(&self, identity: &Identity) -> History {
        History::of(self.paths, self.settings, identity)
    }

    /// Takes the identity's lock: what starts, ends or types into the session holds it.
    pub fn lock(&self, identity: &Identity, wait: Duration) -> Result<Held<'_>, LockError> {
        let lock = self.lock_to_deliver(identity, wait)?;
        Ok(Held { lock: Some(lock), world: self, identity: identity.clone() })
    }

    /// [`World::lock`] for a drain, which looks at the queue again by itself after letting go.
    pub(crate) fn lock_to_deliver(&self, identity: &Identity, wait: Duration) -> Result<FileLock, LockError> {
        FileLock::acquire(&self.paths.state(identity, StateFile::Lock), self.program, wait, self.clock)
    }

    /// Whether somebody holds the identity's lock, and thus will look at the queue after letting go.
    ///
    /// A drain that tries the lock in the moment of this look finds it taken and leaves: whoever is told that it is
    /// free starts one.
    pub fn is_held(&self, identity: &Identity) -> bool {
        lock::is_held(&self.paths.state(identity, StateFile::Lock))
    }

    /// Appends to `lifecycle.log`.
    pub fn lifecycle(&self, event: &Event) {
        self.log.append(Log::Lifecycle, self.clock, event);
    }

    /// Appends to `delivery.log`.
    pub fn delivery(&self, event: &Event) {
        self.log.append(Log::Delivery, self.clock, event);
    }

    /// Looks whether a session lives. Gone must hold twice before anyone acts on it.
    pub fn liveness(&self, identity: &Identity, record: Option<&SessionRecord>) -> Liveness {
        // Nothing recorded and no socket: there is nothing that could turn out to live after all.
        if record.is_none() && !self.host.has_trace(identity) {
            return Liveness::Gone;
        }
        match self.host.liveness(identity, record) {
            Liveness::Gone => {
                self.clock.sleep(SECOND_LOOK);
                self.host.liveness(identity, record)
            }
            seen => seen,
        }
    }

    /// Starts a detached drain of `identity`.
    pub(crate) fn start_drain(&self, identity: &Identity) -> Result<(), NotStarted> {
        self.host.detach("iapeer-drain", &[identity.as_str()])
    }

    /// Starts a detached drain of `identity` and says whether it started. A drain that can't be started is warned of, and
    /// made up for by the next tick.
    pub fn kick(&self, identity: &Identity) -> bool {
        let started = self.start_drain(identity);
        if let Err(error) = &started {
            tracing::warn!("cannot start iapeer-drain for {identity}: {error}; the next tick delivers");
        }
        started.is_ok()
    }

    /// [`World::kick`] where something waits.
    pub(crate) fn kick_if_waiting(&self, identity: &Identity) {
        if self.queue(identity).has_waiting().unwrap_or(true) {
            self.kick(identity);
        }
    }
}

/// An identity's lock, held. Whoever lets go of it, on whatever way out, looks at the queue again: a sender that found
/// it taken started no drain, and a drain that found it taken left.
#[must_use]
pub struct Held<'w> {
    lock: Option<FileLock>,
    world: &'w World<'w>,
    identity: Identity,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        drop(self.lock.take());
        // A crash is a crash: the next tick delivers, as after a kill.
        if std::thread::panicking() {
            return;
        }
        // What waits for a stopped peer waits for its start.
        if !self.world.markers(&self.identity).is_stopped() {
            self.world.kick_if_waiting(&self.identity);
        }
    }
}
