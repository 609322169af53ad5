//! The state files of one identity: which there are, and what each is named.

use std::fmt;

/// A marker: its existence is the fact; its content (an ISO time) is for people and for computing its age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Marker {
    /// The operator stopped the peer: it accepts nothing and is not woken.
    Stopped,
    /// The session was put to sleep deliberately: it may be resumed.
    IdleReaped,
    /// The session asked to be replaced by a fresh one at once.
    NewEager,
    /// The next wake must be fresh, so that the session reads new prompts.
    Refresh,
    /// The worker has answered its task.
    EphemeralArmed,
}

/// A state file `<root>/state/lifecycle/<identity>.<suffix>`. What each holds: `docs/state-files.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StateFile {
    /// The record of the session that was launched.
    Session,
    /// The record of a session whose death is being recorded.
    ClaimedDeath,
    /// A marker.
    Marker(Marker),
    /// The name that the earlier system used for [`Marker::Refresh`].
    FreshNext,
    /// The ring of deaths that the crash-loop guard counts.
    Deaths,
    /// The topics of the current or last session.
    Topics,
    /// The deliberate end under way.
    Teardown,
    /// The deliberate end that was completed last.
    Ended,
    /// The last event of the agent's turn.
    Turn,
    /// What the peer waits for, and since when.
    Attention,
    /// The lock of whoever changes [`StateFile::Attention`].
    AttentionLock,
    /// The lock of whoever tells the owner.
    TellLock,
    /// The folder of the approvals that are asked for, and of their answers.
    Approval,
    /// The signs of life that were observed when the session's screen was last read.
    Looked,
    /// The id of the launch whose program has listed our MCP tool.
    Tool,
    /// The end that was recorded last, with its cause.
    LastDeath,
    /// A person's draft that had to make way for a message, until it is put back.
    Draft,
    /// By which way messages go into the session, and why not by a better one.
    Channel,
    /// The tmux command that ended the server, as tmux's hook wrote it down.
    KilledBy,
    /// The folder of the message queue.
    Queue,
    /// The lock of every program that starts or ends the session, or hands messages to it.
    Lock,
    /// The lock of the canary that watches the session's server.
    CanaryLock,
    /// The lock of the one drain that watches an answered worker, or messages in the program's own queue.
    WatchLock,
    /// The lock of whoever records a death.
    DeathLock,
}

impl StateFile {
    /// The part of the file's name behind `<identity>.`.
    pub fn suffix(self) -> &'static str {
        match self {
            StateFile::Session => "session",
            StateFile::ClaimedDeath => "session.reaping",
            StateFile::Marker(Marker::Stopped) => "stopped",
            StateFile::Marker(Marker::IdleReaped) => "idle-reaped",
            StateFile::Marker(Marker::NewEager) => "new-eager",
            StateFile::Marker(Marker::Refresh) => "refresh",
            StateFile::Marker(Marker::EphemeralArmed) => "ephemeral-armed",
            StateFile::FreshNext => "fresh-next",
            StateFile::Deaths => "deaths",
            StateFile::Topics => "topic",
            StateFile::Teardown => "teardown",
            StateFile::Ended => "ended",
            StateFile::Turn => "turn",
            StateFile::Attention => "attention",
            StateFile::AttentionLock => "attention.lock",
            StateFile::TellLock => "tell.lock",
            StateFile::Approval => "approval",
            StateFile::Looked => "looked",
            StateFile::Tool => "tool",
            StateFile::LastDeath => "last-death",
            StateFile::Draft => "draft",
            StateFile::Channel => "channel",
            StateFile::KilledBy => "killed-by",
            StateFile::Queue => "queue",
            StateFile::Lock => "lock",
            StateFile::CanaryLock => "canary.lock",
            StateFile::WatchLock => "watch.lock",
            StateFile::DeathLock => "death.lock",
        }
    }
}

impl From<Marker> for StateFile {
    fn from(marker: Marker) -> Self {
        StateFile::Marker(marker)
    }
}

impl fmt::Display for StateFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.suffix())
    }
}
