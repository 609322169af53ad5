//! The state of units according to systemd: state, last run, next run; and whether units outlive the last logout.

use super::state::{Lingering, Seen};
use super::systemd::{property, show};
use crate::host::command;
use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Times are asked on the monotonic clock, in the forms that systemd has printed for a decade: a plain number for what
/// ends in `TimestampMonotonic`, a time span for what has `USec` in its name.
const PROPERTIES: &[&str] = &[
    "LoadState",
    "ActiveState",
    "Result",
    "ExecMainStatus",
    "ExecMainStartTimestampMonotonic",
    "LastTriggerUSecMonotonic",
    "NextElapseUSecMonotonic",
];
/// How long logind may take.
const ASK: Duration = Duration::from_secs(3);

/// The state of `units`, in their order; the default for a unit that systemd does not know.
pub(crate) fn units(units: &[&str]) -> Vec<Seen> {
    // One call for each unit: an answer about several has no names in it, and one bad name spoils all of it.
    units.iter().map(|unit| show(&[unit], PROPERTIES).map(|shown| parse(&shown, now())).unwrap_or_default()).collect()
}

fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default()
}

fn parse(shown: &str, now: Duration) -> Seen {
    let value = |key: &str| property(shown, key).unwrap_or_default();
    if value("LoadState") == "not-found" {
        return Seen::default();
    }
    let result = value("Result");
    let trouble = (!matches!(result, "" | "success")).then(|| match value("ExecMainStatus") {
        "" | "0" => result.to_owned(),
        status => format!("{result}, status {status}"),
    });
    let at = |key: &str| span(value(key)).filter(|at| !at.is_zero());
    Seen {
        state: value("ActiveState").to_owned(),
        trouble,
        last: at("LastTriggerUSecMonotonic").or(at("ExecMainStartTimestampMonotonic")).map(|at| now.saturating_sub(at)),
        next: at("NextElapseUSecMonotonic").map(|at| at.saturating_sub(now)),
    }
}

/// Microseconds as a number, or a time span as systemd.time(7) writes it: `1h 2min 3.5s`. `None`: infinity.
fn span(text: &str) -> Option<Duration> {
    if let Ok(micros) = text.parse::<u64>() {
        return (micros != u64::MAX).then(|| Duration::from_micros(micros));
    }
    let seconds = text.split_whitespace().map(|word| {
        let unit = word.find(|c: char| c.is_ascii_alphabetic())?;
        let factor = match &word[unit..] {
            "us" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "min" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            "w" => 604_800.0,
            "month" => 2_629_800.0,
            "y" => 31_557_600.0,
            _ => return None,
        };
        word[..unit].parse::<f64>().ok().map(|number| number * factor)
    });
    let total = seconds.sum::<Option<f64>>()?;
    (!text.is_empty()).then(|| Duration::try_from_secs_f64(total).ok()).flatten()
}

/// Whether logind lets this user's units outlive the last logout. `None`: it does not answer.
pub(crate) fn lingering() -> Option<Lingering> {
    let uid = nix::unistd::getuid();
    let said = command::ask("loginctl", &["show-user", &uid.to_string(), "-p", "Linger", "-p", "Name"], ASK)?;
    let on = property(&said, "Linger")? == "yes";
    Some(Lingering { on, user: property(&said, "Name")?.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_spans_as_systemd_writes_them() {
        let cases = [
            ("1234567", Some(1.234567)),
            ("5min 3.012s", Some(303.012)),
            ("1month 2w 1d 4h 2us", Some(2_629_800.0 + 1_209_600.0 + 86_400.0 + 14_400.0 + 2e-6)),
            ("850ms", Some(0.85)),
            ("0", Some(0.0)),
            ("infinity", None),
            ("18446744073709551615", None),
            ("", None),
            ("5 parsecs", None),
        ];
        for (text, wanted) in cases {
            assert_eq!(span(text), wanted.map(Duration::from_secs_f64), "{text}");
        }
    }

    #[test]
    fn units_as_shown() {
        let now = Duration::from_secs(100);
        let timer = "Result=success\nLoadState=loaded\nActiveState=active\nNextElapseUSecMonotonic=1min 50s\nLastTriggerUSecMonotonic=50s\n";
        let seen = parse(timer, now);
        assert_eq!((seen.state.as_str(), seen.trouble), ("active", None));
        assert_eq!((seen.last, seen.next), (Some(Duration::from_secs(50)), Some(Duration::from_secs(10))));
        let failed = "Result=exit-code\nExecMainStatus=77\nExecMainStartTimestampMonotonic=99000000\nLoadState=loaded\nActiveState=failed\n";
        let seen = parse(failed, now);
        assert_eq!((seen.last, seen.trouble.as_deref()), (Some(Duration::from_secs(1)), Some("exit-code, status 77")));
        assert_eq!(parse("LoadState=not-found\nActiveState=inactive\nResult=success\n", now), Seen::default());
    }
}
