//! The rule that decides on a peer's state: a pure function over all evidence. Evidence is ranked: hooks first, then
//! the transcript, the screen, the processes.

use crate::base::clock::EpochMs;
use crate::base::span::said;
use crate::base::{AttentionState, Liveness, Sign};
use std::time::Duration;

/// A state as one piece of evidence shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The state.
    pub state: AttentionState,
    /// The program's words.
    pub text: String,
    /// When it ends by itself, where the program says so.
    pub until: Option<EpochMs>,
}

/// What the screen shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OnScreen {
    /// Whether the composer is there, ready for input.
    pub composer: bool,
    /// Whether a turn runs.
    pub busy: bool,
    /// Whether the composer has text that a person has typed and not sent.
    pub draft: bool,
    /// A state that needs a person.
    pub found: Option<Found>,
}

/// A request of a permission hook that waits for its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenRequest {
    /// What the request asks.
    pub text: String,
    /// How long the request has waited.
    pub age: Duration,
    /// Whether the program shows its own dialog while the request waits: then a screen without the dialog means that
    /// somebody has answered on the screen.
    pub shows_dialog: bool,
}

/// All evidence about one peer.
#[derive(Debug, Clone)]
pub struct AttentionSeen {
    /// Whether its session lives.
    pub liveness: Liveness,
    /// Whether the operator stopped the peer.
    pub stopped: bool,
    /// Whether its session is being started.
    pub booting: bool,
    /// Until when the crash-loop guard leaves the peer asleep.
    pub crash_loop: Option<EpochMs>,
    /// How its last session died, if nothing has woken the peer since.
    pub died: Option<String>,
    /// The open request of its permission hook.
    pub request: Option<OpenRequest>,
    /// The state that a hook has reported and nothing has ended since.
    pub noted: Option<Found>,
    /// The state that the newest record of the transcript shows, where that record belongs to the last turn.
    pub record: Option<Found>,
    /// Whether a turn runs, according to hooks and transcript.
    pub working: bool,
    /// Whether a hook has reported that the last turn ended without an error.
    pub ended_well: bool,
    /// The screen, if it was read.
    pub screen: Option<OnScreen>,
    /// How long transcript, screen and children have shown no activity.
    pub still: Duration,
    /// The time without activity after which a turn counts as hung.
    pub hung_after: Duration,
    /// The time.
    pub now: EpochMs,
}

/// A peer's state and the evidence for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttentionVerdict {
    /// The state.
    pub state: AttentionState,
    /// The best evidence for it.
    pub sign: Sign,
    /// What the state is about.
    pub text: String,
    /// When the state ends by itself.
    pub until: Option<EpochMs>,
}

/// How long a program may take to draw its dialog once it has called the permission hook.
const DRAWN: Duration = Duration::from_secs(3);

/// Whether a hook has reported the failure of the turn that, according to the hooks, still runs. A program reports
/// first the failure and then the end of the turn; an observer in between must not take the failure for that of an
/// earlier turn. `told`: what the hook reported, and when. `turn`: when a hook last reported on the turn.
pub(crate) fn has_failed(told: Option<(AttentionState, EpochMs)>, turn: Option<EpochMs>) -> bool {
    told.is_some_and(|(state, at)| state.ends_a_turn() && turn.is_some_and(|turn| turn <= at))
}

/// The state of a peer.
pub fn decide(seen: &AttentionSeen) -> AttentionVerdict {
    use AttentionState::*;
    let plain = |state, sign| AttentionVerdict { state, sign, text: String::new(), until: None };
    match seen.liveness {
        Liveness::Unknown => return plain(Unknown, Sign::Process),
        Liveness::Gone => return without_session(seen),
        Liveness::Alive => {}
    }
    if seen.booting {
        return plain(Working, Sign::Files);
    }
    let screen = seen.screen.as_ref();
    if let Some(request) = seen.request.as_ref().filter(|request| is_open(request, screen)) {
        return AttentionVerdict { text: request.text.clone(), ..plain(Approval, Sign::Hook) };
    }
    // Screens that are in the place of the composer.
    let standing = |found: &&Found| !found.state.ends_a_turn() || screen.is_some_and(|screen| !screen.composer);
    if let Some(found) = screen.and_then(|screen| screen.found.as_ref()).filter(standing) {
        let hooked = seen.noted.as_ref().filter(|noted| noted.state == found.state);
        let sign = if hooked.is_some() { Sign::Hook } else { Sign::Screen };
        return over(found, sign, seen.now).unwrap_or_else(|| plain(Idle, Sign::Screen));
    }
    let noted = seen.noted.as_ref();
    if let Some(noted) =
        noted.filter(|noted| !noted.state.ends_a_turn() && screen.is_none_or(|screen| !screen.composer))
    {
        return over(noted, Sign::Hook, seen.now).unwrap_or_else(|| plain(Idle, Sign::Hook));
    }
    let working = seen.working || screen.is_some_and(|screen| screen.busy);
    if working && seen.still >= seen.hung_after {
        let text = format!("no sign of life for {}", said(seen.still));
        return AttentionVerdict { text, ..plain(Hung, Sign::Process) };
    }
    if working {
        return plain(Working, if seen.working { Sign::Hook } else { Sign::Screen });
    }
    if let Some(verdict) = after_failed_turn(seen) {
        return verdict;
    }
    match screen {
        Some(screen) if screen.draft => plain(Draft, Sign::Screen),
        _ => plain(Idle, Sign::Hook),
    }
}

fn without_session(seen: &AttentionSeen) -> AttentionVerdict {
    use AttentionState::*;
    let plain = |state| AttentionVerdict { state, sign: Sign::Files, text: String::new(), until: None };
    if seen.stopped {
        return plain(Stopped);
    }
    if let Some(until) = seen.crash_loop {
        let text = seen.died.clone().unwrap_or_default();
        return AttentionVerdict { text, until: Some(until), ..plain(CrashLoop) };
    }
    // A wake that ended at a login, or a limit that outlived its session.
    if let Some(verdict) = seen.noted.as_ref().and_then(|noted| over(noted, Sign::Screen, seen.now)) {
        return verdict;
    }
    match &seen.died {
        Some(cause) => AttentionVerdict { text: cause.clone(), ..plain(Dead) },
        None => plain(Asleep),
    }
}

/// Whether a request still waits. Where its dialog is on the screen meanwhile, a screen with the composer instead shows
/// that somebody has answered there.
fn is_open(request: &OpenRequest, screen: Option<&OnScreen>) -> bool {
    let Some(screen) = screen else { return true };
    let answered = if request.shows_dialog { screen.composer } else { screen.composer && !screen.busy };
    !answered || request.age < DRAWN
}

/// The state after a turn that ended in an error or at a limit: from the best evidence, completed from the other
/// evidence.
fn after_failed_turn(seen: &AttentionSeen) -> Option<AttentionVerdict> {
    let on_screen = seen.screen.as_ref().and_then(|screen| screen.found.as_ref());
    let each = [
        (Sign::Hook, seen.noted.as_ref()),
        (Sign::Transcript, seen.record.as_ref().filter(|_| !seen.ended_well)),
        (Sign::Screen, on_screen.filter(|_| !seen.ended_well)),
    ];
    let failed: Vec<(Sign, &Found)> = each
        .into_iter()
        .filter_map(|(sign, found)| Some((sign, found?)))
        .filter(|(_, f)| f.state.ends_a_turn())
        .collect();
    let (sign, best) = *failed.first()?;
    let same = || failed.iter().filter(|(_, found)| found.state == best.state);
    let until = same().find_map(|(_, found)| found.until);
    let text = same().map(|(_, found)| found.text.clone()).find(|text| !text.is_empty()).unwrap_or_default();
    over(&Found { state: best.state, text, until }, sign, seen.now)
}

/// The verdict of `found`, unless the time at which it ends by itself has passed.
fn over(found: &Found, sign: Sign, now: EpochMs) -> Option<AttentionVerdict> {
    let Found { state, text, until } = found.clone();
    until.is_none_or(|until| now < until).then_some(AttentionVerdict { state, sign, text, until })
}

#[cfg(test)]
mod rows {
    use super::*;
    use AttentionState::*;
    use Liveness::{Alive, Gone};

    const NOW: EpochMs = EpochMs(1_000_000);

    /// A session that lives and rests.
    fn plain() -> AttentionSeen {
        AttentionSeen {
            liveness: Alive,
            stopped: false,
            booting: false,
            crash_loop: None,
            died: None,
            request: None,
            noted: None,
            record: None,
            working: false,
            ended_well: false,
            screen: None,
            still: Duration::ZERO,
            hung_after: Duration::from_secs(900),
            now: NOW,
        }
    }

    fn found(state: AttentionState) -> Option<Found> {
        Some(Found { state, text: "words".into(), until: None })
    }

    fn until(state: AttentionState, at: u64) -> Option<Found> {
        Some(Found { state, text: "words".into(), until: Some(EpochMs(at)) })
    }

    fn composer() -> OnScreen {
        OnScreen { composer: true, ..OnScreen::default() }
    }

    /// A screen with the composer that also says this.
    fn says(found: Option<Found>) -> Option<OnScreen> {
        Some(OnScreen { found, ..composer() })
    }

    /// A screen without the composer.
    fn shows(state: AttentionState) -> Option<OnScreen> {
        Some(OnScreen { found: found(state), ..OnScreen::default() })
    }

    fn busy() -> Option<OnScreen> {
        Some(OnScreen { busy: true, ..composer() })
    }

    fn request(secs: u64, shows_dialog: bool) -> Option<OpenRequest> {
        Some(OpenRequest { text: "words".into(), age: Duration::from_secs(secs), shows_dialog })
    }

    #[test]
    fn a_failure_that_was_told_before_the_end_of_its_turn() {
        let at = |n| Some(EpochMs(n));
        for (told, turn, failed) in [
            (None, at(5), false),
            (Some((Failing, EpochMs(5))), at(5), true),
            (Some((Failing, EpochMs(6))), at(5), true),
            (Some((Limited, EpochMs(6))), at(5), true),
            (Some((Failing, EpochMs(4))), at(5), false),
            (Some((Approval, EpochMs(6))), at(5), false),
            (Some((Failing, EpochMs(6))), None, false),
        ] {
            assert_eq!(has_failed(told, turn), failed, "{told:?} {turn:?}");
        }
    }

    /// `row: { what differs from a session that rests } => state, by what`.
    macro_rules! rows {
        ($($row:ident: { $($field:ident: $value:expr),* } => $state:ident, $sign:ident;)*) => {$(
            #[test]
            fn $row() {
                let verdict = decide(&AttentionSeen { $($field: $value,)* ..plain() });
                assert_eq!((verdict.state, verdict.sign), ($state, Sign::$sign));
            }
        )*};
    }

    rows! {
        it_rests: {} => Idle, Hook;
        it_rests_and_its_screen_says_so: { screen: Some(composer()) } => Idle, Hook;
        a_turn_runs: { working: true } => Working, Hook;
        a_turn_runs_by_the_screen_alone: { screen: busy() } => Working, Screen;
        it_starts: { booting: true, screen: shows(Dialog) } => Working, Files;
        a_hook_waits_for_yes_or_no: { working: true, request: request(0, true) } => Approval, Hook;
        its_dialog_stands: { working: true, request: request(60, true), screen: shows(Approval) } => Approval, Hook;
        its_dialog_is_not_drawn_yet: { working: true, request: request(1, true), screen: busy() } => Approval, Hook;
        somebody_answered_it_on_the_screen: { working: true, request: request(60, true), screen: busy() } => Working, Hook;
        a_hook_that_hides_the_dialog: { working: true, request: request(60, false), screen: busy() } => Approval, Hook;
        a_hook_that_hides_the_dialog_and_is_over: { request: request(60, false), screen: Some(composer()) } => Idle, Hook;
        an_approval_by_the_screen: { working: true, screen: shows(Approval) } => Approval, Screen;
        a_question_by_the_hook: { working: true, noted: found(Question) } => Question, Hook;
        a_question_by_both: { working: true, noted: found(Question), screen: shows(Question) } => Question, Hook;
        a_question_by_the_screen: { screen: shows(Question) } => Question, Screen;
        a_question_that_was_answered: { working: true, noted: found(Question), screen: busy() } => Working, Hook;
        a_limit_by_the_hook: { noted: found(Limited) } => Limited, Hook;
        a_limit_by_the_transcript: { record: found(Limited) } => Limited, Transcript;
        a_limit_by_the_screen: { screen: says(found(Limited)) } => Limited, Screen;
        a_limit_that_ends_later: { record: until(Limited, NOW.0 + 1) } => Limited, Transcript;
        a_limit_whose_time_has_come: { record: until(Limited, NOW.0) } => Idle, Hook;
        a_limits_menu: { screen: shows(Limited) } => Limited, Screen;
        a_limit_and_the_next_turn: { working: true, noted: found(Limited) } => Working, Hook;
        a_failed_turn_by_the_hook: { noted: found(Failing), screen: Some(composer()) } => Failing, Hook;
        a_failed_turn_by_the_transcript: { record: found(Failing), screen: says(found(Failing)) } => Failing, Transcript;
        a_failed_turn_by_the_screen: { screen: says(found(Failing)) } => Failing, Screen;
        words_of_an_error_after_a_good_turn: { ended_well: true, record: found(Failing), screen: says(found(Failing)) } => Idle, Hook;
        words_of_an_error_while_a_turn_runs: { working: true, screen: says(found(Failing)) } => Working, Hook;
        an_expired_login: { noted: found(Login) } => Login, Hook;
        a_login_screen: { screen: shows(Login) } => Login, Screen;
        a_wake_that_ended_at_a_login: { liveness: Gone, noted: found(Login) } => Login, Screen;
        a_dialog_of_its_own: { screen: shows(Dialog) } => Dialog, Screen;
        a_screen_that_no_rule_knows: { working: true, screen: shows(Strange) } => Strange, Screen;
        a_persons_draft: { screen: Some(OnScreen { draft: true, ..composer() }) } => Draft, Screen;
        a_draft_while_a_turn_runs: { working: true, screen: Some(OnScreen { draft: true, ..composer() }) } => Working, Hook;
        no_sign_of_life: { working: true, still: Duration::from_secs(900) } => Hung, Process;
        not_long_enough_to_be_hung: { working: true, still: Duration::from_secs(899) } => Working, Hook;
        rest_is_not_hung: { still: Duration::from_secs(9_999) } => Idle, Hook;
        an_approval_is_not_hung: { working: true, still: Duration::from_secs(9_999), screen: shows(Approval) } => Approval, Screen;
        tmux_does_not_answer: { liveness: Liveness::Unknown, working: true, stopped: true } => Unknown, Process;
        it_sleeps: { liveness: Gone } => Asleep, Files;
        it_is_stopped: { liveness: Gone, stopped: true, crash_loop: Some(NOW), died: Some("x".into()) } => Stopped, Files;
        it_died: { liveness: Gone, died: Some("x".into()) } => Dead, Files;
        it_died_too_often: { liveness: Gone, died: Some("x".into()), crash_loop: Some(NOW) } => CrashLoop, Files;
        a_limit_outlives_its_session: { liveness: Gone, noted: until(Limited, NOW.0 + 1) } => Limited, Screen;
    }

    #[test]
    fn a_limit_is_completed_from_the_other_evidence() {
        let noted = Some(Found { state: Limited, text: String::new(), until: None });
        let verdict = decide(&AttentionSeen { noted, screen: says(until(Limited, NOW.0 + 5)), ..plain() });
        assert_eq!(
            (verdict.sign, verdict.text.as_str(), verdict.until),
            (Sign::Hook, "words", Some(EpochMs(NOW.0 + 5)))
        );
    }
}
