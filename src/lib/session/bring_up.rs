//! Waking a peer: the acting half of the wake rule. The identity's lock is held throughout.

use crate::base::exit::{Exit, Failure};
use crate::base::identity::Topic;
use crate::canary::arm;
use crate::canary::record;
use crate::delivery::worker;
use crate::host::Liveness;
use crate::session::crash_loop;
use crate::session::launch;
use crate::session::rule::{self, Mode, Request};
use crate::session::settle::{self, Ending, Park, Standing};
use crate::store::event_log::Event;
use crate::store::markers::Marker;
use crate::store::session_record::{Phase, SessionRecord};
use crate::world::peer::Peer;
use crate::world::{Launch, World};
use std::time::Duration;

/// A session that is up.
#[derive(Debug, Clone)]
pub struct Up {
    /// Its record.
    pub record: SessionRecord,
    /// How it was started; `None` where it lived already.
    pub woke: Option<(Mode, &'static str)>,
}

/// A session that is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotUp {
    /// What is to be told.
    pub failure: Failure,
    /// Whether this was a try that failed, and not a state that forbids one.
    pub tried: bool,
}

impl NotUp {
    fn refused(failure: Failure) -> NotUp {
        NotUp { failure, tried: false }
    }
}

impl From<Failure> for NotUp {
    fn from(failure: Failure) -> Self {
        NotUp::refused(failure)
    }
}

/// How to wake.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// What the caller asks for.
    pub request: Request,
    /// The incoming message's topic.
    pub topic: Option<&'a Topic>,
    /// An operator insists: the crash-loop guard is passed, and that is said.
    pub past_guard: bool,
    /// The caller is what the service manager runs to hold the peer: nobody else may wake it.
    pub holder: bool,
}

impl Default for Call<'_> {
    fn default() -> Self {
        Call { request: Request::Default, topic: None, past_guard: false, holder: false }
    }
}

/// Brings `peer` up, or says why not. A live session is left as it is.
pub fn bring_up(world: &World<'_>, peer: &Peer, call: Call<'_>) -> Result<Up, NotUp> {
    let identity = &peer.identity;
    let markers = world.markers(identity);
    refuse_mid_wake(world, peer)?;
    match settle::settle(world, identity)?.0 {
        Standing::Unknown => {
            let why = format!("tmux does not say whether {identity} lives: nothing is done before it does");
            return Err(NotUp::refused(Failure::new(Exit::TryAgain, why)));
        }
        Standing::Live(record) if record.phase == Phase::Booting => return finish_boot(world, peer, record, call),
        Standing::Live(record) => return Ok(Up { record, woke: None }),
        Standing::Asleep => {
            // One that sleeps is started by what holds it and by nobody else; one that lives is told.
            if let Some(by) = world.host.managed_by(identity).filter(|_| !call.holder) {
                return Err(refuse_managed(world, peer, by, "launchd-managed-mid-wake").into());
            }
        }
    }
    if !peer.cwd().is_dir() {
        let why = format!("the working folder of {identity} does not exist: {}", peer.cwd().display());
        return Err(NotUp::refused(Failure::new(Exit::Refused, why)));
    }
    let guard = crash_loop::guard(
        &markers.deaths(),
        world.now(),
        world.settings.crashloop_max,
        world.settings.crashloop_window,
    );
    if let Err(tripped) = &guard
        && !call.past_guard
    {
        let reason = format!("{} deaths in {}s", tripped.deaths, tripped.window.as_secs());
        log_refusal(world, peer, "crash-loop", &reason);
        let why = format!(
            "{identity}: {tripped}; it may be woken again in {}s, `iapeer new {}` wakes it at once",
            tripped.until.as_secs() + 1,
            identity.personality()
        );
        return Err(NotUp::refused(Failure::new(Exit::Refused, why)));
    }
    let topics = markers.topics();
    let observed = rule::Observed {
        request: call.request,
        refresh: markers.has(Marker::Refresh),
        ephemeral: peer.is_ephemeral(),
        parked: markers.set_at(Marker::IdleReaped).map(|at| world.now().since(at)),
        human: peer.is_human(),
        policy: peer.resume_policy(),
        topic: call.topic,
        topics: &topics,
        transcript: world.host.resumable(peer),
        max_age: world.settings.resume_max_age,
    };
    let decision = match rule::decide(&observed) {
        Ok(decision) => decision,
        Err(nothing) => {
            let event = wake_event(peer, "fail", "attach-nothing-to-resume").field("reason", &nothing.reason);
            world.lifecycle(&event);
            return Err(NotUp::refused(Failure::new(Exit::Refused, format!("{identity}: {}", nothing.reason))));
        }
    };
    // Before the launch, so that the decision is on record even if the launch ends us.
    let event = wake_event(peer, decision.mode.as_str(), decision.cause)
        .maybe("ref", decision.reference.as_ref())
        .maybe("topic", call.topic)
        .maybe("last_death", record::LastDeath::of(world, identity).map(|death| death.cause))
        .maybe("guard", guard.err().map(|_| "passed-by-operator"));
    world.lifecycle(&event);

    let prompt = launch::write_prompt(world, peer)?;
    let name = launch::new_launch_name(world);
    let launch = launch::build(world, peer, decision.mode, &name, prompt.as_deref())?;
    // What an earlier session left must not speak for this one, nor may this one's answer settle its task.
    if peer.is_ephemeral() {
        let queue = world.queue(identity);
        worker::unsettled(world, peer, &queue, "the worker's session ended before it answered", &mut Vec::new())?;
    }
    markers.clear_turn().map_err(Failure::from)?;
    markers.clear(Marker::EphemeralArmed).map_err(Failure::from)?;
    markers.clear(Marker::NewEager).map_err(Failure::from)?;
    let processes = world.host.start(&launch).map_err(|error| {
        let failure = Failure::from(error);
        let event = Event::new("wake-failed").field("identity", identity).field("reason", &failure);
        world.lifecycle(&event);
        // A program that can't even be started is a death like any other. Where tmux was only slow, what lives is
        // enrolled by the next look.
        let tried = failure.exit != Exit::Refused;
        if tried && world.liveness(identity, None) == Liveness::Gone {
            let _ = markers.add_death(world.now());
        }
        NotUp { failure, tried }
    })?;
    let record = SessionRecord {
        identity: identity.clone(),
        runtime: identity.runtime().clone(),
        personality: identity.personality().clone(),
        cwd: peer.cwd().to_owned(),
        woke_at: world.now(),
        phase: Phase::Booting,
        server: Some(processes.server),
        pane: processes.pane,
        unit: processes.unit,
        launch: Some(name),
        boot_id: world.host.boot_id(),
        mode: Some(decision.mode.to_string()),
        cause: Some(decision.cause.to_owned()),
        died_at: None,
    };
    record.write(world.paths).map_err(Failure::from)?;
    arm::at_launch(world, identity);
    await_ready(world, peer, &record, &launch, world.settings.boot_deadline)?;
    let consume = decision.consume;
    let record = ready(world, peer, record, call.topic, decision.mode, &consume)?;
    Ok(Up { record, woke: Some((decision.mode, decision.cause)) })
}

/// Goes on with a boot whose launcher died: the session lives, its record says `booting`, and the lock is ours.
fn finish_boot(world: &World<'_>, peer: &Peer, record: SessionRecord, call: Call<'_>) -> Result<Up, NotUp> {
    let mode = if record.mode.as_deref() == Some("resume") { Mode::Resume } else { Mode::Fresh };
    let name = record.launch.clone().unwrap_or_default();
    let launch = launch::build(world, peer, mode, &name, None)?;
    let left = world.settings.boot_deadline.saturating_sub(world.now().since(record.woke_at));
    await_ready(world, peer, &record, &launch, left)?;
    // The decision was made by the launcher that died; its marks are consumed now as it would have done.
    let consume = match record.cause.as_deref() {
        Some("soft-reload") => vec![Marker::Refresh, Marker::IdleReaped],
        Some("folder-launch" | "attach") => vec![],
        _ => vec![Marker::IdleReaped],
    };
    let record = ready(world, peer, record, call.topic, mode, &consume)?;
    Ok(Up { record, woke: Some((mode, "launcher-died")) })
}

/// Waits for READY. A boot that fails is cleared away and counted; one of a peer that was stopped meanwhile is
/// cleared away, and nobody is to blame.
fn await_ready(
    world: &World<'_>,
    peer: &Peer,
    record: &SessionRecord,
    launch: &Launch<'_>,
    patience: Duration,
) -> Result<(), NotUp> {
    let waited = world.host.await_ready(launch, patience);
    if world.markers(&peer.identity).has(Marker::Stopped) {
        log_refusal(world, peer, "stopped-mid-wake", "");
        // The marks stay as the launch found them: `start` lets the next wake decide the same again.
        let ending = Ending { why: "stopped-mid-wake", park: Park::No, keep_marks: true };
        settle::end(world, &peer.identity, Some(record), &ending)?;
        return Err(NotUp::refused(stopped(peer)));
    }
    waited.map_err(|reason| failed_boot(world, peer, record, &reason))
}

fn ready(
    world: &World<'_>,
    peer: &Peer,
    mut record: SessionRecord,
    topic: Option<&Topic>,
    mode: Mode,
    consume: &[Marker],
) -> Result<SessionRecord, Failure> {
    let markers = world.markers(&peer.identity);
    record.phase = Phase::Ready;
    record.write(world.paths)?;
    for marker in consume {
        markers.clear(*marker)?;
    }
    // A worker armed during its boot would settle a task that it has not seen yet.
    markers.clear(Marker::EphemeralArmed)?;
    if mode == Mode::Fresh {
        markers.clear_topics()?;
    }
    if let Some(topic) = topic {
        markers.note_topic(topic)?;
    }
    markers.trim_deaths(world.now().minus(world.settings.crashloop_window))?;
    record::healthy(world, &peer.identity)?;
    Ok(record)
}

fn failed_boot(world: &World<'_>, peer: &Peer, record: &SessionRecord, reason: &str) -> NotUp {
    let event = Event::new("wake-failed").field("identity", &peer.identity).field("reason", reason);
    world.lifecycle(&event);
    arm::record_end(world, record);
    let failure = match settle::fail_launch(world, &peer.identity, record, reason) {
        Ok(()) => Failure::new(Exit::TryAgain, format!("{}: {reason}", peer.identity)),
        Err(remains) => Failure::new(Exit::TryAgain, format!("{}: {reason}; and {remains}", peer.identity)),
    };
    NotUp { failure, tried: true }
}

/// Refuses what the peer's state forbids: stopped, or held by the service manager.
pub fn refuse_by_state(world: &World<'_>, peer: &Peer) -> Result<(), Failure> {
    if let Some(by) = world.host.managed_by(&peer.identity) {
        return Err(refuse_managed(world, peer, by, "launchd-managed"));
    }
    refuse_stopped(world, peer)
}

/// Refuses a peer that was stopped.
pub fn refuse_stopped(world: &World<'_>, peer: &Peer) -> Result<(), Failure> {
    if world.markers(&peer.identity).has(Marker::Stopped) {
        log_refusal(world, peer, "stopped", "");
        return Err(stopped(peer));
    }
    Ok(())
}

/// The same, with the lock held: whoever asks looked before taking it, so this came in between.
fn refuse_mid_wake(world: &World<'_>, peer: &Peer) -> Result<(), Failure> {
    if world.markers(&peer.identity).has(Marker::Stopped) {
        log_refusal(world, peer, "stopped-mid-wake", "");
        return Err(stopped(peer));
    }
    Ok(())
}

/// The refusal of a peer that the service manager holds, with its line in the log.
pub fn refuse_managed(world: &World<'_>, peer: &Peer, by: &str, cause: &'static str) -> Failure {
    world.lifecycle(&wake_event(peer, "refused", cause).field("by", by));
    let why = format!("{} is launchd-managed (by {by}): it is always on and not woken by messages", peer.identity);
    Failure::new(Exit::Refused, why)
}

/// What a stopped peer's callers are told.
pub fn stopped(peer: &Peer) -> Failure {
    let name = peer.identity.personality();
    Failure::new(
        Exit::Refused,
        format!(
            "{:?} ({}) is stopped and not accepting messages: `iapeer start {name}` lets it resume",
            name.as_str(),
            peer.identity.runtime()
        ),
    )
}

/// Logs that a wake was refused, and why.
pub fn log_refusal(world: &World<'_>, peer: &Peer, cause: &'static str, reason: &str) {
    let event = wake_event(peer, "refused", cause).maybe("reason", (!reason.is_empty()).then_some(reason));
    world.lifecycle(&event);
}

fn wake_event(peer: &Peer, mode: &str, cause: &str) -> Event {
    Event::new("wake")
        .field("personality", peer.identity.personality())
        .field("identity", &peer.identity)
        .field("runtime", peer.identity.runtime())
        .field("mode", mode)
        .field("cause", cause)
}
