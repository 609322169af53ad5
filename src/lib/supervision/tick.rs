//! One tick: look at every session once, decide, act, then have drained what waits.
//!
//! The rule ([`decide`]) is pure; [`tick`] acts on it, each peer for itself: one that can't be judged never stops
//! the others.

use crate::base::clock::EpochMs;
use crate::base::exit::Failure;
use crate::base::identity::Identity;
use crate::canary::arm::{self, Armed};
use crate::delivery::worker;
use crate::host::Liveness;
use crate::operator::control;
use crate::session::activity::{Activity, Quiet};
use crate::session::bring_up::{self, Call};
use crate::session::rule::Request;
use crate::session::settle::{self, Ending, Mended, Park, Standing};
use crate::store::durable::{self, StoreError};
use crate::store::event_log::Event;
use crate::store::lock::LockError;
use crate::store::markers::Marker;
use crate::store::registry::Registry;
use crate::store::session_record::SessionRecord;
use crate::supervision::scope::Look;
use crate::world::World;
use crate::world::peer::Peer;
use serde::{Deserialize, Serialize};
use std::cell::LazyCell;
use std::time::Duration;

/// What a tick does about one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// The service manager holds it: look, don't touch.
    SkippedLaunchd,
    /// A stopped peer's session is gone, as it should be.
    SkippedStopped,
    /// The agent ended itself to come back fresh.
    NeedsEagerFresh,
    /// It died: recorded.
    ReapedGone,
    /// A worker that is done, or never came to an end.
    ReapedEphemeral,
    /// Idle: put to sleep. Or alive though stopped.
    ReapedIdle,
    /// It lives.
    Alive,
    /// The host would not say.
    Unknown,
    /// Judging it failed.
    SkippedError,
    /// A canary was set on it.
    Canary,
    /// It lived without a record.
    Enrolled,
    /// An interrupted end was finished.
    FinishedTeardown,
    /// Somebody else is at it.
    ClaimedElsewhere,
}

impl Action {
    /// The word of the log and of `--json`.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::SkippedLaunchd => "skipped-launchd",
            Action::SkippedStopped => "skipped-stopped",
            Action::NeedsEagerFresh => "needs-eager-fresh",
            Action::ReapedGone => "reaped-gone",
            Action::ReapedEphemeral => "reaped-ephemeral",
            Action::ReapedIdle => "reaped-idle",
            Action::Alive => "alive",
            Action::Unknown => "unknown",
            Action::SkippedError => "skipped-error",
            Action::Canary => "canary",
            Action::Enrolled => "enrolled",
            Action::FinishedTeardown => "finished-teardown",
            Action::ClaimedElsewhere => "claimed-elsewhere",
        }
    }

    /// Whether it is worth a line without `-v`.
    fn is_news(self) -> bool {
        !matches!(self, Action::Alive | Action::SkippedLaunchd)
    }

    /// Whether something was changed by it.
    pub fn acts(self) -> bool {
        !matches!(
            self,
            Action::Alive | Action::SkippedLaunchd | Action::Unknown | Action::SkippedError | Action::ClaimedElsewhere
        )
    }
}

/// What was seen of one session.
#[derive(Debug, Clone)]
pub struct Observed {
    /// The service manager holds the peer.
    pub managed: bool,
    /// Whether it lives.
    pub liveness: Liveness,
    /// `.stopped` is set.
    pub stopped: bool,
    /// `.new-eager` is set.
    pub new_eager: bool,
    /// The profile makes it a stateless worker.
    pub ephemeral: bool,
    /// It has answered.
    pub armed: bool,
    /// A turn is running.
    pub working: bool,
    /// How long it has been quiet.
    pub age: Duration,
    /// How long an armed worker must be quiet.
    pub quiet: Duration,
}

/// The bounds of the rule.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// For a worker that never answers.
    pub unarmed: Duration,
    /// For everyone else.
    pub idle: Duration,
}

/// A decision and the words for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// What to do.
    pub action: Action,
    /// The `outcome` field.
    pub outcome: &'static str,
}

/// The rule of a tick (spec 07.2). First match wins; comparisons of age are strict.
pub fn decide(seen: &Observed, bounds: Bounds) -> Verdict {
    let verdict = |action, outcome| Verdict { action, outcome };
    if seen.managed {
        return verdict(Action::SkippedLaunchd, "read-only-h4");
    }
    match seen.liveness {
        Liveness::Unknown => return verdict(Action::Unknown, "left-alone"),
        Liveness::Gone if seen.stopped => return verdict(Action::SkippedStopped, "resume-on-start"),
        Liveness::Gone if seen.new_eager => return verdict(Action::NeedsEagerFresh, "eager-fresh"),
        Liveness::Gone => return verdict(Action::ReapedGone, "fresh-next-msg"),
        Liveness::Alive => {}
    }
    if seen.stopped {
        return verdict(Action::ReapedIdle, "operator-halt-enforced");
    }
    if seen.working {
        return verdict(Action::Alive, "working");
    }
    if seen.ephemeral {
        if seen.armed && seen.age > seen.quiet {
            return verdict(Action::ReapedEphemeral, "ephemeral-done");
        }
        if seen.age > bounds.unarmed {
            return verdict(Action::ReapedEphemeral, "ephemeral-unarmed-bound");
        }
        return verdict(Action::Alive, "");
    }
    if seen.age > bounds.idle {
        return verdict(Action::ReapedIdle, "resume-eligible");
    }
    verdict(Action::Alive, "")
}

/// One line of a tick.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// Whose session.
    pub identity: Identity,
    /// What was, or would be, done.
    pub action: Action,
    /// What comes of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How long it had been quiet, in whole seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_secs: Option<u64>,
    /// Who holds it, where somebody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The server it was judged by: a plan is carried out only on that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_pid: Option<i32>,
}

/// What a tick came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Sessions looked at.
    pub sessions: usize,
    /// Sessions something was done about.
    pub acted: usize,
    /// Queues that a drain was started for.
    pub drained: usize,
    /// Milliseconds.
    pub ms: u64,
}

/// What a tick is asked for.
#[derive(Debug, Clone, Default)]
pub struct TickOptions {
    /// Change nothing at all.
    pub dry_run: bool,
    /// Only these.
    pub only: Vec<Identity>,
    /// Report and log live sessions too.
    pub verbose: bool,
}

impl TickOptions {
    /// How long one peer's lock is waited for. A whole tick waits for nobody; an errand for a few peers does, since
    /// whoever sent it may hold the lock still (`self-fresh`).
    fn patience(&self, world: &World<'_>) -> Duration {
        if self.only.is_empty() { Duration::ZERO } else { world.settings.lock_wait }
    }
}

/// One tick. `tell` is called once per reported session. The caller holds the superviser's lock, except for a dry run.
pub fn tick(world: &World<'_>, options: &TickOptions, mut tell: impl FnMut(&Judged)) -> Result<Summary, Failure> {
    let started = world.clock.monotonic();
    let verbose = options.verbose || options.dry_run || world.settings.verbose;
    let look = Look::of(world, &options.only);
    let all = look.sessions(world);
    // Once for all that is only looked at: with a thousand sessions, reading it for each is most of a tick. One that
    // can't be read is each peer's own error, as it would be without.
    let registry = LazyCell::new(|| Registry::read(world.paths).unwrap_or_default());
    let mut summary = Summary::default();
    for identity in &all {
        let judged = match judge(world, &registry, identity, options) {
            Ok(Some(judged)) => judged,
            Ok(None) => continue,
            Err(failure) => {
                let judged =
                    plain(identity, Action::SkippedError, Some("peer-error-isolated"), Some(failure.to_string()));
                log(world, &judged, options.dry_run);
                judged
            }
        };
        summary.sessions += 1;
        summary.acted += usize::from(judged.action.acts());
        if verbose && !judged.action.is_news() {
            log(world, &judged, options.dry_run);
        }
        if verbose || judged.action.is_news() {
            tell(&judged);
        }
        if !options.dry_run && matches!(judged.action, Action::Alive | Action::Enrolled) {
            watched(world, identity).iter().for_each(&mut tell);
        }
    }
    if !options.dry_run {
        // Anew: what was done above left marks.
        for identity in &look.rest(world) {
            if world.markers(identity).has(Marker::NewEager) {
                relaunch(world, identity, options.patience(world));
            }
            match kick(world, identity) {
                Ok(kicked) => summary.drained += usize::from(kicked),
                Err(error) => {
                    let judged =
                        plain(identity, Action::SkippedError, Some("queue-error-isolated"), Some(error.to_string()));
                    log(world, &judged, false);
                    tell(&judged);
                }
            }
        }
        look.done(world)?;
    }
    summary.ms = (world.clock.monotonic() - started).as_millis() as u64;
    Ok(summary)
}

/// Sets a canary on a live session that has none. `None`: it has one.
fn watched(world: &World<'_>, identity: &Identity) -> Option<Judged> {
    let armed = arm::ensure(world, identity);
    if armed == Armed::Already {
        return None;
    }
    let reason = arm::reason(&armed).map(str::to_owned);
    let event = Event::new("supervise")
        .field("identity", identity)
        .field("action", Action::Canary.as_str())
        .field("state", &armed)
        .field("origin", "retrofit")
        .maybe("reason", reason.as_ref());
    world.lifecycle(&event);
    Some(plain(identity, Action::Canary, Some(&armed.to_string()), reason))
}

/// Looks at one identity, decides, acts. `None`: there is nothing to say (a socket without a session).
fn judge(
    world: &World<'_>,
    registry: &Registry,
    identity: &Identity,
    options: &TickOptions,
) -> Result<Option<Judged>, Failure> {
    let dry_run = options.dry_run;
    let managed = world.host.managed_by(identity);
    let record = SessionRecord::peek(world.paths, identity);
    if let Some(by) = managed {
        let judged = plain(identity, Action::SkippedLaunchd, Some("read-only-h4"), None);
        return Ok(record.is_some().then(|| Judged { by: Some(by.to_owned()), ..judged }));
    }
    // An end or a claim that a crash cut short is finished under the lock.
    let intent =
        world.paths.state(identity, "teardown").exists() || world.paths.state(identity, "session.reaping").exists();
    let liveness = match record {
        // Most sessions live: one cheap look, without the lock, is all they need.
        Some(_) => world.host.liveness(identity, record.as_ref()),
        None => world.liveness(identity, None),
    };
    if record.is_none() && liveness == Liveness::Gone && !intent {
        // A server that was killed, or the last boot, left its socket: it is looked at once, not by each tick.
        if !dry_run && let Ok(_lock) = world.lock(identity, Duration::ZERO) {
            settle::settle(world, identity)?;
        }
        return Ok(None);
    }
    let (observed, activity_error) = observe(world, registry, identity, record.as_ref(), liveness)?;
    let bounds = Bounds { unarmed: world.settings.ephemeral_unarmed, idle: world.settings.idle };
    let verdict = decide(&observed, bounds);
    let describe = |verdict: Verdict, age: Option<Duration>| Judged {
        age_secs: age.map(|age| age.as_secs()),
        server_pid: record.as_ref().and_then(|record| record.server).map(|server| server.pid),
        ..plain(identity, verdict.action, Some(verdict.outcome).filter(|text| !text.is_empty()), None)
    };
    if let Some(reason) = activity_error {
        // A terminal that can't be asked proves nothing: never a reason to end a session.
        let judged = plain(identity, Action::Unknown, Some("left-alone"), Some(reason));
        log(world, &judged, dry_run);
        return Ok(Some(judged));
    }
    let age = (liveness == Liveness::Alive).then_some(observed.age);
    let settled = intent || record.as_ref().is_none_or(|record| settle::is_failed_launch(world, record));
    if dry_run || (!verdict.action.acts() && !settled) {
        let mut judged = describe(verdict, age);
        if settled && verdict.action == Action::Alive {
            judged.action = if intent { Action::FinishedTeardown } else { Action::Enrolled };
        }
        if judged.action == Action::Unknown {
            log(world, &judged, dry_run);
        }
        return Ok(Some(judged));
    }
    let lock = match world.lock(identity, options.patience(world)) {
        Ok(lock) => lock,
        Err(LockError::Held { holder, .. }) => {
            return Ok(Some(Judged { by: Some(holder), ..plain(identity, Action::ClaimedElsewhere, None, None) }));
        }
        Err(error) => return Err(error.into()),
    };
    let judged = act(world, identity, bounds);
    drop(lock);
    judged
}

/// Acts under the lock, on what is seen now: what was seen before it may have changed.
fn act(world: &World<'_>, identity: &Identity, bounds: Bounds) -> Result<Option<Judged>, Failure> {
    let (standing, mended) = settle::settle(world, identity)?;
    let judged = match mended {
        Mended::Teardown => Some(plain(identity, Action::FinishedTeardown, Some("finished"), None)),
        Mended::Enrolled => Some(plain(identity, Action::Enrolled, Some("supervised"), None)),
        Mended::Death(_, reason) => Some(plain(identity, Action::ReapedGone, Some("fresh-next-msg"), Some(reason))),
        Mended::FailedLaunch => Some(plain(
            identity,
            Action::ReapedGone,
            Some("fresh-next-msg"),
            Some("its launcher died during the boot".into()),
        )),
        Mended::Stopped => Some(plain(identity, Action::SkippedStopped, Some("resume-on-start"), None)),
        Mended::EagerFresh => {
            Some(plain(identity, Action::NeedsEagerFresh, Some("eager-fresh"), Some("/new eager mark".into())))
        }
        Mended::ClaimedElsewhere => Some(plain(
            identity,
            Action::ClaimedElsewhere,
            None,
            Some("concurrently reaped by another supervise pass".into()),
        )),
        Mended::Nothing => None,
    };
    if let Some(judged) = judged {
        // Its log line is written by whoever mends.
        return Ok(Some(judged));
    }
    let record = match standing {
        Standing::Live(record) => record,
        Standing::Unknown => {
            let why = "tmux does not say whether it lives".to_owned();
            let judged = plain(identity, Action::Unknown, Some("left-alone"), Some(why));
            log(world, &judged, false);
            return Ok(Some(judged));
        }
        Standing::Asleep => return Ok(None),
    };
    let (observed, error) = observe(world, &Registry::read(world.paths)?, identity, Some(&record), Liveness::Alive)?;
    let verdict = decide(&observed, bounds);
    let mut judged = Judged {
        age_secs: Some(observed.age.as_secs()),
        server_pid: record.server.map(|server| server.pid),
        ..plain(identity, verdict.action, Some(verdict.outcome), error.clone())
    };
    match verdict.action {
        _ if error.is_some() => judged.action = Action::Unknown,
        Action::ReapedEphemeral => {
            let peer = Peer::of(world.paths, identity)?;
            worker::reap(world, &peer, &record, verdict.outcome)?;
            let queue = world.queue(identity);
            if observed.armed {
                worker::settle_answered(world, &peer, &queue)?;
            } else {
                worker::unsettled(world, &peer, &queue, "the worker did not answer in time", &mut Vec::new())?;
            }
        }
        Action::ReapedIdle => {
            let reason = if observed.stopped { Some("alive-but-stopped".to_owned()) } else { None };
            judged.reason = reason.or_else(|| Some(format!("idle {}s", observed.age.as_secs())));
            // The line before the act: the decision is on record whatever becomes of it.
            log(world, &judged, false);
            let ending = Ending { why: verdict.outcome, park: Park::Yes, keep_marks: false };
            settle::end(world, identity, Some(&record), &ending)?;
        }
        _ => {}
    }
    Ok(Some(judged))
}

/// What there is to see of one session. The second value: why its terminal can't be asked.
fn observe(
    world: &World<'_>,
    registry: &Registry,
    identity: &Identity,
    record: Option<&SessionRecord>,
    liveness: Liveness,
) -> Result<(Observed, Option<String>), Failure> {
    let markers = world.markers(identity);
    let mut observed = Observed {
        managed: false,
        liveness,
        stopped: markers.has(Marker::Stopped),
        new_eager: markers.has(Marker::NewEager),
        ephemeral: false,
        armed: markers.has(Marker::EphemeralArmed),
        working: false,
        age: Duration::ZERO,
        quiet: world.settings.ephemeral_quiet,
    };
    let (Some(record), Liveness::Alive) = (record, liveness) else { return Ok((observed, None)) };
    let peer = Peer::of_in(world.paths, registry, identity)?;
    observed.ephemeral = peer.is_ephemeral();
    let now = world.now();
    let mut activity = Activity::for_reaping(world, &peer, record);
    observed.quiet = worker::bound(world, &peer, &activity);
    let fill = |observed: &mut Observed, activity: &Activity| {
        observed.working = activity.quiet() == Quiet::Working;
        observed.age = activity.quiet().age(now);
    };
    fill(&mut observed, &activity);
    // The files alone say that it is active: most sessions, most of the time, cost no tmux call.
    let bounds = Bounds { unarmed: world.settings.ephemeral_unarmed, idle: world.settings.idle };
    if observed.stopped || !decide(&observed, bounds).action.acts() {
        return Ok((observed, None));
    }
    if let Err(error) = activity.ask_terminal(world, identity) {
        return Ok((observed, Some(error)));
    }
    fill(&mut observed, &activity);
    Ok((observed, None))
}

/// Brings a peer back that ended itself to come back fresh. The mark goes first: a failed relaunch is not repeated
/// for ever. The runtime is resolved anew (pitfall 31).
fn relaunch(world: &World<'_>, identity: &Identity, patience: Duration) {
    let attempt = || -> Result<(), Failure> {
        let lock = world.lock(identity, patience)?;
        let (standing, _) = settle::settle(world, identity)?;
        if standing != Standing::Asleep {
            return Ok(());
        }
        world.markers(identity).clear(Marker::NewEager)?;
        drop(lock);
        let peer = Peer::find(world.paths, identity.personality(), None)?;
        bring_up::refuse_by_state(world, &peer)?;
        let lock = world.lock(&peer.identity, patience)?;
        let call = Call { request: Request::Fresh, ..Call::default() };
        let up = bring_up::bring_up(world, &peer, call).map_err(|not_up| not_up.failure)?;
        control::seed(world, &peer, &up)?;
        drop(lock);
        Ok(())
    };
    if let Err(failure) = attempt() {
        tracing::warn!("{identity} did not come back fresh: {failure}");
    }
}

/// Tidies a queue, and starts a drain where something waits or is in flight.
fn kick(world: &World<'_>, identity: &Identity) -> Result<bool, StoreError> {
    if !world.queue(identity).tend(durable::LITTER_AGE)? || world.markers(identity).has(Marker::Stopped) {
        return Ok(false);
    }
    world.kick(identity);
    Ok(true)
}

fn plain(identity: &Identity, action: Action, outcome: Option<&str>, reason: Option<String>) -> Judged {
    Judged {
        identity: identity.clone(),
        action,
        outcome: outcome.filter(|text| !text.is_empty()).map(str::to_owned),
        reason,
        age_secs: None,
        by: None,
        server_pid: None,
    }
}

fn log(world: &World<'_>, judged: &Judged, dry_run: bool) {
    if dry_run {
        return;
    }
    let event = Event::new("supervise")
        .field("identity", &judged.identity)
        .field("action", judged.action.as_str())
        .maybe("reason", judged.reason.as_ref())
        .maybe("age", judged.age_secs.map(|age| format!("{age}s")))
        .maybe("by", judged.by.as_ref())
        .maybe("outcome", judged.outcome.as_ref());
    world.lifecycle(&event);
}

/// When the last tick ran, for `status`.
pub fn last_tick(paths: &crate::base::Paths) -> Option<EpochMs> {
    std::fs::metadata(paths.superviser_lock()).and_then(|meta| meta.modified()).ok().map(EpochMs::from)
}

/// The rows of spec 07.2 with D6 and D10, a test each. Row 0 (an error while judging one peer) is an act of the tick
/// and is shown with real sessions, in `tests/lifecycle.rs`.
#[cfg(test)]
mod rows_of_07_2 {
    use super::*;
    use crate::host::Liveness::{Gone, Unknown as Silent};
    use Action::*;

    const BOUNDS: Bounds = Bounds { unarmed: Duration::from_secs(600), idle: Duration::from_secs(3600) };
    const EVER: Duration = Duration::from_secs(99_999);

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    /// A session that lives, of a peer that is no worker, just active, without a mark.
    fn plain() -> Observed {
        Observed {
            managed: false,
            liveness: Liveness::Alive,
            stopped: false,
            new_eager: false,
            ephemeral: false,
            armed: false,
            working: false,
            age: Duration::ZERO,
            quiet: secs(20),
        }
    }

    /// `row: { what differs from the plain session } => action, outcome`.
    macro_rules! rows {
        ($($row:ident: { $($field:ident: $value:expr),* } => $action:ident, $outcome:literal;)*) => {$(
            #[test]
            fn $row() {
                let observed = Observed { $($field: $value,)* ..plain() };
                assert_eq!(decide(&observed, BOUNDS), Verdict { action: $action, outcome: $outcome });
            }
        )*};
    }

    rows! {
        row_1_managed_by_the_os: { managed: true } => SkippedLaunchd, "read-only-h4";
        row_1_beats_every_other: { managed: true, liveness: Gone, stopped: true, new_eager: true, age: EVER } => SkippedLaunchd, "read-only-h4";
        row_2_dead_and_stopped: { liveness: Gone, stopped: true } => SkippedStopped, "resume-on-start";
        row_2_beats_a_wish_to_come_back: { liveness: Gone, stopped: true, new_eager: true } => SkippedStopped, "resume-on-start";
        row_3_dead_and_wants_to_come_back_fresh: { liveness: Gone, new_eager: true } => NeedsEagerFresh, "eager-fresh";
        row_4_dead: { liveness: Gone } => ReapedGone, "fresh-next-msg";
        row_4_a_worker_too_armed_or_not: { liveness: Gone, ephemeral: true, armed: true } => ReapedGone, "fresh-next-msg";
        row_4_5_alive_though_stopped: { stopped: true } => ReapedIdle, "operator-halt-enforced";
        row_4_5_whatever_it_is_doing: { stopped: true, working: true, ephemeral: true } => ReapedIdle, "operator-halt-enforced";
        row_5_a_worker_that_answered_and_is_quiet: { ephemeral: true, armed: true, age: secs(21) } => ReapedEphemeral, "ephemeral-done";
        row_5_is_strict: { ephemeral: true, armed: true, age: secs(20) } => Alive, "";
        row_5_needs_the_answer: { ephemeral: true, age: secs(21) } => Alive, "";
        row_5_under_d10_a_running_turn_is_never_quiet: { ephemeral: true, armed: true, working: true, age: EVER } => Alive, "working";
        row_5_is_for_workers_only: { armed: true, age: secs(21) } => Alive, "";
        row_6_a_worker_that_never_answers: { ephemeral: true, age: secs(601) } => ReapedEphemeral, "ephemeral-unarmed-bound";
        row_6_is_strict: { ephemeral: true, age: secs(600) } => Alive, "";
        row_6_fires_for_an_armed_one_too: { ephemeral: true, armed: true, quiet: secs(9_999), age: secs(601) } => ReapedEphemeral, "ephemeral-unarmed-bound";
        row_6_under_d10_a_running_turn_is_never_idle: { ephemeral: true, working: true, age: EVER } => Alive, "working";
        row_7_idle: { age: secs(3601) } => ReapedIdle, "resume-eligible";
        row_7_is_strict: { age: secs(3600) } => Alive, "";
        row_7_under_d10_a_running_turn_is_never_idle: { working: true, age: EVER } => Alive, "working";
        row_8_alive: { age: secs(1) } => Alive, "";
        row_8_a_wish_to_come_back_waits_for_the_end: { new_eager: true } => Alive, "";
        d6_unknown_is_left_alone: { liveness: Silent, age: EVER } => Unknown, "left-alone";
        d6_unknown_is_left_alone_even_if_stopped: { liveness: Silent, stopped: true, ephemeral: true, armed: true, age: EVER } => Unknown, "left-alone";
    }

    #[test]
    fn the_words_of_the_actions_are_those_of_json() {
        for action in [SkippedLaunchd, ReapedIdle, NeedsEagerFresh, ClaimedElsewhere] {
            assert_eq!(serde_json::to_string(&action).unwrap(), format!("\"{}\"", action.as_str()));
        }
    }
}
