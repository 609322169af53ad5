//! Handing a message to a program by a file that it reads while it runs (Qwen Code's `--input-file`): nothing is typed, so
//! that a person's draft stays as it is.
//!
//! ```text
//! may it have been given before?      → evidence is awaited first: the program reads its file twice a second
//! the screen shows no composer for a second, or one of our messages in it, which an interruption put there
//!                                     → nothing was given, the next way is tried
//! a turn runs → urgent: the next way; else → held, until the turn's end
//! a line is added to the file         → refused: nothing was given, the next way is tried
//! evidence: the program's echo in its file of events, a hook's turn marker, a transcript record
//! ```
//!
//! The program's own queue is not used: what waits there is lost with the program.

use super::confirm::Evident;
use super::draft::ENVELOPE;
use super::ready::{self, LookTrouble};
use super::real::RealHost;
use super::way::{ENDING, Unusable, Way, held_by_the_turn, is_over, patience};
use crate::base::DeliveryKind;
use crate::base::clock::{Deadline, wait_for};
use crate::base::evidence::Evidence;
use crate::base::message_id::MessageId;
use crate::host::command_file;
use crate::runtime::lines_from;
use crate::runtime::screen::{Draft, Sight};
use crate::store::markers::Markers;
use crate::world::peer::Peer;
use crate::world::{Delivery, HostError, Landing};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// How long a program may take to read a line that was added before: it reads its file twice a second.
const READ: Duration = Duration::from_secs(3);
/// Pause between two searches of files for evidence.
const LOOK: Duration = Duration::from_millis(5);
/// Pause between two readings of a screen that is about to change.
const REPAINT: Duration = Duration::from_millis(30);
/// How long the screen may show no composer while the program draws it anew (Qwen Code 0.24.4 at the end of a turn).
const REPAINTED: Duration = Duration::from_secs(1);
/// Pause between two searches of the whole file of events.
const SEARCH: Duration = Duration::from_millis(200);

/// The way file: by a file that the program reads.
pub(super) struct FileWay;

impl Way for FileWay {
    fn kind(&self) -> DeliveryKind {
        DeliveryKind::File
    }

    fn hand_over(&self, host: &RealHost<'_>, delivery: &Delivery<'_>) -> Result<Landing, Unusable> {
        let peer = delivery.peer;
        let echoes = host.paths.echo_file(&peer.identity);
        if delivery.resumed {
            let seen = || seen_before(host, delivery, &echoes);
            if let Some(by) = wait_for(host.clock, Deadline::after(host.clock, READ), SEARCH, seen) {
                return Ok(Landing::Landed { by, forced: false });
            }
        }
        let (busy, draft) = sight(host, peer)?;
        if matches!(&draft, Draft::Text(text) if text.starts_with(ENVELOPE)) {
            return Err(unusable(&"one of our messages stands in the composer"));
        }
        if busy && !ends(host, delivery)? {
            if delivery.urgent && !delivery.resumed {
                return Err(unusable(&"an urgent message in mid-turn is typed"));
            }
            return Ok(held_by_the_turn());
        }
        let from = std::fs::metadata(&echoes).map_err(|error| unusable(&format!("no file of events: {error}")))?.len();
        let evident = Evident::of(host, delivery);
        let line = json!({"type": "submit", "text": delivery.text}).to_string();
        command_file::append(&host.paths.command_file(&peer.identity), &line).map_err(|error| unusable(&error))?;
        let taken = || evident.now().or_else(|| echoed(&echoes, from, delivery.id).then_some(Evidence::File));
        Ok(match wait_for(host.clock, Deadline::after(host.clock, patience(host, delivery)), LOOK, taken) {
            Some(by) => Landing::Landed { by, forced: false },
            None => Landing::Unknown("file: the program was given the message, and no turn took it".into()),
        })
    }

    fn is_busy(&self, host: &RealHost<'_>, peer: &Peer) -> Result<bool, Unusable> {
        Ok(sight(host, peer)?.0)
    }

    fn interrupt(&self, _: &RealHost<'_>, _: &Peer, _: &[String]) -> Result<Result<(), HostError>, Unusable> {
        Err(unusable(&"it can't interrupt"))
    }
}

fn unusable(why: &dyn std::fmt::Display) -> Unusable {
    Unusable(format!("file: {why}"))
}

/// Whether the screen shows a running turn, and what is in the composer. An error where the screen shows a dialog, or no
/// composer for longer than it takes to draw one anew.
fn sight(host: &RealHost<'_>, peer: &Peer) -> Result<(bool, Draft), Unusable> {
    let rules = peer.manifest.screen.as_ref().ok_or_else(|| unusable(&"its screen is not known"))?;
    let mut passing = "the screen shows no composer";
    let seen = wait_for(host.clock, Deadline::after(host.clock, REPAINTED), REPAINT, || {
        match ready::look(host, peer).map(|screen| screen.sight(rules)) {
            Ok(Sight::Input { busy, draft }) => Some(Ok((busy, draft))),
            Ok(Sight::Dialog(_)) => Some(Err(unusable(&"the screen shows a dialog"))),
            Err(LookTrouble::Ended { what, .. }) => Some(Err(unusable(&what))),
            Ok(Sight::Blank | Sight::Unknown) => {
                passing = "the screen shows no composer";
                None
            }
            Err(LookTrouble::Passing) => {
                passing = "tmux does not answer";
                None
            }
        }
    });
    seen.unwrap_or_else(|| Err(unusable(&passing)))
}

/// Whether the running turn ends: waits for that where a hook has reported the turn's end.
fn ends(host: &RealHost<'_>, delivery: &Delivery<'_>) -> Result<bool, Unusable> {
    let deadline = Deadline::after(host.clock, ENDING);
    while is_over(host, delivery) && !deadline.passed(host.clock) {
        if !sight(host, delivery.peer)?.0 {
            return Ok(true);
        }
        host.clock.sleep(REPAINT);
    }
    Ok(false)
}

/// Evidence of a message that may have been given before.
fn seen_before(host: &RealHost<'_>, delivery: &Delivery<'_>, echoes: &Path) -> Option<Evidence> {
    let turn = Markers::of(host.paths, &delivery.peer.identity).turn_of(delivery.launch);
    if turn.is_some_and(|turn| turn.taken.contains(&delivery.id)) {
        return Some(Evidence::Hook);
    }
    echoed(echoes, 0, delivery.id).then_some(Evidence::File)
}

/// Whether the program's file of events has, from byte `from` on, the user's message that carries the envelope of `id`.
fn echoed(echoes: &Path, from: u64, id: MessageId) -> bool {
    let envelope = format!("id=\\\"{id}\\\"").into_bytes();
    lines_from(echoes, from).any(|(line, _)| {
        line.windows(envelope.len()).any(|window| *window == envelope)
            && serde_json::from_slice::<Value>(&line).is_ok_and(|event| event["type"] == "user")
    })
}
