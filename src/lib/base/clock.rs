//! The clock, as a trait, so that in a simulation days of a fleet's life pass in a second.

use chrono::{DateTime, Datelike, Local, SecondsFormat, Utc};
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EpochMs(pub u64);

impl EpochMs {
    /// How long ago `earlier` was; zero if it lies in the future (clocks jump).
    pub fn since(self, earlier: EpochMs) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// This instant moved on by `by`.
    pub fn plus(self, by: Duration) -> EpochMs {
        EpochMs(self.0.saturating_add(by.as_millis() as u64))
    }

    /// This instant moved back by `by`; never before 1970.
    pub(crate) fn minus(self, by: Duration) -> EpochMs {
        EpochMs(self.0.saturating_sub(by.as_millis() as u64))
    }

    /// The instant that `text` names, as RFC 3339 writes it. `None` for anything else, and for what is before 1970.
    pub fn parse(text: &str) -> Option<EpochMs> {
        let at = DateTime::parse_from_rfc3339(text).ok()?;
        u64::try_from(at.timestamp_millis()).ok().map(EpochMs)
    }

    fn time(self) -> DateTime<Utc> {
        // A file may contain any number: a time from the year 9999 on is shown as 1970, instead of a panic.
        let time = i64::try_from(self.0).ok().and_then(DateTime::from_timestamp_millis);
        time.filter(|time| time.year() < 9999).unwrap_or_default()
    }

    /// `2026-11-21T05:46:07.123Z`: UTC with milliseconds, as in the event logs.
    pub(crate) fn utc(self) -> String {
        self.time().to_rfc3339_opts(SecondsFormat::Millis, true)
    }

    /// `2026-11-21T05:46:07Z`: UTC with seconds, as in `exits.log`.
    pub fn utc_seconds(self) -> String {
        self.time().to_rfc3339_opts(SecondsFormat::Secs, true)
    }

    /// `2026-11-21T07:46:07+02:00`: local time with offset, as in the envelope.
    pub fn local(self) -> String {
        self.time().with_timezone(&Local).to_rfc3339_opts(SecondsFormat::Secs, false)
    }

    /// `07:46:07`: the local time of the day.
    pub(crate) fn local_time(self) -> String {
        self.time().with_timezone(&Local).time().format("%H:%M:%S").to_string()
    }

    /// `2026-11-21`: the local date.
    pub(crate) fn local_date(self) -> String {
        self.time().with_timezone(&Local).date_naive().to_string()
    }
}

impl From<SystemTime> for EpochMs {
    fn from(time: SystemTime) -> Self {
        EpochMs(time.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64))
    }
}

impl fmt::Display for EpochMs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.utc())
    }
}

/// Where time comes from.
pub trait Clock: Send + Sync {
    /// The wall clock. It may jump in either direction.
    fn now(&self) -> EpochMs;
    /// Time since some fixed point; it never goes back. For deadlines.
    fn monotonic(&self) -> Duration;
    /// Time since the machine booted, including the time it was asleep: the same for all programs of one boot, and
    /// independent of the wall clock.
    fn uptime(&self) -> Duration {
        self.monotonic()
    }
    /// Waits for `duration`.
    fn sleep(&self, duration: Duration);
}

/// The machine's own clock.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        SystemClock { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> EpochMs {
        SystemTime::now().into()
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    fn uptime(&self) -> Duration {
        // On macOS CLOCK_MONOTONIC includes the time asleep.
        #[cfg(target_os = "linux")]
        let id = ClockId::CLOCK_BOOTTIME;
        #[cfg(not(target_os = "linux"))]
        let id = ClockId::CLOCK_MONOTONIC;
        clock_gettime(id).map_or(Duration::ZERO, Duration::from)
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}

/// A point on the monotonic clock after which waiting ends.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    at: Duration,
}

impl Deadline {
    /// The deadline `after` from now; a sum that is too large never passes.
    pub fn after(clock: &dyn Clock, after: Duration) -> Self {
        Deadline { at: clock.monotonic().saturating_add(after) }
    }

    /// Whether it has passed.
    pub fn passed(&self, clock: &dyn Clock) -> bool {
        clock.monotonic() >= self.at
    }

    /// The time until the deadline, zero when it has passed.
    pub fn left(&self, clock: &dyn Clock) -> Duration {
        self.at.saturating_sub(clock.monotonic())
    }
}

/// Longest pause between two polls.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// Polls `ready` until it returns a value or `deadline` passes. The pause between polls is a sixteenth of the time
/// already waited, at least `pause` and at most 50 ms (or `pause`): a value is noticed soon, and a long wait costs
/// little.
pub fn wait_for<T>(
    clock: &dyn Clock,
    deadline: Deadline,
    pause: Duration,
    mut ready: impl FnMut() -> Option<T>,
) -> Option<T> {
    let start = clock.monotonic();
    loop {
        if let Some(value) = ready() {
            return Some(value);
        }
        if deadline.passed(clock) {
            return None;
        }
        let waited = clock.monotonic().saturating_sub(start);
        let next = (waited / 16).clamp(pause, LONGEST_PAUSE.max(pause));
        clock.sleep(next.min(deadline.left(clock)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_have_their_fixed_shapes() {
        let t = EpochMs(1_795_239_967_045);
        assert_eq!(t.utc(), "2026-11-21T05:46:07.045Z");
        assert_eq!(t.utc_seconds(), "2026-11-21T05:46:07Z");
        assert_eq!(t.local().len(), "2026-11-21T05:46:07+00:00".len());
    }

    #[test]
    fn any_number_from_a_file_can_be_shown() {
        for ms in [u64::MAX, i64::MAX as u64, 253_402_300_799_999, 253_370_764_799_999, 0] {
            let at = EpochMs(ms);
            assert_eq!(at.utc().len(), "2026-11-21T05:46:07.045Z".len());
            assert_eq!(at.local_date().len() + at.local().len(), "2026-11-212026-11-21T05:46:07+00:00".len());
        }
        assert_eq!(EpochMs(5).since(EpochMs(9)), Duration::ZERO);
    }

    #[test]
    fn what_agents_write_as_a_time_is_understood() {
        let at = Some(EpochMs(1_795_239_967_045));
        let rows = [
            ("2026-11-21T05:46:07.045Z", at),
            ("2026-11-21T05:46:07.045678901Z", at),
            ("2026-11-21T07:46:07.045+02:00", at),
            ("2026-11-21T05:46:07Z", Some(EpochMs(1_795_239_967_000))),
            ("1969-12-31T23:59:59Z", None),
            ("2026-11-21", None),
            ("", None),
        ];
        for (text, parsed) in rows {
            assert_eq!(EpochMs::parse(text), parsed, "{text:?}");
        }
        assert_eq!(EpochMs::parse(&EpochMs(1_795_239_967_045).utc()), at);
    }
}
