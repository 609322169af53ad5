//! The words for what a peer is doing and what it waits for: the `state` of `<identity>.attention`, of `iapeer
//! attention` and of `iapeer list`. `attention::rule` decides which state a peer is in.

use crate::base::words::words;

words! {
    /// What a peer is doing, or what it waits for.
    #[derive(Hash)]
    pub enum AttentionState {
        /// A tool waits for yes or no.
        Approval = "approval",
        /// The agent asks something and stops until it is answered.
        Question = "question",
        /// Nobody is logged in, or the token has expired.
        Login = "login",
        /// A dialog of the program's own that no rule may answer.
        Dialog = "dialog",
        /// A screen that no rule knows.
        Strange = "strange",
        /// A turn without any sign of life.
        Hung = "hung",
        /// Too many deaths: it is left asleep for now.
        CrashLoop = "crash-loop",
        /// The last turn ended in an error.
        Failing = "failing",
        /// A usage or rate limit.
        Limited = "limited",
        /// Its last session died, and nothing has woken it since.
        Dead = "dead",
        /// tmux does not say whether it lives.
        Unknown = "unknown",
        /// A person has typed something and not sent it.
        Draft = "draft",
        /// A turn runs.
        Working = "working",
        /// The composer is empty and no turn runs.
        Idle = "idle",
        /// It sleeps: a message wakes it.
        Asleep = "asleep",
        /// The operator stopped it.
        Stopped = "stopped",
    }
}

impl AttentionState {
    /// All states, the most urgent first: the order of `iapeer list`.
    pub(crate) const ALL: [AttentionState; 16] = {
        use AttentionState::*;
        [
            Approval, Question, Login, Dialog, Strange, Hung, CrashLoop, Failing, Limited, Dead, Unknown, Draft,
            Working, Idle, Asleep, Stopped,
        ]
    };

    /// The state that `word` names.
    pub fn named(word: &str) -> Option<AttentionState> {
        AttentionState::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// The state's place in [`AttentionState::ALL`].
    pub(crate) fn rank(self) -> usize {
        AttentionState::ALL.iter().position(|state| *state == self).unwrap_or_default()
    }

    /// Whether a person should know of the state: `iapeer attention` lists the peer, and the owner is told.
    pub(crate) fn is_trouble(self) -> bool {
        use AttentionState::*;
        matches!(self, Approval | Question | Login | Dialog | Strange | Hung | CrashLoop | Failing | Limited)
    }

    /// Whether messages are held while the state lasts: the session would not take them, or would lose them.
    pub(crate) fn holds_messages(self) -> bool {
        use AttentionState::*;
        matches!(self, Approval | Question | Login | Dialog | Strange | Limited)
    }

    /// Whether a turn in which the state begins ends with it.
    pub(crate) fn ends_a_turn(self) -> bool {
        matches!(self, AttentionState::Failing | AttentionState::Limited | AttentionState::Login)
    }

    /// Whether a session in this state is in the middle of something and must not be put to sleep.
    pub(crate) fn keeps_awake(self) -> bool {
        use AttentionState::*;
        matches!(self, Approval | Question | Dialog | Strange | Hung)
    }
}

words! {
    /// What a state was determined from, the most reliable sign first.
    pub enum Sign {
        /// A hook of ours.
        Hook = "hook",
        /// A record of the agent's transcript.
        Transcript = "transcript",
        /// The screen.
        Screen = "screen",
        /// The processes.
        Process = "process",
        /// iapeer's own state files.
        Files = "files",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_is_in_the_order_once_and_goes_by_its_word() {
        for (place, state) in AttentionState::ALL.into_iter().enumerate() {
            assert_eq!((state.rank(), AttentionState::named(state.as_str())), (place, Some(state)));
            assert_eq!(serde_json::to_string(&state).unwrap(), format!("\"{state}\""));
        }
        assert_eq!(AttentionState::named("nonsense"), None);
    }
}
