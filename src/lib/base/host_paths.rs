//! The paths below the root that concern other hosts.

use crate::base::address::HostName;
use crate::base::message_id::MessageId;
use crate::base::paths::{Paths, SOCKET_PATH_MAX};
use std::path::PathBuf;

impl Paths {
    /// `<root>/hostname`: the name by which other hosts know this host.
    pub fn hostname(&self) -> PathBuf {
        self.root().join("hostname")
    }

    /// `<root>/hosts`: how other hosts are reached.
    pub(crate) fn hosts_dir(&self) -> PathBuf {
        self.root().join("hosts")
    }

    /// `<root>/hosts/<host>.json`.
    pub fn host_file(&self, host: &HostName) -> PathBuf {
        self.hosts_dir().join(format!("{host}.json"))
    }

    /// `<root>/hosts/<host>.removed`: the file of a host that is being removed. The file is removed when every message
    /// for that host is settled.
    pub(crate) fn host_removed(&self, host: &HostName) -> PathBuf {
        self.hosts_dir().join(format!("{host}.removed"))
    }

    /// `<root>/state/outbox`: the messages that wait for other hosts.
    pub(crate) fn outbox_dir(&self) -> PathBuf {
        self.state_root().join("outbox")
    }

    /// `<root>/state/outbox/<host>.<suffix>`.
    pub(crate) fn outbox(&self, host: &HostName, suffix: &str) -> PathBuf {
        self.outbox_dir().join(format!("{host}.{suffix}"))
    }

    /// `<root>/nats.json`: the NATS server by which hosts exchange messages.
    pub fn nats(&self) -> PathBuf {
        self.root().join("nats.json")
    }

    /// The lock of the relay that is always on.
    pub(crate) fn relay_lock(&self) -> PathBuf {
        self.outbox_dir().join("run.lock")
    }

    /// Why the relay that is always on can't reach its NATS server.
    pub(crate) fn relay_trouble(&self) -> PathBuf {
        self.outbox_dir().join("run.away")
    }

    /// When the stream was made that the relay that is always on found last.
    pub(crate) fn relay_stream(&self) -> PathBuf {
        self.outbox_dir().join("run.stream")
    }

    /// The file that is replaced when a message for a host on NATS is accepted; the relay that is always on watches it.
    pub(crate) fn relay_kick(&self) -> PathBuf {
        self.outbox_dir().join("kick")
    }

    /// `<root>/history/@<host>.jsonl`: what became of each message to that host. No identity begins with `@`.
    pub(crate) fn outbox_history(&self, host: &HostName) -> PathBuf {
        self.history_dir().join(format!("@{host}.jsonl"))
    }

    /// The socket of a connection that ssh keeps open (ControlPath), beside the sessions' sockets. ssh replaces `%C` by
    /// 40 hexadecimal digits, and binds the socket under a name that is longer by a dot and 16 characters. The error
    /// says that the path is too long for this, and what to do.
    pub(crate) fn kept_connection(&self) -> Result<PathBuf, String> {
        let path = self.socket_dir().join("ssh-%C");
        let len = path.as_os_str().len() - "%C".len() + 40 + 17;
        if len <= SOCKET_PATH_MAX {
            return Ok(path);
        }
        Err(format!(
            "ssh can keep no connection: a socket in {} has {len} bytes, over the {SOCKET_PATH_MAX} that a socket address holds: set IAPEER_SOCK_DIR to a shorter folder",
            self.socket_dir().display()
        ))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_connection_has_a_socket_that_ssh_can_bind() {
        let paths = |dir: String| Paths::read(|name| (name == "IAPEER_ROOT").then(|| dir.clone().into())).unwrap();
        let path = paths("/home/me/.iapeer".into()).kept_connection().unwrap();
        assert_eq!(path, PathBuf::from("/home/me/.iapeer/socks/ssh-%C"));
        // The longest root that fits, and one byte more: `/socks/ssh-` and what ssh adds follow the root.
        let longest = SOCKET_PATH_MAX - "/socks/ssh-".len() - 57;
        assert!(paths(format!("/{}", "x".repeat(longest - 1))).kept_connection().is_ok());
        let why = paths(format!("/{}", "x".repeat(longest))).kept_connection().unwrap_err();
        assert!(why.contains("IAPEER_SOCK_DIR"), "{why}");
    }
}
