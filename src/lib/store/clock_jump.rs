//! `state/clock`: the wall clock and the time since boot at the last tick. Where the wall clock has advanced by more
//! than the time since boot, somebody has set it forward, and the difference is time that has not passed.

use crate::base::clock::EpochMs;
use crate::base::paths::Paths;
use crate::store::durable::{self, StoreError};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How far the two clocks may drift apart between two ticks: more than any slewing does.
const DRIFT: Duration = Duration::from_secs(60);

/// The clocks at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clocks {
    /// The wall clock.
    pub wall: EpochMs,
    /// The time since boot, in milliseconds.
    pub up_ms: u64,
    /// The id of the machine's boot.
    pub boot: Option<String>,
    /// When the wall clock was last found set forward in that boot, by the wall clock of that moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_at: Option<EpochMs>,
}

impl Clocks {
    /// The clocks now.
    pub fn now(wall: EpochMs, uptime: Duration, boot: Option<String>) -> Clocks {
        Clocks { wall, up_ms: uptime.as_millis() as u64, boot, set_at: None }
    }

    /// The clocks at the last tick.
    pub fn noted(paths: &Paths) -> Option<Clocks> {
        durable::peek_json(&paths.clocks())
    }

    /// When the wall clock was last set forward in this boot, as far as `before` shows: the age of anything older can't
    /// be trusted.
    pub fn set_at(&self, before: &Clocks) -> Option<EpochMs> {
        if before.boot != self.boot || before.boot.is_none() || before.up_ms > self.up_ms {
            return None;
        }
        let passed = Duration::from_millis(self.up_ms - before.up_ms);
        if self.wall.since(before.wall) > passed + DRIFT {
            return Some(self.wall);
        }
        before.set_at.filter(|at| *at <= self.wall)
    }

    /// Writes the clocks down for later programs.
    pub fn note(mut self, paths: &Paths) -> Result<(), StoreError> {
        self.set_at = Clocks::noted(paths).and_then(|before| self.set_at(&before));
        let line = serde_json::to_string(&self).unwrap_or_default();
        durable::write_volatile(&paths.clocks(), format!("{line}\n").as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_forward_is_told_from_time_that_passed() {
        let day = Duration::from_secs(86_400).as_millis() as u64;
        let at = |wall, up, set_at: Option<u64>| Clocks {
            wall: EpochMs(wall),
            up_ms: up,
            boot: Some("b".into()),
            set_at: set_at.map(EpochMs),
        };
        let before = || at(1_000, 50, None);
        for (what, before, now, found) in [
            ("a minute later", before(), at(61_000, 60_050, None), None),
            ("asleep for a day", before(), at(1_000 + day, 50 + day, None), None),
            ("set forward by a day", before(), at(1_000 + day, 60_050, None), Some(1_000 + day)),
            ("set back", at(day, 50, None), at(1_000, 60_050, None), None),
            ("set forward before that", at(9_000, 50, Some(5_000)), at(69_000, 60_050, None), Some(5_000)),
            ("set forward, and back since", at(9_000, 50, Some(5_000)), at(4_000, 60_050, None), None),
            ("another boot", Clocks { boot: Some("a".into()), ..before() }, at(day, 60_050, None), None),
        ] {
            assert_eq!(now.set_at(&before), found.map(EpochMs), "{what}");
        }
    }
}
