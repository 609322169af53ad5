//! Handing a message to a conversation on an app-server (Codex): nothing is typed, so that a person's draft in the
//! terminal stays as it is.
//!
//! ```text
//! may it have been sent before?       → its id is looked up first; without an answer the item stays in flight
//! connect, find the conversation      → fails: nothing was sent, the next way is tried
//! a turn runs                         → urgent: steer the turn; else: held until the turn's end
//! turn/start with the message's id    → refused: nothing was sent, the next way is tried
//!                                     → no answer: the id is looked up; not found: unknown
//! evidence: item/started that carries the id, a hook's turn marker, a transcript record
//! ```
//!
//! The server's own queue is not used: it lasts beyond the session, and a message in it would come a second time.

use super::approval;
use super::confirm::Evident;
use super::conversation::{self, Conversation};
use super::real::RealHost;
use super::rpc::{Rpc, RpcError};
use super::way::{ENDING, Unusable, Way, held_by_the_turn, is_over, patience};
use crate::base::DeliveryKind;
use crate::base::clock::Deadline;
use crate::base::evidence::Evidence;
use crate::base::hold::Hold;
use crate::base::identity::Identity;
use crate::world::peer::Peer;
use crate::world::{Delivery, HostError, Landing};
use serde_json::json;
use std::time::Duration;

/// How long an answer may take; it takes some milliseconds.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long it may take until a sent message is found by its id, or its turn shows as running: measured 0.15 s.
const FOUND: Duration = Duration::from_millis(1500);
/// Pause between two searches of files for evidence while the server says nothing.
const LOOK: Duration = Duration::from_millis(5);
/// Pause between two searches for the id of a message whose answer was lost.
const SEARCH: Duration = Duration::from_millis(50);

/// The way app-server: by the server beside the terminal.
pub(super) struct AppServerWay;

impl Way for AppServerWay {
    fn kind(&self) -> DeliveryKind {
        DeliveryKind::AppServer
    }

    fn hand_over(&self, host: &RealHost<'_>, delivery: &Delivery<'_>) -> Result<Landing, Unusable> {
        let identity = &delivery.peer.identity;
        let reached = if delivery.resumed { look_up(host, delivery) } else { reach(host, identity).map(Some) };
        let (mut rpc, open) = match reached {
            Ok(None) => return Ok(Landing::Landed { by: Evidence::AppServer, forced: false }),
            Ok(Some(reached)) => reached,
            // If the server has the message, typing it would deliver it twice.
            Err(error) if delivery.resumed => {
                return Ok(Landing::Unknown(format!("app-server: whether it has the message is not known: {error}")));
            }
            Err(error) => return Err(unusable(&error)),
        };
        let thread = conversation::shown(open).map_err(|error| unusable(&error))?;
        // Before the first turn there is nothing to follow: then a hook or the transcript is the evidence.
        let _ = conversation::follow(&mut rpc, &thread.id);
        if thread.waits {
            return Ok(Landing::Held(Hold::Attention, "the agent waits for an answer".into()));
        }
        let running = thread.active && !ends(host, &mut rpc, &thread.id, delivery);
        if running && (delivery.resumed || !delivery.urgent) {
            return Ok(held_by_the_turn());
        }
        let evident = Evident::of(host, delivery);
        match give(&mut rpc, &thread.id, running, delivery) {
            Ok(()) => Ok(await_item(host, &mut rpc, delivery, &evident)),
            // Whether the server has the message is not known: it must not be sent again before that is known.
            Err(RpcError::NoAnswer(why)) => Ok(search(host, delivery, &evident, &why)),
            // A turn that has ended meanwhile can't be steered; the next try starts one.
            Err(RpcError::Refused { .. }) if running => Ok(held_by_the_turn()),
            Err(error) => Err(unusable(&error)),
        }
    }

    fn is_busy(&self, host: &RealHost<'_>, peer: &Peer) -> Result<bool, Unusable> {
        let (_, open) = reach(host, &peer.identity).map_err(|error| unusable(&error))?;
        Ok(conversation::shown(open).map_err(|error| unusable(&error))?.active)
    }

    fn interrupt(&self, host: &RealHost<'_>, peer: &Peer, _: &[String]) -> Result<Result<(), HostError>, Unusable> {
        let told = followed(host, &peer.identity).and_then(|(mut rpc, thread)| {
            let turn = conversation::running_turn(&mut rpc, &thread.id)?;
            rpc.ask("turn/interrupt", json!({"threadId": thread.id, "turnId": turn}))
        });
        told.map(|_| Ok(())).map_err(|error| unusable(&error))
    }

    fn answer(&self, host: &RealHost<'_>, identity: &Identity, text: &str, answer: &str) -> Option<String> {
        let (mut rpc, _) = followed(host, identity).ok()?;
        approval::tell(host, &mut rpc, text, answer)
    }
}

fn unusable(why: &dyn std::fmt::Display) -> Unusable {
    Unusable(format!("app-server: {why}"))
}

/// A connection, and the open conversations.
type Reached = (Rpc, Vec<Conversation>);

fn reach(host: &RealHost<'_>, identity: &Identity) -> Result<Reached, RpcError> {
    let mut rpc = Rpc::connect(&host.paths.app_socket(identity), PATIENCE)?;
    let open = conversation::open(&mut rpc)?;
    Ok((rpc, open))
}

/// A connection that follows the conversation of the terminal.
fn followed(host: &RealHost<'_>, identity: &Identity) -> Result<(Rpc, Conversation), RpcError> {
    let (mut rpc, open) = reach(host, identity)?;
    let thread = conversation::shown(open)?;
    conversation::follow(&mut rpc, &thread.id)?;
    Ok((rpc, thread))
}

/// Searches for a message that may have been sent a moment ago. `None`: a conversation has it.
fn look_up(host: &RealHost<'_>, delivery: &Delivery<'_>) -> Result<Option<Reached>, RpcError> {
    let deadline = Deadline::after(host.clock, FOUND);
    let mut rpc = Rpc::connect(&host.paths.app_socket(&delivery.peer.identity), PATIENCE)?;
    loop {
        let open = conversation::open(&mut rpc)?;
        if conversation::holds(&mut rpc, &open, delivery.id)? {
            return Ok(None);
        }
        // A turn that runs may be the message's own, which has no item before its prompt hook has returned.
        if deadline.passed(host.clock) || open.iter().any(|thread| thread.active) {
            return Ok(Some((rpc, open)));
        }
        host.clock.sleep(SEARCH);
    }
}

/// Whether the running turn ends: waits for that where a hook has reported the turn's end.
fn ends(host: &RealHost<'_>, rpc: &mut Rpc, thread: &str, delivery: &Delivery<'_>) -> bool {
    let over = is_over(host, delivery);
    let deadline = Deadline::after(host.clock, ENDING);
    while over && !deadline.passed(host.clock) {
        // The turn may have ended before the connection got any notification.
        let read = rpc.ask("thread/read", json!({"threadId": thread})).unwrap_or_default();
        if read["thread"]["status"]["type"] != "active" {
            return !read.is_null();
        }
        host.clock.sleep(LOOK);
    }
    false
}

/// Sends the message to the conversation: as a new turn, or into the running turn.
fn give(rpc: &mut Rpc, thread: &str, running: bool, delivery: &Delivery<'_>) -> Result<(), RpcError> {
    let input = json!([{"type": "text", "text": delivery.text, "text_elements": []}]);
    let mut params = json!({"threadId": thread, "clientUserMessageId": delivery.id.to_string(), "input": input});
    if !running {
        return rpc.ask("turn/start", params).map(drop);
    }
    params["expectedTurnId"] = conversation::running_turn(rpc, thread).map_err(not_asked)?;
    rpc.ask("turn/steer", params).map(drop)
}

/// The error of a request that was made before the message was sent: even without an answer, the message was not sent.
fn not_asked(error: RpcError) -> RpcError {
    match error {
        RpcError::NoAnswer(why) => RpcError::NotAsked(why),
        error => error,
    }
}

/// Waits for evidence that a turn took the message.
fn await_item(host: &RealHost<'_>, rpc: &mut Rpc, delivery: &Delivery<'_>, evident: &Evident<'_>) -> Landing {
    let deadline = Deadline::after(host.clock, patience(host, delivery));
    while !deadline.passed(host.clock) {
        match rpc.next(LOOK) {
            Ok(Some(told)) if is_start_of(&told, delivery) => {
                return Landing::Landed { by: Evidence::AppServer, forced: false };
            }
            Ok(Some(_)) => continue,
            Ok(None) => {}
            Err(why) => return search(host, delivery, evident, &format!("it accepted the message, and then: {why}")),
        }
        if let Some(by) = evident.now() {
            return Landing::Landed { by, forced: false };
        }
    }
    Landing::Unknown("app-server: it accepted the message, and no turn took it".into())
}

fn is_start_of(told: &serde_json::Value, delivery: &Delivery<'_>) -> bool {
    told["method"] == "item/started" && conversation::carries(&told["params"]["item"], delivery.id)
}

/// Searches for a message that was sent and that the server did not confirm, for the reason `why`: by evidence in
/// files, or by its id in the conversation.
fn search(host: &RealHost<'_>, delivery: &Delivery<'_>, evident: &Evident<'_>, why: &str) -> Landing {
    let deadline = Deadline::after(host.clock, patience(host, delivery));
    let gone = Deadline::after(host.clock, FOUND);
    while !deadline.passed(host.clock) {
        if let Some(by) = evident.now() {
            return Landing::Landed { by, forced: false };
        }
        let found = reach(host, &delivery.peer.identity)
            .and_then(|(mut rpc, open)| conversation::holds(&mut rpc, &open, delivery.id));
        match found {
            Ok(true) => return Landing::Landed { by: Evidence::AppServer, forced: false },
            // The server has ended: a message that it had taken is in the transcript.
            Err(RpcError::NotAsked(_)) if gone.passed(host.clock) => break,
            _ => host.clock.sleep(SEARCH),
        }
    }
    Landing::Unknown(format!("app-server: {why}"))
}
