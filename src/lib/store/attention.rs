//! `<identity>.attention`: what a peer waits for, and since when. The file exists while a person should know of the
//! state, and is removed when the state is over.
//!
//! Hooks write the file while a drain may hold the identity's lock, so changes have a lock of their own, which is held
//! only during the change.

use crate::base::clock::{Clock, EpochMs};
use crate::base::identity::Identity;
use crate::base::message_id::MessageId;
use crate::base::paths::Paths;
use crate::base::{AttentionState, Sign, StateFile};
use crate::host::ProcessId;
use crate::store::due::Due;
use crate::store::durable::{self, StoreError};
use crate::store::lock::{FileLock, LockError};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long one change waits for another one, which takes milliseconds.
const WAIT: Duration = Duration::from_secs(5);

/// What a peer waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attention {
    /// The state.
    pub state: AttentionState,
    /// When the state began.
    pub since: EpochMs,
    /// The kind of evidence for the state.
    pub evidence: Sign,
    /// The session's launch; absent where there is no session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launch: Option<String>,
    /// The id of the request, where it can be answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The tool that waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// What the state is about, on one line.
    #[serde(default)]
    pub text: String,
    /// When the state ends by itself, where the program says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<EpochMs>,
    /// The answers that `iapeer answer` takes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<String>,
    /// The hook that waits for the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook: Option<ProcessId>,
    /// When iapeer last tried whether the state is over (a limit, a login).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tried: Option<EpochMs>,
    /// The id of the message that tells the owner, noted before the message is sent: a program that finds this id after
    /// a crash completes the notification.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<MessageId>,
    /// When the owner was last told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<EpochMs>,
}

impl Attention {
    /// A state that begins now.
    pub fn new(state: AttentionState, evidence: Sign, text: impl Into<String>, now: EpochMs) -> Attention {
        Attention {
            state,
            since: now,
            evidence,
            launch: None,
            id: None,
            tool: None,
            text: one_line(&text.into()),
            until: None,
            answers: Vec::new(),
            hook: None,
            tried: None,
            notice: None,
            told: None,
        }
    }

    /// Whether `other` is the same occurrence of the state, observed again: the owner is then not told again.
    pub(crate) fn continues(&self, other: &Attention) -> bool {
        self.state == other.state && (self.id.is_none() || other.id.is_none() || self.id == other.id)
    }

    /// This state, with what is known of `earlier` where it is the same occurrence.
    pub fn after(mut self, earlier: Option<&Attention>) -> Attention {
        if let Some(earlier) = earlier.filter(|earlier| self.continues(earlier)) {
            self.since = earlier.since;
            self.notice = earlier.notice;
            self.told = earlier.told;
            self.tried = self.tried.or(earlier.tried);
        }
        self
    }
}

/// `text` on one line, without control characters; after 200 characters it is cut, with `…` at the end.
pub fn one_line(text: &str) -> String {
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).collect();
    let line = words.join(" ");
    match line.char_indices().nth(200) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

/// What `identity` waits for. An unreadable file counts as none.
pub fn peek(paths: &Paths, identity: &Identity) -> Option<Attention> {
    durable::peek_json(&paths.state(identity, StateFile::Attention))
}

/// Changes what `identity` waits for: `change` gets the file's content and returns the new one. Returns both.
pub fn change(
    paths: &Paths,
    identity: &Identity,
    program: &str,
    clock: &dyn Clock,
    change: impl FnOnce(Option<Attention>) -> Option<Attention>,
) -> Result<(Option<Attention>, Option<Attention>), ChangeError> {
    let lock = paths.state(identity, StateFile::AttentionLock);
    let _lock = FileLock::acquire(&lock, program, WAIT, clock)?;
    let path = paths.state(identity, StateFile::Attention);
    let before: Option<Attention> = durable::read_json(&path)?;
    let after = change(before.clone());
    match &after {
        Some(now) if before.as_ref() != Some(now) => {
            // A peer that waits is examined by each tick.
            Due::of(paths).mark(identity)?;
            let mut line = serde_json::to_vec(now).unwrap_or_default();
            line.push(b'\n');
            durable::write_volatile(&path, &line)?;
            // The next full tick finds a peer whose mark is lost too.
            let _ = Due::of(paths).mark(identity);
        }
        None if before.is_some() => drop(durable::remove(&path)?),
        _ => {}
    }
    Ok((before, after))
}

/// A change that was not made.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// A file operation failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another change took too long.
    #[error(transparent)]
    Lock(#[from] LockError),
}

impl From<ChangeError> for crate::base::exit::Failure {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Store(error) => error.into(),
            ChangeError::Lock(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::SystemClock;

    #[test]
    fn an_occurrence_keeps_its_beginning_and_whether_the_owner_was_told() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("r");
        let paths = Paths::read(|name| (name == "IAPEER_ROOT").then(|| root.clone())).unwrap();
        paths.ensure().unwrap();
        let (bob, clock) = ("claude-bob".parse().unwrap(), SystemClock::default());
        let set = |now: Attention| {
            change(&paths, &bob, "t", &clock, |before| Some(now.after(before.as_ref()))).unwrap().1.unwrap()
        };
        let seen = |state, at| Attention::new(state, Sign::Screen, "x", EpochMs(at));
        let first = set(Attention { told: Some(EpochMs(7)), ..seen(AttentionState::Approval, 5) });
        assert_eq!(first, peek(&paths, &bob).unwrap());
        assert_eq!(
            (set(seen(AttentionState::Approval, 9)).since, set(seen(AttentionState::Approval, 9)).told),
            (EpochMs(5), Some(EpochMs(7)))
        );
        let other = set(seen(AttentionState::Question, 11));
        assert_eq!((other.since, other.told), (EpochMs(11), None), "another state is another occurrence");
        let named = |id: &str, at| Attention { id: Some(id.into()), ..seen(AttentionState::Approval, at) };
        set(named("a", 20));
        assert_eq!(set(named("b", 21)).since, EpochMs(21), "and so is another request");
        assert!(change(&paths, &bob, "t", &clock, |_| None).unwrap().1.is_none() && peek(&paths, &bob).is_none());
    }

    #[test]
    fn what_it_is_about_is_one_harmless_line() {
        assert_eq!(one_line("rm -rf\n\t x \u{1b}[31m\u{7}y"), "rm -rf x [31m y");
        assert_eq!(one_line(&"é".repeat(300)).chars().count(), 201);
    }
}
