//! Reads recorded ends back, for `iapeer-canary --report`.

use crate::store::event_log::{self, Log};
use crate::store::open::{self, Rule};
use crate::world::World;
use serde::Serialize;
use std::path::Path;

/// One recorded end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExitLine {
    /// When, UTC with seconds.
    pub ts: String,
    /// `server-exit` or `session-exit`.
    pub event: String,
    /// The identity of the session.
    pub identity: String,
    /// The cause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The evidence for the cause, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// The server's pid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_pid: Option<i32>,
    /// How the canary's client ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_rc: Option<String>,
    /// The exit status of the pane's program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_status: Option<String>,
    /// The signal that ended the pane's program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_signal: Option<String>,
    /// The forensics file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forensics: Option<String>,
}

impl ExitLine {
    fn parse(line: &str) -> Option<ExitLine> {
        let pairs = event_log::parse(line);
        let value = |key: &str| {
            pairs.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
        };
        let forensics = value("forensics");
        Some(ExitLine {
            ts: value("ts")?,
            event: value("ev")?,
            identity: value("identity")?,
            cause: value("cause"),
            evidence: forensics.as_deref().and_then(evidence),
            server_pid: value("server_pid").and_then(|pid| pid.parse().ok()),
            wait_rc: value("wait_rc"),
            dead_status: value("dead_status"),
            dead_signal: value("dead_signal"),
            forensics,
        })
    }

    /// The line for people.
    pub fn text(&self) -> String {
        let mut text = format!("{}  {}  {}", self.ts, self.identity, self.event);
        for (name, value) in [
            ("cause", &self.cause),
            ("status", &self.dead_status),
            ("signal", &self.dead_signal),
            ("evidence", &self.evidence),
            ("forensics", &self.forensics),
        ] {
            if let Some(value) = value {
                text.push_str(&format!("  {name}:{value}"));
            }
        }
        crate::base::exit::one_line(&text)
    }
}

/// The evidence line of a forensics file.
fn evidence(path: &str) -> Option<String> {
    let text = open::read(Path::new(path), Rule::LOG).ok()??;
    let text = String::from_utf8_lossy(&text);
    let (_, rest) = text.split_once("\n--- evidence\n")?;
    rest.lines().next().map(str::to_owned)
}

/// The newest `last` recorded ends, newest first, from the log and its rotated files.
pub fn newest(world: &World<'_>, last: usize) -> Vec<ExitLine> {
    let base = world.paths.event_log(Log::Exits.file_name());
    let rotated = (1..=world.settings.lifecycle_log_keep).map(|n| {
        let mut name = base.clone().into_os_string();
        name.push(format!(".{n}"));
        name.into()
    });
    let mut found = Vec::new();
    for path in std::iter::once(base.clone()).chain(rotated) {
        if found.len() >= last {
            break;
        }
        let text = open::read(&path, Rule::LOG)
            .ok()
            .flatten()
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default();
        found.extend(text.lines().rev().filter_map(ExitLine::parse).take(last - found.len()));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_both_kinds_are_read_and_garbage_is_passed_over() {
        let server = ExitLine::parse(
            "ts=2026-11-21T05:46:07Z ev=server-exit identity=claude-bob server_pid=12 wait_rc=0 cause=oom-kill forensics=/nowhere",
        )
        .unwrap();
        assert_eq!((server.cause.as_deref(), server.server_pid), (Some("oom-kill"), Some(12)));
        let session = ExitLine::parse(
            "ts=2026-11-21T05:46:07Z ev=session-exit identity=claude-bob dead_status=3 dead_signal=\"\"",
        )
        .unwrap();
        assert_eq!((session.dead_status.as_deref(), session.dead_signal), (Some("3"), None));
        assert_eq!(ExitLine::parse("garbage"), None);
    }
}
