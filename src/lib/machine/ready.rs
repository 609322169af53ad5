//! Waiting until a started agent shows its composer, and answering the dialogs before it: after each key the screen is
//! read again, and a choice is confirmed only when the cursor is seen on it.

use super::real::RealHost;
use crate::base::clock::{Clock, Deadline, wait_for};
use crate::base::hold::Hold;
use crate::base::identity::Identity;
use crate::base::output;
use crate::base::span::said;
use crate::host::tmux::{Key, TmuxError};
use crate::runtime::manifest::{Dialog, DialogReply, Kind};
use crate::runtime::screen::{Screen, Sight};
use crate::store::event_log::{Event, EventLog, Log};
use crate::store::markers::Markers;
use crate::store::pane_log::{self, LastOutput};
use crate::world::peer::Peer;
use crate::world::{HostError, Launch, NotReady};
use std::fmt::{self, Display, Formatter};
use std::time::Duration;

/// Pause between two readings of a booting session's screen: short at first, since some sessions are ready in
/// milliseconds.
const FIRST_LOOK: Duration = Duration::from_millis(10);
const LATER_LOOKS: Duration = Duration::from_millis(150);
/// How long a dialog may take to react to a key before the key counts as lost.
const REACTION: Duration = Duration::from_secs(3);
/// How long the cursor must stand on the wanted row before the choice is confirmed.
const SETTLED: Duration = Duration::from_millis(400);
/// How long the submit key may take to have a visible effect before it is pressed again.
pub(crate) const RESUBMIT: Duration = Duration::from_millis(450);
/// Pause between two readings of the screen after the submit key.
const REACTION_LOOK: Duration = Duration::from_millis(30);

/// Waits until the session of `launch` is ready for input. The error is the reason, with the screen's tail.
pub(crate) fn await_ready(host: &RealHost<'_>, launch: &Launch<'_>, patience: Duration) -> Result<(), NotReady> {
    let peer = launch.peer;
    if peer.manifest.kind == Kind::Router {
        return Ok(());
    }
    let Some(rules) = peer.manifest.screen.as_ref() else { return Ok(()) };
    let clock = host.clock;
    let deadline = Deadline::after(clock, patience);
    let mut pause = FIRST_LOOK;
    let mut agreed = 0;
    let mut tail = String::new();
    let mut hold = None;
    let tool_fetched = || rules.tool && tool_fetched(host, launch);
    let mut steps = Steps { identity: &peer.identity, clock, began: clock.monotonic(), said: String::new() };
    while !deadline.passed(clock) {
        // The boot of a peer that was stopped meanwhile is not awaited.
        if Markers::of(host.paths, &peer.identity).is_stopped() {
            return Err("stopped during the boot".to_owned().into());
        }
        let screen = match look(host, peer) {
            Ok(screen) => screen,
            Err(LookTrouble::Ended { what, last }) => {
                let said = last_words(host, launch).or(last);
                // A program that ends at once may have said why in words that the manifest knows: nothing has crashed.
                let known = Screen::of_last_words(said.as_deref().unwrap_or_default());
                if let Sight::Dialog(dialog) = known.sight(rules)
                    && let DialogReply::Fail(refused) = reply(peer, dialog)
                {
                    return Err(NotReady {
                        reason: format!("{}: {refused}", dialog.name),
                        hold: Some(hold_of(dialog)),
                    });
                }
                return Err(with_tail(&what.during(" during boot"), said.as_deref().unwrap_or(&tail)).into());
            }
            Err(LookTrouble::Passing) => {
                clock.sleep(LATER_LOOKS);
                continue;
            }
        };
        tail = screen.tail();
        let sight = screen.sight(rules);
        hold = match &sight {
            Sight::Dialog(dialog) => Some(hold_of(dialog)),
            Sight::Unknown => Some(Hold::Screen),
            // An empty screen, or a composer that keeps changing, does not mean that the program waits for a person: it
            // hangs.
            Sight::Blank | Sight::Input { .. } => None,
        };
        steps.tell(&match &sight {
            Sight::Dialog(dialog) => format!("booting, at the dialog {}", dialog.name),
            Sight::Blank | Sight::Unknown => "booting".to_owned(),
            Sight::Input { .. } => "booting, its composer is there".to_owned(),
        });
        match sight {
            // A busy screen can only mean that the program is still starting: once our tool is fetched, the program has
            // started far enough.
            Sight::Input { busy, .. } if !busy || tool_fetched() => {
                agreed += 1;
                let started = || tool_fetched() || rules.start_hook && start_hook_called(host, launch);
                if agreed >= rules.looks || started() {
                    steps.end();
                    return Ok(());
                }
                // The start hook may come between two readings; it ends the wait for the second reading.
                let apart = Deadline::after(clock, Duration::from_millis(rules.apart_ms));
                let _ = wait_for(clock, apart, FIRST_LOOK, || started().then_some(()));
                continue;
            }
            Sight::Dialog(dialog) => {
                agreed = 0;
                answer(host, peer, &screen, dialog).map_err(|why| NotReady { reason: why.to_string(), hold })?;
                clock.sleep(REACTION_LOOK);
                continue;
            }
            Sight::Blank | Sight::Unknown | Sight::Input { .. } => agreed = 0,
        }
        clock.sleep(pause.min(deadline.left(clock)));
        pause = (pause + pause / 2).min(LATER_LOOKS);
    }
    let reason = with_tail("never-became-ready (stuck at a startup prompt or boot hang)", &tail);
    Err(NotReady { reason, hold })
}

/// A boot that takes no longer than this is not reported.
const SILENT: Duration = Duration::from_secs(1);

/// How far a boot has come, for a person who waits for it at a terminal: each step once, after a second of silence.
struct Steps<'a> {
    identity: &'a Identity,
    clock: &'a dyn Clock,
    began: Duration,
    said: String,
}

impl Steps<'_> {
    fn tell(&mut self, step: &str) {
        let took = self.clock.monotonic() - self.began;
        if took >= SILENT && step != self.said {
            output::progress(&format!("{}: {step} ({})", self.identity, said(took)));
            self.said = step.to_owned();
        }
    }

    /// The session is ready.
    fn end(&mut self) {
        if !self.said.is_empty() {
            self.tell("ready");
        }
    }
}

/// The hold for messages while `dialog` is not answered. A dialog about a login is known by its name.
pub(crate) fn hold_of(dialog: &Dialog) -> Hold {
    if ["login", "logged"].iter().any(|word| dialog.name.contains(word)) { Hold::Login } else { Hold::Dialog }
}

/// How long the pane log may take to contain the program's last output: its writer is a process that was started with
/// the program, and may be behind on a loaded machine.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// The program's last lines of output, from the pane log: tmux 3.3a writes a line of its own over the screen of a dead
/// pane, so that the screen may lack them. `None` for a program that drew a full screen, whose output can't be read
/// line by line.
pub(crate) fn last_words(host: &RealHost<'_>, launch: &Launch<'_>) -> Option<String> {
    let deadline = Deadline::after(host.clock, LAST_WORDS);
    let printed = || match pane_log::last_output(&launch.pane_log, launch.pane_log_from) {
        LastOutput::Nothing => None,
        LastOutput::Screen => Some(None),
        LastOutput::Words(words) => Some(Some(words)),
    };
    wait_for(host.clock, deadline, FIRST_LOOK, printed).flatten()
}

/// Whether the program that this launch started has fetched our tool.
fn tool_fetched(host: &RealHost<'_>, launch: &Launch<'_>) -> bool {
    let name = launch_name(launch);
    let listed = Markers::of(host.paths, &launch.peer.identity).tool_listed();
    name.is_some() && listed.is_some_and(|(launch, _)| Some(launch.as_str()) == name)
}

fn launch_name<'l>(launch: &'l Launch<'_>) -> Option<&'l str> {
    launch.env.iter().find(|(key, _)| key == "PEER_LAUNCH").map(|(_, value)| value.as_str())
}

/// Whether the program that this launch started has called its start hook.
fn start_hook_called(host: &RealHost<'_>, launch: &Launch<'_>) -> bool {
    let name = launch_name(launch);
    name.is_some() && Markers::of(host.paths, &launch.peer.identity).turn_of(name).is_some()
}

/// The part of a session that has ended.
pub(crate) enum WhatEnded {
    /// The session.
    Session,
    /// The program in the session's pane, and how it ended.
    Program(String),
}

impl WhatEnded {
    /// As words; `when` follows the verb immediately, so that it is empty or begins with a blank.
    fn during(&self, when: &str) -> String {
        match self {
            WhatEnded::Session => format!("the session ended{when}"),
            WhatEnded::Program(how) => format!("the program ended{when} ({how})"),
        }
    }
}

impl Display for WhatEnded {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.during(""))
    }
}

/// Why a reading of the screen failed.
pub(crate) enum LookTrouble {
    /// The session is gone or its pane is dead; `last`: the last rows of its screen.
    Ended { what: WhatEnded, last: Option<String> },
    /// tmux did not answer properly; the next reading may succeed.
    Passing,
}

impl From<LookTrouble> for HostError {
    fn from(trouble: LookTrouble) -> Self {
        match trouble {
            LookTrouble::Ended { what, .. } => HostError::Ended(what.to_string()),
            LookTrouble::Passing => HostError::Silent,
        }
    }
}

/// A dialog that only a person may answer.
#[derive(Debug, thiserror::Error)]
#[error("{dialog} screen: {why}")]
pub(crate) struct ForAPerson {
    /// The manifest's name of the dialog.
    dialog: String,
    /// The reason, from the manifest.
    why: String,
}

/// Reads a session's screen once.
pub(crate) fn look(host: &RealHost<'_>, peer: &Peer) -> Result<Screen, LookTrouble> {
    let trouble = |error| match error {
        TmuxError::NoServer | TmuxError::NoSession => LookTrouble::Ended { what: WhatEnded::Session, last: None },
        _ => LookTrouble::Passing,
    };
    let server = host.server(&peer.identity).map_err(trouble)?;
    let survey = server.survey(true).map_err(trouble)?;
    let look = host.with_ending(&server, survey.look);
    let ended = look.pane_dead.then(|| WhatEnded::Program(look.ending()));
    let screen = Screen { styled: survey.screen, title: look.title, host: look.host, width: look.width };
    if let Some(what) = ended {
        return Err(LookTrouble::Ended { what, last: Some(screen.tail()) });
    }
    Ok(screen)
}

/// Takes the next step on a dialog. An error ends the wake: iapeer never answers this screen.
pub(crate) fn answer(host: &RealHost<'_>, peer: &Peer, screen: &Screen, dialog: &Dialog) -> Result<(), ForAPerson> {
    let reply = reply(peer, dialog);
    let key = match &reply {
        DialogReply::Fail(why) => return Err(ForAPerson { dialog: dialog.name.clone(), why: why.clone() }),
        // `reply` resolves these.
        DialogReply::Profile(_) => return Ok(()),
        DialogReply::Press(key) => key,
        DialogReply::Choose(choice) => match screen.cursor_row(&choice.cursor) {
            Some(row) if row.contains(&choice.label) => {
                // Claude Code draws the cursor before its key handler knows of the move: an Enter right then took
                // the row before (measured).
                host.clock.sleep(SETTLED);
                match look(host, peer) {
                    Ok(now) if now.cursor_row(&choice.cursor).as_ref() == Some(&row) => {
                        note_choice(host, peer, dialog, &row, &choice.cursor);
                        &choice.confirm
                    }
                    _ => return Ok(()),
                }
            }
            Some(_) => &choice.next,
            // The cursor is not visible yet: no key is pressed without seeing the cursor.
            None => return Ok(()),
        },
    };
    // A key that failed is noticed at the next reading: the dialog is still there.
    let pressed = host.server(&peer.identity).and_then(|server| server.keys(&[Key::named(key)]));
    if pressed.is_ok() {
        // One key at a time: a second one, sent because the first had not been drawn yet, moves the cursor on after
        // it was seen in the right place.
        let deadline = Deadline::after(host.clock, REACTION);
        let _ = wait_for(host.clock, deadline, REACTION_LOOK, || has_reacted(host, peer, screen, dialog).then_some(()));
    }
    Ok(())
}

/// What the peer's profile and the manifest say about `dialog`.
fn reply(peer: &Peer, dialog: &Dialog) -> DialogReply {
    dialog.answer.resolved(|key| peer.policy().dialog_word(key))
}

/// Logs the row that is confirmed.
fn note_choice(host: &RealHost<'_>, peer: &Peer, dialog: &Dialog, row: &str, cursor: &str) {
    let event = Event::new("dialog")
        .field("identity", &peer.identity)
        .field("dialog", &dialog.name)
        .field("answer", row.trim().trim_start_matches(cursor).trim());
    EventLog::new(host.paths, host.settings).append(Log::Lifecycle, host.clock, &event);
}

/// Whether the dialog that `before` shows is gone, or its cursor has moved.
fn has_reacted(host: &RealHost<'_>, peer: &Peer, before: &Screen, dialog: &Dialog) -> bool {
    let (Ok(now), Some(rules)) = (look(host, peer), peer.manifest.screen.as_ref()) else { return true };
    let Sight::Dialog(still) = now.sight(rules) else { return true };
    let DialogReply::Choose(choice) = reply(peer, dialog) else { return still.name != dialog.name };
    let row = now.cursor_row(&choice.cursor);
    still.name != dialog.name || row.is_some() && row != before.cursor_row(&choice.cursor)
}

fn with_tail(why: &str, tail: &str) -> String {
    if tail.is_empty() { why.to_owned() } else { format!("{why}; pane tail: {tail}") }
}
