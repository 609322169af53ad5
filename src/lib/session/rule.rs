//! The wake rule: whether a session starts fresh or resumes, and why. A pure function from observations to a decision.

use crate::base::identity::Topic;
use crate::base::state_file::Marker;
use crate::base::wake::{Decision, Mode, NothingToResume, ResumePolicy, WakeCause};
use std::time::Duration;

/// What the caller asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WakeRequest {
    /// The caller leaves it to the rule.
    Default,
    /// A fresh session.
    Fresh,
    /// The last conversation; where it can't be resumed, no session.
    Resume,
}

/// What a wake observes about the peer.
#[derive(Debug, Clone)]
pub struct WakeSeen<'a> {
    /// What the caller asks for.
    pub request: WakeRequest,
    /// `.refresh` is set.
    pub refresh: bool,
    /// The profile makes the peer a stateless worker.
    pub ephemeral: bool,
    /// How long the peer has been parked; `None`: it was not parked.
    pub parked: Option<Duration>,
    /// The peer speaks for a person.
    pub human: bool,
    /// When the profile lets the peer resume.
    pub policy: ResumePolicy,
    /// The incoming message's topic.
    pub topic: Option<&'a Topic>,
    /// The topics of the last session.
    pub topics: &'a [Topic],
    /// Whether there is a conversation to resume, with the agent's name for it.
    pub transcript: Result<Option<String>, NothingToResume>,
    /// A peer that was parked for longer than this, and is woken without a topic, starts fresh.
    pub max_age: Duration,
}

/// The wake rule (spec 06.2 with D1). First match wins. The error: the caller asked to resume, and there is nothing to
/// resume.
pub fn decide(seen: &WakeSeen<'_>) -> Result<Decision, NothingToResume> {
    let fresh =
        |cause, consume: &[Marker]| Decision { mode: Mode::Fresh, cause, reference: None, consume: consume.to_vec() };
    let resume_or = |cause, otherwise, consume: &[Marker]| match &seen.transcript {
        Ok(reference) => {
            Decision { mode: Mode::Resume, cause, reference: reference.clone(), consume: consume.to_vec() }
        }
        Err(_) => fresh(otherwise, consume),
    };
    match seen.request {
        WakeRequest::Fresh => return Ok(fresh(WakeCause::FolderLaunch, &[])),
        WakeRequest::Resume => {
            return match &seen.transcript {
                Ok(reference) => Ok(Decision {
                    mode: Mode::Resume,
                    cause: WakeCause::Attach,
                    reference: reference.clone(),
                    consume: vec![],
                }),
                Err(nothing) => Err(nothing.clone()),
            };
        }
        WakeRequest::Default => {}
    }
    const PARKED: &[Marker] = &[Marker::IdleReaped];
    if seen.refresh {
        return Ok(fresh(WakeCause::SoftReload, &[Marker::Refresh, Marker::IdleReaped]));
    }
    if seen.ephemeral {
        return Ok(fresh(WakeCause::EphemeralPolicy, PARKED));
    }
    let Some(parked) = seen.parked else {
        let cause = if seen.transcript.is_ok() { WakeCause::CrashOrSelfClose } else { WakeCause::FirstWake };
        return Ok(fresh(cause, &[]));
    };
    if seen.human {
        return Ok(resume_or(WakeCause::IdleReapedHuman, WakeCause::IdleReapedHumanNoResume, PARKED));
    }
    match seen.policy {
        ResumePolicy::Never => return Ok(fresh(WakeCause::IdleReapedNever, PARKED)),
        ResumePolicy::Always => {
            return Ok(resume_or(WakeCause::IdleReapedResume, WakeCause::IdleReapedNoResume, PARKED));
        }
        ResumePolicy::Topic if seen.topic.is_none() => return Ok(fresh(WakeCause::IdleReapedNoTopic, PARKED)),
        ResumePolicy::Topic | ResumePolicy::Default => {}
    }
    match seen.topic {
        Some(topic) if !seen.topics.contains(topic) => return Ok(fresh(WakeCause::IdleReapedNewTopic, PARKED)),
        // A topic names the conversation to continue: the time since then does not matter.
        Some(_) => {}
        None if parked > seen.max_age => return Ok(fresh(WakeCause::IdleReapedStale, PARKED)),
        None => {}
    }
    Ok(resume_or(WakeCause::IdleReapedResume, WakeCause::IdleReapedNoResume, PARKED))
}

/// The rows of spec 06.2 with D1, a test each.
#[cfg(test)]
mod rows_of_06_2 {
    use super::*;
    use Marker::{IdleReaped, Refresh};
    use Mode::{Fresh, Resume};

    const HOUR: Duration = Duration::from_secs(3600);
    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn topic(text: &str) -> Topic {
        Topic::parse(text).unwrap().unwrap()
    }

    /// A peer with a transcript and no marks, woken by a message without a topic.
    fn plain(topics: &[Topic]) -> WakeSeen<'_> {
        WakeSeen {
            request: WakeRequest::Default,
            refresh: false,
            ephemeral: false,
            parked: None,
            human: false,
            policy: ResumePolicy::Default,
            topic: None,
            topics,
            transcript: Ok(Some("ref".into())),
            max_age: DAY,
        }
    }

    fn nothing() -> Result<Option<String>, NothingToResume> {
        Err(NothingToResume::NoTranscript)
    }

    /// `row: { what differs from the plain peer } => mode, cause, the marks that READY consumes`. The topics of the
    /// last session are `a` and `b`.
    macro_rules! rows {
        ($($row:ident: { $($field:ident: $value:expr),* } => $mode:ident, $cause:ident, [$($mark:ident),*];)*) => {$(
            #[test]
            fn $row() {
                let known = [topic("a"), topic("b")];
                let decision = decide(&WakeSeen { $($field: $value,)* ..plain(&known) });
                let reference = ($mode == Resume).then(|| "ref".to_owned());
                let expected = Decision { mode: $mode, cause: WakeCause::$cause, reference, consume: vec![$($mark),*] };
                assert_eq!(decision, Ok(expected));
            }
        )*};
    }

    rows! {
        row_1_fresh_was_asked_for: { request: WakeRequest::Fresh } => Fresh, FolderLaunch, [];
        row_1_beats_every_mark_and_consumes_none: { request: WakeRequest::Fresh, parked: Some(HOUR), refresh: true, human: true, ephemeral: true } => Fresh, FolderLaunch, [];
        row_2b_resume_was_asked_for: { request: WakeRequest::Resume } => Resume, Attach, [];
        row_2b_beats_every_mark_and_consumes_none: { request: WakeRequest::Resume, parked: Some(2 * DAY), refresh: true, ephemeral: true } => Resume, Attach, [];
        row_3s_refresh: { refresh: true } => Fresh, SoftReload, [Refresh, IdleReaped];
        row_3s_beats_a_person_a_worker_and_a_known_topic: { refresh: true, parked: Some(HOUR), human: true, ephemeral: true, topic: Some(&topic("a")) } => Fresh, SoftReload, [Refresh, IdleReaped];
        row_3e_a_worker: { ephemeral: true } => Fresh, EphemeralPolicy, [IdleReaped];
        row_3e_beats_a_person: { ephemeral: true, human: true, parked: Some(HOUR) } => Fresh, EphemeralPolicy, [IdleReaped];
        row_3a_not_parked_with_a_transcript: {} => Fresh, CrashOrSelfClose, [];
        row_3a_whatever_the_topic_and_the_policy: { topic: Some(&topic("a")), policy: ResumePolicy::Always, human: true } => Fresh, CrashOrSelfClose, [];
        row_3a_prime_not_parked_without_a_transcript: { transcript: nothing() } => Fresh, FirstWake, [];
        row_3b_the_parking_mark_is_consumed_whatever_follows: { parked: Some(HOUR), topic: Some(&topic("c")) } => Fresh, IdleReapedNewTopic, [IdleReaped];
        row_3b_h_a_person_always_resumes: { human: true, parked: Some(2 * DAY), topic: Some(&topic("c")), policy: ResumePolicy::Never } => Resume, IdleReapedHuman, [IdleReaped];
        row_3b_h_prime_a_person_without_a_transcript: { human: true, parked: Some(HOUR), transcript: nothing() } => Fresh, IdleReapedHumanNoResume, [IdleReaped];
        row_3b_n_with_policy_topic_no_topic_is_fresh: { parked: Some(HOUR), policy: ResumePolicy::Topic } => Fresh, IdleReapedNoTopic, [IdleReaped];
        row_3b_n_under_d1_no_topic_resumes: { parked: Some(HOUR) } => Resume, IdleReapedResume, [IdleReaped];
        row_3b_n_under_d1_without_a_transcript: { parked: Some(HOUR), transcript: nothing() } => Fresh, IdleReapedNoResume, [IdleReaped];
        row_3b_t_a_new_topic: { parked: Some(HOUR), topic: Some(&topic("c")), policy: ResumePolicy::Topic } => Fresh, IdleReapedNewTopic, [IdleReaped];
        row_3b_r_a_known_topic: { parked: Some(HOUR), topic: Some(&topic("a")) } => Resume, IdleReapedResume, [IdleReaped];
        row_3b_r_any_topic_of_the_set: { parked: Some(HOUR), topic: Some(&topic("b")), policy: ResumePolicy::Topic } => Resume, IdleReapedResume, [IdleReaped];
        row_3b_r_however_long_it_was_parked: { parked: Some(2 * DAY), topic: Some(&topic("a")) } => Resume, IdleReapedResume, [IdleReaped];
        row_3b_x_a_known_topic_without_a_transcript: { parked: Some(HOUR), topic: Some(&topic("a")), transcript: nothing() } => Fresh, IdleReapedNoResume, [IdleReaped];
        d1_without_a_topic_and_parked_for_too_long_is_fresh: { parked: Some(DAY + Duration::from_millis(1)) } => Fresh, IdleReapedStale, [IdleReaped];
        d1_exactly_the_bound_still_resumes: { parked: Some(DAY) } => Resume, IdleReapedResume, [IdleReaped];
        d1_policy_never: { parked: Some(HOUR), policy: ResumePolicy::Never, topic: Some(&topic("a")) } => Fresh, IdleReapedNever, [IdleReaped];
        d1_policy_always_with_a_new_topic_and_a_great_age: { parked: Some(2 * DAY), policy: ResumePolicy::Always, topic: Some(&topic("c")) } => Resume, IdleReapedResume, [IdleReaped];
        d1_policy_always_without_a_transcript: { parked: Some(HOUR), policy: ResumePolicy::Always, transcript: nothing() } => Fresh, IdleReapedNoResume, [IdleReaped];
    }

    #[test]
    fn row_2a_resume_was_asked_for_and_there_is_nothing() {
        let observed =
            WakeSeen { request: WakeRequest::Resume, transcript: nothing(), parked: Some(HOUR), ..plain(&[]) };
        assert_eq!(decide(&observed), Err(NothingToResume::NoTranscript));
    }
}
