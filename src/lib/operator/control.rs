//! Verbs about single sessions: the operator's stop, start, refresh, new, wake, interrupt and compact, and the agents' own
//! self-fresh and self-done.

use crate::base::Marker;
use crate::base::clock::{Deadline, wait_for};
use crate::base::exit::{Exit, Failure};
use crate::base::identity::{Identity, Runtime, Topic};
use crate::base::wake::{Mode, WakeCause};
use crate::base::words::words;
use crate::host::managed::Managed;
use crate::mailbox::{armed, notice};
use crate::operator::patience;
use crate::runtime::Kind;
use crate::session::activity::{Activity, Quiet, turn_of};
use crate::session::bring_up::{self, Call, Guard};
use crate::session::end::{self, End, Park};
use crate::session::refuse;
use crate::session::rule::WakeRequest;
use crate::session::seed;
use crate::session::settle::{self, Standing};
use crate::store::LockError;
use crate::store::event_log::Event;
use crate::store::markers::{AfterEnd, TurnState};
use crate::store::session_record::SessionRecord;
use crate::units::install;
use crate::world::World;
use crate::world::peer::Peer;
use serde::Serialize;
use std::time::Duration;

pub use crate::operator::done::Done;

/// The peers that a verb is for: one, or all registered peers, each on all its runtimes.
pub fn targets(
    world: &World<'_>,
    name: Option<&str>,
    runtime: Option<&Runtime>,
    all: bool,
) -> Result<Vec<Peer>, Failure> {
    match (name, all) {
        (Some(name), false) => Ok(vec![Peer::named(world.paths, name, runtime)?]),
        (None, true) => Peer::all(world.paths),
        _ => Err(Failure::new(Exit::Usage, "name one peer, or give --all")),
    }
}

/// Stops a peer: it accepts no messages until it is started again. Its session is parked. An always-on peer is stopped by
/// the service manager.
pub fn stop(world: &World<'_>, peer: &Peer) -> Result<Done, Failure> {
    let identity = &peer.identity;
    if world.host.managed_by(identity).is_some() {
        return Ok(by_manager(world, peer, false));
    }
    // The marker is set first: senders see it at once, and a drain that has the lock sees it at its next step.
    let unnoted = match world.markers(identity).set(Marker::Stopped, world.now()) {
        // On a full disk the session is ended nevertheless: it may be the session that fills the disk.
        Err(error) if error.is_full() => Some(error),
        set => set.map(|()| None)?,
    };
    let patience = world.settings.lock_wait + world.settings.boot_deadline;
    let lock = match patience::lock(world, identity, patience, "leaves it stopped") {
        // The marker is set: the program that has the lock sees it at its next step.
        Err(LockError::Held { .. }) if unnoted.is_none() => {
            let why =
                format!("{} goes on; it ends the session, or the next tick does", patience::whom(world, identity));
            return Ok(Done::with(identity, "stopped", Some(why), Exit::Ok));
        }
        taken => taken?,
    };
    let outcome = match settle::settle(world, identity)?.0 {
        Standing::Live(record) => {
            let event = Event::new("stop").field("identity", identity).field("by", world.program);
            world.lifecycle(&event);
            end::end(world, identity, Some(&record), &End::new("stop").park(Park::Yes))?;
            Done::ok(identity, "stopped")
        }
        Standing::Asleep => {
            let event =
                Event::new("stop").field("identity", identity).field("by", world.program).field("session", "none");
            world.lifecycle(&event);
            Done::ok(identity, "stopped")
        }
        Standing::Unknown => Done::with(
            identity,
            "stopped",
            Some("tmux does not say whether its session lives; the next tick ends it if it does".into()),
            Exit::Ok,
        ),
    };
    drop(lock);
    Ok(match unnoted {
        Some(error) => {
            let why = format!("its session is ended, but not noted as stopped, so that a message wakes it: {error}");
            Done::with(identity, "not-stopped", Some(why), Exit::Io)
        }
        None => outcome,
    })
}

/// Marks a peer as stopped, without waiting for a lock. Called for all peers before they are stopped one by one, so that
/// none of them accepts messages meanwhile.
pub(crate) fn mark_stopped(world: &World<'_>, peer: &Peer) {
    if world.host.managed_by(&peer.identity).is_none() {
        // A failure is reported when the peer is stopped.
        let _ = world.markers(&peer.identity).set(Marker::Stopped, world.now());
    }
}

/// Lets a stopped peer accept messages again. No session is started, except for messages that wait.
pub fn start(world: &World<'_>, peer: &Peer) -> Result<Done, Failure> {
    if world.host.managed_by(&peer.identity).is_some() {
        return Ok(by_manager(world, peer, true));
    }
    let was = world.markers(&peer.identity).clear(Marker::Stopped)?;
    let event = Event::new("start").field("identity", &peer.identity).field("was_stopped", was);
    world.lifecycle(&event);
    notice::give_waiting(world, Some(&peer.identity));
    world.kick_if_waiting(&peer.identity);
    Ok(Done::ok(&peer.identity, "started"))
}

/// Makes the next wake a fresh one, so that changed prompts are read.
pub fn refresh(world: &World<'_>, peer: &Peer) -> Result<Done, Failure> {
    if peer.manifest.kind != Kind::Tui {
        return Ok(Done::ok(&peer.identity, "skipped-non-agentic"));
    }
    let lock = patience::lock(world, &peer.identity, world.settings.lock_wait, "changes nothing")?;
    world.markers(&peer.identity).set(Marker::Refresh, world.now())?;
    drop(lock);
    Ok(Done::ok(&peer.identity, "refresh-armed"))
}

words! {
    /// Whether a wake brought the session up.
    pub enum WakeStatus {
        /// The session is up.
        Ready = "ready",
        /// The session was started and did not come up.
        Failed = "failed",
        /// The peer's state forbids a wake.
        Refused = "refused",
    }
}

/// The result of a wake by an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WakeReport {
    /// The identity of the session.
    pub identity: Identity,
    /// Whether the session is up.
    pub status: WakeStatus,
    /// Whether this wake started the session.
    pub woke: bool,
    /// Whether it was started fresh or resumed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Why it was started in this mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<WakeCause>,
    /// Why it is not up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How long the wake took, in milliseconds.
    pub ms: u64,
    /// The exit code.
    #[serde(skip)]
    pub exit: Exit,
}

/// Wakes a peer without a message. A live session is left as it is.
pub fn wake(
    world: &World<'_>,
    peer: &Peer,
    request: WakeRequest,
    topic: Option<&Topic>,
) -> Result<WakeReport, Failure> {
    let started = world.clock.monotonic();
    // Checked before the lock is taken: a wake that is refused anyway must not wait for a boot that holds the lock.
    if let Err(refused) = refuse::refuse_by_state(world, peer) {
        return Ok(woken(peer, Err(refused.into()), 0));
    }
    let wait = world.settings.lock_wait + world.settings.boot_deadline;
    let lock = patience::lock(world, &peer.identity, wait, "leaves it to that program").map_err(|error| {
        refuse::log_refusal(world, peer, "wake-lock-held", &error.to_string());
        Failure::from(error)
    })?;
    let up = bring_up::bring_up(world, peer, Call { request, topic, ..Call::default() });
    if let Ok(up) = &up {
        if up.woke.is_none() {
            // The operator wants a live session to stay awake: its idle time begins now, not at its last turn.
            SessionRecord { woke_at: world.now(), ..up.record.clone() }.write(world.paths)?;
        }
        seed::queue(world, peer, up.woke)?;
    }
    drop(lock);
    let ms = (world.clock.monotonic() - started).as_millis() as u64;
    Ok(woken(peer, up, ms))
}

fn woken(peer: &Peer, up: Result<bring_up::Up, bring_up::NotUp>, ms: u64) -> WakeReport {
    let base = WakeReport {
        identity: peer.identity.clone(),
        status: WakeStatus::Ready,
        woke: false,
        mode: None,
        cause: None,
        reason: None,
        ms,
        exit: Exit::Ok,
    };
    match up {
        Ok(up) => WakeReport {
            woke: up.woke.is_some(),
            mode: up.woke.map(|woken| woken.mode),
            cause: up.woke.map(|woken| woken.cause),
            ..base
        },
        Err(not_up) => WakeReport {
            status: if not_up.tried { WakeStatus::Failed } else { WakeStatus::Refused },
            exit: not_up.failure.exit,
            reason: Some(not_up.failure.message),
            ..base
        },
    }
}

/// Ends the session, if any, and starts a fresh one, also for a stopped, parked or crash-looping peer.
pub fn new(world: &World<'_>, peer: &Peer) -> Result<WakeReport, Failure> {
    let identity = &peer.identity;
    if let Some(refused) = refuse_managed(world, peer) {
        return Err(Failure::new(Exit::Refused, refused.line()));
    }
    refuse::refuse_mailbox(peer)?;
    if peer.manifest.kind != Kind::Tui {
        return Err(Failure::new(
            Exit::Refused,
            format!("{identity}: refused-infra: it is always on, not started by hand"),
        ));
    }
    world.host.preflight(peer)?;
    let started = world.clock.monotonic();
    let wait = world.settings.lock_wait + world.settings.boot_deadline;
    let lock = patience::lock(world, identity, wait, "leaves the session as it is")?;
    let markers = world.markers(identity);
    markers.clear(Marker::Stopped)?;
    markers.clear(Marker::NewEager)?;
    match settle::settle(world, identity)?.0 {
        Standing::Live(record) => end::end(world, identity, Some(&record), &End::new("new"))?,
        Standing::Asleep => drop(markers.clear(Marker::IdleReaped)?),
        Standing::Unknown => {
            return Err(Failure::new(Exit::TryAgain, format!("tmux does not say whether {identity} lives")));
        }
    }
    let up =
        bring_up::bring_up(world, peer, Call { request: WakeRequest::Fresh, guard: Guard::Passed, ..Call::default() });
    if let Ok(up) = &up {
        seed::queue(world, peer, up.woke)?;
    }
    drop(lock);
    Ok(woken(peer, up, (world.clock.monotonic() - started).as_millis() as u64))
}

/// An agent asks for a fresh session of itself: calls `say`, ends the session, and starts a tick that starts the fresh one.
pub fn self_fresh(world: &World<'_>, identity: &Identity, say: impl FnOnce()) -> Result<(), Failure> {
    // Refuses an unregistered peer, which would never be started again.
    Peer::of(world.paths, identity)?;
    let lock = world.lock(identity, world.settings.lock_wait)?;
    refuse_earlier_session(world, identity)?;
    match settle::settle(world, identity)?.0 {
        Standing::Live(record) => {
            world.lifecycle(&Event::new("self-fresh").field("identity", identity));
            // Printed before the session ends, because the caller's terminal ends with it.
            say();
            let end = End::new("self-fresh").then(AfterEnd::RelaunchFresh);
            let intent = end::intend(world, identity, Some(&record), &end)?;
            // The relaunch needs a program that outlives this session. The intent is written before that program starts:
            // without the intent it would find a live session and do nothing.
            let detached = world.host.detach("iapeer-superviser", &["--only", identity.as_str()]);
            end::finish(world, identity, &intent)?;
            detached.map_err(|why| Failure::new(Exit::TryAgain, format!("the next tick relaunches: {why}")))?;
        }
        Standing::Asleep => {
            world.markers(identity).set(Marker::NewEager, world.now())?;
            say();
        }
        Standing::Unknown => {
            return Err(Failure::new(Exit::TryAgain, format!("tmux does not say whether {identity} lives")));
        }
    }
    drop(lock);
    Ok(())
}

/// A process that outlived its session must neither end the next session nor settle that one's task.
fn refuse_earlier_session(world: &World<'_>, identity: &Identity) -> Result<(), Failure> {
    if !armed::is_of_an_earlier_session(world, identity) {
        return Ok(());
    }
    let why = format!("{identity} has another session now than the one that this process is of: nothing was changed");
    Err(Failure::new(Exit::Refused, why))
}

/// A worker says that it is done although it has nothing to send.
pub fn self_done(world: &World<'_>, identity: &Identity) -> Result<bool, Failure> {
    let peer = Peer::of(world.paths, identity)?;
    refuse_earlier_session(world, identity)?;
    match peer.is_ephemeral() {
        true => armed::try_arm(world, identity)?,
        false => world.markers(identity).set(Marker::EphemeralArmed, world.now())?,
    }
    Ok(peer.is_ephemeral())
}

/// How long a turn that a hook has reported may take to show on the screen.
const TURN_SHOWS: Duration = Duration::from_secs(2);

/// Interrupts a running turn.
pub fn interrupt(world: &World<'_>, peer: &Peer) -> Result<Done, Failure> {
    let identity = &peer.identity;
    let keys = &peer.manifest.keys.interrupt;
    if keys.is_empty() {
        return Ok(Done::with(
            identity,
            "refused-unsupported",
            Some(format!("runtime {} has no interrupt key", peer.manifest.runtime)),
            Exit::Refused,
        ));
    }
    let lock = patience::lock(world, identity, world.settings.lock_wait, "changes nothing")?;
    let record = match settle::settle(world, identity)?.0 {
        Standing::Live(record) => record,
        Standing::Asleep => {
            let why = "there is no session to interrupt".into();
            return Ok(Done::with(identity, "not-live", Some(why), Exit::Refused));
        }
        Standing::Unknown => {
            let why = "tmux does not say whether it lives".into();
            return Ok(Done::with(identity, "unknown", Some(why), Exit::TryAgain));
        }
    };
    // Only a running turn is interrupted, since Escape at an idle prompt can do other things. A hook reports the beginning
    // and the end of a turn a moment before the screen shows it: where hooks report, waits until both agree.
    let soon = Deadline::after(world.clock, TURN_SHOWS);
    let hooked = turn_of(world, identity, record.launch.as_deref()).is_some();
    let works = || Activity::from_files(world, peer, &record).quiet() == Quiet::Working;
    let busy = wait_for(world.clock, soon, Duration::from_millis(50), || {
        let shown = world.host.is_busy(peer);
        (!hooked || shown == works()).then_some(shown)
    });
    let busy = busy.unwrap_or_else(|| world.host.is_busy(peer));
    if !busy {
        return Ok(Done::with(identity, "idle", Some("no turn is running".into()), Exit::Refused));
    }
    world.host.interrupt(peer, keys)?;
    if let Some(mut turn) =
        world.markers(identity).turn().filter(|turn| turn.state == TurnState::Busy && turn.launch == record.launch)
    {
        turn.state = TurnState::Idle;
        turn.at = world.now();
        world.markers(identity).write_turn(&turn)?;
    }
    let event = Event::new("interrupt").field("identity", identity).field("by", world.program);
    world.lifecycle(&event);
    drop(lock);
    Ok(Done::ok(identity, "interrupted"))
}

/// Compacts the conversation, resuming a parked peer for it. The transcript shows when the compaction is done.
pub fn compact(world: &World<'_>, peer: &Peer) -> Result<Done, Failure> {
    let identity = &peer.identity;
    let refused = |action: &str, reason: &str, exit| Ok(Done::with(identity, action, Some(reason.to_owned()), exit));
    let Some(text) = peer.manifest.keys.compact.clone() else {
        return refused("refused-unsupported", "its runtime can't compact", Exit::Refused);
    };
    if let Some(refused) = refuse_managed(world, peer) {
        return Ok(refused);
    }
    let lock = patience::lock(world, identity, world.settings.lock_wait, "changes nothing")?;
    let mut action = "compacted";
    let record = match settle::settle(world, identity)?.0 {
        Standing::Unknown => return refused("unknown", "tmux does not say whether it lives", Exit::TryAgain),
        Standing::Live(record) => record,
        Standing::Asleep if !world.markers(identity).has(Marker::IdleReaped)? => {
            return refused("nothing-to-compact", "context is fresh; nothing to compact", Exit::Refused);
        }
        Standing::Asleep => {
            let call = Call { request: WakeRequest::Resume, ..Call::default() };
            let up = bring_up::bring_up(world, peer, call).map_err(|not_up| not_up.failure)?;
            world.markers(identity).clear(Marker::IdleReaped)?;
            action = "compacted after resume";
            up.record
        }
    };
    // The newest transcript in the folder may belong to an earlier conversation.
    let used = || world.host.transcript_times(peer, None).last.is_some_and(|at| at >= record.woke_at);
    if world.host.resumable(peer).is_err()
        || record.decision.as_ref().is_some_and(|decision| decision.mode == Mode::Fresh) && !used()
    {
        return refused("nothing-to-compact", "context is fresh; nothing to compact", Exit::Refused);
    }
    if Activity::from_files(world, peer, &record).quiet() == Quiet::Working {
        return refused("busy", "a turn is running; try again when it is over", Exit::TryAgain);
    }
    world.host.compact(peer, &text)?;
    let event = Event::new("compact").field("identity", identity).field("by", world.program);
    world.lifecycle(&event);
    drop(lock);
    Ok(Done::ok(identity, action))
}

/// Starts or stops a peer that the service manager holds.
fn by_manager(world: &World<'_>, peer: &Peer, on: bool) -> Done {
    if let Some(refused) = refuse_managed(world, peer) {
        return refused;
    }
    let action = if on { "bootstrap" } else { "bootout" };
    let event =
        Event::new(if on { "start" } else { "stop" }).field("identity", &peer.identity).field("by", world.program);
    let outcome = install::run(world, &peer.identity, on);
    world.lifecycle(&event.field("action", action).maybe("reason", outcome.as_ref().err()));
    match outcome {
        Ok(()) => Done::ok(&peer.identity, action),
        Err(why) => Done::with(&peer.identity, action, Some(format!("failed: {why}")), Exit::TryAgain),
    }
}

/// Refuses a peer that is held by a unit that iapeer did not write.
fn refuse_managed(world: &World<'_>, peer: &Peer) -> Option<Done> {
    let by = world.host.managed_by(&peer.identity).filter(|by| matches!(by, Managed::Foreign(_)))?;
    let reason = format!("held by {by}: use its service manager");
    Some(Done::with(&peer.identity, "refused-foreign-launchd", Some(reason), Exit::Refused))
}
