//! The rule of a tick: a pure function from what was observed of one session to the action on it (spec 07.2).

use crate::base::{Action, Consequence, Liveness};
use std::time::Duration;

/// What was observed of one session.
#[derive(Debug, Clone)]
pub struct SessionSeen {
    /// Whether the service manager runs the peer.
    pub managed: bool,
    /// Whether the session is alive.
    pub liveness: Liveness,
    /// Whether `.stopped` is set.
    pub stopped: bool,
    /// Whether `.new-eager` is set.
    pub new_eager: bool,
    /// Whether the profile makes the peer a stateless worker.
    pub ephemeral: bool,
    /// Whether the peer's runtime is a bridge, which is never idle: it waits for messages from outside.
    pub always_on: bool,
    /// Whether the worker has answered its task (`.ephemeral-armed` is set).
    pub armed: bool,
    /// Whether a turn is running.
    pub working: bool,
    /// Whether the session waits for a person, or for a limit after which it goes on by itself.
    pub waiting: bool,
    /// How long the session has been quiet.
    pub age: Duration,
    /// How long a worker that has answered must be quiet before it is ended.
    pub quiet: Duration,
}

/// How long a session may be quiet before the rule ends it.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The bound for a worker that has not answered; it ends one that has answered, too.
    pub unarmed: Duration,
    /// The bound for every other session.
    pub idle: Duration,
}

/// The decision about one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The action.
    pub action: Action,
    /// The action's consequence: `outcome` in the log.
    pub consequence: Option<Consequence>,
}

/// The rule of a tick (spec 07.2). First match wins; comparisons of age are strict.
pub fn decide(seen: &SessionSeen, bounds: Bounds) -> Verdict {
    let verdict = |action, consequence| Verdict { action, consequence };
    if seen.managed {
        return verdict(Action::SkippedLaunchd, Some(Consequence::ReadOnlyH4));
    }
    match seen.liveness {
        Liveness::Unknown => return verdict(Action::Unknown, Some(Consequence::LeftAlone)),
        Liveness::Gone if seen.stopped => return verdict(Action::SkippedStopped, Some(Consequence::ResumeOnStart)),
        Liveness::Gone if seen.new_eager => return verdict(Action::NeedsEagerFresh, Some(Consequence::EagerFresh)),
        Liveness::Gone => return verdict(Action::ReapedGone, Some(Consequence::FreshNextMsg)),
        Liveness::Alive => {}
    }
    if seen.stopped {
        return verdict(Action::ReapedIdle, Some(Consequence::OperatorHaltEnforced));
    }
    if seen.always_on {
        return verdict(Action::Alive, None);
    }
    if seen.working || seen.waiting {
        return verdict(Action::Alive, Some(Consequence::Working));
    }
    if seen.ephemeral {
        if seen.armed && seen.age > seen.quiet {
            return verdict(Action::ReapedEphemeral, Some(Consequence::EphemeralDone));
        }
        if seen.age > bounds.unarmed {
            return verdict(Action::ReapedEphemeral, Some(Consequence::EphemeralUnarmedBound));
        }
        return verdict(Action::Alive, None);
    }
    if seen.age > bounds.idle {
        return verdict(Action::ReapedIdle, Some(Consequence::ResumeEligible));
    }
    verdict(Action::Alive, None)
}

/// The rows of spec 07.2 with D6 and D10, a test each. Row 0 (an error while judging one peer) is an act of the tick
/// and is shown with real sessions, in `tests/lifecycle.rs`.
#[cfg(test)]
mod rows_of_07_2 {
    use super::*;
    use crate::base::Liveness::{Gone, Unknown as Silent};
    use Action::*;
    use Consequence::*;

    const BOUNDS: Bounds = Bounds { unarmed: Duration::from_secs(600), idle: Duration::from_secs(3600) };
    const EVER: Duration = Duration::from_secs(99_999);

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    /// A session that lives, of a peer that is no worker, just active, without a mark.
    fn plain() -> SessionSeen {
        SessionSeen {
            managed: false,
            liveness: Liveness::Alive,
            stopped: false,
            new_eager: false,
            ephemeral: false,
            always_on: false,
            armed: false,
            working: false,
            waiting: false,
            age: Duration::ZERO,
            quiet: secs(20),
        }
    }

    /// `row: { what differs from the plain session } => action, outcome`.
    macro_rules! rows {
        ($($row:ident: { $($field:ident: $value:expr),* } => $action:ident, $outcome:expr;)*) => {$(
            #[test]
            fn $row() {
                let observed = SessionSeen { $($field: $value,)* ..plain() };
                assert_eq!(decide(&observed, BOUNDS), Verdict { action: $action, consequence: $outcome });
            }
        )*};
    }

    rows! {
        row_1_managed_by_the_os: { managed: true } => SkippedLaunchd, Some(ReadOnlyH4);
        row_1_beats_every_other: { managed: true, liveness: Gone, stopped: true, new_eager: true, age: EVER } => SkippedLaunchd, Some(ReadOnlyH4);
        row_2_dead_and_stopped: { liveness: Gone, stopped: true } => SkippedStopped, Some(ResumeOnStart);
        row_2_beats_a_wish_to_come_back: { liveness: Gone, stopped: true, new_eager: true } => SkippedStopped, Some(ResumeOnStart);
        row_3_dead_and_wants_to_come_back_fresh: { liveness: Gone, new_eager: true } => NeedsEagerFresh, Some(EagerFresh);
        row_4_dead: { liveness: Gone } => ReapedGone, Some(FreshNextMsg);
        row_4_a_worker_too_armed_or_not: { liveness: Gone, ephemeral: true, armed: true } => ReapedGone, Some(FreshNextMsg);
        row_4_5_alive_though_stopped: { stopped: true } => ReapedIdle, Some(OperatorHaltEnforced);
        row_4_5_whatever_it_is_doing: { stopped: true, working: true, ephemeral: true } => ReapedIdle, Some(OperatorHaltEnforced);
        row_5_a_worker_that_answered_and_is_quiet: { ephemeral: true, armed: true, age: secs(21) } => ReapedEphemeral, Some(EphemeralDone);
        row_5_is_strict: { ephemeral: true, armed: true, age: secs(20) } => Alive, None;
        row_5_needs_the_answer: { ephemeral: true, age: secs(21) } => Alive, None;
        row_5_under_d10_a_running_turn_is_never_quiet: { ephemeral: true, armed: true, working: true, age: EVER } => Alive, Some(Working);
        row_5_is_for_workers_only: { armed: true, age: secs(21) } => Alive, None;
        row_6_a_worker_that_never_answers: { ephemeral: true, age: secs(601) } => ReapedEphemeral, Some(EphemeralUnarmedBound);
        row_6_is_strict: { ephemeral: true, age: secs(600) } => Alive, None;
        row_6_fires_for_an_armed_one_too: { ephemeral: true, armed: true, quiet: secs(9_999), age: secs(601) } => ReapedEphemeral, Some(EphemeralUnarmedBound);
        row_6_under_d10_a_running_turn_is_never_idle: { ephemeral: true, working: true, age: EVER } => Alive, Some(Working);
        row_7_idle: { age: secs(3601) } => ReapedIdle, Some(ResumeEligible);
        row_7_is_strict: { age: secs(3600) } => Alive, None;
        row_7_under_d10_a_running_turn_is_never_idle: { working: true, age: EVER } => Alive, Some(Working);
        a_session_that_waits_for_somebody_is_not_put_to_sleep: { waiting: true, age: EVER } => Alive, Some(Working);
        nor_is_a_worker_that_does: { ephemeral: true, waiting: true, age: EVER } => Alive, Some(Working);
        row_7_a_bridge_is_never_put_to_sleep: { always_on: true, age: EVER } => Alive, None;
        row_4_5_a_stopped_bridge_is_ended: { always_on: true, stopped: true } => ReapedIdle, Some(OperatorHaltEnforced);
        row_8_alive: { age: secs(1) } => Alive, None;
        row_8_a_wish_to_come_back_waits_for_the_end: { new_eager: true } => Alive, None;
        d6_unknown_is_left_alone: { liveness: Silent, age: EVER } => Unknown, Some(LeftAlone);
        d6_unknown_is_left_alone_even_if_stopped: { liveness: Silent, stopped: true, ephemeral: true, armed: true, age: EVER } => Unknown, Some(LeftAlone);
    }
}
