//! What all actions on peers and sessions are given: paths, settings, the clock, the host behind a trait, and the logs.

use crate::base::Liveness;
use crate::base::StateFile;
use crate::base::address::HostName;
use crate::base::clock::{Clock, EpochMs};
use crate::base::identity::Identity;
use crate::base::paths::Paths;
use crate::base::settings::Settings;
use crate::store::clock_jump::Clocks;
use crate::store::durable;
use crate::store::event_log::{Event, EventLog, Log};
use crate::store::history::History;
use crate::store::hosts::HostFile;
use crate::store::lock::{self, FileLock, LockError};
use crate::store::markers::Markers;
use crate::store::outbox::Outbox;
use crate::store::queue::Queue;
use crate::store::session_record::SessionRecord;
use crate::world::error::NotStarted;
use crate::world::host::Host;
use std::time::Duration;

/// The time between a first probe that finds a session gone and the second probe (D6).
const SECOND_LOOK: Duration = Duration::from_millis(250);

/// Paths, settings, time, host, logs: passed to everything.
pub struct World<'a> {
    /// The paths of all files.
    pub paths: &'a Paths,
    /// The settings in force.
    pub settings: &'a Settings,
    /// The clock.
    pub clock: &'a dyn Clock,
    /// The host.
    pub host: &'a dyn Host,
    /// The event logs.
    pub log: EventLog,
    /// The name of the running program, for locks and logs.
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

    /// The current time.
    pub fn now(&self) -> EpochMs {
        self.clock.now()
    }

    /// When the wall clock was last set forward in this boot, as far as ticks have noticed: less time has passed since
    /// earlier events than the wall clock says.
    pub(crate) fn clock_set_at(&self) -> Option<EpochMs> {
        let before = Clocks::noted(self.paths)?;
        self.clocks().set_at(&before)
    }

    /// The clocks now.
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

    /// The messages that wait for another host, and the outcomes of those that were handed over.
    pub fn outbox(&self, host: &HostName) -> Outbox {
        Outbox::of(self.paths, self.settings, host)
    }

    /// Starts a program that hands over the messages for `host`, where this host can call that host. A program that
    /// holds the outbox's lock checks the outbox again after it has released the lock. Messages for a host on NATS are
    /// left to the relay that is always on.
    pub(crate) fn start_push(&self, host: &HostName) -> Result<(), NotStarted> {
        let calls = match HostFile::read(self.paths, host) {
            Ok(Some(HostFile::Ssh(ssh))) => ssh.destination.is_some(),
            Ok(Some(HostFile::Nats)) => {
                // A failure only makes the relay see the message later: it checks the outboxes by itself every few
                // seconds.
                let _ = durable::write_volatile(&self.paths.relay_kick(), b"");
                false
            }
            Ok(None) => false,
            // The program says what is wrong with the file.
            Err(_) => true,
        };
        if !calls || lock::is_held(&self.outbox(host).lock()) {
            return Ok(());
        }
        self.host.detach("iapeer-relay", &["push", "--due", host.as_str()])
    }

    /// Takes the identity's lock, waiting at most `wait`. A program holds the lock while it starts or ends the session,
    /// or hands messages to it.
    pub fn lock(&self, identity: &Identity, wait: Duration) -> Result<Held<'_>, LockError> {
        let lock = self.lock_to_deliver(identity, wait)?;
        Ok(Held { lock: Some(lock), world: self, identity: identity.clone() })
    }

    /// [`World::lock`] for a drain, which itself checks the queue again after it has released the lock.
    pub(crate) fn lock_to_deliver(&self, identity: &Identity, wait: Duration) -> Result<FileLock, LockError> {
        FileLock::acquire(&self.paths.state(identity, StateFile::Lock), self.program, wait, self.clock)
    }

    /// Whether another program holds the identity's lock, and thus will check the queue after it has released the lock.
    ///
    /// This check itself takes a free lock for an instant, and a drain that tries the lock in that instant ends. So a
    /// caller that gets `false` has to start a drain.
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

    /// Probes whether a session is alive. `Gone` is returned only where two probes agree.
    pub fn liveness(&self, identity: &Identity, record: Option<&SessionRecord>) -> Liveness {
        // Without a record and a socket a second probe could find nothing else.
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

    /// Starts a detached drain of `identity` and returns whether it started. A failure is logged; the next tick starts
    /// a drain.
    pub fn kick(&self, identity: &Identity) -> bool {
        let started = self.start_drain(identity);
        if let Err(error) = &started {
            tracing::warn!("cannot start iapeer-drain for {identity}: {error}; the next tick delivers");
        }
        started.is_ok()
    }

    /// [`World::kick`] where a message waits.
    pub(crate) fn kick_if_waiting(&self, identity: &Identity) {
        if self.queue(identity).has_waiting().unwrap_or(true) {
            self.kick(identity);
        }
    }
}

/// An identity's lock, held. Dropping it, on any path, releases the lock and checks the queue again: a sender that
/// found the lock taken started no drain, and a drain that found it taken has ended.
#[must_use]
pub struct Held<'w> {
    lock: Option<FileLock>,
    world: &'w World<'w>,
    identity: Identity,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        drop(self.lock.take());
        // After a panic no drain is started here: the next tick starts one, as after a kill.
        if std::thread::panicking() {
            return;
        }
        // Messages for a stopped peer wait for `iapeer start`.
        if !self.world.markers(&self.identity).is_stopped() {
            self.world.kick_if_waiting(&self.identity);
        }
    }
}
