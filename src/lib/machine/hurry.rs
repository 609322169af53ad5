//! Makes a program take an urgent message at once, after the program has put the message into its own queue.

use super::ready::{self, RESUBMIT};
use super::real::RealHost;
use crate::base::clock::{Deadline, wait_for};
use crate::host::tmux::{Key, TmuxError};
use crate::runtime::manifest::ScreenRules;
use crate::runtime::screen::{Draft, Screen, Sight};
use crate::world::Delivery;
use crate::world::peer::Peer;
use std::time::Duration;

/// How long the screen may take to show the message as queued, and how long the keys are pressed.
const PATIENCE: Duration = Duration::from_secs(3);
/// Pause before a press: a key may come a moment before the program listens for it.
const PAUSE: Duration = Duration::from_millis(100);
/// Pause between two presses of one key.
const APART: Duration = Duration::from_millis(200);
/// Pause between two readings of the screen after a key.
const LOOK: Duration = Duration::from_millis(20);

/// Presses the manifest's `urgent` keys until the message has left the program's queue; where there are none, or they
/// do nothing, the turn is interrupted. At worst the message waits for the end of the turn.
pub(crate) fn hurry(host: &RealHost<'_>, delivery: &Delivery<'_>, rules: &ScreenRules) {
    let keys = &delivery.peer.manifest.keys;
    let clock = host.clock;
    let marks = keys.urgent_marks();
    let look = || ready::look(host, delivery.peer).ok();
    let queued = |patience| wait_for(clock, Deadline::after(clock, patience), LOOK, || waits(&look()?, rules, marks));
    let taken = || look().filter(|screen| is_taken(screen, rules, marks)).map(drop);
    // The hook reports the message before the screen shows it.
    if queued(PATIENCE) != Some(true) {
        return;
    }
    let patience = Deadline::after(clock, PATIENCE);
    // Keys that interrupt are pressed again only after a long wait, since a second press is another command: Qwen Code
    // and Gemini CLI put a queued message back into the composer, and a second Escape would clear the composer.
    let reaction = if keys.urgent == keys.interrupt { PATIENCE } else { RESUBMIT };
    while !keys.urgent.is_empty() && !patience.passed(clock) {
        clock.sleep(PAUSE);
        if let Err(error) = press(host, delivery.peer, &keys.urgent) {
            tracing::warn!("{}: urgent, but it waits for the turn's end: {error}", delivery.peer.identity);
            return;
        }
        if wait_for(clock, Deadline::after(clock, reaction), LOOK, taken).is_some() {
            return;
        }
    }
    // An interrupted program takes the queued message (Claude Code does, 12 of 12). The keys are pressed once: a second
    // press is another command.
    if !keys.interrupt.is_empty() && queued(RESUBMIT) == Some(true) {
        tracing::warn!("{}: urgent, and its keys do nothing: the turn is interrupted", delivery.peer.identity);
        let _ = press(host, delivery.peer, &keys.interrupt);
    }
}

/// Presses `names` one after the other. A key that is pressed twice in a row is pressed apart: two Escapes in one read
/// are another key to a program.
pub(super) fn press(host: &RealHost<'_>, peer: &Peer, names: &[String]) -> Result<(), TmuxError> {
    let server = host.server(&peer.identity)?;
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        for (n, name) in names.iter().enumerate() {
            if n > 0 {
                host.clock.sleep(APART);
            }
            server.keys(&[Key::named(name)])?;
        }
        return Ok(());
    }
    server.keys(&names.iter().map(|name| Key::named(name)).collect::<Vec<_>>())
}

/// Whether the submitted message waits for the end of a turn; `None`: the screen does not tell. While the message is
/// still in the composer, the screen does not tell whether a turn runs: in that place Claude Code shows a hint about
/// the paste.
fn waits(screen: &Screen, rules: &ScreenRules, marks: &[String]) -> Option<bool> {
    match screen.sight(rules) {
        Sight::Input { draft: Draft::Empty, busy: true } if marks.is_empty() || screen.shows_any(marks) => Some(true),
        Sight::Input { draft: Draft::Empty, busy: false } => Some(false),
        _ => None,
    }
}

/// Whether no message is queued any more; `false` while the screen is being repainted.
fn is_taken(screen: &Screen, rules: &ScreenRules, marks: &[String]) -> bool {
    matches!(screen.sight(rules), Sight::Input { .. }) && !screen.shows_any(marks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Paths;
    use crate::runtime::manifest::Manifest;

    /// The manifest's own mark on screens of the real program.
    #[test]
    fn a_message_is_queued_when_the_screen_says_so_and_a_paste_in_the_composer_says_nothing() {
        let paths = Paths::read(|name| (name == "IAPEER_ROOT").then(|| "/nonexistent".into())).unwrap();
        let manifest = Manifest::load(&paths, &"claude".parse().unwrap()).unwrap();
        let rules = manifest.screen.as_ref().unwrap();
        let table = [
            ("10-queued-while-running", Some(true)),
            ("b-22-midturn", Some(true)),
            ("14-big-paste-40-lines", None),
            ("14d-long-oneline-paste", None),
            ("11-after-queued", Some(false)),
        ];
        for (name, expected) in table {
            let path = format!("{}/tests/fixtures/screens/claude/2.1.329/{name}.ansi", env!("CARGO_MANIFEST_DIR"));
            let styled = std::fs::read_to_string(&path).unwrap();
            let screen = Screen { styled, ..Screen::default() };
            assert_eq!(waits(&screen, rules, manifest.keys.urgent_marks()), expected, "{name}");
        }
    }
}
