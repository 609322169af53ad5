//! A conversation on an app-server: finding it, its items, its running turn, and its requests for approval.

use super::rpc::{Rpc, RpcError};
use crate::base::message_id::MessageId;
use serde_json::{Value, json};
use std::time::Duration;

/// How many of a conversation's last items are searched for a message that may have been sent before.
const ITEMS: u32 = 200;
/// How long the open requests of a newly followed conversation may take to come; they take some milliseconds.
const REQUESTS: Duration = Duration::from_millis(300);

/// A conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Conversation {
    pub(super) id: String,
    /// A turn is running.
    pub(super) active: bool,
    /// The turn waits for an approval or for an answer.
    pub(super) waits: bool,
}

impl Conversation {
    fn of(thread: &Value) -> Option<Conversation> {
        // A server also has threads for titles, and for agents that the agent started.
        let is_main = thread["ephemeral"] != true && thread["parentThreadId"].is_null();
        let status = &thread["status"];
        is_main.then(|| {
            Some(Conversation {
                id: thread["id"].as_str()?.to_owned(),
                active: status["type"] == "active",
                waits: status["activeFlags"].as_array().is_some_and(|flags| !flags.is_empty()),
            })
        })?
    }
}

/// All conversations that are open.
pub(super) fn open(rpc: &mut Rpc) -> Result<Vec<Conversation>, RpcError> {
    let loaded = rpc.ask("thread/loaded/list", json!({}))?;
    let mut found = Vec::new();
    for id in loaded["data"].as_array().into_iter().flatten() {
        let read = rpc.ask("thread/read", json!({"threadId": id}))?;
        found.extend(Conversation::of(&read["thread"]));
    }
    Ok(found)
}

/// The conversation that the terminal shows: the only one of `open`. An error where there are none or several.
pub(super) fn shown(mut open: Vec<Conversation>) -> Result<Conversation, RpcError> {
    match (open.pop(), open.is_empty()) {
        (Some(only), true) => Ok(only),
        (None, _) => Err(RpcError::NotAsked("it has no conversation open".into())),
        // The server does not say which of them the terminal shows.
        (Some(_), false) => Err(RpcError::NotAsked("several conversations are open".into())),
    }
}

/// Subscribes to a conversation's items and requests. Fails before the conversation's first turn.
pub(super) fn follow(rpc: &mut Rpc, thread: &str) -> Result<(), RpcError> {
    rpc.ask("thread/resume", json!({"threadId": thread, "excludeTurns": true})).map(drop)
}

/// Whether one of the conversations has an item with the message's id. The server refuses the request before a
/// conversation's first item: then there is none.
pub(super) fn holds(rpc: &mut Rpc, open: &[Conversation], id: MessageId) -> Result<bool, RpcError> {
    for thread in open {
        let asked = json!({"threadId": thread.id, "limit": ITEMS, "sortDirection": "desc"});
        let items = match rpc.ask("thread/items/list", asked) {
            Ok(items) => items,
            Err(RpcError::Refused { .. }) => continue,
            Err(error) => return Err(error),
        };
        let mut all = items["data"].as_array().into_iter().flatten();
        if all.any(|entry| carries(entry, id) || carries(&entry["item"], id)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether `item` is a user's message that was sent with this id.
pub(super) fn carries(item: &Value, id: MessageId) -> bool {
    item["type"] == "userMessage" && item["clientId"] == id.to_string()
}

/// The id of the running turn.
pub(super) fn running_turn(rpc: &mut Rpc, thread: &str) -> Result<Value, RpcError> {
    let turns = rpc.ask("thread/turns/list", json!({"threadId": thread, "limit": 1}))?;
    Ok(turns["data"][0]["id"].clone())
}

/// The approvals that the followed conversation asks for: id and parameters of each request.
pub(super) fn approvals(rpc: &mut Rpc) -> Vec<(Value, Value)> {
    let mut found = Vec::new();
    while let Ok(Some(told)) = rpc.next(REQUESTS) {
        let asks = told["method"].as_str().is_some_and(|method| method.ends_with("/requestApproval"));
        if asks && !told["id"].is_null() {
            found.push((told["id"].clone(), told["params"].clone()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_thread_is_a_conversation_as_a_table() {
        let of = |thread: Value| Conversation::of(&thread).map(|one| (one.active, one.waits));
        let idle = json!({"type": "idle"});
        for (thread, found) in [
            (json!({"id": "a", "ephemeral": false, "parentThreadId": null, "status": idle}), Some((false, false))),
            (json!({"id": "a", "status": {"type": "active", "activeFlags": []}}), Some((true, false))),
            (
                json!({"id": "a", "status": {"type": "active", "activeFlags": ["waitingOnApproval"]}}),
                Some((true, true)),
            ),
            (json!({"id": "a", "status": {"type": "systemError"}}), Some((false, false))),
            (json!({"id": "a", "ephemeral": true, "status": idle}), None),
            (json!({"id": "a", "parentThreadId": "b", "status": idle}), None),
            (json!({"status": idle}), None),
        ] {
            assert_eq!(of(thread.clone()), found, "{thread}");
        }
    }

    #[test]
    fn which_conversation_is_shown_as_a_table() {
        let one = |id: &str| Conversation { id: id.into(), active: false, waits: false };
        for (open, found) in [(vec![], None), (vec![one("a")], Some("a")), (vec![one("a"), one("b")], None)] {
            assert_eq!(shown(open.clone()).ok().map(|shown| shown.id).as_deref(), found, "{open:?}");
        }
    }
}
