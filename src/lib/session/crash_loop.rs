//! The crash-loop guard: a pure rule over the death ring.

use crate::base::clock::EpochMs;
use crate::base::span::said;
use std::time::Duration;

/// Why a wake is refused: too many deaths within the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tripped {
    /// Deaths within the window.
    pub deaths: usize,
    /// The window.
    pub window: Duration,
    /// How long until the guard permits a wake.
    pub until: Duration,
}

impl std::fmt::Display for Tripped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "crash-loop guard: {} deaths in {}, leaving asleep", self.deaths, said(self.window))
    }
}

/// Refuses when at least `max` of `deaths` lie within `window` before `now`, both ends included.
pub fn guard(deaths: &[EpochMs], now: EpochMs, max: u64, window: Duration) -> Result<(), Tripped> {
    let cutoff = now.minus(window);
    // A death dated in the future (the clock was set back) counts as one that just happened. One dated further ahead
    // than the window is long is ignored: its time says nothing.
    let is_recent = |at: &EpochMs| *at >= cutoff && at.since(now) <= window;
    let mut recent: Vec<EpochMs> = deaths.iter().copied().filter(is_recent).map(|at| at.min(now)).collect();
    if (recent.len() as u64) < max {
        return Ok(());
    }
    recent.sort_unstable();
    // The guard permits a wake once fewer than `max` deaths are left within the window.
    let pivot = recent[recent.len() - max as usize];
    let until = window.saturating_sub(now.since(pivot)) + Duration::from_millis(1);
    Err(Tripped { deaths: recent.len(), window, until })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guard_as_a_table() {
        let now = EpochMs(1_000_000);
        let window = Duration::from_secs(300);
        let at = |list: &[u64]| list.iter().map(|ago| EpochMs(now.0 - ago)).collect::<Vec<_>>();
        let cases: &[(&str, Vec<EpochMs>, Option<usize>)] = &[
            ("no deaths", at(&[]), None),
            ("two are fine", at(&[10, 20]), None),
            ("three trip it", at(&[10, 20, 30]), Some(3)),
            ("the cut-off is inclusive", at(&[10, 20, 300_000]), Some(3)),
            ("one past the window does not count", at(&[10, 20, 300_001]), None),
            ("a death in the future counts", vec![EpochMs(now.0 + 9_999), now, now], Some(3)),
            ("as far ahead as the window is long", vec![EpochMs(now.0 + 300_000), now, now], Some(3)),
            ("one further ahead does not", vec![EpochMs(now.0 + 300_001), now, now], None),
        ];
        for (name, deaths, tripped) in cases {
            assert_eq!(guard(deaths, now, 3, window).err().map(|t| t.deaths), *tripped, "{name}");
        }
    }

    #[test]
    fn it_says_when_it_lets_go() {
        let now = EpochMs(1_000_000);
        let window = Duration::from_secs(300);
        let deaths = [EpochMs(800_000), EpochMs(900_000), EpochMs(950_000)];
        let tripped = guard(&deaths, now, 3, window).unwrap_err();
        assert_eq!(tripped.until, Duration::from_millis(100_001));
        assert!(guard(&deaths, EpochMs(now.0 + 100_001), 3, window).is_ok());
        assert!(guard(&deaths, EpochMs(now.0 + 100_000), 3, window).is_err());
    }
}
