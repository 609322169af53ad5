//! Reading what a session waits for from its screen, and choosing an answer there.

use super::RealHost;
use super::{app_server, conversation, ready, ways};
use crate::base::AttentionState;
use crate::base::clock::{Deadline, wait_for};
use crate::host::tmux::Key;
use crate::runtime::{Screen, ScreenState, Step};
use crate::world::peer::Peer;
use crate::world::{ChoiceError, HostError, View};
use serde_json::{Value, json};
use std::time::Duration;

/// How long all of a choice may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long a list may take to react to a key.
const REACTION: Duration = Duration::from_secs(3);
/// How long the cursor must stand on the wanted row before it is confirmed: Claude Code draws it before its key handler
/// knows of the move (measured).
const SETTLED: Duration = Duration::from_millis(400);
/// Pause between two readings of the screen.
const LOOK: Duration = Duration::from_millis(30);

/// The screen, and whether somebody is attached.
pub(super) fn view(host: &RealHost<'_>, peer: &Peer) -> Result<View, HostError> {
    let survey = host.server(&peer.identity)?.survey(true)?;
    if survey.look.pane_dead {
        return Err(HostError::Ended(format!("the program has ended ({})", survey.look.ending())));
    }
    let attached = !survey.clients.is_empty();
    let screen =
        Screen { styled: survey.screen, title: survey.look.title, host: survey.look.host, width: survey.look.width };
    Ok(View { screen, attached })
}

/// Chooses `answer` on the screen of `rule`, which said `text`.
pub(super) fn choose(
    host: &RealHost<'_>,
    peer: &Peer,
    rule: &ScreenState,
    text: &str,
    answer: &str,
) -> Result<String, ChoiceError> {
    if let Some(row) = tell_server(host, peer, rule, text, answer)? {
        return Ok(row);
    }
    let deadline = Deadline::after(host.clock, PATIENCE);
    let mut moved_to: Option<String> = None;
    while !deadline.passed(host.clock) {
        let screen = same(host, peer, rule, text)?;
        let choices = rule.answers.iter().filter(|one| one.name == answer).map(|one| &one.choose);
        let steps = choices.map(|choice| (choice, screen.step_to(choice)));
        let Some((choice, step)) = steps.into_iter().find(|(_, step)| *step != Step::Lost) else {
            return Err(ChoiceError::NotOffered(answer.to_owned()));
        };
        match step {
            Step::Lost => {}
            Step::Confirm(row) => {
                host.clock.sleep(SETTLED);
                // The screen is read immediately before the key, so that a screen that was drawn since is not answered.
                let now = same(host, peer, rule, text)?;
                if now.step_to(choice) != Step::Confirm(row.clone()) {
                    return Err(ChoiceError::ChangedAtTheKey);
                }
                press(host, peer, &choice.confirm)?;
                return Ok(row.trim().trim_start_matches(choice.cursor.as_str()).trim().to_owned());
            }
            Step::Press(key) => {
                let before = screen.cursor_row(&choice.cursor);
                if moved_to.is_some() && moved_to == before {
                    return Err(ChoiceError::Deaf);
                }
                press(host, peer, key)?;
                let reaction = Deadline::after(host.clock, REACTION);
                let _ = wait_for(host.clock, reaction, LOOK, || {
                    let row = ready::look(host, peer).ok()?.cursor_row(&choice.cursor);
                    (row != before).then_some(())
                });
                moved_to = before;
            }
        }
    }
    Err(ChoiceError::TooSlow)
}

/// Gives the answer to the session's app-server, where that asks for the very approval that the screen shows. `None`: it
/// does not, and the answer is chosen on the screen.
fn tell_server(
    host: &RealHost<'_>,
    peer: &Peer,
    rule: &ScreenState,
    text: &str,
    answer: &str,
) -> Result<Option<String>, ChoiceError> {
    if rule.state != AttentionState::Approval || !ways::by_server(host, &peer.identity) {
        return Ok(None);
    }
    same(host, peer, rule, text)?;
    let Ok((mut rpc, _)) = app_server::followed(host, &peer.identity) else { return Ok(None) };
    let asked: Vec<_> =
        conversation::approvals(&mut rpc).into_iter().filter(|(_, asks)| is_about(asks, text)).collect();
    let [(id, asks)] = asked.as_slice() else { return Ok(None) };
    let Some(decision) = decision(asks, answer) else { return Ok(None) };
    if rpc.answer(id, json!({"decision": decision})).is_err() {
        return Ok(None);
    }
    let resolved = Deadline::after(host.clock, REACTION);
    while !resolved.passed(host.clock) {
        match rpc.next(LOOK) {
            Ok(Some(told)) if told["method"] == "serverRequest/resolved" && told["params"]["requestId"] == *id => {
                return Ok(Some(format!("{decision}, told to its app-server")));
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
    // Not known to be taken: where the screen still asks, the answer is chosen there.
    Ok(None)
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

/// The screen, if `rule` still matches it and it still shows `text`.
fn same(host: &RealHost<'_>, peer: &Peer, rule: &ScreenState, text: &str) -> Result<Screen, ChoiceError> {
    let screen = ready::look(host, peer).map_err(HostError::from)?;
    let rules = peer.manifest.screen.as_ref().ok_or(ChoiceError::NoScreen)?;
    let shown = screen.shown(rules, host.clock.now());
    let says = shown.told.is_some_and(|told| crate::store::attention::one_line(&told.text) == text);
    if shown.rule.is_some_and(|now| now.name == rule.name) && says { Ok(screen) } else { Err(ChoiceError::Changed) }
}

fn press(host: &RealHost<'_>, peer: &Peer, key: &str) -> Result<(), HostError> {
    Ok(host.server(&peer.identity)?.keys(&[Key::named(key)])?)
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
