//! The wake rule: fresh or resumed, and why. Pure: what was observed goes in, a decision comes out.

use crate::core::identity::Topic;
use crate::store::markers::Marker;
use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// What the caller asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Whatever the rule says.
    Default,
    /// A fresh session.
    Fresh,
    /// The last conversation, or nothing.
    Resume,
}

/// A profile's say about resuming without or across topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ResumePolicy {
    /// Without a topic resume, with one resume only if it is known.
    #[default]
    Default,
    /// Always resume.
    Always,
    /// Resume only for a known topic.
    Topic,
    /// Never resume.
    Never,
}

/// What a wake finds.
#[derive(Debug, Clone)]
pub struct Observed<'a> {
    /// What the caller asks for.
    pub request: Request,
    /// `.refresh` is set.
    pub refresh: bool,
    /// The profile makes it a stateless worker.
    pub ephemeral: bool,
    /// How long it has been parked, if it was.
    pub parked: Option<Duration>,
    /// The peer speaks for a person.
    pub human: bool,
    /// The profile's say.
    pub policy: ResumePolicy,
    /// The incoming message's topic.
    pub topic: Option<&'a Topic>,
    /// The topics of the last session.
    pub topics: &'a [Topic],
    /// Whether there is a conversation to resume, with the agent's name for it.
    pub transcript: Result<Option<String>, String>,
    /// A peer parked for longer comes back fresh.
    pub max_age: Duration,
}

/// How a session starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// With an empty conversation.
    Fresh,
    /// With the last one.
    Resume,
}

impl Mode {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Fresh => "fresh",
            Mode::Resume => "resume",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The decision of a wake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// How it starts.
    pub mode: Mode,
    /// The cause token of the log.
    pub cause: &'static str,
    /// The agent's name for the conversation it resumes.
    pub reference: Option<String>,
    /// Markers that this wake consumes, once the session is ready.
    pub consume: Vec<Marker>,
}

/// A wake that was asked to resume where there is nothing to resume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NothingToResume {
    /// Why not.
    pub reason: String,
}

/// The wake rule (spec 06.2 with D1). First match wins.
pub fn decide(seen: &Observed<'_>) -> Result<Decision, NothingToResume> {
    let fresh =
        |cause, consume: &[Marker]| Decision { mode: Mode::Fresh, cause, reference: None, consume: consume.to_vec() };
    let resume_or = |cause, otherwise, consume: &[Marker]| match &seen.transcript {
        Ok(reference) => {
            Decision { mode: Mode::Resume, cause, reference: reference.clone(), consume: consume.to_vec() }
        }
        Err(_) => fresh(otherwise, consume),
    };
    match seen.request {
        Request::Fresh => return Ok(fresh("folder-launch", &[])),
        Request::Resume => {
            return match &seen.transcript {
                Ok(reference) => {
                    Ok(Decision { mode: Mode::Resume, cause: "attach", reference: reference.clone(), consume: vec![] })
                }
                Err(reason) => Err(NothingToResume { reason: reason.clone() }),
            };
        }
        Request::Default => {}
    }
    const PARKED: &[Marker] = &[Marker::IdleReaped];
    if seen.refresh {
        return Ok(fresh("soft-reload", &[Marker::Refresh, Marker::IdleReaped]));
    }
    if seen.ephemeral {
        return Ok(fresh("ephemeral-policy", PARKED));
    }
    let Some(parked) = seen.parked else {
        let cause = if seen.transcript.is_ok() { "crash-or-self-close" } else { "first-wake" };
        return Ok(fresh(cause, &[]));
    };
    if seen.human {
        return Ok(resume_or("idle-reaped-human", "idle-reaped-human-no-resume", PARKED));
    }
    match seen.policy {
        ResumePolicy::Never => return Ok(fresh("idle-reaped-never", PARKED)),
        ResumePolicy::Always => return Ok(resume_or("idle-reaped-resume", "idle-reaped-no-resume", PARKED)),
        ResumePolicy::Topic if seen.topic.is_none() => return Ok(fresh("idle-reaped-no-topic", PARKED)),
        ResumePolicy::Topic | ResumePolicy::Default => {}
    }
    if seen.topic.is_some_and(|topic| !seen.topics.contains(topic)) {
        return Ok(fresh("idle-reaped-new-topic", PARKED));
    }
    if parked > seen.max_age {
        return Ok(fresh("idle-reaped-stale", PARKED));
    }
    Ok(resume_or("idle-reaped-resume", "idle-reaped-no-resume", PARKED))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn topic(text: &str) -> Topic {
        Topic::parse(text).unwrap().unwrap()
    }

    fn seen(topics: &[Topic]) -> Observed<'_> {
        Observed {
            request: Request::Default,
            refresh: false,
            ephemeral: false,
            parked: None,
            human: false,
            policy: ResumePolicy::Default,
            topic: None,
            topics,
            transcript: Ok(Some("ref".into())),
            max_age: 24 * HOUR,
        }
    }

    /// Each row of spec 06.2 with D1, by name: what differs from the quiet default, and what comes out.
    #[test]
    fn rows_of_06_2() {
        use Marker::{IdleReaped, Refresh};
        use Mode::{Fresh, Resume};
        let known = [topic("a"), topic("b")];
        let none = || Err("no transcript to resume".to_owned());
        let (a, c) = (topic("a"), topic("c"));
        let base = || seen(&known);
        let parked = || Observed { parked: Some(HOUR), ..base() };
        #[rustfmt::skip]
        let rows: Vec<(&str, Observed<'_>, Mode, &str, &[Marker])> = vec![
            ("1", Observed { request: Request::Fresh, parked: Some(HOUR), refresh: true, ..base() }, Fresh, "folder-launch", &[]),
            ("2b", Observed { request: Request::Resume, refresh: true, ..base() }, Resume, "attach", &[]),
            ("3s", Observed { refresh: true, human: true, ..parked() }, Fresh, "soft-reload", &[Refresh, IdleReaped]),
            ("3e", Observed { ephemeral: true, human: true, ..parked() }, Fresh, "ephemeral-policy", &[IdleReaped]),
            ("3a", base(), Fresh, "crash-or-self-close", &[]),
            ("3a'", Observed { transcript: none(), ..base() }, Fresh, "first-wake", &[]),
            ("3b-h", Observed { human: true, topic: Some(&c), parked: Some(48 * HOUR), ..base() }, Resume, "idle-reaped-human", &[IdleReaped]),
            ("3b-h'", Observed { human: true, transcript: none(), ..parked() }, Fresh, "idle-reaped-human-no-resume", &[IdleReaped]),
            ("3b-n under D1: no topic resumes", parked(), Resume, "idle-reaped-resume", &[IdleReaped]),
            ("D1 stale", Observed { parked: Some(25 * HOUR), ..base() }, Fresh, "idle-reaped-stale", &[IdleReaped]),
            ("D1 exactly the bound is not stale", Observed { parked: Some(24 * HOUR), ..base() }, Resume, "idle-reaped-resume", &[IdleReaped]),
            ("D1 policy topic without a topic", Observed { policy: ResumePolicy::Topic, ..parked() }, Fresh, "idle-reaped-no-topic", &[IdleReaped]),
            ("D1 policy topic with a known one", Observed { policy: ResumePolicy::Topic, topic: Some(&a), ..parked() }, Resume, "idle-reaped-resume", &[IdleReaped]),
            ("D1 policy never", Observed { policy: ResumePolicy::Never, topic: Some(&a), ..parked() }, Fresh, "idle-reaped-never", &[IdleReaped]),
            ("D1 policy always", Observed { policy: ResumePolicy::Always, topic: Some(&c), parked: Some(48 * HOUR), ..base() }, Resume, "idle-reaped-resume", &[IdleReaped]),
            ("3b-t", Observed { topic: Some(&c), ..parked() }, Fresh, "idle-reaped-new-topic", &[IdleReaped]),
            ("3b-r", Observed { topic: Some(&a), ..parked() }, Resume, "idle-reaped-resume", &[IdleReaped]),
            ("3b-x", Observed { topic: Some(&a), transcript: none(), ..parked() }, Fresh, "idle-reaped-no-resume", &[IdleReaped]),
        ];
        for (row, observed, mode, cause, consume) in rows {
            let decision = decide(&observed).unwrap();
            assert_eq!(
                (decision.mode, decision.cause, decision.consume.as_slice()),
                (mode, cause, consume),
                "row {row}"
            );
            assert_eq!(decision.reference.is_some(), mode == Resume, "row {row}");
        }
    }

    #[test]
    fn row_2a_asked_to_resume_with_nothing_there_fails() {
        let observed = Observed { request: Request::Resume, transcript: Err("nothing".into()), ..seen(&[]) };
        assert_eq!(decide(&observed), Err(NothingToResume { reason: "nothing".into() }));
    }
}
