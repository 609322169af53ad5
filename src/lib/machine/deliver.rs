//! Typing a message into a live session, and the evidence that it landed.
//!
//! ```text
//! survey: dead pane, dialog, unknown screen, a mode of tmux's → nothing is typed: held
//!         a person's draft → held, then put aside; a running turn that could only be steered → held
//! paste (bracketed, guarded, by the same tmux process) → settle → submit key
//! evidence: a hook's turn marker or a transcript record that carries the id
//!           the composer still contains it → the key again, up to the submit timeout
//!           neither → unknown
//! a draft that was put aside is put back
//! ```

use super::confirm::{Submit, confirm, shows_only, submit_key};
use super::draft::{self, ENVELOPE};
use super::hurry::{hurry, press};
use super::ready;
use super::real::RealHost;
use super::way::{Unusable, Way};
use crate::base::clock::{Deadline, EpochMs};
use crate::base::evidence::Evidence;
use crate::base::hold::Hold;
use crate::base::{DeliveryKind, Liveness};
use crate::host::process;
use crate::host::tmux::{self, Client, Input, Key, Survey, TmuxError};
use crate::runtime::manifest::{Dialog, Meaning, ScreenRules};
use crate::runtime::screen::{Draft, Screen, Sight};
use crate::runtime::transcript::Baseline;
use crate::store::session_record::SessionRecord;
use crate::world::peer::Peer;
use crate::world::{Delivery, HostError, Landing};
use std::time::Duration;

/// How long the screen may lag behind the program's state.
const REPAINT: Duration = Duration::from_secs(1);
/// The time between a first survey that finds the pane gone and the second one (D6).
const SECOND_LOOK: Duration = Duration::from_millis(250);
/// How long a dialog or a repaint in a live session may last before the delivery gives up for now.
const OBSTACLE: Duration = Duration::from_secs(5);
/// Pause between two readings of a composer with another message of ours.
const ANOTHER_LOOK: Duration = Duration::from_millis(30);

/// The way typed: into the composer.
pub(super) struct Typing;

impl Way for Typing {
    fn kind(&self) -> DeliveryKind {
        DeliveryKind::Type
    }

    fn hand_over(&self, host: &RealHost<'_>, delivery: &Delivery<'_>) -> Result<Landing, Unusable> {
        Ok(type_in(host, delivery))
    }

    fn is_busy(&self, host: &RealHost<'_>, peer: &Peer) -> Result<bool, Unusable> {
        let rules = peer.manifest.screen.as_ref();
        Ok(rules.is_some_and(|rules| {
            ready::look(host, peer).is_ok_and(|screen| matches!(screen.sight(rules), Sight::Input { busy: true, .. }))
        }))
    }

    fn interrupt(&self, host: &RealHost<'_>, peer: &Peer, keys: &[String]) -> Result<Result<(), HostError>, Unusable> {
        Ok(press(host, peer, keys).map_err(HostError::from))
    }
}

fn type_in(host: &RealHost<'_>, delivery: &Delivery<'_>) -> Landing {
    let peer = delivery.peer;
    let Some(rules) = peer.manifest.screen.as_ref() else {
        return Landing::Held(Hold::Setup, format!("runtime {} has no screen rules", peer.manifest.runtime));
    };
    // The transcript's size before the paste: records after it are new.
    let baseline = baseline(host, delivery);
    match approach(host, delivery, rules) {
        Ok(submit) => {
            let mut landing = confirm(host, delivery, rules, &baseline, submit);
            match landing {
                Landing::Queued { forced } if delivery.urgent => {
                    hurry(host, delivery, rules);
                    let submit = Submit { forced, pressed: true, hurried: true, ..submit };
                    landing = confirm(host, delivery, rules, &baseline, submit);
                }
                // An empty composer does not say whether a turn took the message.
                Landing::Landed { by: Evidence::Composer, .. } if submit.busy && delivery.urgent => {
                    hurry(host, delivery, rules);
                }
                _ => {}
            }
            if matches!(landing, Landing::Landed { .. } | Landing::Queued { .. }) {
                draft::put_back(host, delivery, rules);
            }
            landing
        }
        Err(landing) => landing,
    }
}

/// What the survey of the session allows.
enum Sighting<'r> {
    /// The composer is free.
    Free { busy: bool },
    /// An interrupted delivery has left the message in the composer.
    Ours { busy: bool },
    /// The composer has a draft that nobody has touched for long.
    Stale(Screen),
    /// The composer has another message of ours: its program is about to take it.
    Another,
    /// Nothing may be typed for now.
    Hold(Hold, &'static str),
    /// A dialog is in the place of the composer.
    Dialog(Screen, &'r Dialog),
    /// A screen that the manifest does not know, or one in the middle of a repaint; with the pane's process.
    Strange(Option<i32>),
    /// The program has ended, for this reason.
    Ended(String),
}

/// Pastes the message into the composer: survey and paste are one tmux process. `Err`: nothing was typed, or that is
/// unknown.
fn approach(host: &RealHost<'_>, delivery: &Delivery<'_>, rules: &ScreenRules) -> Result<Submit, Landing> {
    let server =
        host.server(&delivery.peer.identity).map_err(|error| Landing::Held(Hold::Terminal, error.to_string()))?;
    let parts = delivery.peer.manifest.parts(delivery.text);
    let input = Input::message(parts[0]).map_err(|error| Landing::Failed(error.to_string()))?;
    // Where a program accepts the submit key immediately after the paste, one tmux call is saved.
    let settle = delivery.peer.manifest.settle(delivery.text.len());
    let keys = (submit_key(delivery, false), submit_key(delivery, true));
    let together = (settle.is_zero() && keys.0 == keys.1 && !shows_only(delivery)).then_some(&keys.0);
    let deadline = Deadline::after(host.clock, OBSTACLE);
    let repainted = Deadline::after(host.clock, REPAINT);
    let (mut forced, mut redrawn) = (false, false);
    loop {
        let mut sighting = None;
        let pasted = server.survey_and_paste(&input, together, &mut |survey| {
            let seen = sight(host, delivery, rules, survey, deadline.passed(host.clock));
            let free = matches!(seen, Sighting::Free { .. });
            sighting = Some(seen);
            free
        });
        // The screen may show the text of messages, which must not get into a log: the reason quotes nothing of it.
        let obstacle = match (sighting, pasted) {
            (Some(Sighting::Free { busy }), Ok(_)) => {
                for part in &parts[1..] {
                    Input::draft(part).and_then(|part| server.paste(&part)).map_err(after_typing)?;
                }
                host.clock.sleep(settle);
                return Ok(Submit { busy, forced, pressed: together.is_some(), hurried: false });
            }
            (Some(Sighting::Free { .. }), Err(error)) => return Err(after_typing(error)),
            (Some(Sighting::Ours { busy }), _) => return Ok(Submit { busy, forced, pressed: false, hurried: false }),
            (Some(Sighting::Stale(screen)), _) if !forced && draft::put_aside(host, delivery, rules, &screen) => {
                forced = true;
                continue;
            }
            (Some(Sighting::Stale(_)), _) => {
                let why = "a draft stands in the composer and does not clear".into();
                return Err(Landing::Held(Hold::Draft, why));
            }
            (Some(Sighting::Another), _) => {
                host.clock.sleep(ANOTHER_LOOK);
                continue;
            }
            (Some(Sighting::Hold(hold, why)), _) => return Err(Landing::Held(hold, why.into())),
            (Some(Sighting::Dialog(screen, dialog)), _) => {
                ready::answer(host, delivery.peer, &screen, dialog)
                    .map_err(|why| Landing::Held(ready::hold_of(dialog), why.to_string()))?;
                Landing::Held(Hold::Dialog, format!("the dialog {:?} does not go away", dialog.name))
            }
            (Some(Sighting::Strange(pane)), _) => {
                // Codex misses a change of its terminal's size now and then (measured: 1 in 10 when somebody attaches
                // at the end of a turn), and draws over its own rows until it is told of one.
                if repainted.passed(host.clock) && !std::mem::replace(&mut redrawn, true) {
                    pane.into_iter().for_each(process::redraw);
                }
                let why = format!(
                    "the screen is none that the manifest of {} knows: `iapeer attach {}` shows it",
                    delivery.peer.manifest.runtime,
                    delivery.peer.identity.personality()
                );
                Landing::Held(Hold::Screen, why)
            }
            (Some(Sighting::Ended(how)), _) => {
                return Err(Landing::Held(Hold::Ended, format!("the program has ended ({how})")));
            }
            // The socket is gone, the server is not: a signal makes the server create a new socket.
            (None, Err(TmuxError::NoServer)) if recorded_server_lives(host, delivery.peer) => {
                Landing::Held(Hold::Terminal, "its tmux server lives, and its socket is gone".into())
            }
            (None, Err(TmuxError::NoServer | TmuxError::NoSession)) => {
                end_without_pane(host, delivery.peer);
                return Err(Landing::Held(Hold::Ended, "the session has ended".into()));
            }
            (None, Err(error)) => Landing::Held(Hold::Terminal, error.to_string()),
            (None, Ok(_)) => Landing::Held(Hold::Terminal, "tmux showed nothing".into()),
        };
        if deadline.passed(host.clock) {
            return Err(obstacle);
        }
        host.clock.sleep(Duration::from_millis(100));
    }
}

/// Whether the session's tmux server is alive, by its pid. A live server is told to create its socket again.
fn recorded_server_lives(host: &RealHost<'_>, peer: &Peer) -> bool {
    let server = SessionRecord::peek(host.paths, &peer.identity).and_then(|record| record.server);
    server.is_some_and(|server| tmux::recreate_socket(&server))
}

/// Ends a program that has outlived its pane (it ignored the hang-up): it can take no messages any more, and while it
/// is alive the peer counts as awake. Done only where tmux says twice that the pane is gone.
fn end_without_pane(host: &RealHost<'_>, peer: &Peer) {
    let Some(pane) = SessionRecord::peek(host.paths, &peer.identity).and_then(|record| record.pane) else { return };
    host.clock.sleep(SECOND_LOOK);
    let look = host.server(&peer.identity).and_then(|server| server.look());
    if look == Err(TmuxError::NoSession) && process::liveness(&pane) == Liveness::Alive {
        tracing::warn!("{}: its program has outlived its pane: ending it", peer.identity);
        process::end_all(&process::tree(&pane), host.settings.end_grace, host.clock);
    }
}

/// Classifies the result of a survey.
fn sight<'r>(
    host: &RealHost<'_>,
    delivery: &Delivery<'_>,
    rules: &'r ScreenRules,
    survey: Survey,
    waited: bool,
) -> Sighting<'r> {
    if survey.look.pane_dead {
        return Sighting::Ended(survey.look.ending());
    }
    let moved = EpochMs(survey.look.window_activity.saturating_mul(1000));
    let look = survey.look;
    let screen = Screen { styled: survey.screen, title: look.title, host: look.host, width: look.width };
    match screen.sight(rules) {
        Sight::Input { draft, .. } if !waited && is_another(&draft, delivery, &survey.clients) => Sighting::Another,
        Sight::Input { draft, busy } => match at_composer(host, delivery, &survey.clients, moved, draft, busy) {
            Composed::Free => Sighting::Free { busy },
            Composed::Ours => Sighting::Ours { busy },
            Composed::Stale => Sighting::Stale(screen),
            Composed::Hold(hold, why) => Sighting::Hold(hold, why),
        },
        Sight::Dialog(dialog) => Sighting::Dialog(screen, dialog),
        Sight::Blank | Sight::Unknown => Sighting::Strange(look.pane_pid),
    }
}

/// Whether the composer has another message of ours. A program that waits for its prompt hook, as a new session does
/// until it has our tool, shows what was submitted in its composer until the hook returns.
fn is_another(draft: &Draft, delivery: &Delivery<'_>, clients: &[Client]) -> bool {
    match draft {
        Draft::Empty => false,
        Draft::Text(text) => text.starts_with(ENVELOPE) && !text.contains(&delivery.id.to_string()),
        // A long message is shown as a mark.
        Draft::Paste(_) => clients.is_empty() && !delivery.resumed,
    }
}

/// Whether the message is pasted in parts: the text in the composer may lack some of them.
fn in_parts(delivery: &Delivery<'_>) -> bool {
    delivery.peer.manifest.parts(delivery.text).len() > 1
}

/// What the composer's content allows.
enum Composed {
    Free,
    Ours,
    Stale,
    Hold(Hold, &'static str),
}

/// Decides, with the composer on the screen, by its content and by who is at the keyboard. `moved`: when the window
/// last changed.
fn at_composer(
    host: &RealHost<'_>,
    delivery: &Delivery<'_>,
    clients: &[Client],
    moved: EpochMs,
    draft: Draft,
    busy: bool,
) -> Composed {
    let keys = &delivery.peer.manifest.keys;
    if busy && delivery.resumed {
        return Composed::Hold(Hold::Turn, "a turn is running, and it may be the message's own");
    }
    if busy && keys.midturn.meaning == Meaning::Steer && !delivery.urgent {
        let waited = host.clock.now().since(delivery.accepted);
        if waited < host.settings.midturn_wait {
            return Composed::Hold(Hold::Turn, "a turn is running, and a message now would cut it short");
        }
    }
    match draft {
        Draft::Empty => Composed::Free,
        Draft::Text(text) if text.contains(&delivery.id.to_string()) && !in_parts(delivery) => Composed::Ours,
        Draft::Paste(_) if delivery.resumed && clients.is_empty() && !in_parts(delivery) => Composed::Ours,
        // The text behind the mark of a long paste is not on the screen, so it could not be put back.
        Draft::Paste(_) if !clients.is_empty() => {
            Composed::Hold(Hold::Draft, "somebody has pasted a draft into the composer: send it or clear it")
        }
        Draft::Text(_) | Draft::Paste(_) => {
            // Keys of a client in control mode can be noticed only by the changes of the window.
            let last =
                clients.iter().map(|client| if client.control { client.activity.max(moved) } else { client.activity });
            let still = last.max().map(|at: EpochMs| host.clock.now().since(at));
            match still {
                Some(still) if still < host.settings.composer_hold => {
                    Composed::Hold(Hold::Draft, "somebody has a draft in the composer")
                }
                _ => Composed::Stale,
            }
        }
    }
}

fn baseline(host: &RealHost<'_>, delivery: &Delivery<'_>) -> Baseline {
    host.transcripts(delivery.peer).map(|transcripts| transcripts.baseline()).unwrap_or_default()
}

/// A router reads lines: paste, settle, end of line. A router gives no evidence, so none is awaited.
pub(super) fn to_router(host: &RealHost<'_>, delivery: &Delivery<'_>) -> Landing {
    let typed = host.server(&delivery.peer.identity).and_then(|server| {
        server.paste(&Input::router(delivery.text)?)?;
        host.clock.sleep(host.settings.paste_settle);
        server.keys(&[Key::named("C-j")])
    });
    match typed {
        Ok(()) => Landing::Landed { by: Evidence::Composer, forced: false },
        Err(error) => after_typing(error),
    }
}

/// What an error means after tmux was told to type: the text may be in the session, unless tmux said that it typed
/// nothing.
fn after_typing(error: TmuxError) -> Landing {
    match error {
        TmuxError::NotFound { .. } => Landing::Held(Hold::Terminal, error.to_string()),
        TmuxError::PaneDead => Landing::Held(Hold::Ended, error.to_string()),
        TmuxError::InMode => Landing::Held(Hold::Mode, error.to_string()),
        TmuxError::Refused(_) => Landing::Failed(error.to_string()),
        error => Landing::Unknown(error.to_string()),
    }
}
