//! How long to wait after a failure: each further failure doubles the wait.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(60);

/// The next wait.
#[derive(Debug)]
pub(crate) struct Pace(Duration);

impl Pace {
    pub(crate) fn new() -> Pace {
        Pace(FIRST)
    }

    /// A try failed: returns how long to wait.
    pub(crate) fn failed(&mut self) -> Duration {
        let now = self.0;
        self.0 = (now * 2).min(LONGEST);
        now
    }

    /// A try succeeded: the next wait is the shortest again.
    pub(crate) fn worked(&mut self) {
        self.0 = FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_minute() {
        let mut pace = Pace::new();
        let waits: Vec<u64> = (0..9).map(|_| pace.failed().as_millis() as u64).collect();
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
        pace.worked();
        assert_eq!(pace.failed(), FIRST);
    }
}
