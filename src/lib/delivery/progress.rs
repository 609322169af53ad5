//! How far a delivery has come, for a person who waits for it at a terminal: each step once, after a second of silence.

use crate::base::identity::Identity;
use crate::base::output;
use crate::base::span::said;
use crate::store::attention;
use crate::store::queue::Settled;
use crate::store::session_record::{Phase, SessionRecord};
use crate::world::World;
use std::time::Duration;

/// A delivery that takes no longer than this is not reported.
const SILENT: Duration = Duration::from_secs(1);
/// How often the state of the session is read while a delivery is reported.
const EVERY: Duration = Duration::from_millis(250);

/// A delivery that is watched.
pub(super) struct Progress<'w> {
    world: &'w World<'w>,
    identity: &'w Identity,
    began: Duration,
    next: Duration,
    said: String,
}

impl<'w> Progress<'w> {
    /// Begins to watch a delivery to `identity`.
    pub(super) fn of(world: &'w World<'w>, identity: &'w Identity) -> Progress<'w> {
        let began = world.clock.monotonic();
        Progress { world, identity, began, next: began + SILENT, said: String::new() }
    }

    /// Prints the step that the item in `place` has reached, where it differs from the step printed last.
    pub(super) fn tell(&mut self, place: Settled) {
        let now = self.world.clock.monotonic();
        if now < self.next {
            return;
        }
        self.next = now + EVERY;
        let step = self.step(place);
        if step != self.said {
            output::progress(&format!("{}: {step} ({})", self.identity, said(now - self.began)));
            self.said = step;
        }
    }

    fn step(&self, place: Settled) -> String {
        let asks = attention::peek(self.world.paths, self.identity).filter(|known| known.state.is_trouble());
        let record = SessionRecord::peek(self.world.paths, self.identity);
        match (asks, record.map(|record| record.phase), place) {
            (Some(known), _, _) => format!("{} ({})", known.state, known.text),
            (None, None, _) => "waking".to_owned(),
            (None, Some(Phase::Booting), _) => "booting".to_owned(),
            (None, Some(Phase::Ready), Settled::Inflight) => "handed over, waiting for evidence".to_owned(),
            (None, Some(Phase::Ready), _) => "ready, waiting for its turn".to_owned(),
        }
    }
}
