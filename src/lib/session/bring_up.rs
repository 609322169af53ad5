//! Waking a peer: carries out the wake rule in five steps. The caller holds the identity's lock.
//!
//! | step | what it does | when it refuses |
//! |---|---|---|
//! | `standing` | settles what happened before | stopped, or tmux gives no answer: refused, no try |
//! | `permit` | asks the crash-loop guard | too many deaths: refused, no try |
//! | `decide` | applies the wake rule | nothing to resume: refused, no try |
//! | `launch` | clears what the last session left, starts the program, writes the record | tmux or the service manager fails: a death, no try |
//! | `complete` | waits until the session is ready, consumes what the decision named | a failed boot: a try |

use crate::base::Marker;
use crate::base::exit::{Exit, Failure};
use crate::base::hold::Hold;
use crate::base::identity::Topic;
use crate::base::span::said;
use crate::base::wake::{Decision, Mode, WakeCause, Woken};
use crate::base::{AttentionState, Liveness, Sign};
use crate::canary::arm;
use crate::canary::record as deaths;
use crate::mailbox::tasks;
use crate::runtime::Told;
use crate::runtime::manifest::{ByProfile, DialogReply};
use crate::session::crash_loop::{self, Tripped};
use crate::session::end::{self, End};
use crate::session::launch as launching;
use crate::session::refuse::{self, wake_event};
use crate::session::rule::{self, WakeRequest};
use crate::session::settle::{self, Standing};
use crate::store::attention::{self, Attention};
use crate::store::event_log::Event;
use crate::store::peer_folder;
use crate::store::reindex;
use crate::store::session_record::{Phase, SessionRecord};
use crate::world::peer::Peer;
use crate::world::{Launch, NotReady, World};
use std::time::Duration;

/// A session that is alive and ready.
#[derive(Debug, Clone)]
pub struct Up {
    /// The session's record.
    pub record: SessionRecord,
    /// How the session was started; `None`: it was alive already.
    pub woke: Option<Woken>,
}

/// Why there is no session that is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotUp {
    /// The error for the caller.
    pub failure: Failure,
    /// Whether a start was tried: the session could not be started, or did not become ready. Else a state of the peer
    /// forbade the start.
    pub tried: bool,
    /// What holds the message for which the peer was to be woken. `None`: where a start was tried, the failure counts
    /// as the message's try; else the message just stays in the queue.
    pub hold: Option<Hold>,
}

impl NotUp {
    fn held(hold: Hold, exit: Exit, why: String) -> NotUp {
        NotUp { failure: Failure::new(exit, why), tried: false, hold: Some(hold) }
    }
}

impl From<Failure> for NotUp {
    fn from(failure: Failure) -> Self {
        NotUp { failure, tried: false, hold: None }
    }
}

/// How to wake.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// What the caller asks for.
    pub request: WakeRequest,
    /// The incoming message's topic.
    pub topic: Option<&'a Topic>,
    /// Whether the crash-loop guard may refuse.
    pub guard: Guard,
    /// On whose behalf the peer is woken.
    pub caller: Caller,
}

/// Whether the crash-loop guard may refuse a wake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// It may.
    Heeded,
    /// It may not: an operator insists, and the log says so.
    Passed,
}

/// On whose behalf a peer is woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// Any other program: a peer that the service manager runs is not woken.
    Anybody,
    /// The program by which the service manager runs the peer.
    Holder,
}

impl Default for Call<'_> {
    fn default() -> Self {
        Call { request: WakeRequest::Default, topic: None, guard: Guard::Heeded, caller: Caller::Anybody }
    }
}

/// Wakes `peer`, or returns why that was not possible. A live session is left as it is.
pub(crate) fn bring_up(world: &World<'_>, peer: &Peer, call: Call<'_>) -> Result<Up, NotUp> {
    match standing(world, peer, call)? {
        Some(record) if record.phase == Phase::Booting => return finish_boot(world, peer, record, call),
        Some(record) => return Ok(Up { record, woke: None }),
        None => {}
    }
    let tripped = permit(world, peer, call)?;
    let decision = decide(world, peer, call, tripped)?;
    let (record, launch) = launch(world, peer, &decision)?;
    let woke = Woken { mode: decision.mode, cause: decision.cause };
    let record = complete(world, peer, record, &launch, &decision, call, world.settings.boot_deadline)?;
    Ok(Up { record, woke: Some(woke) })
}

/// Step 1: the record of the live session, if there is one.
fn standing(world: &World<'_>, peer: &Peer, call: Call<'_>) -> Result<Option<SessionRecord>, NotUp> {
    let identity = &peer.identity;
    refuse::refuse_mailbox(peer)?;
    refuse::refuse_mid_wake(world, peer)?;
    match settle::settle(world, identity)?.0 {
        Standing::Unknown => {
            let why = format!("tmux does not say whether {identity} lives: nothing is done before it does");
            return Err(NotUp::held(Hold::Terminal, Exit::TryAgain, why));
        }
        Standing::Live(record) => return Ok(Some(record)),
        Standing::Asleep => {}
    }
    // A peer that the service manager runs is started only by the service manager's program; once alive it takes
    // messages.
    if let Some(by) = world.host.managed_by(identity).filter(|_| call.caller == Caller::Anybody) {
        return Err(refuse::refuse_managed(world, peer, by, "launchd-managed-mid-wake").into());
    }
    if !peer.cwd().is_dir() {
        let why = format!("the working folder of {identity} does not exist: {}", peer.cwd().display());
        return Err(NotUp::held(Hold::Setup, Exit::Refused, why));
    }
    if let Some(unfit) = peer_folder::fault(peer.cwd(), identity.runtime()) {
        refuse::log_refusal(world, peer, "unfit-file", &unfit.to_string());
        return Err(NotUp::held(Hold::Setup, unfit.exit(), format!("{identity} is not started: {unfit}")));
    }
    Ok(None)
}

/// Step 2: the crash-loop guard. Returns what it would have refused where an operator insists.
fn permit(world: &World<'_>, peer: &Peer, call: Call<'_>) -> Result<Option<Tripped>, NotUp> {
    let identity = &peer.identity;
    let (max, window) = (world.settings.crashloop_max, world.settings.crashloop_window);
    match crash_loop::guard(&world.markers(identity).deaths(), world.now(), max, window) {
        Ok(()) => Ok(None),
        Err(tripped) if call.guard == Guard::Passed => Ok(Some(tripped)),
        Err(tripped) => {
            let reason = format!("{} deaths in {}", tripped.deaths, said(tripped.window));
            refuse::log_refusal(world, peer, "crash-loop", &reason);
            // The reason names the time itself and not the time until then, because it is read later.
            let why = format!(
                "{identity}: {tripped}; it may be woken again from {} on, `iapeer new {}` wakes it at once",
                world.now().plus(tripped.until + Duration::from_millis(999)).utc_seconds(),
                identity.personality()
            );
            Err(NotUp::held(Hold::CrashLoop, Exit::Refused, why))
        }
    }
}

/// Step 3: the wake rule over what is observed. The decision is logged before anything is started, so that it is on
/// record even if the launch ends this program.
fn decide(world: &World<'_>, peer: &Peer, call: Call<'_>, tripped: Option<Tripped>) -> Result<Decision, NotUp> {
    let identity = &peer.identity;
    let markers = world.markers(identity);
    let topics = markers.topics();
    let parked = markers.set_at(Marker::IdleReaped).map_err(Failure::from)?;
    let observed = rule::WakeSeen {
        request: call.request,
        refresh: markers.has(Marker::Refresh).map_err(Failure::from)?,
        ephemeral: peer.is_ephemeral(),
        parked: parked.map(|at| world.now().since(at)),
        human: peer.is_human(),
        policy: peer.resume_policy(),
        topic: call.topic,
        topics: &topics,
        transcript: world.host.resumable(peer),
        max_age: world.settings.resume_max_age,
    };
    let decision = rule::decide(&observed).map_err(|nothing| {
        let event = wake_event(peer, "fail", "attach-nothing-to-resume").field("reason", &nothing);
        world.lifecycle(&event);
        NotUp::from(Failure::new(Exit::Refused, format!("{identity}: {nothing}")))
    })?;
    let event = wake_event(peer, decision.mode.as_str(), decision.cause.as_str())
        .maybe("ref", decision.reference.as_ref())
        .maybe("topic", call.topic)
        .maybe("last_death", deaths::LastDeath::of(world, identity).map(|death| death.cause))
        .maybe("dialogs", answered_by_profile(peer))
        .maybe("guard", tripped.map(|_| "passed-by-operator"));
    world.lifecycle(&event);
    Ok(decision)
}

/// How the dialogs are answered that the profile decides on, as `imports=deny`.
fn answered_by_profile(peer: &Peer) -> Option<String> {
    let dialogs = &peer.manifest.screen.as_ref()?.dialogs;
    let by = dialogs.iter().filter_map(|dialog| match &dialog.answer {
        DialogReply::Profile(by) => Some(by),
        _ => None,
    });
    let says = |by: &ByProfile| {
        format!("{}={}", by.key, peer.policy().dialog_word(&by.key).unwrap_or_else(|| by.default.clone()))
    };
    let all: Vec<String> = by.map(says).collect();
    (!all.is_empty()).then(|| all.join(" "))
}

/// Step 4: starts the session. When this returns, its server answers, its record says `booting`, and a canary watches.
fn launch<'a>(world: &'a World<'_>, peer: &'a Peer, decision: &Decision) -> Result<(SessionRecord, Launch<'a>), NotUp> {
    let identity = &peer.identity;
    remember_policy(world, peer);
    // A launch that can't be put together is no try: the message waits until somebody has mended the cause.
    let setup = |failure| NotUp { failure, tried: false, hold: Some(Hold::Setup) };
    let prompt = launching::write_prompt(world, peer).map_err(setup)?;
    let name = launching::new_launch_name(world);
    let launch = launching::build(world, peer, decision.mode, &name, prompt.as_deref()).map_err(setup)?;
    clear_last_session(world, peer)?;
    let processes = world.host.start(&launch).map_err(|failure| {
        world.lifecycle(&Event::new("wake-failed").field("identity", identity).field("reason", &failure));
        // A program that can't be started counts as a death. Where tmux was only slow and the session is alive after
        // all, the next settling of this identity enrols it.
        let tried = !matches!(failure.exit, Exit::Refused | Exit::Config);
        if tried && world.liveness(identity, None) == Liveness::Gone {
            let _ = world.markers(identity).add_death(world.now());
        }
        // Neither the message nor the program has failed: the message waits for tmux, as where a session is alive.
        NotUp { failure, tried, hold: Some(if tried { Hold::Terminal } else { Hold::Setup }) }
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
        pane_id: processes.pane_id,
        unit: processes.unit,
        launch: Some(name),
        boot_id: world.host.boot_id(),
        decision: Some(decision.clone()),
        died_at: None,
    };
    if let Err(error) = record.write(world.paths) {
        // Every live session must be supervised, and one without a record may be found late.
        return Err(unnoted(world, peer, &record, error.into()).into());
    }
    arm::at_launch(world, identity);
    Ok((record, launch))
}

/// Copies into the registry what the profile says about the peer's sessions. A failure is only logged: the copy is
/// needed only once the profile is gone.
fn remember_policy(world: &World<'_>, peer: &Peer) {
    let Some(profile) = &peer.profile else { return };
    let remembered = reindex::remember_policy(world.paths, &peer.record, profile, world.program, world.clock);
    if let Err(failure) = remembered {
        tracing::warn!("{}: what its profile says is not in the registry yet: {failure}", peer.identity);
    }
}

/// Clears the previous session's state: its turn event must not count for the new session, and the new worker's reply
/// must not complete the old task.
fn clear_last_session(world: &World<'_>, peer: &Peer) -> Result<(), Failure> {
    if peer.is_ephemeral() {
        let queue = world.queue(&peer.identity);
        tasks::give_back_unanswered(world, peer, &queue, "the worker's session ended before it answered")?;
    }
    let markers = world.markers(&peer.identity);
    markers.clear_turn()?;
    markers.clear(Marker::EphemeralArmed)?;
    markers.clear(Marker::NewEager)?;
    Ok(())
}

/// Step 5: waits until the session is ready and carries out what the decision named.
fn complete(
    world: &World<'_>,
    peer: &Peer,
    record: SessionRecord,
    launch: &Launch<'_>,
    decision: &Decision,
    call: Call<'_>,
    patience: Duration,
) -> Result<SessionRecord, NotUp> {
    await_ready(world, peer, &record, launch, patience)?;
    let record = SessionRecord { phase: Phase::Ready, ..record };
    if let Err(error) = record.write(world.paths) {
        return Err(unnoted(world, peer, &record, error.into()).into());
    }
    note_ready(world, peer, decision, call.topic)?;
    Ok(record)
}

/// Ends a session whose record can't be written: the caller is told that the wake failed, so the session must not live
/// on. No mark was consumed yet: the next wake decides the same again.
fn unnoted(world: &World<'_>, peer: &Peer, record: &SessionRecord, failure: Failure) -> Failure {
    match end::end(world, &peer.identity, Some(record), &End::new("not-noted").keep_marks()) {
        Ok(()) => failure,
        Err(remains) => Failure::new(failure.exit, format!("{failure}; and {remains}")),
    }
}

/// Continues a boot whose launcher died: the session is alive, its record says `booting`, and this program holds the
/// lock. The launcher's decision is carried out as the record has it.
fn finish_boot(world: &World<'_>, peer: &Peer, record: SessionRecord, call: Call<'_>) -> Result<Up, NotUp> {
    let decision = record.decision.clone().unwrap_or(Decision {
        mode: Mode::Fresh,
        cause: WakeCause::LauncherDied,
        reference: None,
        consume: Vec::new(),
    });
    let name = record.launch.clone().unwrap_or_default();
    let launch = launching::build(world, peer, decision.mode, &name, None)?;
    let left = world.settings.boot_deadline.saturating_sub(world.now().since(record.woke_at));
    let record = complete(world, peer, record, &launch, &decision, call, left)?;
    Ok(Up { record, woke: Some(Woken { mode: decision.mode, cause: WakeCause::LauncherDied }) })
}

/// Waits until the session is ready. A boot that fails is ended and counted as a death. A boot is ended without
/// counting where the peer was stopped meanwhile, or where it waits for a person (a login, an unknown dialog).
fn await_ready(
    world: &World<'_>,
    peer: &Peer,
    record: &SessionRecord,
    launch: &Launch<'_>,
    patience: Duration,
) -> Result<(), NotUp> {
    let waited = world.host.await_ready(launch, patience);
    if world.markers(&peer.identity).has(Marker::Stopped).map_err(Failure::from)? {
        refuse::log_refusal(world, peer, "stopped-mid-wake", "");
        // The marks stay as the launch found them: after `iapeer start` the next wake decides the same again.
        end::end(world, &peer.identity, Some(record), &End::new("stopped-mid-wake").keep_marks())?;
        return Err(refuse::stopped(peer).into());
    }
    waited.map_err(|not_ready| match at_login(world, peer) {
        Some(told) => needs_login(world, peer, record, &not_ready.reason, &told),
        None => failed_boot(world, peer, record, &not_ready),
    })
}

/// The text on the screen of a session that did not become ready because nobody is logged in.
fn at_login(world: &World<'_>, peer: &Peer) -> Option<Told> {
    let rules = peer.manifest.screen.as_ref()?;
    let view = world.host.view(peer).ok()?;
    view.screen.shown(rules, world.now()).told.filter(|told| told.state == AttentionState::Login)
}

/// Ends a session that waits for a login. This counts neither as a death nor as a try: the program works as it should.
fn needs_login(world: &World<'_>, peer: &Peer, record: &SessionRecord, reason: &str, told: &Told) -> NotUp {
    let identity = &peer.identity;
    let event = Event::new("wake-failed").field("identity", identity).field("state", AttentionState::Login);
    world.lifecycle(&event.field("reason", reason));
    let waits = Attention::new(AttentionState::Login, Sign::Screen, told.text.as_str(), world.now());
    let now = world.now();
    let set = |before: Option<Attention>| Some(Attention { tried: Some(now), ..waits.after(before.as_ref()) });
    if let Err(error) = attention::change(world.paths, identity, world.program, world.clock, set) {
        tracing::warn!("{identity}: {error}");
    }
    let ended = end::end(world, identity, Some(record), &End::new("login").keep_marks());
    let remains = ended.err().map(|remains| format!("; and {remains}")).unwrap_or_default();
    let failure = Failure::new(Exit::TryAgain, format!("{identity}: {reason}{remains}"));
    NotUp { failure, tried: false, hold: Some(Hold::Login) }
}

/// Carries out what the decision named, once the record says that the session is ready.
fn note_ready(world: &World<'_>, peer: &Peer, decision: &Decision, topic: Option<&Topic>) -> Result<(), Failure> {
    let markers = world.markers(&peer.identity);
    for marker in &decision.consume {
        markers.clear(*marker)?;
    }
    // A mark that the worker has answered, set during its boot, would settle a task that the worker has not seen yet.
    markers.clear(Marker::EphemeralArmed)?;
    if decision.mode == Mode::Fresh {
        markers.clear_topics()?;
    }
    if let Some(topic) = topic {
        markers.note_topic(topic)?;
    }
    let (now, window) = (world.now(), world.settings.crashloop_window);
    markers.trim_deaths(now.minus(window), now.plus(window))?;
    // The session shows its composer: it waits for nobody any more.
    if attention::peek(world.paths, &peer.identity).is_some() {
        attention::change(world.paths, &peer.identity, world.program, world.clock, |_| None)?;
    }
    deaths::healthy(world, &peer.identity)
}

fn failed_boot(world: &World<'_>, peer: &Peer, record: &SessionRecord, not_ready: &NotReady) -> NotUp {
    let (identity, NotReady { reason, hold }) = (&peer.identity, not_ready);
    let event = Event::new("wake-failed").field("identity", identity).field("reason", reason).maybe("held", *hold);
    world.lifecycle(&event);
    let ended = if hold.is_some() {
        // The marks stay: once the person has acted, the next wake decides the same again.
        end::end(world, identity, Some(record), &End::new(reason).keep_marks())
    } else {
        arm::record_end(world, record);
        end::fail_launch(world, identity, record, reason)
    };
    let why = match ended {
        Ok(()) => format!("{identity}: {reason}"),
        Err(remains) => format!("{identity}: {reason}; and {remains}"),
    };
    NotUp { failure: Failure::new(Exit::TryAgain, why), tried: true, hold: *hold }
}
