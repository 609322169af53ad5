//! The small state files of one identity: markers, the newest deaths, topics, the intent of a deliberate end, the last
//! turn event.

use crate::base::clock::EpochMs;
use crate::base::identity::{Identity, Topic};
use crate::base::message_id::MessageId;
use crate::base::paths::Paths;
use crate::base::state_file::{Marker, StateFile};
use crate::host::ProcessId;
use crate::store::due::Due;
use crate::store::durable::{self, StoreError};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How many of the newest deaths, and of the newest topics, are kept.
pub(crate) const RING: usize = 16;

/// The intent of a deliberate end that is under way: which program ends which server, and why. A tick that finds an
/// intent completes the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// The server that is being ended.
    pub server: Option<ProcessId>,
    /// The first process of its pane, which may outlive the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pane: Option<ProcessId>,
    /// The name of the program that ends the session.
    pub by: String,
    /// Why.
    pub why: String,
    /// Whether the conversation may be resumed afterwards.
    pub park: bool,
    /// What follows once the session has ended.
    #[serde(default, skip_serializing_if = "AfterEnd::is_nothing")]
    pub then: AfterEnd,
    /// Whether the end is that of a failed launch, which counts as a death at the time `at`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub death: bool,
    /// When the end began.
    pub at: EpochMs,
}

/// What follows a deliberate end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AfterEnd {
    /// Nothing: the peer sleeps until something wakes it.
    #[default]
    Nothing,
    /// The next tick starts a fresh session.
    RelaunchFresh,
}

impl AfterEnd {
    fn is_nothing(&self) -> bool {
        *self == AfterEnd::Nothing
    }
}

/// The state of an agent's turn, as its hooks report it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TurnState {
    /// The session has started and waits for its first input.
    Start,
    /// The session has taken a prompt and works.
    Busy,
    /// The turn is over.
    Idle,
    /// The session has ended.
    End,
}

/// The last turn event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// The state of the turn.
    pub state: TurnState,
    /// Whether the turn is over and ended in an error.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
    /// When the event was reported.
    pub at: EpochMs,
    /// The message that the last prompt carried, where it carried one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<MessageId>,
    /// The newest messages this session took, oldest first, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taken: Vec<MessageId>,
    /// The newest messages that this session put into a queue of its own, at most 16: whether a turn took them, only
    /// the transcript says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub queued: Vec<MessageId>,
    /// The launch that the event belongs to: a late event of an old session must not count for the next session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launch: Option<String>,
    /// The agent's own name of the conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The transcript the hook named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transcript: Option<PathBuf>,
    /// The transcript's size in bytes when the session took the prompt: the record that ends this turn comes after it,
    /// whatever the clock says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<u64>,
}

/// The state files of one identity.
#[derive(Debug, Clone, Copy)]
pub struct Markers<'a> {
    paths: &'a Paths,
    identity: &'a Identity,
}

impl<'a> Markers<'a> {
    /// The state files of `identity`.
    pub fn of(paths: &'a Paths, identity: &'a Identity) -> Self {
        Markers { paths, identity }
    }

    fn path(&self, file: impl Into<StateFile>) -> PathBuf {
        self.paths.state(self.identity, file.into())
    }

    /// Whether `marker` is set; an error where that can't be determined. `.fresh-next`, the earlier name of `.refresh`,
    /// counts as `.refresh`.
    pub fn has(&self, marker: Marker) -> Result<bool, StoreError> {
        Ok(durable::exists(&self.path(marker))?
            || marker == Marker::Refresh && durable::exists(&self.path(StateFile::FreshNext))?)
    }

    /// Whether the peer must neither be started nor given messages: it is stopped, or whether it is stopped can't be
    /// determined. No session is ended because of this answer; [`Markers::has`] gives a certain one.
    pub(crate) fn is_stopped(&self) -> bool {
        self.has(Marker::Stopped).unwrap_or_else(|error| {
            tracing::warn!("{}: {error}: it counts as stopped", self.identity);
            true
        })
    }

    /// Sets `marker`.
    pub fn set(&self, marker: Marker, now: EpochMs) -> Result<(), StoreError> {
        if marker == Marker::NewEager {
            Due::of(self.paths).mark(self.identity)?;
        }
        let path = self.path(marker);
        match durable::write_atomic(&path, format!("{}\n", now.utc()).as_bytes()) {
            // The existence of a marker is its meaning: where the disk has no room for its content, the file's
            // modification time says when it was set.
            Err(error) if error.is_full() => durable::write_atomic(&path, b"").map_err(|_| error),
            written => written,
        }
    }

    /// Clears `marker`. Returns whether it was set.
    pub fn clear(&self, marker: Marker) -> Result<bool, StoreError> {
        let legacy = marker == Marker::Refresh && durable::remove(&self.path(StateFile::FreshNext))?;
        Ok(durable::remove(&self.path(marker))? || legacy)
    }

    /// When `marker` was set: its content, else the file's modification time. `None`: it is not set; an error where
    /// that can't be determined.
    pub fn set_at(&self, marker: Marker) -> Result<Option<EpochMs>, StoreError> {
        let path = self.path(marker);
        let text = match durable::read_optional(&path) {
            Ok(Some(text)) => text,
            Ok(None) => return Ok(None),
            // A marker that is not a regular file is set all the same.
            Err(StoreError::Unfit(_)) => Vec::new(),
            Err(error) => return Err(error),
        };
        let written = String::from_utf8(text).ok().and_then(|text| EpochMs::parse(text.trim()));
        let of_the_file = || std::fs::metadata(&path).and_then(|meta| meta.modified()).ok().map(EpochMs::from);
        Ok(written.or_else(of_the_file))
    }

    /// The newest deaths, oldest first. An unreadable file counts as none.
    pub fn deaths(&self) -> Vec<EpochMs> {
        let raw: Vec<serde_json::Value> = durable::peek_json(&self.path(StateFile::Deaths)).unwrap_or_default();
        raw.iter()
            .filter_map(|v| v.as_f64())
            .filter(|ms| ms.is_finite() && *ms >= 0.0)
            .map(|ms| EpochMs(ms as u64))
            .collect()
    }

    /// Records a death.
    pub(crate) fn add_death(&self, now: EpochMs) -> Result<(), StoreError> {
        let mut deaths = self.deaths();
        deaths.push(now);
        self.write_deaths(&deaths)
    }

    /// Records the death that happened at `at`, unless it is recorded already: for a program that completes what a
    /// crash interrupted.
    pub(crate) fn add_death_once(&self, at: EpochMs) -> Result<(), StoreError> {
        if self.deaths().contains(&at) { Ok(()) } else { self.add_death(at) }
    }

    /// Keeps only the deaths from `since` on, and not those dated later than `until`.
    pub(crate) fn trim_deaths(&self, since: EpochMs, until: EpochMs) -> Result<(), StoreError> {
        let before = self.deaths();
        let kept: Vec<EpochMs> = before.iter().copied().filter(|at| (since..=until).contains(at)).collect();
        if kept.len() == before.len() { Ok(()) } else { self.write_deaths(&kept) }
    }

    fn write_deaths(&self, deaths: &[EpochMs]) -> Result<(), StoreError> {
        let newest = &deaths[deaths.len().saturating_sub(RING)..];
        if newest.is_empty() {
            return durable::remove(&self.path(StateFile::Deaths)).map(drop);
        }
        let list: Vec<String> = newest.iter().map(|at| at.0.to_string()).collect();
        durable::write_atomic(&self.path(StateFile::Deaths), format!("[{}]\n", list.join(",")).as_bytes())
    }

    /// The topics of the current or last session, most recent last.
    pub fn topics(&self) -> Vec<Topic> {
        let bytes = durable::read_optional(&self.path(StateFile::Topics)).ok().flatten().unwrap_or_default();
        String::from_utf8_lossy(&bytes).lines().filter_map(|line| Topic::parse(line).ok().flatten()).collect()
    }

    /// Notes a topic as the most recent one. Returns whether that changed the file.
    pub(crate) fn note_topic(&self, topic: &Topic) -> Result<bool, StoreError> {
        let mut topics = self.topics();
        if topics.last() == Some(topic) {
            return Ok(false);
        }
        topics.retain(|known| known != topic);
        topics.push(topic.clone());
        let newest = &topics[topics.len().saturating_sub(RING)..];
        let text: String = newest.iter().map(|topic| format!("{topic}\n")).collect();
        durable::write_atomic(&self.path(StateFile::Topics), text.as_bytes()).map(|()| true)
    }

    /// Forgets the topics. Returns whether there were any.
    pub(crate) fn clear_topics(&self) -> Result<bool, StoreError> {
        durable::remove(&self.path(StateFile::Topics))
    }

    /// The deliberate end under way, if any.
    pub fn intent(&self) -> Result<Option<Intent>, StoreError> {
        durable::read_json(&self.path(StateFile::Teardown))
    }

    /// Announces a deliberate end, before anything is ended.
    pub(crate) fn write_intent(&self, intent: &Intent) -> Result<(), StoreError> {
        Due::of(self.paths).mark(self.identity)?;
        durable::write_atomic(&self.path(StateFile::Teardown), &json_line(intent))
    }

    /// Drops the intent, since the end is complete. It is kept as `.ended`: a canary that finds the server gone a
    /// moment later must learn that the end was deliberate.
    pub(crate) fn clear_intent(&self) -> Result<bool, StoreError> {
        durable::move_file(&self.path(StateFile::Teardown), &self.path(StateFile::Ended))
    }

    /// The launch whose program has fetched our MCP tool, or for which nobody waits any more, and since when.
    pub(crate) fn tool_listed(&self) -> Option<(String, EpochMs)> {
        let path = self.path(StateFile::Tool);
        let bytes = durable::read_optional(&path).ok()??;
        let at = std::fs::metadata(&path).and_then(|meta| meta.modified()).ok()?;
        Some((String::from_utf8_lossy(&bytes).trim().to_owned(), at.into()))
    }

    /// Notes that the program of `launch` has fetched our MCP tool, or that no prompt is held back for the tool any
    /// more.
    pub(crate) fn note_tool_listed(&self, launch: &str) -> Result<(), StoreError> {
        durable::write_volatile(&self.path(StateFile::Tool), format!("{launch}\n").as_bytes())
    }

    /// The last turn event. An unreadable file counts as none.
    pub fn turn(&self) -> Option<Turn> {
        durable::peek_json(&self.path(StateFile::Turn))
    }

    /// The last turn event, if it is of this launch: an event of an earlier session says nothing about this session.
    pub(crate) fn turn_of(&self, launch: Option<&str>) -> Option<Turn> {
        self.turn().filter(|turn| turn.launch.as_deref() == launch)
    }

    /// Writes the turn event, without syncing it: a power cut that loses the event ends the session too.
    pub(crate) fn write_turn(&self, turn: &Turn) -> Result<(), StoreError> {
        durable::write_volatile(&self.path(StateFile::Turn), &json_line(turn))
    }

    /// Forgets the turn event. Returns whether there was one.
    pub(crate) fn clear_turn(&self) -> Result<bool, StoreError> {
        durable::remove(&self.path(StateFile::Turn))
    }
}

fn json_line(value: &impl Serialize) -> Vec<u8> {
    // Serializing these types can't fail; if it did, the empty line would later count as an unreadable file.
    let mut line = serde_json::to_vec(value).unwrap_or_default();
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(test: impl FnOnce(Markers<'_>, &Paths)) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("r");
        let paths = Paths::read(|name| (name == "IAPEER_ROOT").then(|| root.clone())).unwrap();
        paths.ensure().unwrap();
        let identity: Identity = "parrot-bob".parse().unwrap();
        test(Markers::of(&paths, &identity), &paths);
    }

    #[test]
    fn a_marker_is_its_existence_and_knows_its_time() {
        with(|m, _| {
            let now = EpochMs(1_700_000_000_123);
            assert!(!m.has(Marker::Stopped).unwrap());
            m.set(Marker::Stopped, now).unwrap();
            assert!(m.has(Marker::Stopped).unwrap());
            assert_eq!(m.set_at(Marker::Stopped).unwrap(), Some(now));
            assert!(m.clear(Marker::Stopped).unwrap());
            assert!(!m.clear(Marker::Stopped).unwrap());
        });
    }

    #[test]
    fn the_earlier_name_of_refresh_is_read_and_cleared() {
        with(|m, paths| {
            std::fs::write(paths.state_dir().join("parrot-bob.fresh-next"), "").unwrap();
            assert!(m.has(Marker::Refresh).unwrap());
            assert!(m.clear(Marker::Refresh).unwrap());
            assert!(!m.has(Marker::Refresh).unwrap());
        });
    }

    #[test]
    fn what_can_not_be_told_is_an_error_and_counts_as_stopped() {
        with(|m, paths| {
            // A file in the folder's place: no permissions keep root from reading a folder.
            std::fs::remove_dir_all(paths.state_dir()).unwrap();
            std::fs::write(paths.state_dir(), "").unwrap();
            for marker in [Marker::Stopped, Marker::Refresh, Marker::NewEager] {
                assert!(m.has(marker).is_err(), "{marker:?}");
            }
            assert!(m.is_stopped());
        });
    }

    #[test]
    fn the_death_ring_keeps_sixteen_and_survives_garbage() {
        with(|m, paths| {
            for n in 0..20 {
                m.add_death(EpochMs(n)).unwrap();
            }
            assert_eq!(m.deaths().len(), RING);
            assert_eq!(m.deaths()[0], EpochMs(4));
            m.trim_deaths(EpochMs(18), EpochMs(u64::MAX)).unwrap();
            assert_eq!(m.deaths(), [EpochMs(18), EpochMs(19)]);
            m.trim_deaths(EpochMs(99), EpochMs(u64::MAX)).unwrap();
            assert!(!paths.state_dir().join("parrot-bob.deaths").exists());
            std::fs::write(paths.state_dir().join("parrot-bob.deaths"), "[1,\"x\",null,2.5,-1]").unwrap();
            assert_eq!(m.deaths(), [EpochMs(1), EpochMs(2)]);
        });
    }

    #[test]
    fn topics_are_a_set_of_sixteen_most_recent_last() {
        with(|m, _| {
            let topic = |n: usize| Topic::parse(&format!("t{n}")).unwrap().unwrap();
            for n in 0..18 {
                assert!(m.note_topic(&topic(n)).unwrap());
            }
            assert!(!m.note_topic(&topic(17)).unwrap());
            assert!(m.note_topic(&topic(5)).unwrap());
            let topics = m.topics();
            assert_eq!((topics.len(), topics.last()), (RING, Some(&topic(5))));
            assert!(!topics.contains(&topic(1)));
        });
    }
}
