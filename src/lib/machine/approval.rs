//! Answering the approval that an app-server asks for.

use super::conversation;
use super::real::RealHost;
use super::rpc::Rpc;
use crate::base::clock::Deadline;
use serde_json::{Value, json};
use std::time::Duration;

/// How long the server may take to say that the approval is settled.
const REACTION: Duration = Duration::from_secs(3);
/// How long one wait for a notification lasts.
const LOOK: Duration = Duration::from_millis(30);

/// Gives `answer` to the server, where the server asks for the very approval about which the screen says `text`.
/// Returns a text for people: the answer, and what it was given to. `None`: the server does not ask for that approval,
/// or is not known to have taken the answer.
pub(super) fn tell(host: &RealHost<'_>, rpc: &mut Rpc, text: &str, answer: &str) -> Option<String> {
    let asked: Vec<_> = conversation::approvals(rpc).into_iter().filter(|(_, asks)| is_about(asks, text)).collect();
    let [(id, asks)] = asked.as_slice() else { return None };
    let decision = decision(asks, answer)?;
    rpc.answer(id, json!({"decision": decision})).ok()?;
    let resolved = Deadline::after(host.clock, REACTION);
    while !resolved.passed(host.clock) {
        match rpc.next(LOOK) {
            Ok(Some(told)) if told["method"] == "serverRequest/resolved" && told["params"]["requestId"] == *id => {
                return Some(format!("{decision}, told to its app-server"));
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
    // Where the screen still asks, the answer is chosen there.
    None
}

/// Whether the request is for what the screen shows, which may be cut off there.
fn is_about(asks: &Value, text: &str) -> bool {
    let seen = text.trim().trim_start_matches("$ ").trim_end_matches('…').trim();
    !seen.is_empty() && asks["command"].as_str().is_some_and(|command| command.contains(seen))
}

/// The decision, in the server's words: where it does not offer to go on after a refusal, the refusal ends the turn.
fn decision(asks: &Value, answer: &str) -> Option<&'static str> {
    let offered =
        |word: &str| asks["availableDecisions"].as_array().is_none_or(|all| all.iter().any(|one| one == word));
    let words: &[&'static str] = match answer {
        "allow" => &["accept"],
        "deny" => &["decline", "cancel"],
        _ => &[],
    };
    words.iter().copied().find(|word| offered(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_decision_in_the_servers_words_as_a_table() {
        let of = |offered: Value, answer: &str| decision(&json!({"availableDecisions": offered}), answer);
        for (offered, answer, word) in [
            // Measured with codex-cli 0.171.0.
            (json!(["accept", {"acceptWithExecpolicyAmendment": {}}, "cancel"]), "allow", Some("accept")),
            (json!(["accept", {"acceptWithExecpolicyAmendment": {}}, "cancel"]), "deny", Some("cancel")),
            (json!(["accept", "decline", "cancel"]), "deny", Some("decline")),
            (json!(null), "deny", Some("decline")),
            (json!(["cancel"]), "allow", None),
            (json!(["accept"]), "perhaps", None),
        ] {
            assert_eq!(of(offered.clone(), answer), word, "{offered} {answer}");
        }
    }

    #[test]
    fn a_request_is_about_what_the_screen_shows_as_a_table() {
        let asks = json!({"command": "/bin/bash -lc 'touch x'"});
        for (text, is) in [("$ touch x", true), ("touch…", true), ("touch y", false), ("", false), ("$ ", false)] {
            assert_eq!(is_about(&asks, text), is, "{text:?}");
        }
        assert!(!is_about(&json!({}), "touch x"));
    }
}
