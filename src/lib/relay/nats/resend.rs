//! What is to be published again: everything that was handed over to a host and has no receipt yet, where the stream was made
//! anew since, or where a relay has found that its consumer passes messages over.

use crate::base::HostName;
use crate::base::clock::EpochMs;
use crate::base::exit::Failure;
use crate::store::hosts;
use crate::store::queue::Place;
use crate::world::World;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// How far the server's clock may differ from this host's.
const CLOCKS_DIFFER: Duration = Duration::from_secs(3600);

/// The hosts whose messages are to be published again.
pub(crate) struct Resend {
    hosts: RefCell<BTreeSet<HostName>>,
    /// When the stream was made that the last connection of this program found.
    stream: Cell<Option<EpochMs>>,
    changed: Arc<Notify>,
}

impl Resend {
    /// Of no host yet. `changed` is notified of each that is added.
    pub(crate) fn new(changed: Arc<Notify>) -> Resend {
        Resend { hosts: RefCell::default(), stream: Cell::default(), changed }
    }

    /// Adds `host`.
    pub(crate) fn want(&self, host: HostName) {
        self.hosts.borrow_mut().insert(host);
        self.changed.notify_one();
    }

    /// A host whose messages are not published again yet.
    pub(crate) fn next(&self) -> Option<HostName> {
        self.hosts.borrow().first().cloned()
    }

    /// Removes `host`: its messages are published again.
    pub(crate) fn done(&self, host: &HostName) {
        self.hosts.borrow_mut().remove(host);
    }

    /// Adds the hosts to which messages were handed over by an earlier stream than the one that was made at `made`, as
    /// where the server has lost its disk: what was in that stream is lost, the receipts in it too.
    pub(crate) fn found_stream(&self, world: &World<'_>, made: EpochMs) -> Result<(), Failure> {
        let before = self.stream.replace(Some(made));
        if before == Some(made) {
            return Ok(());
        }
        for host in hosts::on_nats(world.paths)? {
            let queue = world.outbox(&host).queue;
            // The items are in the order of acceptance.
            let oldest = queue.list(Place::Inflight)?.first().and_then(|seq| queue.peek(Place::Inflight, *seq));
            if oldest.is_some_and(|item| before.is_some() || item.accepted < made.plus(CLOCKS_DIFFER)) {
                self.want(host);
            }
        }
        Ok(())
    }
}
