//! `iapeer answer`: gives the answer to the permission hook that waits for it, or chooses the answer on the session's
//! screen, by label.

use crate::attention::look;
use crate::attention::requests::{self, Answer, ApprovalDecision, Request};
use crate::base::clock::{Deadline, wait_for};
use crate::base::exit::{Exit, Failure};
use crate::base::identity::Identity;
use crate::base::step::{self, Point};
use crate::base::{AttentionState, Liveness};
use crate::host::{ProcessId, process};
use crate::store::attention::{self, Attention};
use crate::store::durable::{self, Published};
use crate::store::event_log::Event;
use crate::store::session_record::SessionRecord;
use crate::world::World;
use crate::world::peer::Peer;
use serde::Serialize;
use std::time::Duration;

/// How long after a request was announced its file may be missing.
const FILED: Duration = Duration::from_secs(1);
/// How long a hook that waits may take to take its answer.
const TAKEN: Duration = Duration::from_secs(5);
/// How long the screen may take to show that an answer was taken.
const SHOWN: Duration = Duration::from_secs(3);

/// The report about an answer that was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answered {
    /// The peer.
    pub identity: Identity,
    /// What the peer waited for.
    pub state: AttentionState,
    /// The request, where it had a name.
    pub id: Option<String>,
    /// The answer.
    pub answer: String,
    /// The row that was confirmed on its screen; absent where its hook took the answer.
    pub pressed: Option<String>,
}

impl Answered {
    /// The line for people.
    pub fn line(&self) -> String {
        let name = self.identity.personality();
        match &self.pressed {
            Some(row) => format!("{name}: {} answered on its screen: {row}", self.state),
            None => format!("{name}: {} answered: {}", self.state, self.answer),
        }
    }
}

fn refused(why: String) -> Failure {
    Failure::new(Exit::Refused, why)
}

/// Answers what `peer` waits for; `id` names the request, `by` who answers.
pub fn answer(
    world: &World<'_>,
    peer: &Peer,
    id: Option<&str>,
    word: &str,
    message: Option<&str>,
    by: &str,
) -> Result<Answered, Failure> {
    wait_for_filing(world, &peer.identity);
    let requests = requests::open(world, &peer.identity)?;
    let request = match id {
        Some(id) => match requests.iter().find(|request| request.id == id) {
            Some(request) => Some(request),
            None => {
                let open = requests.iter().map(|request| request.id.as_str()).collect::<Vec<_>>().join(", ");
                let open = if open.is_empty() { "none is open".to_owned() } else { format!("open: {open}") };
                return Err(refused(format!("{} has no request {id} (any more); {open}", peer.identity)));
            }
        },
        None if requests.len() > 1 => {
            let each = requests.iter().map(|request| format!("{} ({}: {})", request.id, request.tool, request.text));
            let each = each.collect::<Vec<_>>().join(", ");
            return Err(refused(format!("{} has several requests, name one: {each}", peer.identity)));
        }
        None => requests.first(),
    };
    match request {
        Some(request) => to_hook(world, peer, request, word, message, by),
        None => on_screen(world, peer, word, message, by),
    }
}

/// A hook announces its request in `.attention` a moment before it writes the request's file.
fn wait_for_filing(world: &World<'_>, identity: &Identity) {
    let deadline = Deadline::after(world.clock, FILED);
    let _ = wait_for(world.clock, deadline, Duration::from_millis(2), || {
        let waits = |hook: &ProcessId| process::liveness(hook) == Liveness::Alive;
        let announced = attention::peek(world.paths, identity).filter(|now| now.hook.as_ref().is_some_and(waits));
        let Some(id) = announced.and_then(|now| now.id) else { return Some(()) };
        requests::file(world, identity, &id, "json").exists().then_some(())
    });
}

/// Publishes the answer for the hook that waits, and waits until the hook has taken it.
fn to_hook(
    world: &World<'_>,
    peer: &Peer,
    request: &Request,
    word: &str,
    message: Option<&str>,
    by: &str,
) -> Result<Answered, Failure> {
    let identity = &peer.identity;
    let decision = match word {
        "allow" => ApprovalDecision::Allow,
        "deny" => ApprovalDecision::Deny,
        _ => return Err(Failure::new(Exit::Usage, format!("{word:?} is no answer to an approval: allow or deny"))),
    };
    if decision == ApprovalDecision::Allow && message.is_some() {
        return Err(Failure::new(Exit::Usage, "-m tells the model why something is denied: it goes with deny"));
    }
    let answer = Answer {
        id: request.id.clone(),
        decision,
        message: message.map(str::to_owned),
        by: by.to_owned(),
        at: world.now(),
    };
    let text = serde_json::to_vec(&answer).map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
    let file = |kind| requests::file(world, identity, &request.id, kind);
    if durable::publish(&file("answer"), &text)? == Published::Taken {
        return Err(refused(format!("{identity}: request {} has been answered already", request.id)));
    }
    let deadline = Deadline::after(world.clock, TAKEN);
    let taken = wait_for(world.clock, deadline, Duration::from_millis(2), || {
        match (file("taken").exists(), file("json").exists()) {
            (true, _) => Some(true),
            (false, false) => Some(file("taken").exists()),
            _ => None,
        }
    });
    let event = Event::new("answer")
        .field("identity", identity)
        .field("by", by)
        .field("state", AttentionState::Approval)
        .field("id", &request.id)
        .field("tool", &request.tool)
        .field("what", &request.text)
        .field("answer", word)
        .field("taken", taken.unwrap_or(false));
    world.lifecycle(&event);
    match taken {
        Some(true) => {}
        Some(false) => {
            let _ = step::unlink(Point::AnswerRemove, &file("answer"));
            let why = format!("{identity}: request {} was over before the answer came: it was not taken", request.id);
            return Err(refused(why));
        }
        None => {
            let why = format!(
                "{identity}: the hook of request {} does not say whether it took the answer: `iapeer peek {}` shows",
                request.id,
                identity.personality()
            );
            return Err(Failure::new(Exit::TryAgain, why));
        }
    }
    let _ = step::unlink(Point::AnswerRemove, &file("taken"));
    Ok(Answered {
        identity: identity.clone(),
        state: AttentionState::Approval,
        id: Some(request.id.clone()),
        answer: word.to_owned(),
        pressed: None,
    })
}

/// Chooses an answer on the screen, by label.
fn on_screen(world: &World<'_>, peer: &Peer, word: &str, message: Option<&str>, by: &str) -> Result<Answered, Failure> {
    let identity = &peer.identity;
    let lock = world.lock(identity, world.settings.lock_wait)?;
    let record = SessionRecord::peek(world.paths, identity)
        .filter(|record| world.host.liveness(identity, Some(record)) == Liveness::Alive)
        .ok_or_else(|| refused(format!("{identity} has no session to answer in")))?;
    let waits = look::refresh(world, peer, &record)?;
    let nothing = || refused(format!("{identity} waits for no answer: `iapeer attention` shows who does"));
    let now: Attention = waits.ok_or_else(nothing)?;
    let rules = peer.manifest.screen.as_ref().ok_or_else(nothing)?;
    let view = world.host.view(peer)?;
    let shown = view.screen.shown(rules, world.now());
    let (Some(rule), Some(told)) = (shown.rule, shown.told) else {
        let name = identity.personality();
        let why =
            format!("{identity} is in state {}, which `iapeer answer` can't answer: `iapeer attach {name}`", now.state);
        return Err(refused(why));
    };
    if !rule.answers.iter().any(|answer| answer.name == word) {
        let offered = now.answers.join(", ");
        let offered = if offered.is_empty() { "nothing that a rule knows".to_owned() } else { offered };
        return Err(Failure::new(Exit::Usage, format!("{word:?} is no answer to this screen: it offers {offered}")));
    }
    if message.is_some() {
        return Err(Failure::new(
            Exit::Usage,
            "-m needs a permission hook that waits: this screen takes a choice only",
        ));
    }
    let chosen = world.host.choose(peer, rule, &attention::one_line(&told.text), word);
    let event = Event::new("answer")
        .field("identity", identity)
        .field("by", by)
        .field("state", now.state)
        .maybe("tool", now.tool.as_ref())
        .field("what", &now.text)
        .field("answer", word)
        .field("pressed", chosen.as_ref().map_or("nothing", String::as_str))
        .maybe("err", chosen.as_ref().err());
    world.lifecycle(&event);
    let pressed = chosen.map_err(|why| refused(format!("{identity}: {why}")))?;
    // The state is over when the screen shows that; messages that were held are delivered when the lock is released.
    let deadline = Deadline::after(world.clock, SHOWN);
    let _ = wait_for(world.clock, deadline, Duration::from_millis(100), || {
        let same = look::refresh(world, peer, &record).ok()?.is_some_and(|after| after.continues(&now));
        (!same).then_some(())
    });
    drop(lock);
    Ok(Answered {
        identity: identity.clone(),
        state: now.state,
        id: None,
        answer: word.to_owned(),
        pressed: Some(pressed),
    })
}
