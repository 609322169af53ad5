//! Determines what one peer waits for, and keeps `<identity>.attention` in line with that.
//!
//! For most sessions this costs reading a few file times: a screen is read only where it has changed since it was last
//! read, where a turn runs, or where the file says that a person is needed.

use crate::attention::requests;
use crate::attention::rule::{self, AttentionSeen, AttentionVerdict, Found, OnScreen, OpenRequest};
use crate::base::clock::EpochMs;
use crate::base::exit::Failure;
use crate::base::identity::Identity;
use crate::base::step::{self, Point};
use crate::base::{AttentionState, Liveness, Sign, StateFile};
use crate::canary::record::LastDeath;
use crate::host::process;
use crate::runtime::{Kind, Told};
use crate::session::activity::{Activity, Quiet};
use crate::session::crash_loop;
use crate::store::attention::{self, Attention};
use crate::store::durable;
use crate::store::event_log::Event;
use crate::store::markers::TurnState;
use crate::store::queue::{Item, nobody};
use crate::store::session_record::{Phase, SessionRecord};
use crate::world::World;
use crate::world::peer::Peer;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A screen without a composer is read again after this time before it counts.
const REPAINT: Duration = Duration::from_millis(400);
/// An agent's children that use fewer clock ticks a second than this count as not working.
const IDLE_TICKS: f64 = 0.1;

/// `<identity>.looked`: what was observed when the screen was last read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Looked {
    /// When the session had last printed.
    printed: EpochMs,
    /// How much CPU time its children had used, in clock ticks.
    cpu: u64,
    /// When the CPU time was measured.
    at: EpochMs,
    /// When one of its children was last seen working.
    worked: EpochMs,
}

/// Reads the screen of the session of `record` where there is a reason to, and returns what the session waits for;
/// without a reason, returns the file's content.
pub(crate) fn attend(world: &World<'_>, peer: &Peer, record: &SessionRecord) -> Result<Option<Attention>, Failure> {
    let identity = &peer.identity;
    let known = attention::peek(world.paths, identity);
    if peer.manifest.kind != Kind::Tui || record.phase == Phase::Booting {
        return Ok(known);
    }
    let looked = looked(world, identity);
    let printed = world.host.last_output(identity);
    let busy = || world.markers(identity).turn().is_some_and(|turn| turn.state == TurnState::Busy);
    if known.is_none() && printed.is_none_or(|at| at <= looked.printed) && !busy() {
        return Ok(None);
    }
    refresh(world, peer, record)
}

/// Examines the session of `record`, its screen included, and updates the file.
pub fn refresh(world: &World<'_>, peer: &Peer, record: &SessionRecord) -> Result<Option<Attention>, Failure> {
    let (identity, now) = (&peer.identity, world.now());
    // In this order: a hook announces its request before it files it, so each request found here is announced in
    // `read`.
    let requests = requests::files(world, identity)?;
    let read = attention::peek(world.paths, identity);
    let known = read.clone().filter(|known| known.launch.is_none() || known.launch == record.launch);
    let printed = world.host.last_output(identity);
    let activity = Activity::from_files(world, peer, record);
    // A time on the screen is relative to the moment when it was drawn, the end of the last turn, and not to now.
    let drawn = activity.turn.as_ref().map(|turn| turn.at).or(activity.transcript.last);
    let (screen, answers, choose) = on_screen(world, peer, drawn.unwrap_or(now), known.as_ref());
    let turn = activity.turn.as_ref();
    let noted = known.as_ref().filter(|known| known.evidence == Sign::Hook && known.hook.is_none());
    let told_of = noted.map(|noted| (noted.state, noted.since));
    let working = activity.quiet() == Quiet::Working && !rule::has_failed(told_of, turn.map(|turn| turn.at));
    let still = still(world, record, &activity, printed, working);
    let began = turn.map_or(record.woke_at, |turn| turn.at);
    let untold = peer.manifest.failed_turns_stop;
    let record_found = match turn {
        // A hook has reported how the turn ended.
        Some(turn) if turn.state != TurnState::Busy && !untold => None,
        // The hook's event comes a moment after the record: the record itself is examined.
        _ => {
            let since = if untold { record.woke_at } else { began };
            world.host.transcript_trouble(peer).filter(|(at, _)| *at >= since)
        }
    };
    let seen = AttentionSeen {
        liveness: Liveness::Alive,
        stopped: false,
        booting: false,
        crash_loop: None,
        died: None,
        request: open_request(world, peer, known.as_ref()),
        noted: noted.map(found_of),
        record: record_found.map(|(_, told)| Found { state: told.state, text: told.text, until: told.until }),
        working,
        ended_well: !untold && turn.is_some_and(|turn| turn.state == TurnState::Idle && !turn.failed),
        screen,
        still,
        hung_after: world.settings.hung,
        now,
    };
    let verdict = rule::decide(&seen);
    let shown = seen.screen.and_then(|screen| screen.found);
    let hooked = seen.request.is_some() && verdict.state == AttentionState::Approval;
    if !hooked {
        // Somebody has answered on the screen, or the hook was killed: a hook that still waits gives up.
        requests.iter().for_each(|file| drop(step::unlink(Point::AnswerRemove, file)));
    }
    let wanted = of_verdict(&verdict, record.launch.as_deref(), now).map(|wanted| match known.filter(|_| hooked) {
        // The hook's own text and request are better.
        Some(known) => known,
        None => Attention { answers, ..wanted },
    });
    let now_says = set_after(world, identity, read.as_ref(), wanted)?;
    // Also where the time that the menu names has passed: the menu stays, and the session takes no message before it is
    // answered.
    if let (Some(answer), Some(shown)) = (choose, shown)
        && now_says.as_ref().is_none_or(|now| now.state == shown.state)
    {
        choose_by_itself(world, peer, &shown, &answer);
    }
    Ok(now_says)
}

/// Updates the file of a peer without a session, and returns its content.
pub(crate) fn without_session(world: &World<'_>, identity: &Identity) -> Result<Option<Attention>, Failure> {
    let known = attention::peek(world.paths, identity);
    let markers = world.markers(identity);
    let deaths = markers.deaths();
    if known.is_none() && deaths.is_empty() {
        return Ok(None);
    }
    let (max, window, now) = (world.settings.crashloop_max, world.settings.crashloop_window, world.now());
    let tripped = crash_loop::guard(&deaths, now, max, window).err();
    let lasting = known.as_ref().filter(|known| matches!(known.state, AttentionState::Login | AttentionState::Limited));
    let seen = AttentionSeen {
        liveness: Liveness::Gone,
        stopped: markers.is_stopped(),
        booting: false,
        crash_loop: tripped.map(|tripped| now.plus(tripped.until)),
        died: LastDeath::of(world, identity).map(|death| death.cause.to_string()),
        request: None,
        noted: lasting.map(found_of),
        record: None,
        working: false,
        ended_well: false,
        screen: None,
        still: Duration::ZERO,
        hung_after: world.settings.hung,
        now,
    };
    let verdict = rule::decide(&seen);
    requests::drop_requests(world, identity);
    let wanted = of_verdict(&verdict, None, now).map(|wanted| match (&known, verdict.state) {
        // Each time the end is computed from the same deaths: a difference of milliseconds is no change.
        (Some(known), AttentionState::CrashLoop) if known.state == AttentionState::CrashLoop => Attention {
            until: known.until.max(wanted.until.filter(|_| known.until.is_none_or(|at| at <= now))),
            ..wanted
        },
        _ => wanted,
    });
    set(world, identity, wanted)
}

/// Writes `wanted` to the file, with a line in the log where the state changes.
pub fn set(world: &World<'_>, identity: &Identity, wanted: Option<Attention>) -> Result<Option<Attention>, Failure> {
    if wanted.is_none() && !world.paths.state(identity, StateFile::Attention).exists() {
        return Ok(None);
    }
    put(world, identity, |before| wanted.map(|wanted| wanted.after(before.as_ref())))
}

/// [`set`], based on observations made when the file's content was `read`: a state that a hook has written since is
/// newer, and stays.
fn set_after(
    world: &World<'_>,
    identity: &Identity,
    read: Option<&Attention>,
    wanted: Option<Attention>,
) -> Result<Option<Attention>, Failure> {
    if wanted.is_none() && read.is_none() {
        return Ok(None);
    }
    put(world, identity, |before| match before.as_ref() == read {
        true => wanted.map(|wanted| wanted.after(before.as_ref())),
        false => before,
    })
}

fn put(
    world: &World<'_>,
    identity: &Identity,
    change: impl FnOnce(Option<Attention>) -> Option<Attention>,
) -> Result<Option<Attention>, Failure> {
    let (before, after) = attention::change(world.paths, identity, world.program, world.clock, change)?;
    log_change(world, identity, before.as_ref(), after.as_ref());
    if let Some(over) = before.filter(|before| before.state == AttentionState::Limited)
        && after.as_ref().is_none_or(|after| after.state != AttentionState::Limited)
    {
        limit_is_over(world, identity, &over);
    }
    Ok(after)
}

/// One line where a state begins or ends.
pub(crate) fn log_change(
    world: &World<'_>,
    identity: &Identity,
    before: Option<&Attention>,
    after: Option<&Attention>,
) {
    let same = match (before, after) {
        (Some(before), Some(after)) => after.continues(before),
        (None, None) => true,
        _ => false,
    };
    if same {
        return;
    }
    let event = Event::new("attention").field("identity", identity);
    let event = match (before, after) {
        (_, Some(after)) => event
            .field("state", after.state)
            .field("evidence", after.evidence)
            .maybe("id", after.id.as_ref())
            .maybe("tool", after.tool.as_ref())
            .maybe("until", after.until.map(EpochMs::utc_seconds)),
        (Some(before), None) => event
            .field("state", "none")
            .field("was", before.state)
            .field("age", format!("{}s", world.now().since(before.since).as_secs())),
        (None, None) => return,
    };
    world.lifecycle(&event);
}

fn of_verdict(verdict: &AttentionVerdict, launch: Option<&str>, now: EpochMs) -> Option<Attention> {
    if !verdict.state.is_trouble() && verdict.state != AttentionState::Draft {
        return None;
    }
    Some(Attention {
        launch: launch.map(str::to_owned),
        until: verdict.until,
        ..Attention::new(verdict.state, verdict.sign, verdict.text.as_str(), now)
    })
}

fn found_of(known: &Attention) -> Found {
    Found { state: known.state, text: known.text.clone(), until: known.until }
}

/// The screen, the answers that it offers, and the answer that is chosen without asking.
fn on_screen(
    world: &World<'_>,
    peer: &Peer,
    drawn: EpochMs,
    known: Option<&Attention>,
) -> (Option<OnScreen>, Vec<String>, Option<String>) {
    let nothing = || (None, Vec::new(), None);
    let Some(rules) = peer.manifest.screen.as_ref() else { return nothing() };
    let mut again = true;
    loop {
        let Ok(view) = world.host.view(peer) else { return nothing() };
        let shown = view.screen.shown(rules, drawn);
        // A screen during a repaint, or a dialog that has just been answered, changes by itself.
        let is_news = |told: &Told| known.is_none_or(|known| known.state != told.state);
        let mut passing = !shown.composer && shown.told.as_ref().is_some_and(is_news);
        // A hook reports a failed turn before the program draws the end of the turn.
        passing |= shown.busy && known.is_some_and(|known| known.state.ends_a_turn() && known.evidence == Sign::Hook);
        if passing && std::mem::replace(&mut again, false) {
            world.clock.sleep(REPAINT);
            continue;
        }
        let mut answers: Vec<String> = Vec::new();
        for answer in shown.rule.iter().flat_map(|rule| &rule.answers) {
            if !answers.contains(&answer.name) {
                answers.push(answer.name.clone());
            }
        }
        let found = shown.told.map(|told| Found { state: told.state, text: told.text, until: told.until });
        let choose = shown.rule.and_then(|rule| rule.choose.clone());
        let screen =
            OnScreen { composer: shown.composer, busy: shown.busy, draft: shown.draft && view.attached, found };
        return (Some(screen), answers, choose);
    }
}

/// The request of a hook that is still running.
fn open_request(world: &World<'_>, peer: &Peer, known: Option<&Attention>) -> Option<OpenRequest> {
    let known = known.filter(|known| known.state == AttentionState::Approval)?;
    let is_running = known.hook.is_some_and(|hook| process::liveness(&hook) == Liveness::Alive);
    is_running.then(|| OpenRequest {
        text: known.text.clone(),
        age: world.now().since(known.since),
        shows_dialog: !peer.manifest.hook_hides_dialog,
    })
}

fn looked(world: &World<'_>, identity: &Identity) -> Looked {
    durable::peek_json(&world.paths.state(identity, StateFile::Looked)).unwrap_or_default()
}

/// How long a session with a running turn has shown no sign of life; notes in `.looked` what was observed.
fn still(
    world: &World<'_>,
    record: &SessionRecord,
    activity: &Activity,
    printed: Option<EpochMs>,
    working: bool,
) -> Duration {
    let (identity, now) = (&record.identity, world.now());
    let before = looked(world, identity);
    let mut after = Looked { printed: printed.unwrap_or_default(), ..before };
    let moved = [Some(record.woke_at), printed, activity.transcript.last, activity.turn.as_ref().map(|turn| turn.at)];
    let moved = moved.into_iter().flatten().max().unwrap_or_default();
    // The processes are examined only where the files show no sign of life.
    if working && now.since(moved) >= world.settings.hung / 2 {
        let pane = record.pane.map(|pane| pane.pid);
        let usage = pane.and_then(|pane| world.host.usage(&[pane]).remove(&pane)).unwrap_or_default();
        let elapsed = now.since(before.at).as_secs_f64();
        let used = usage.children_cpu.saturating_sub(before.cpu) as f64;
        if before.at == EpochMs::default() || used > elapsed * IDLE_TICKS {
            after.worked = now;
        }
        (after.cpu, after.at) = (usage.children_cpu, now);
    } else {
        (after.cpu, after.at, after.worked) = (0, EpochMs::default(), EpochMs::default());
    }
    if after != before {
        let line = serde_json::to_vec(&after).unwrap_or_default();
        let _ = durable::write_volatile(&world.paths.state(identity, StateFile::Looked), &line);
    }
    // The children's use of CPU time is known only after two measurements.
    if working && after.at != EpochMs::default() { now.since(moved.max(after.worked)) } else { Duration::ZERO }
}

/// Chooses `answer` without asking, on a menu that only offers to wait.
fn choose_by_itself(world: &World<'_>, peer: &Peer, now: &Found, answer: &str) {
    let Ok(_lock) = world.lock_to_deliver(&peer.identity, Duration::ZERO) else { return };
    let rules = peer.manifest.screen.iter().flat_map(|screen| &screen.attention);
    let Some(rule) = rules.filter(|rule| rule.state == now.state).find(|rule| rule.choose.as_deref() == Some(answer))
    else {
        return;
    };
    let chosen = world.host.choose(peer, rule, &attention::one_line(&now.text), answer);
    let event = Event::new("answer")
        .field("identity", &peer.identity)
        .field("by", world.program)
        .field("state", now.state)
        .field("answer", answer)
        .field("pressed", chosen.as_ref().map_or("nothing", String::as_str))
        .maybe("err", chosen.as_ref().err());
    world.lifecycle(&event);
}

/// After the end of a limit: delivery resumes, and where the profile says so, the session is told to go on.
fn limit_is_over(world: &World<'_>, identity: &Identity, over: &Attention) {
    let text = Peer::of(world.paths, identity).ok().and_then(|peer| peer.policy().after_limit());
    if let Some(text) = text.filter(|_| over.launch.is_some()) {
        let item = Item::new(nobody(), crate::base::Intelligence::Absent, text, world.now());
        if let Err(error) = world.queue(identity).accept(&item, world.clock) {
            tracing::warn!("{identity}: cannot queue what follows its limit: {error}");
        }
    }
    world.kick_if_waiting(identity);
}
