//! The words of a wake: how a session starts, why, and which marks the wake consumes. `session::rule` decides; the
//! session record keeps the decision, so that a program that continues an interrupted boot does not decide again.

use crate::base::identity::Runtime;
use crate::base::state_file::Marker;
use crate::base::words::words;
use serde::{Deserialize, Serialize};

words! {
    /// How a session starts.
    pub enum Mode {
        /// With an empty conversation.
        Fresh = "fresh",
        /// With the last conversation.
        Resume = "resume",
    }
}

words! {
    /// Why a session starts as it does: the `cause` of the log, of the session record and of reports (spec 06.2).
    pub enum WakeCause {
        /// A fresh session was asked for.
        FolderLaunch = "folder-launch",
        /// The last conversation was asked for.
        Attach = "attach",
        /// `.refresh` was set.
        SoftReload = "soft-reload",
        /// The profile makes it a stateless worker.
        EphemeralPolicy = "ephemeral-policy",
        /// Not parked, and there is a transcript: the last session crashed or ended itself.
        CrashOrSelfClose = "crash-or-self-close",
        /// Not parked, and there is no transcript.
        FirstWake = "first-wake",
        /// Parked, and the peer speaks for a person.
        IdleReapedHuman = "idle-reaped-human",
        /// Parked, the peer speaks for a person, and there is nothing to resume.
        IdleReapedHumanNoResume = "idle-reaped-human-no-resume",
        /// Parked, and the profile forbids resuming.
        IdleReapedNever = "idle-reaped-never",
        /// Parked, and resumed.
        IdleReapedResume = "idle-reaped-resume",
        /// Parked, with nothing to resume.
        IdleReapedNoResume = "idle-reaped-no-resume",
        /// Parked, the profile resumes for known topics only, and the message has none.
        IdleReapedNoTopic = "idle-reaped-no-topic",
        /// Parked, and the message's topic is none of the last session's.
        IdleReapedNewTopic = "idle-reaped-new-topic",
        /// Parked for longer than a message without a topic may resume.
        IdleReapedStale = "idle-reaped-stale",
        /// A session that lived without a record was enrolled.
        Enrolled = "enrolled",
        /// A boot was completed whose launcher had died.
        LauncherDied = "launcher-died",
    }
}

/// What a profile says about resuming for a message without a topic, or with another topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ResumePolicy {
    /// Resume for a message without a topic; for one with a topic only if the last session knew that topic.
    #[default]
    Default,
    /// Always resume.
    Always,
    /// Resume only for a known topic.
    Topic,
    /// Never resume.
    Never,
}

/// Why there is no conversation to resume.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NothingToResume {
    /// The runtime has no way to resume.
    #[error("runtime {0} can't resume")]
    Runtime(Runtime),
    /// There was no conversation.
    #[error("no transcript to resume")]
    NoTranscript,
}

/// The decision of a wake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// How the session starts.
    pub mode: Mode,
    /// Why.
    pub cause: WakeCause,
    /// The agent's name for the conversation that is resumed.
    #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The markers that this wake consumes, once the session is ready (D2).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub consume: Vec<Marker>,
}

/// How and why the session that the caller asked for was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Woken {
    /// How it started.
    pub mode: Mode,
    /// Why.
    pub cause: WakeCause,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_of_the_log_is_that_of_the_record() {
        for cause in [WakeCause::FirstWake, WakeCause::IdleReapedHumanNoResume, WakeCause::CrashOrSelfClose] {
            assert_eq!(serde_json::to_string(&cause).unwrap(), format!("\"{cause}\""));
        }
    }
}
