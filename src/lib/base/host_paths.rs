//! Where below the root is what concerns other hosts.

use crate::base::address::HostName;
use crate::base::message_id::MessageId;
use crate::base::paths::Paths;
use std::path::PathBuf;

impl Paths {
    /// `<root>/hostname`: this host's name among its friends.
    pub fn hostname(&self) -> PathBuf {
        self.root().join("hostname")
    }

    /// `<root>/hosts`: how other hosts are reached.
    pub(crate) fn hosts_dir(&self) -> PathBuf {
        self.root().join("hosts")
    }

    /// `<root>/hosts/<host>.json`.
    pub(crate) fn host_file(&self, host: &HostName) -> PathBuf {
        self.hosts_dir().join(format!("{host}.json"))
    }

    /// `<root>/state/outbox`: what waits for other hosts.
    pub(crate) fn outbox_dir(&self) -> PathBuf {
        self.state_root().join("outbox")
    }

    /// `<root>/state/outbox/<host>.<suffix>`.
    pub(crate) fn outbox(&self, host: &HostName, suffix: &str) -> PathBuf {
        self.outbox_dir().join(format!("{host}.{suffix}"))
    }

    /// `<root>/nats.json`: the NATS server that hosts meet at.
    pub fn nats(&self) -> PathBuf {
        self.root().join("nats.json")
    }

    /// The lock of the relay that is always on.
    pub(crate) fn relay_lock(&self) -> PathBuf {
        self.outbox_dir().join("run.lock")
    }

    /// What keeps that relay from its server.
    pub(crate) fn relay_trouble(&self) -> PathBuf {
        self.outbox_dir().join("run.away")
    }

    /// The file that is replaced where something was accepted for a host on NATS: what that relay watches.
    pub(crate) fn relay_kick(&self) -> PathBuf {
        self.outbox_dir().join("kick")
    }

    /// `<root>/history/@<host>.jsonl`: what became of each message to that host. No identity has such a name.
    pub(crate) fn outbox_history(&self, host: &HostName) -> PathBuf {
        self.history_dir().join(format!("@{host}.jsonl"))
    }

    /// `<root>/cache/iapeer/attachments`: files that came with messages from other hosts.
    pub(crate) fn attachments_dir(&self) -> PathBuf {
        self.root().join("cache/iapeer/attachments")
    }

    /// `<root>/cache/iapeer/attachments/<id>`.
    pub fn attachments(&self, id: MessageId) -> PathBuf {
        self.attachments_dir().join(id.to_string())
    }
}
