//! What a tick does about one session and what comes of it: the words of `lifecycle.log`, of `--json` and of a plan.

use crate::base::words::words;

words! {
    /// What a tick does about one session.
    pub enum Action {
        /// The service manager holds it: it is left alone.
        SkippedLaunchd = "skipped-launchd",
        /// A stopped peer's session is gone, as it should be.
        SkippedStopped = "skipped-stopped",
        /// The agent ended its session to come back fresh.
        NeedsEagerFresh = "needs-eager-fresh",
        /// The session died: its death was recorded.
        ReapedGone = "reaped-gone",
        /// A worker was ended that is done, or that never came to an end.
        ReapedEphemeral = "reaped-ephemeral",
        /// An idle session was put to sleep, or one that lived although its peer is stopped.
        ReapedIdle = "reaped-idle",
        /// The session lives.
        Alive = "alive",
        /// The host gave no answer.
        Unknown = "unknown",
        /// Judging the session failed.
        SkippedError = "skipped-error",
        /// A canary was set on the session's server.
        Canary = "canary",
        /// The session lived without a record.
        Enrolled = "enrolled",
        /// An interrupted end was finished.
        FinishedTeardown = "finished-teardown",
        /// Another program holds the identity's lock, or recorded the death first.
        ClaimedElsewhere = "claimed-elsewhere",
    }
}

impl Action {
    /// Whether it is reported without `-v`.
    pub(crate) fn is_news(self) -> bool {
        !matches!(self, Action::Alive | Action::SkippedLaunchd)
    }

    /// Whether it changes something.
    pub(crate) fn acts(self) -> bool {
        !matches!(
            self,
            Action::Alive | Action::SkippedLaunchd | Action::Unknown | Action::SkippedError | Action::ClaimedElsewhere
        )
    }
}

words! {
    /// What comes of an [`Action`].
    pub enum Consequence {
        /// The service manager holds the peer: it is only read.
        ReadOnlyH4 = "read-only-h4",
        /// The peer resumes when it is started again.
        ResumeOnStart = "resume-on-start",
        /// A fresh session is started at once.
        EagerFresh = "eager-fresh",
        /// The next message wakes a fresh session.
        FreshNextMsg = "fresh-next-msg",
        /// The operator's stop was carried out.
        OperatorHaltEnforced = "operator-halt-enforced",
        /// The worker had answered and was quiet.
        EphemeralDone = "ephemeral-done",
        /// The worker did not answer within its bound.
        EphemeralUnarmedBound = "ephemeral-unarmed-bound",
        /// The next message resumes the session.
        ResumeEligible = "resume-eligible",
        /// Nothing was concluded and nothing done.
        LeftAlone = "left-alone",
        /// A turn runs.
        Working = "working",
        /// An interrupted end was finished.
        Finished = "finished",
        /// The session is supervised from now on.
        Supervised = "supervised",
        /// An error about this peer stopped nothing else.
        PeerErrorIsolated = "peer-error-isolated",
        /// An error about this queue stopped nothing else.
        QueueErrorIsolated = "queue-error-isolated",
        /// A canary was started for the server.
        Spawned = "spawned",
        /// No canary could be started.
        Failed = "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_the_log_are_those_of_json() {
        use Action::*;
        for action in [SkippedLaunchd, ReapedIdle, NeedsEagerFresh, ClaimedElsewhere] {
            assert_eq!(serde_json::to_string(&action).unwrap(), format!("\"{action}\""));
        }
        for consequence in [Consequence::ReadOnlyH4, Consequence::FreshNextMsg, Consequence::EphemeralUnarmedBound] {
            assert_eq!(serde_json::to_string(&consequence).unwrap(), format!("\"{consequence}\""));
        }
    }
}
