//! One step of putting a fleet file into effect: what is reported of it, and what it does.

use crate::base::HostName;
use crate::base::identity::Personality;
use crate::base::words::words;
use crate::host::git::GitRepository;
use crate::roster::create::Birth;
use crate::store::hosts::HostFile;
use crate::units::schedule::Schedule;
use serde::Serialize;
use std::path::PathBuf;

words! {
    /// What is done.
    pub enum FleetAction {
        /// It is created.
        Create = "create",
        /// It exists, and is changed.
        Change = "change",
        /// It is as the file says, or is not changed by `up`.
        Leave = "leave",
        /// It is renamed.
        Rename = "rename",
        /// It was stopped, and is started.
        Start = "start",
        /// `down` stops it.
        Stop = "stop",
        /// It is removed.
        Remove = "remove",
        /// It stays, though it is no longer in the file; for `down`: another fleet manages it.
        Keep = "keep",
    }
}

words! {
    /// What a step is about.
    pub enum FleetKind {
        /// A peer.
        Peer = "peer",
        /// A worktree of a git repository.
        Worktree = "worktree",
        /// A schedule.
        Schedule = "schedule",
        /// Another host.
        Host = "host",
        /// The owner of the host.
        Owner = "owner",
    }
}

/// A value that differs between the host and the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldChange {
    /// The key, as the file has it.
    pub field: String,
    /// The host's value; absent where there is none.
    pub from: Option<String>,
    /// The file's value; absent where there is none.
    pub to: Option<String>,
}

impl FieldChange {
    pub(crate) fn new(field: &str, from: Option<String>, to: Option<String>) -> FieldChange {
        FieldChange { field: field.to_owned(), from, to }
    }

    /// `description: "old" → "new"`.
    fn line(&self) -> String {
        let shown = |value: &Option<String>| value.as_deref().map_or("none".to_owned(), short);
        format!("{}: {} → {}", self.field, shown(&self.from), shown(&self.to))
    }
}

/// A value on one line of bounded length.
fn short(value: &str) -> String {
    let one: String = value.split_whitespace().collect::<Vec<_>>().join(" ");
    if one.chars().count() <= 60 {
        return one;
    }
    one.chars().take(59).chain(['…']).collect()
}

/// One step.
#[derive(Debug, Clone, Serialize)]
pub struct FleetStep {
    /// What the step is about.
    pub kind: FleetKind,
    /// What is done.
    pub action: FleetAction,
    /// The name of the peer, schedule, host or owner; of a worktree that of its peer.
    pub name: String,
    /// Values that change.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldChange>,
    /// The other fleet, from which this step takes over the peer or schedule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub takes_from: Option<String>,
    /// Further information for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    #[serde(skip)]
    pub(crate) work: FleetWork,
}

/// What a step does.
#[derive(Debug, Clone)]
pub(crate) enum FleetWork {
    Nothing,
    Rename { old: Personality, new: Personality, repository: Option<GitRepository> },
    Worktree { repository: GitRepository, path: PathBuf, branch: String, base: Option<String>, discard: bool },
    Shape { name: Personality, cwd: PathBuf, birth: Box<Birth> },
    Start(Personality),
    Own(Personality),
    Host(HostName, Box<HostFile>),
    Schedule(Box<Schedule>, String),
    Unschedule(Personality),
    Prune { name: Personality, worktree: Option<(GitRepository, PathBuf)> },
}

impl FleetStep {
    pub(crate) fn new(kind: FleetKind, action: FleetAction, name: impl ToString, work: FleetWork) -> FleetStep {
        FleetStep { kind, action, name: name.to_string(), fields: Vec::new(), takes_from: None, note: None, work }
    }

    pub(crate) fn with(self, fields: Vec<FieldChange>) -> FleetStep {
        FleetStep { fields, ..self }
    }

    /// The same step, noted as a takeover from the fleet `other`, unless that is `own`.
    pub(crate) fn taking(self, other: Option<&str>, own: &str) -> FleetStep {
        let other = other.filter(|other| *other != own).map(str::to_owned);
        FleetStep { takes_from: other, ..self }
    }

    pub(crate) fn noted(self, note: impl Into<String>) -> FleetStep {
        FleetStep { note: Some(note.into()), ..self }
    }

    /// Whether the step changes the host.
    pub fn changes(&self) -> bool {
        !matches!(self.action, FleetAction::Leave | FleetAction::Keep)
    }

    /// The lines for people.
    pub fn line(&self) -> String {
        let what = if self.kind == FleetKind::Peer { String::new() } else { format!("{} ", self.kind) };
        let mut line = format!("  {:<7} {what}{}", self.action.as_str(), self.name);
        let taken = self.takes_from.as_ref().map(|other| format!("taken over from the fleet {other}"));
        let notes: Vec<String> = taken.into_iter().chain(self.note.clone()).collect();
        if !notes.is_empty() {
            line.push_str(&format!("  ({})", notes.join("; ")));
        }
        self.fields.iter().for_each(|field| line.push_str(&format!("\n            {}", field.line())));
        line
    }
}
