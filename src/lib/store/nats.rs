//! `<root>/nats.json`: the NATS server by which hosts exchange messages, and this host's credentials. Mode 0600, since
//! it may hold secrets.

use crate::base::exit::{Exit, Failure};
use crate::base::paths::Paths;
use crate::store::durable;
use serde::{Deserialize, Serialize};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The server, and this host's credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NatsFile {
    /// One server or more, separated by commas: `tls://nats.example:4222`.
    pub url: String,
    /// A credentials file (JWT and seed), as `nsc generate creds` writes it.
    #[serde(default)]
    pub creds: Option<PathBuf>,
    /// A user and a password, where there is no credentials file.
    #[serde(default)]
    pub user: Option<String>,
    /// The password.
    #[serde(default)]
    pub password: Option<String>,
    /// A token, where the server wants nothing else.
    #[serde(default)]
    pub token: Option<String>,
    /// A file with the seed of a user's nkey (`SU…`).
    #[serde(default)]
    pub nkey: Option<PathBuf>,
    /// The certificate authority of the server, where the system does not know it.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// The name of the JetStream stream.
    #[serde(default = "stream")]
    pub stream: String,
    /// On how many servers of a cluster the stream is kept.
    #[serde(default = "one")]
    pub replicas: usize,
    /// The largest size of the stream in bytes. While the stream is full, messages wait at their senders' hosts.
    #[serde(default = "gibibyte")]
    pub max_bytes: i64,
}

fn stream() -> String {
    "IAPEER".to_owned()
}

fn one() -> usize {
    1
}

fn gibibyte() -> i64 {
    1 << 30
}

impl NatsFile {
    /// Reads the file. `None`: there is none.
    pub fn read(paths: &Paths) -> Result<Option<NatsFile>, Failure> {
        let path = paths.nats();
        let Some(bytes) = durable::read_optional(&path)? else { return Ok(None) };
        check_private(&path)?;
        let bad = |why: &dyn std::fmt::Display| Failure::new(Exit::Config, format!("{}: {why}", path.display()));
        let file: NatsFile = serde_json::from_slice(&bytes).map_err(|error| bad(&error))?;
        let named = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if file.stream.is_empty() || !file.stream.chars().all(named) {
            return Err(bad(&"the stream's name is letters, digits, - and _"));
        }
        Ok(Some(file))
    }

    /// Refuses a file of secrets that others may read.
    pub(crate) fn check_secrets(&self) -> Result<(), Failure> {
        self.creds.iter().chain(&self.nkey).try_for_each(|path| check_private(path))
    }

    /// [`NatsFile::read`] where the file must exist.
    pub(crate) fn needed(paths: &Paths) -> Result<NatsFile, Failure> {
        let missing = || {
            let why = format!("there is no {}: docs/hosts.md shows one", paths.nats().display());
            Failure::new(Exit::Config, why)
        };
        NatsFile::read(paths)?.ok_or_else(missing)
    }
}

/// Refuses (77) a file that others may read.
fn check_private(path: &Path) -> Result<(), Failure> {
    let meta = std::fs::metadata(path).map_err(|error| Failure::io("look at", path, &error))?;
    if meta.mode() & 0o077 == 0 {
        return Ok(());
    }
    let why = format!("{} may be read by others (mode {:04o}): chmod 600 it", path.display(), meta.mode() & 0o7777);
    Err(Failure::new(Exit::NoPerm, why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_file_is_read_with_its_defaults_and_kept_from_others() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::read(|name| (name == "IAPEER_ROOT").then(|| dir.path().join("root"))).unwrap();
        paths.ensure().unwrap();
        assert_eq!(NatsFile::read(&paths).unwrap(), None);
        assert_eq!(NatsFile::needed(&paths).unwrap_err().exit, Exit::Config);
        let write = |text: &str, mode| {
            std::fs::write(paths.nats(), text).unwrap();
            std::fs::set_permissions(paths.nats(), std::fs::Permissions::from_mode(mode)).unwrap();
            NatsFile::read(&paths)
        };
        let file = write(r#"{"url":"nats://x"}"#, 0o600).unwrap().unwrap();
        assert_eq!((file.stream.as_str(), file.replicas, file.creds), ("IAPEER", 1, None));
        assert_eq!(write(r#"{"url":"nats://x"}"#, 0o644).unwrap_err().exit, Exit::NoPerm);
        for bad in ["", "{}", r#"{"url":"x","stream":"a.b"}"#, r#"{"url":"x","crd":"y"}"#] {
            assert_eq!(write(bad, 0o600).unwrap_err().exit, Exit::Config, "{bad}");
        }
    }
}
