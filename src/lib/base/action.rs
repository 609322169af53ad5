//! What a tick does about one session and what comes of it: the words of `lifecycle.log`, of `--json` and of a plan.

use crate::base::words::words;

words! {
    /// What a tick does about one session.
    pub enum Action {
        /// The service manager runs the peer: the session is left alone.
        SkippedLaunchd = "skipped-launchd",
        /// A stopped peer's session is gone, as it should be.
        SkippedStopped = "skipped-stopped",
        /// The agent has ended its session and asked for a fresh one.
        NeedsEagerFresh = "needs-eager-fresh",
        /// The session died: its death was recorded.
        ReapedGone = "reaped-gone",
        /// A worker was ended, since it has answered its task or has not answered it in time.
        ReapedEphemeral = "reaped-ephemeral",
        /// An idle session was put to sleep, or the session of a stopped peer was ended.
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
    /// Whether the action is reported without `-v`.
    pub(crate) fn is_news(self) -> bool {
        !matches!(self, Action::Alive | Action::SkippedLaunchd)
    }

    /// Whether the action changes something.
    pub(crate) fn acts(self) -> bool {
        !matches!(
            self,
            Action::Alive | Action::SkippedLaunchd | Action::Unknown | Action::SkippedError | Action::ClaimedElsewhere
        )
    }
}

words! {
    /// The consequence of an [`Action`].
    pub enum Consequence {
        /// The service manager runs the peer: a tick reads its state and changes nothing.
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
        /// The worker had not answered, and was quiet for IAPEER_EPHEMERAL_UNARMED_IDLE_SECS.
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
