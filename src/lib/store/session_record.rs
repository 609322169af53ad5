//! `<identity>.session`: the record of a session that iapeer has launched.

use crate::base::clock::EpochMs;
use crate::base::identity::{Identity, Personality, Runtime};
use crate::base::paths::Paths;
use crate::base::state_file::StateFile;
use crate::base::wake::Decision;
use crate::host::ProcessId;
use crate::host::tmux::PaneId;
use crate::store::due::Due;
use crate::store::durable::{self, StoreError};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The phase of a launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The server answers, the agent has not shown its composer yet.
    Booting,
    /// The composer was seen ready for input.
    #[default]
    Ready,
}

/// The record of one session. JSON, one line; unknown keys are ignored, missing optional ones get a default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRecord {
    /// The identity of the session.
    pub identity: Identity,
    /// Its runtime half.
    pub runtime: Runtime,
    /// Its name half.
    pub personality: Personality,
    /// The working folder it was started in.
    pub cwd: PathBuf,
    /// When it was last woken or found awake.
    #[serde(rename = "wokeAt")]
    pub woke_at: EpochMs,
    /// How far its launch has come.
    #[serde(default)]
    pub phase: Phase,
    /// The tmux server: pid and start time, so that a reused pid is not mistaken for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<ProcessId>,
    /// The first process of its pane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pane: Option<ProcessId>,
    /// tmux's id of that pane, the only address of the agent: it stays the same when somebody renames or moves windows.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub pane_id: Option<PaneId>,
    /// The systemd unit it runs in, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The launch's name, by which hooks of another launch are recognised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launch: Option<String>,
    /// The id of the host's boot in which it was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
    /// How and why it was started; absent where it was enrolled.
    #[serde(flatten)]
    pub decision: Option<Decision>,
    /// When the session was found dead: written before the death is claimed, so that the death is counted once even if
    /// a program crashes in between.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub died_at: Option<EpochMs>,
}

/// An invalid pane id counts as none, so that the rest of the record can be used.
fn lenient<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<PaneId>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.and_then(|text| text.parse().ok()))
}

impl SessionRecord {
    /// Reads the record of `identity`. Missing: `None`. Unreadable: set aside, `None`.
    pub fn read(paths: &Paths, identity: &Identity) -> Result<Option<SessionRecord>, StoreError> {
        Ok(durable::read_json(&paths.state(identity, StateFile::Session))?
            .filter(|record: &SessionRecord| record.identity == *identity))
    }

    /// Reads the record without setting anything aside.
    pub fn peek(paths: &Paths, identity: &Identity) -> Option<SessionRecord> {
        durable::peek_json(&paths.state(identity, StateFile::Session))
            .filter(|record: &SessionRecord| record.identity == *identity)
    }

    /// The launch of the session of `identity`, if it has one.
    pub(crate) fn launch_of(paths: &Paths, identity: &Identity) -> Option<String> {
        SessionRecord::peek(paths, identity).and_then(|record| record.launch)
    }

    /// Writes the record.
    pub fn write(&self, paths: &Paths) -> Result<(), StoreError> {
        let mut line = serde_json::to_vec(self).map_err(|error| StoreError::Corrupt {
            path: paths.state(&self.identity, StateFile::Session),
            why: error.to_string(),
        })?;
        line.push(b'\n');
        Due::of(paths).mark(&self.identity)?;
        durable::write_atomic(&paths.state(&self.identity, StateFile::Session), &line)
    }

    /// Removes the record of `identity`.
    pub fn remove(paths: &Paths, identity: &Identity) -> Result<bool, StoreError> {
        durable::remove(&paths.state(identity, StateFile::Session))
    }

    /// Claims the death of the recorded session: of several programs that see it dead, one gets `true` (D5). A crash
    /// between this and [`SessionRecord::finish_claim`] leaves a claim that the next program that settles the identity
    /// completes.
    pub(crate) fn claim_death(paths: &Paths, identity: &Identity) -> Result<bool, StoreError> {
        durable::move_file(&paths.state(identity, StateFile::Session), &paths.state(identity, StateFile::ClaimedDeath))
    }

    /// The record of a session whose death was claimed and is not fully recorded yet.
    pub fn claimed(paths: &Paths, identity: &Identity) -> Result<Option<SessionRecord>, StoreError> {
        durable::read_json(&paths.state(identity, StateFile::ClaimedDeath))
    }

    /// Drops the claimed record.
    pub(crate) fn finish_claim(paths: &Paths, identity: &Identity) -> Result<bool, StoreError> {
        durable::remove(&paths.state(identity, StateFile::ClaimedDeath))
    }
}
