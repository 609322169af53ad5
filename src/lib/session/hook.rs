//! What an agent's hooks report: the session started, took a prompt, finished a turn, or is about to end.
//!
//! A hook of ours never fails the agent: the caller prints nothing and exits 0, whatever the functions here return.

use crate::base::clock::{Deadline, EpochMs, wait_for};
use crate::base::exit::{Exit, Failure};
use crate::base::identity::Identity;
use crate::base::message_id::MessageId;
use crate::message::envelope;
use crate::runtime::Manifest;
use crate::store::event_log::Event;
use crate::store::markers::{RING, Turn, TurnState};
use crate::store::session_record::SessionRecord;
use crate::world::World;
use serde_json::Value;
use std::time::Duration;

/// Which hook called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// The session has started.
    Start,
    /// The session took a prompt.
    Prompt,
    /// The session finished a turn.
    Stop,
    /// A turn ended in an error: no [`Hook::Stop`] comes.
    Failed,
    /// The session is about to end.
    End,
}

/// Records the event of `hook` for `identity`. `launch` is the launch that the hook belongs to; `input` is the JSON
/// that the agent gave to the hook.
pub fn record(
    world: &World<'_>,
    identity: &Identity,
    launch: Option<&str>,
    hook: Hook,
    input: &[u8],
) -> Result<(), Failure> {
    belongs(world, identity, launch)?;
    let markers = world.markers(identity);
    let input: Value = serde_json::from_slice(input).unwrap_or(Value::Null);
    let text = |key: &str| input.get(key).and_then(Value::as_str);
    let previous = markers.turn_of(launch);
    let mut taken = previous.as_ref().map(|turn| turn.taken.clone()).unwrap_or_default();
    let mut queued = previous.as_ref().map(|turn| turn.queued.clone()).unwrap_or_default();
    let mut id = previous.as_ref().and_then(|turn| turn.id);
    if hook == Hook::Prompt {
        let ids = envelope::message_ids(text("prompt").unwrap_or_default());
        id = ids.last().copied();
        // A turn that was interrupted may still count as running here; then the message counts as queued, and the
        // transcript shows the turn that took it.
        let in_turn = previous.as_ref().is_some_and(|turn| turn.state == TurnState::Busy);
        let into = if in_turn && announces(world, identity) { &mut queued } else { &mut taken };
        into.extend(ids);
        into.drain(..into.len().saturating_sub(RING));
    }
    let transcript = text("transcript_path").map(Into::into).or_else(|| previous.as_ref()?.transcript.clone());
    let written = transcript.as_deref().filter(|_| hook == Hook::Prompt).map(|path| world.host.transcript_size(path));
    let turn = Turn {
        state: match hook {
            Hook::Start => TurnState::Start,
            Hook::Prompt => TurnState::Busy,
            Hook::Stop | Hook::Failed => TurnState::Idle,
            Hook::End => TurnState::End,
        },
        failed: hook == Hook::Failed,
        at: world.now(),
        id,
        taken,
        queued,
        launch: launch.map(str::to_owned),
        session: text("session_id").map(str::to_owned).or_else(|| previous?.session),
        transcript,
        written,
    };
    markers.write_turn(&turn)?;
    if matches!(hook, Hook::Stop | Hook::Failed) {
        after_turn(world, identity);
    }
    Ok(())
}

/// Whether the program calls its prompt hook when it puts a message into its own queue.
fn announces(world: &World<'_>, identity: &Identity) -> bool {
    Manifest::load(world.paths, identity.runtime()).is_ok_and(|manifest| manifest.keys.midturn.announces)
}

/// Records that a turn took the message `id` at `at`, by the transcript: a program that calls its prompt hook when it
/// queues a message does not call it again when it takes the message, after the end of the turn before.
pub(crate) fn took(world: &World<'_>, identity: &Identity, launch: Option<&str>, id: MessageId, at: EpochMs) {
    let markers = world.markers(identity);
    let Some(turn) = markers.turn_of(launch).filter(|turn| turn.queued.contains(&id)) else { return };
    let mut turn = Turn { id: Some(id), ..turn };
    turn.queued.retain(|queued| *queued != id);
    turn.taken.push(id);
    turn.taken.drain(..turn.taken.len().saturating_sub(RING));
    // The turn that took it began after the end that was reported last, and no later end was reported.
    if turn.state == TurnState::Idle && turn.at < at {
        turn = Turn { state: TurnState::Busy, failed: false, at, written: None, ..turn };
    }
    if let Err(error) = markers.write_turn(&turn) {
        tracing::warn!("{identity}: the turn that took {id} is not noted: {error}");
    }
}

/// Refuses a hook of an earlier session: its event must not count for the current session.
pub fn belongs(world: &World<'_>, identity: &Identity, launch: Option<&str>) -> Result<(), Failure> {
    let current = SessionRecord::launch_of(world.paths, identity);
    match (current, launch) {
        (Some(current), Some(launch)) if current != launch => {
            Err(Failure::new(Exit::Refused, format!("the hook belongs to launch {launch}, the session is {current}")))
        }
        _ => Ok(()),
    }
}

/// How long the first turn of a session is delayed until the program has our tool.
const TOOL_PATIENCE: Duration = Duration::from_secs(5);
/// How long a program may take from fetching the tool until it offers the tool to its model. In its first start in a
/// folder Claude Code asked its model without the tool 0.45 s after it had fetched the tool; 0.6 s were enough
/// (measured under load).
const TOOL_SETTLES: Duration = Duration::from_millis(800);

/// Delays a prompt until the agent has our tool: a program that connects to its MCP servers in the background would ask
/// its model about the first message without the tool. The prompt has been recorded by then, so that no drain waits for
/// evidence meanwhile.
pub fn hold_for_tool(world: &World<'_>, identity: &Identity, launch: &str) {
    let manifest = Manifest::load(world.paths, identity.runtime());
    if !manifest.is_ok_and(|manifest| manifest.screen.is_some_and(|screen| screen.tool)) {
        return;
    }
    let markers = world.markers(identity);
    let fetched = || markers.tool_listed().filter(|(name, _)| name == launch).map(|(_, at)| at);
    let deadline = Deadline::after(world.clock, TOOL_PATIENCE);
    match wait_for(world.clock, deadline, Duration::from_millis(10), fetched) {
        Some(at) => world.clock.sleep(TOOL_SETTLES.saturating_sub(world.now().since(at))),
        None => {
            world.lifecycle(&Event::new("no-tool").field("identity", identity));
            // One wait is enough: later prompts do not wait for a tool that does not come.
            let _ = markers.note_tool_listed(launch);
        }
    }
}

/// Starts a drain at the end of a turn where that is needed: a message that waited for the end of the turn can be
/// typed, and a worker that has answered can be ended.
fn after_turn(world: &World<'_>, identity: &Identity) {
    use crate::base::Marker;
    let queue = world.queue(identity);
    let waiting = queue.has_waiting().unwrap_or(true);
    let inflight = queue.list(crate::store::queue::Place::Inflight).map_or(true, |list| !list.is_empty());
    // Where that can't be determined, a drain is started: that costs little.
    if waiting || inflight || world.markers(identity).has(Marker::EphemeralArmed).unwrap_or(true) {
        world.kick(identity);
    }
}
