//! Moving a person's draft out of the composer for a message: the draft is written to a file, cleared from the
//! composer, and put back after the message.

use super::ready;
use super::real::RealHost;
use crate::base::StateFile;
use crate::base::clock::{Deadline, wait_for};
use crate::host::tmux::{Input, Key};
use crate::runtime::manifest::ScreenRules;
use crate::runtime::screen::{Draft, Screen, Sight};
use crate::store::durable::{self, StoreError};
use crate::store::event_log::{Event, EventLog, Log};
use crate::world::Delivery;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// How long a press of the clear key may take to show. Claude Code's footer shows a hint about that key for a second.
const REACTION: Duration = Duration::from_secs(3);
/// How often the clear key is pressed at most: Codex needs two presses for each line.
const PRESSES: usize = 200;
/// Pause between two readings of the composer.
const LOOK: Duration = Duration::from_millis(20);
/// How long the composer may take to be free of the message for which the draft was moved.
const FREE: Duration = Duration::from_secs(5);

/// How every message begins: a text that begins so is no person's draft.
pub(super) const ENVELOPE: &str = "<iap ";

/// `<identity>.draft`: the draft that was moved out of the composer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Aside {
    /// The launch in whose composer the draft was.
    #[serde(default)]
    launch: Option<String>,
    /// The draft.
    text: String,
}

fn path(host: &RealHost<'_>, delivery: &Delivery<'_>) -> PathBuf {
    host.paths.state(&delivery.peer.identity, StateFile::Draft)
}

fn draft_on(screen: &Screen, rules: &ScreenRules) -> Option<Draft> {
    match screen.sight(rules) {
        Sight::Input { draft, .. } => Some(draft),
        _ => None,
    }
}

/// Clears the draft on `screen` from the composer, after writing it to the file: draft and message together would be
/// one garbled text. Returns whether the composer is empty now.
pub(crate) fn put_aside(host: &RealHost<'_>, delivery: &Delivery<'_>, rules: &ScreenRules, screen: &Screen) -> bool {
    let keys = &delivery.peer.manifest.keys.clear;
    if keys.is_empty() {
        return false;
    }
    let seen = match draft_on(screen, rules) {
        // A message of ours that its program did not take is no person's draft.
        Some(Draft::Text(seen)) => Some(seen).filter(|seen| !seen.starts_with(ENVELOPE)),
        // The text behind the mark of a long paste is not on the screen: the mark alone is of no use.
        Some(Draft::Paste(_)) => None,
        _ => return false,
    };
    let kept: Option<Aside> = durable::peek_json(&path(host, delivery));
    let whole = screen.whole_draft(rules);
    // Where the draft can't be told from the footer yet, both are kept until the composer is empty.
    let text = seen.map(|_| whole.clone().unwrap_or_else(|| screen.composer_and_below(rules).join("\n")));
    if let Some(text) = &text
        && let Err(error) = keep(host, delivery, kept.as_ref(), text)
    {
        tracing::warn!("{}: the draft stays, since it can't be kept: {error}", delivery.peer.identity);
        return false;
    }
    // The screen's draft ends at a blank line, and the keys clear the lines below that first: any change of the rows is
    // progress. With C-c only a change of the draft counts, since a second C-c would end most programs.
    let by_draft = keys.iter().any(|key| key == "C-c");
    let state = |screen: &Screen| match by_draft {
        true => (draft_on(screen, rules), Vec::new()),
        false => (draft_on(screen, rules), screen.composer_and_below(rules)),
    };
    let Some(emptied) = clear(host, delivery, screen, keys, state) else { return false };
    if let (Some(_), None) = (text, whole)
        && let Some(whole) = screen.whole_draft_by(&emptied, rules)
        && let Err(error) = keep(host, delivery, kept.as_ref(), &whole)
    {
        tracing::warn!("{}: the draft is kept with rows that are none of it: {error}", delivery.peer.identity);
    }
    true
}

/// Presses `keys` until the composer on `screen` is empty, and returns the screen then. `None`: the composer does not
/// become empty. `state` returns the draft, and what else shows that a press had an effect.
fn clear(
    host: &RealHost<'_>,
    delivery: &Delivery<'_>,
    screen: &Screen,
    keys: &[String],
    state: impl Fn(&Screen) -> (Option<Draft>, Vec<String>),
) -> Option<Screen> {
    let mut last = state(screen);
    for _ in 0..PRESSES {
        let pressed: Vec<Key> = keys.iter().map(|key| Key::named(key)).collect();
        host.server(&delivery.peer.identity).and_then(|server| server.keys(&pressed)).ok()?;
        let deadline = Deadline::after(host.clock, REACTION);
        let (screen, now) = wait_for(host.clock, deadline, LOOK, || {
            let screen = ready::look(host, delivery.peer).ok()?;
            let now = state(&screen);
            (now.0.is_some() && now != last).then_some((screen, now))
        })?;
        if now.0 == Some(Draft::Empty) {
            return Some(screen);
        }
        last = now;
    }
    None
}

/// Writes the draft to the file, behind what was `kept` there. A draft that an earlier try kept and could not clear is
/// not added again.
fn keep(host: &RealHost<'_>, delivery: &Delivery<'_>, kept: Option<&Aside>, text: &str) -> Result<(), StoreError> {
    let path = path(host, delivery);
    let launch = delivery.launch.map(str::to_owned);
    let text = match kept {
        Some(kept) if kept.text.contains(text) => kept.text.clone(),
        Some(kept) => format!("{}\n{text}", kept.text),
        None => text.to_owned(),
    };
    let line = serde_json::to_vec(&Aside { launch, text })
        .map_err(|error| StoreError::Corrupt { path: path.clone(), why: error.to_string() })?;
    durable::write_atomic(&path, &line)
}

/// Puts the draft back once the composer is free. A draft that can't be put back stays in its file.
pub(crate) fn put_back(host: &RealHost<'_>, delivery: &Delivery<'_>, rules: &ScreenRules) {
    let path = path(host, delivery);
    let Some(aside) = durable::peek_json::<Aside>(&path) else { return };
    if aside.launch.as_deref() != delivery.launch {
        return;
    }
    let (Ok(server), Ok(input)) = (host.server(&delivery.peer.identity), Input::draft(&aside.text)) else { return };
    let deadline = Deadline::after(host.clock, FREE);
    let typed = wait_for(host.clock, deadline, LOOK, || {
        let pasted = server.survey_and_paste(&input, None, &mut |survey| {
            let screen = Screen { styled: survey.screen, title: survey.look.title, host: survey.look.host, width: 0 };
            draft_on(&screen, rules) == Some(Draft::Empty)
        });
        match pasted {
            Ok(false) => None,
            typed => Some(typed),
        }
    });
    let outcome = match typed {
        Some(Ok(_)) => match durable::remove(&path) {
            Ok(_) => "put-back".to_owned(),
            Err(error) => format!("put-back, and {error}"),
        },
        Some(Err(error)) => format!("kept in {}: {error}", path.display()),
        None => format!("kept in {}: the composer did not become free", path.display()),
    };
    let event = Event::new("draft").field("identity", &delivery.peer.identity).field("outcome", outcome);
    EventLog::new(host.paths, host.settings).append(Log::Lifecycle, host.clock, &event);
}
