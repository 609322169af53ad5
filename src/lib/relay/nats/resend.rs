//! Messages that are to be published again, since a host, or this one, has found that its consumer passes messages over.

use crate::base::HostName;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::Notify;

/// The hosts to which everything is to be published again that was handed over and has no receipt yet.
pub(crate) struct Resend {
    hosts: RefCell<BTreeSet<HostName>>,
    changed: Arc<Notify>,
}

impl Resend {
    /// Of no host yet. `changed` is notified of each that is added.
    pub(crate) fn new(changed: Arc<Notify>) -> Resend {
        Resend { hosts: RefCell::default(), changed }
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
}
