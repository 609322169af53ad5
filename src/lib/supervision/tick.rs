//! One tick: examines every session once, decides and acts, then starts a drain for each queue in which messages wait.
//!
//! The rule ([`decide`]) is pure; [`tick`] acts on its decision, for each peer separately: an error about one peer
//! never stops the others.

use crate::attention::{look, tell};
use crate::base::Liveness;
use crate::base::clock::EpochMs;
use crate::base::exit::Failure;
use crate::base::identity::Identity;
use crate::base::span::said;
use crate::base::{Action, Consequence};
use crate::base::{Marker, StateFile};
use crate::canary::arm::{self, Armed};
use crate::delivery::worker;
use crate::mailbox::{notice, tasks};
use crate::session::bring_up::{self, Call};
use crate::session::end::{self, End, Park};
use crate::session::refuse;
use crate::session::rule::WakeRequest;
use crate::session::seed;
use crate::session::settle::{self, Standing};
use crate::store::durable::{self, StoreError};
use crate::store::event_log::Event;
use crate::store::lock::LockError;
use crate::store::session_record::SessionRecord;
use crate::supervision::observe::{Observed, Roster, observe};
use crate::supervision::outboxes;
use crate::supervision::rule::{Bounds, Verdict, decide};
use crate::supervision::scope::Scope;
use crate::world::peer::Peer;
use crate::world::{HostError, World};
use serde::{Deserialize, Serialize};
use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What a tick found and did about one session: one line of its output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// The session's identity.
    pub identity: Identity,
    /// What was, or would be, done.
    pub action: Action,
    /// The action's consequence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Consequence>,
    /// The reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How long the session had been quiet, in whole seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_secs: Option<u64>,
    /// The service manager that runs the peer, or the program that holds the identity's lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The pid of the session's server: a plan is carried out only on this very server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_pid: Option<i32>,
}

/// The summary of a tick.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TickSummary {
    /// The number of sessions examined.
    pub sessions: usize,
    /// The number of sessions on which the tick acted.
    pub acted: usize,
    /// The number of queues for which a drain was started.
    pub drained: usize,
    /// How long the tick took, in milliseconds.
    pub ms: u64,
}

/// The options of a tick.
#[derive(Debug, Clone, Default)]
pub struct TickOptions {
    /// Change nothing at all.
    pub dry_run: bool,
    /// Examine only these identities; empty: all.
    pub only: Vec<Identity>,
    /// Report and log live sessions too.
    pub verbose: bool,
}

impl TickOptions {
    /// How long to wait for one peer's lock. A tick over all peers does not wait. A tick for named peers waits, since
    /// the program that started it may still hold the lock (`self-fresh`).
    fn patience(&self, world: &World<'_>) -> Duration {
        if self.only.is_empty() { Duration::ZERO } else { world.settings.lock_wait }
    }
}

/// One tick. `tell` is called once per reported session. For a tick over all peers that is no dry run, the caller holds
/// the superviser's lock.
///
/// While the registry can't be read, it is not known which identities are peers: deaths are recorded, but no session is
/// ended or started, no queue is touched, and the error is returned at the end.
pub fn tick(world: &World<'_>, options: &TickOptions, mut tell: impl FnMut(&Judged)) -> Result<TickSummary, Failure> {
    let started = world.clock.monotonic();
    let verbose = options.verbose || options.dry_run || world.settings.verbose;
    if !options.dry_run && options.only.is_empty() {
        // A failure is only logged: without this note, time by which the clock was set forward counts as time that has
        // passed.
        let _ = world.clocks().note(world.paths).inspect_err(|error| tracing::warn!("{error}"));
    }
    let look = Scope::of(world, &options.only);
    let all = look.sessions(world)?;
    let roster = LazyCell::new(|| Roster::read(world));
    let mut summary = TickSummary::default();
    let mut alive = BTreeMap::new();
    for identity in &all {
        let judged = match judge(world, &roster, identity, options) {
            Ok(Some(Examined { judged, live })) => {
                live.into_iter().for_each(|live| drop(alive.insert(identity.clone(), live)));
                judged
            }
            Ok(None) => continue,
            Err(failure) => {
                let judged = plain(
                    identity,
                    Action::SkippedError,
                    Some(Consequence::PeerErrorIsolated),
                    Some(failure.to_string()),
                );
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
        // The marks are read anew: the actions above may have set some.
        let rest = look.rest(world)?;
        for identity in &all.union(&rest).collect::<BTreeSet<_>>() {
            roster.is_readable()?;
            if let Err(failure) = attend(world, &roster, identity, alive.remove(*identity)) {
                tracing::warn!("{identity}: {failure}; what it waits for is not known");
            }
        }
        for identity in &rest {
            if world.markers(identity).has(Marker::NewEager)? {
                relaunch(world, identity, options.patience(world));
            }
            match kick(world, identity) {
                Ok(kicked) => summary.drained += usize::from(kicked),
                Err(error) => {
                    let judged = plain(
                        identity,
                        Action::SkippedError,
                        Some(Consequence::QueueErrorIsolated),
                        Some(error.to_string()),
                    );
                    log(world, &judged, false);
                    tell(&judged);
                }
            }
        }
        notice::give_waiting(world, None);
        if options.only.is_empty() {
            outboxes::attend(world, if look.is_full() { outboxes::Look::Full } else { outboxes::Look::Waiting });
        }
        look.done(world)?;
    }
    summary.ms = (world.clock.monotonic() - started).as_millis() as u64;
    Ok(summary)
}

/// Determines what a peer waits for, and tells the owner where that is due. `live`: its session, where this tick found it
/// alive a moment ago and left it alone.
fn attend(world: &World<'_>, roster: &Roster, identity: &Identity, live: Option<Live>) -> Result<(), Failure> {
    if let Some(Live { peer, record }) = live {
        look::attend(world, &peer, &record)?;
        tell::if_due(world, identity);
        return Ok(());
    }
    // A peer that the service manager runs is left alone: what it waits for is not determined.
    if world.host.managed_by(identity).is_some() {
        return Ok(());
    }
    let record = SessionRecord::peek(world.paths, identity);
    match record {
        Some(record) if world.host.liveness(identity, Some(&record)) == Liveness::Alive => {
            look::attend(world, &roster.peer(world, identity)?, &record)?;
        }
        Some(_) => {}
        None if world.host.has_trace(identity) => {}
        None => drop(look::without_session(world, identity)?),
    }
    tell::if_due(world, identity);
    Ok(())
}

/// Starts a canary for a live session that has none. `None`: the session has one.
fn watched(world: &World<'_>, identity: &Identity) -> Option<Judged> {
    let armed = arm::ensure(world, identity);
    if armed == Armed::Already {
        return None;
    }
    let consequence = if armed == Armed::Spawned { Consequence::Spawned } else { Consequence::Failed };
    let reason = arm::reason(&armed).map(str::to_owned);
    let event = Event::new("supervise")
        .field("identity", identity)
        .field("action", Action::Canary)
        .maybe("reason", reason.as_ref())
        .field("state", &armed)
        .field("origin", "retrofit");
    world.lifecycle(&event);
    Some(plain(identity, Action::Canary, Some(consequence), reason))
}

/// A session that lives and was left alone.
struct Live {
    peer: Peer,
    record: SessionRecord,
}

/// What was found and done about one identity.
struct Examined {
    judged: Judged,
    live: Option<Live>,
}

impl From<Judged> for Examined {
    fn from(judged: Judged) -> Examined {
        Examined { judged, live: None }
    }
}

/// Examines one identity, decides, acts. `None`: there is nothing to report (a socket without a session).
fn judge(
    world: &World<'_>,
    roster: &Roster,
    identity: &Identity,
    options: &TickOptions,
) -> Result<Option<Examined>, Failure> {
    let dry_run = options.dry_run;
    let managed = world.host.managed_by(identity);
    let record = SessionRecord::peek(world.paths, identity);
    if let Some(by) = managed {
        let judged = plain(identity, Action::SkippedLaunchd, Some(Consequence::ReadOnlyH4), None);
        return Ok(record.is_some().then(|| Judged { by: Some(by.to_string()), ..judged }.into()));
    }
    // An end or a claimed death that a crash interrupted is completed under the lock.
    let intent = world.paths.state(identity, StateFile::Teardown).exists()
        || world.paths.state(identity, StateFile::ClaimedDeath).exists();
    let liveness = match record {
        // Most sessions are alive: one cheap probe without the lock is enough for them.
        Some(_) => world.host.liveness(identity, record.as_ref()),
        None => world.liveness(identity, None),
    };
    if record.is_none() && liveness == Liveness::Gone && !intent {
        // A server that was killed, or that ran before the last boot, left its socket: settling removes the socket, so
        // that later ticks need not probe it again.
        if !dry_run && let Ok(_lock) = world.lock(identity, Duration::ZERO) {
            settle::settle(world, identity)?;
        }
        return Ok(None);
    }
    let Observed { seen: observed, peer, error } = observe(world, roster, identity, record.as_ref(), liveness)?;
    let bounds = Bounds { unarmed: world.settings.ephemeral_unarmed, idle: world.settings.idle };
    let verdict = decide(&observed, bounds);
    let describe = |verdict: Verdict, age: Option<Duration>| Judged {
        age_secs: age.map(|age| age.as_secs()),
        server_pid: record.as_ref().and_then(|record| record.server).map(|server| server.pid),
        ..plain(identity, verdict.action, verdict.consequence, None)
    };
    if let Some(reason) = error {
        // No answer about the terminal proves nothing, and is never a reason to end a session.
        let judged = plain(identity, Action::Unknown, Some(Consequence::LeftAlone), Some(reason.to_string()));
        log(world, &judged, dry_run);
        return Ok(Some(judged.into()));
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
        let live = peer.zip(record).map(|(peer, record)| Live { peer, record });
        return Ok(Some(Examined { judged, live }));
    }
    let lock = match world.lock(identity, options.patience(world)) {
        Ok(lock) => lock,
        Err(LockError::Held { holder, .. }) => {
            let judged = Judged { by: Some(holder), ..plain(identity, Action::ClaimedElsewhere, None, None) };
            return Ok(Some(judged.into()));
        }
        Err(error) => return Err(error.into()),
    };
    let judged = act(world, identity, bounds);
    drop(lock);
    Ok(judged?.map(Examined::from))
}

/// Decides anew and acts, under the lock: what was observed before the lock was taken may have changed.
fn act(world: &World<'_>, identity: &Identity, bounds: Bounds) -> Result<Option<Judged>, Failure> {
    let (standing, mended) = settle::settle(world, identity)?;
    if let Some(told) = mended.told() {
        // `settle` has written the log line.
        return Ok(Some(plain(identity, told.action, told.consequence, told.reason)));
    }
    let record = match standing {
        Standing::Live(record) => record,
        Standing::Unknown => {
            let why = "tmux does not say whether it lives".to_owned();
            let judged = plain(identity, Action::Unknown, Some(Consequence::LeftAlone), Some(why));
            log(world, &judged, false);
            return Ok(Some(judged));
        }
        Standing::Asleep => return Ok(None),
    };
    let Observed { seen: observed, error, .. } =
        observe(world, &Roster::read(world), identity, Some(&record), Liveness::Alive)?;
    let verdict = decide(&observed, bounds);
    let mut judged = Judged {
        age_secs: Some(observed.age.as_secs()),
        server_pid: record.server.map(|server| server.pid),
        ..plain(identity, verdict.action, verdict.consequence, error.as_ref().map(HostError::to_string))
    };
    let why = verdict.consequence.map_or("", Consequence::as_str);
    match verdict.action {
        _ if error.is_some() => judged.action = Action::Unknown,
        Action::ReapedEphemeral => {
            let peer = Peer::of(world.paths, identity)?;
            judged.reason = Some(worker::reason_of(why, observed.age));
            worker::reap(world, &peer, &record, why)?;
            let queue = world.queue(identity);
            if observed.armed {
                tasks::settle_answered(world, &peer, &queue)?;
            } else {
                tasks::give_back_unanswered(world, &peer, &queue, "the worker did not answer in time")?;
            }
        }
        Action::ReapedIdle => {
            let reason = if observed.stopped { Some("alive-but-stopped".to_owned()) } else { None };
            judged.reason = reason.or_else(|| Some(format!("idle {}", said(observed.age))));
            // The line is written before the session is ended, so that the decision is on record even if this program
            // dies.
            log(world, &judged, false);
            let end = End::new(why).park(Park::Yes);
            end::end(world, identity, Some(&record), &end)?;
        }
        _ => {}
    }
    Ok(Some(judged))
}

/// Starts a fresh session of a peer that ended its session and asked for a fresh one. The mark is removed before the
/// start, so that a start that fails is not repeated for ever. The runtime is resolved anew (pitfall 31).
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
        refuse::refuse_by_state(world, &peer)?;
        let lock = world.lock(&peer.identity, patience)?;
        let call = Call { request: WakeRequest::Fresh, ..Call::default() };
        let up = bring_up::bring_up(world, &peer, call).map_err(|not_up| not_up.failure)?;
        seed::queue(world, &peer, up.woke)?;
        drop(lock);
        Ok(())
    };
    if let Err(failure) = attempt() {
        tracing::warn!("{identity} did not come back fresh: {failure}");
    }
}

/// Removes temporary files that a crash left in the queue, and starts a drain where an item waits or is in flight.
/// Returns whether a drain was started.
fn kick(world: &World<'_>, identity: &Identity) -> Result<bool, StoreError> {
    if !world.queue(identity).tend(durable::LITTER_AGE)? || world.markers(identity).is_stopped() {
        return Ok(false);
    }
    Ok(world.kick(identity))
}

fn plain(identity: &Identity, action: Action, outcome: Option<Consequence>, reason: Option<String>) -> Judged {
    Judged { identity: identity.clone(), action, outcome, reason, age_secs: None, by: None, server_pid: None }
}

fn log(world: &World<'_>, judged: &Judged, dry_run: bool) {
    if dry_run {
        return;
    }
    let event = Event::new("supervise")
        .field("identity", &judged.identity)
        .field("action", judged.action)
        .maybe("reason", judged.reason.as_ref())
        .maybe("age", judged.age_secs.map(|age| format!("{age}s")))
        .maybe("by", judged.by.as_ref())
        .maybe("outcome", judged.outcome);
    world.lifecycle(&event);
}

/// When the last tick ran, by the time of its lock file.
pub(crate) fn last_tick(paths: &crate::base::Paths) -> Option<EpochMs> {
    std::fs::metadata(paths.superviser_lock()).and_then(|meta| meta.modified()).ok().map(EpochMs::from)
}
