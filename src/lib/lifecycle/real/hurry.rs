//! Having an urgent message taken at once that a program has put into its own queue, behind the turn that runs.

use super::RealHost;
use super::deliver::{REPAINT, RESUBMIT};
use super::ready;
use crate::core::clock::{Deadline, wait_for};
use crate::host::tmux::Key;
use crate::lifecycle::world::Delivery;
use crate::runtime::manifest::ScreenRules;
use crate::runtime::screen::{Draft, Screen, Sight};
use std::time::Duration;

/// How long the keys are pressed.
const PATIENCE: Duration = Duration::from_secs(3);
/// Pause before a press: a key may come a moment before the program listens for it.
const PAUSE: Duration = Duration::from_millis(100);
/// Pause between two looks at what a key did.
const LOOK: Duration = Duration::from_millis(20);

/// Presses the manifest's `urgent` keys until the message has left the program's queue. It has landed by now: where the
/// keys fail it waits for the turn's end.
pub(super) fn hurry(host: &RealHost<'_>, delivery: &Delivery<'_>, rules: &ScreenRules) {
    let keys: Vec<Key> = delivery.peer.manifest.keys.urgent.iter().map(|key| Key::named(key)).collect();
    if keys.is_empty() {
        return;
    }
    let look = || ready::look(host, delivery.peer).ok();
    let mark = delivery.peer.manifest.keys.queued.as_deref();
    // The hook speaks before the screen.
    let deadline = Deadline::after(host.clock, REPAINT);
    if wait_for(host.clock, deadline, LOOK, || waits(&look()?, rules, mark)) != Some(true) {
        return;
    }
    let patience = Deadline::after(host.clock, PATIENCE);
    loop {
        host.clock.sleep(PAUSE);
        if let Err(error) = host.server(&delivery.peer.identity).and_then(|server| server.keys(&keys)) {
            tracing::warn!("{}: urgent, but it waits for the turn's end: {error}", delivery.peer.identity);
            return;
        }
        let shown = Deadline::after(host.clock, RESUBMIT);
        let taken = wait_for(host.clock, shown, LOOK, || look().filter(|screen| !is_queued(screen, mark)).map(drop));
        if taken.is_some() || patience.passed(host.clock) {
            return;
        }
    }
}

/// Whether what was submitted waits for the end of a turn; `None` while the screen does not say. While it is
/// still in the composer the screen does not tell whether a turn runs: Claude Code speaks of the paste in that place.
fn waits(screen: &Screen, rules: &ScreenRules, mark: Option<&str>) -> Option<bool> {
    match screen.sight(rules) {
        Sight::Input { draft: Draft::Empty, busy: true } if mark.is_none() || is_queued(screen, mark) => Some(true),
        Sight::Input { draft: Draft::Empty, busy: false } => Some(false),
        _ => None,
    }
}

fn is_queued(screen: &Screen, mark: Option<&str>) -> bool {
    mark.is_some_and(|mark| screen.rows().iter().any(|row| row.contains(mark)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Paths;
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
            assert_eq!(waits(&screen, rules, manifest.keys.queued.as_deref()), expected, "{name}");
        }
    }
}
