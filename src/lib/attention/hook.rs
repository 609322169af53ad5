//! What hooks report about states that need a person: a failed turn or a notice of the program begins such a state; the
//! beginning of a session or of a turn ends it.

use crate::attention::{look, requests};
use crate::base::clock::EpochMs;
use crate::base::exit::Failure;
use crate::base::identity::Identity;
use crate::base::{AttentionState, Sign};
use crate::message::envelope;
use crate::runtime::{Draft, Sight, until};
use crate::session::hook::{self, Hook};
use crate::store::attention::{self, Attention};
use crate::store::markers::TurnState;
use crate::world::World;
use crate::world::peer::Peer;
use serde_json::Value;
use std::time::Duration;

/// Records the event of `hook` and the state that it ends or begins; `input` is the JSON that the agent gave to the
/// hook.
pub fn event(
    world: &World<'_>,
    identity: &Identity,
    launch: Option<&str>,
    hook: Hook,
    input: &[u8],
) -> Result<(), Failure> {
    hook::belongs(world, identity, launch)?;
    // The state is written before the turn event, which starts a drain: the drain must find how the turn ended.
    match hook {
        Hook::Failed => set(world, identity, launch, failure(world, identity, input))?,
        // A program may call this hook when it queues a message in mid-turn: a state that is read from the screen
        // stays.
        Hook::Prompt => end(world, identity, |known| known.state.ends_a_turn() || known.state == AttentionState::Hung)?,
        // A state that was found without a session (a wake that ended at a login) does not end with the end of a
        // session.
        Hook::Start | Hook::Stop | Hook::End => {
            requests::drop_requests(world, identity);
            end(world, identity, |known| known.launch.as_deref() == launch)?;
        }
    }
    hook::record(world, identity, launch, hook, input)
}

/// The state after a failed turn: Claude Code's `error` names the kind of failure, `last_assistant_message` has the
/// text.
fn failure(world: &World<'_>, identity: &Identity, input: &[u8]) -> Attention {
    let input: Value = serde_json::from_slice(input).unwrap_or(Value::Null);
    let text = |key: &str| input.get(key).and_then(Value::as_str).unwrap_or_default();
    let (kind, words) = (text("error"), text("last_assistant_message"));
    let state = match kind {
        "rate_limit" => AttentionState::Limited,
        "authentication_failed" | "oauth_org_not_allowed" => AttentionState::Login,
        _ => AttentionState::Failing,
    };
    let now = world.now();
    let ends = ends_at(world, identity, words);
    let words = if words.is_empty() { text("error_details") } else { words };
    let words = if words.is_empty() { kind } else { words };
    Attention {
        until: ends.filter(|_| state == AttentionState::Limited),
        ..Attention::new(state, Sign::Hook, words, now)
    }
}

/// The time that `words` name, by the manifest's rules for limits on the screen.
fn ends_at(world: &World<'_>, identity: &Identity, words: &str) -> Option<EpochMs> {
    let peer = Peer::of(world.paths, identity).ok()?;
    let rules = peer.manifest.screen.as_ref()?.attention.iter().filter(|rule| rule.state == AttentionState::Limited);
    let mut before = rules.flat_map(|rule| &rule.until);
    before.find_map(|before| until::read(words.split_once(before.as_str())?.1, world.now()))
}

/// A notice of the program (Claude Code's Notification): a permission prompt, a question of one of its
/// servers, or that it waits for its next message.
pub fn notice(world: &World<'_>, identity: &Identity, launch: Option<&str>, input: &[u8]) -> Result<(), Failure> {
    hook::belongs(world, identity, launch)?;
    let input: Value = serde_json::from_slice(input).unwrap_or(Value::Null);
    let text = |key: &str| input.get(key).and_then(Value::as_str).unwrap_or_default();
    let state = match text("notification_type") {
        "permission_prompt" => AttentionState::Approval,
        "elicitation_dialog" => AttentionState::Question,
        // The program waits for its next message, which is no state that needs a person.
        "idle_prompt" => return awaits_a_message(world, identity, launch, &input),
        _ => return Ok(()),
    };
    // The permission hook has reported more about this state.
    let known = attention::peek(world.paths, identity);
    if known.is_some_and(|known| known.state == AttentionState::Approval && known.launch.as_deref() == launch) {
        return Ok(());
    }
    set(world, identity, launch, Attention::new(state, Sign::Hook, text("message"), world.now()))
}

/// How long a turn must have run before a notice counts for it: the notice of the turn before may come late.
const LATE: Duration = Duration::from_secs(1);

/// Ends a turn whose end no other hook reports, such as a turn that a person has cancelled: the program says that it
/// waits for its next message, and its screen shows no turn. The composer may hold the cancelled message; any other
/// text in it is about to be submitted, or is a person's, and then nothing is ended.
fn awaits_a_message(
    world: &World<'_>,
    identity: &Identity,
    launch: Option<&str>,
    input: &Value,
) -> Result<(), Failure> {
    let running = || world.markers(identity).turn_of(launch).filter(|turn| turn.state == TurnState::Busy);
    let Some(begun) = running() else { return Ok(()) };
    world.clock.sleep(LATE.saturating_sub(world.now().since(begun.at)).min(LATE));
    let peer = Peer::of(world.paths, identity)?;
    let (Ok(view), Some(rules)) = (world.host.view(&peer), peer.manifest.screen.as_ref()) else { return Ok(()) };
    let shown = view.screen.shown(rules, world.now());
    let put_back = |text: &str| begun.id.is_some() && envelope::message_ids(text) == begun.id.as_slice();
    let free = match view.screen.sight(rules) {
        Sight::Input { draft: Draft::Text(text), busy: false } => put_back(&text),
        Sight::Input { draft, busy: false } => draft == Draft::Empty,
        _ => false,
    };
    if free && shown.told.is_none_or(|told| told.state.ends_a_turn()) && running().as_ref() == Some(&begun) {
        return event(world, identity, launch, Hook::Stop, input.to_string().as_bytes());
    }
    Ok(())
}

/// Writes `now` to the file and starts the program that tells the owner when it is time: a hook can't wait for that
/// itself.
fn set(world: &World<'_>, identity: &Identity, launch: Option<&str>, now: Attention) -> Result<(), Failure> {
    look::set(world, identity, Some(Attention { launch: launch.map(str::to_owned), ..now }))?;
    let told = world.host.detach("iapeer", &["attention", "--tell", identity.as_str()]);
    told.unwrap_or_else(|why| tracing::warn!("{identity}: {why}; the next tick tells the owner"));
    Ok(())
}

fn end(world: &World<'_>, identity: &Identity, ends: impl Fn(&Attention) -> bool) -> Result<(), Failure> {
    if attention::peek(world.paths, identity).is_some_and(|known| ends(&known)) {
        look::set(world, identity, None)?;
    }
    Ok(())
}
