//! When something is read again: soon after a change, rarely without one, and the more rarely the longer it takes.

use std::time::{Duration, Instant};

/// When something is read.
#[derive(Debug, Clone)]
pub(crate) struct ReadPace {
    wanted: bool,
    at_once: bool,
    running: bool,
    last: Instant,
    took: Duration,
    /// The least pause before the next reading, after a change: this time, and this many times as long as a reading takes.
    least: (Duration, u32),
    /// The same without a change; `None`: without a change nothing is read.
    most: Option<(Duration, u32)>,
}

impl ReadPace {
    /// For the table, which was read just now. Without a change it is read only for memory and CPU time; reading then takes
    /// at most a two-hundredth of the time, after changes at most a tenth.
    pub(crate) fn of_table(now: Instant) -> ReadPace {
        ReadPace::new(now, (Duration::from_millis(200), 10), Some((Duration::from_secs(5), 200)))
    }

    /// For the details of the selected peer: they are read only after a change.
    pub(crate) fn of_details(now: Instant) -> ReadPace {
        ReadPace { wanted: true, at_once: true, ..ReadPace::new(now, (Duration::from_millis(300), 10), None) }
    }

    /// For the tokens: they are read at most once a minute.
    pub(crate) fn of_tokens(now: Instant) -> ReadPace {
        let minute = (Duration::from_secs(60), 200);
        ReadPace { wanted: true, at_once: true, ..ReadPace::new(now, minute, Some(minute)) }
    }

    fn new(now: Instant, least: (Duration, u32), most: Option<(Duration, u32)>) -> ReadPace {
        ReadPace { wanted: false, at_once: false, running: false, last: now, took: Duration::ZERO, least, most }
    }

    /// Something has changed.
    pub(crate) fn want(&mut self) {
        self.wanted = true;
    }

    /// A person waits for the reading: it begins at once.
    pub(crate) fn want_at_once(&mut self) {
        (self.wanted, self.at_once) = (true, true);
    }

    pub(crate) fn is_running(&self) -> bool {
        self.running
    }

    /// When the next reading begins. `None`: one runs, or nothing is to be read.
    pub(crate) fn due(&self) -> Option<Instant> {
        let after = |(least, times): (Duration, u32)| self.last + least.max(self.took * times);
        match (self.running, self.wanted) {
            (true, _) => None,
            (false, true) if self.at_once => Some(self.last),
            (false, true) => Some(after(self.least)),
            (false, false) => self.most.map(after),
        }
    }

    /// Whether a reading is due; if so, it counts as running from now on.
    pub(crate) fn begins(&mut self, now: Instant) -> bool {
        let due = self.due().is_some_and(|at| at <= now);
        if due {
            (self.wanted, self.at_once, self.running) = (false, false, true);
        }
        due
    }

    /// The reading has ended.
    pub(crate) fn ended(&mut self, now: Instant, took: Duration) {
        (self.running, self.last, self.took) = (false, now, took);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_read_soon_after_a_change_and_seldom_without_one() {
        let start = Instant::now();
        let ms = |ms| start + Duration::from_millis(ms);
        let mut pace = ReadPace::of_table(start);
        assert_eq!(pace.due(), Some(ms(5000)));
        pace.want();
        assert!(!pace.begins(ms(199)) && pace.begins(ms(200)) && pace.is_running());
        // What changes meanwhile is read next.
        pace.want();
        assert_eq!(pace.due(), None);
        pace.ended(ms(300), Duration::from_millis(100));
        assert_eq!(pace.due(), Some(ms(1300)));
        assert!(pace.begins(ms(1300)));
        pace.ended(ms(1400), Duration::from_millis(100));
        assert_eq!(pace.due(), Some(ms(21_400)));
        pace.want_at_once();
        assert!(pace.begins(ms(1401)));
    }

    #[test]
    fn details_are_read_after_changes_alone() {
        let start = Instant::now();
        let mut pace = ReadPace::of_details(start);
        assert!(pace.begins(start));
        pace.ended(start, Duration::ZERO);
        assert_eq!(pace.due(), None);
        pace.want();
        assert_eq!(pace.due(), Some(start + Duration::from_millis(300)));
    }
}
