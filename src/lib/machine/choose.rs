//! Reading what a session waits for from its screen, and choosing an answer there.

use super::RealHost;
use super::{ready, ways};
use crate::base::AttentionState;
use crate::base::clock::{Deadline, wait_for};
use crate::host::tmux::Key;
use crate::runtime::{Screen, ScreenState, Step};
use crate::world::peer::Peer;
use crate::world::{ChoiceError, HostError, View};
use std::time::Duration;

/// How long all of a choice may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long a list may take to react to a key.
const REACTION: Duration = Duration::from_secs(3);
/// How long the cursor must stand on the wanted row before the row is confirmed: Claude Code draws the cursor before
/// its key handler knows of the move (measured).
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

/// Chooses `answer` on the screen of `rule`, which said `text`. An approval is answered by a way that needs no key,
/// where the session has one.
pub(super) fn choose(
    host: &RealHost<'_>,
    peer: &Peer,
    rule: &ScreenState,
    text: &str,
    answer: &str,
) -> Result<String, ChoiceError> {
    if rule.state == AttentionState::Approval {
        same(host, peer, rule, text)?;
        if let Some(told) = ways::answer(host, &peer.identity, text, answer) {
            return Ok(told);
        }
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
