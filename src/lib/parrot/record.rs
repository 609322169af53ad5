//! The record that tests compare with: one JSON line for every submitted message (`PARROT_RECORD`).

use super::error::ParrotError;
use crate::base::clock::EpochMs;
use serde_json::{Map, Value};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// What a submitted text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    Message,
    /// It began with `/`.
    Command,
    /// It began with `!`.
    Shell,
}

impl Taken {
    /// What the submitted `bytes` are, by their first byte.
    pub(crate) fn of(bytes: &[u8]) -> Taken {
        match bytes.first() {
            Some(b'/') => Taken::Command,
            Some(b'!') => Taken::Shell,
            _ => Taken::Message,
        }
    }
}

/// The file; several parrots may share it.
#[derive(Debug)]
pub(crate) struct Record {
    file: File,
    identity: String,
}

impl Record {
    /// Opens `path`. A failure ends the parrot: without its record a test must not seem to pass.
    pub(crate) fn open(path: &Path) -> Result<Record, ParrotError> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)
            .map_err(|source| ParrotError::File { what: "open PARROT_RECORD", path: path.to_owned(), source })?;
        let identity = std::env::var_os("PEER_IDENTITY").unwrap_or_default().to_string_lossy().into_owned();
        Ok(Record { file, identity })
    }

    /// Appends one line with the exact `bytes`, in one write.
    pub(crate) fn append(
        &mut self,
        at: EpochMs,
        session: &str,
        bytes: &[u8],
        taken: Taken,
        idle: bool,
    ) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(&entry(at, session, &self.identity, bytes, taken, idle))?;
        line.push(b'\n');
        self.file.write_all(&line)
    }
}

fn entry(at: EpochMs, session: &str, identity: &str, bytes: &[u8], taken: Taken, idle: bool) -> Map<String, Value> {
    let mut map = Map::new();
    map.insert("at".into(), at.0.into());
    map.insert("session".into(), session.into());
    map.insert("pid".into(), std::process::id().into());
    match std::str::from_utf8(bytes) {
        Ok(text) => map.insert("text".into(), text.into()),
        Err(_) => map.insert("hex".into(), bytes.iter().map(|b| format!("{b:02x}")).collect::<String>().into()),
    };
    map.insert("identity".into(), identity.into());
    map.insert("mode".into(), if idle { "idle" } else { "queued" }.into());
    match taken {
        Taken::Message => None,
        Taken::Command => map.insert("command".into(), true.into()),
        Taken::Shell => map.insert("shell".into(), true.into()),
    };
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_exact_and_what_is_no_text_is_hex() {
        let map = entry(EpochMs(7), "s", "parrot-bob", "a\t\"漢".as_bytes(), Taken::Message, true);
        assert_eq!((&map["at"], &map["text"], &map["mode"]), (&7.into(), &"a\t\"漢".into(), &"idle".into()));
        assert!(!map.contains_key("command") && !map.contains_key("shell"));
        let map = entry(EpochMs(7), "s", "", b"/\xff", Taken::Command, false);
        assert_eq!((&map["hex"], &map["command"], &map["mode"]), (&"2fff".into(), &true.into(), &"queued".into()));
    }
}
