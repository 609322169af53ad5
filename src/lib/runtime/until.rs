//! Reading the time at which, according to a program, its limit ends. Text that is not clearly a time counts as none;
//! nothing is guessed.

use crate::base::clock::EpochMs;
use crate::store::open::{self, Rule};
use chrono::{Local, Offset, TimeZone as _};
use std::path::Path;
use tz::TimeZone;

/// Where systems keep the rules of the time zones, a file for each.
const ZONES: [&str; 3] = ["/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/etc/zoneinfo"];
/// A day in seconds.
const DAY: i64 = 24 * 60 * 60;

/// An ISO time.
pub(crate) fn iso(text: &str) -> Option<EpochMs> {
    EpochMs::parse(text.trim())
}

/// The time that `text` begins with: `12:27pm`, `12:27pm (UTC)`, `3pm (Europe/Paris)`, `12:48 PM`, `14:05`, or an ISO
/// time. A time without a date is the next such time after `now`; a time without a zone is that of this machine's zone.
pub fn read(text: &str, now: EpochMs) -> Option<EpochMs> {
    let word = text.split_whitespace().next()?;
    if let Some(at) = iso(word.trim_end_matches(['.', ',', ';'])) {
        return Some(at);
    }
    let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>();
    let hour = digits(text);
    let mut rest = &text[hour.len()..];
    let mut minute = String::from("0");
    let has_minute = rest.starts_with(':');
    if let Some(after) = rest.strip_prefix(':') {
        minute = digits(after);
        if minute.len() != 2 {
            return None;
        }
        rest = &after[2..];
    }
    let (hour, minute): (i64, i64) = (hour.parse().ok()?, minute.parse().ok()?);
    let half = rest.trim_start().get(..2).map(str::to_ascii_lowercase);
    let hour = match half.as_deref() {
        Some("am") if (1..=12).contains(&hour) => hour % 12,
        Some("pm") if (1..=12).contains(&hour) => hour % 12 + 12,
        // `14:05`; a bare number is no time.
        _ if has_minute && !matches!(half.as_deref(), Some("am" | "pm")) => hour,
        _ => return None,
    };
    let rest = if matches!(half.as_deref(), Some("am" | "pm")) { &rest.trim_start()[2..] } else { rest };
    if hour > 23 || minute > 59 {
        return None;
    }
    let zone = match rest.trim_start().strip_prefix('(') {
        Some(named) => Zone::named(named.split_once(')')?.0)?,
        None => Zone::Here,
    };
    let seconds = i64::try_from(now.0 / 1000).ok()?;
    let here = seconds.checked_add(zone.offset(seconds)?)?;
    let today = here - here.rem_euclid(DAY) + (hour * 60 + minute) * 60;
    [today, today + DAY].into_iter().filter_map(|there| zone.instant(there)).find(|at| *at >= now)
}

enum Zone {
    /// The zone of this machine.
    Here,
    /// A zone from the system's files.
    Named(TimeZone),
}

impl Zone {
    fn named(name: &str) -> Option<Zone> {
        // The name becomes part of a path, and it comes from a text that anybody may have written.
        let is_part = |part: &str| {
            !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || ['_', '-', '+'].contains(&c))
        };
        if name == "UTC" {
            return Some(Zone::Named(TimeZone::utc()));
        }
        if !name.split('/').all(is_part) {
            return None;
        }
        let mut files = ZONES.iter().map(|folder| Path::new(folder).join(name));
        let bytes = files.find_map(|file| open::read(&file, Rule::DOCUMENT).ok()?)?;
        TimeZone::from_tz_data(&bytes).ok().map(Zone::Named)
    }

    /// Seconds by which the zone's clocks are ahead of UTC at `unix`, in seconds since 1970.
    fn offset(&self, unix: i64) -> Option<i64> {
        let seconds = match self {
            Zone::Here => Local.timestamp_opt(unix, 0).single()?.offset().fix().local_minus_utc(),
            Zone::Named(zone) => zone.find_local_time_type(unix).ok()?.ut_offset(),
        };
        Some(seconds.into())
    }

    /// When the zone's clocks show `there`, in seconds since 1970 by these clocks.
    fn instant(&self, there: i64) -> Option<EpochMs> {
        // The offset at about that time is the one at that time, unless the clocks are changed in between.
        let about = there - self.offset(there)?;
        let unix = there - self.offset(about)?;
        u64::try_from(unix.checked_mul(1000)?).ok().map(EpochMs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_programs_write_them() {
        let at = |text: &str| iso(text).unwrap();
        let now = at("2026-11-26T11:27:50Z");
        for (text, expected) in [
            ("12:27pm (UTC)", Some("2026-11-26T12:27:00Z")),
            ("12:27pm (UTC) · more", Some("2026-11-26T12:27:00Z")),
            ("3pm (Europe/Paris)", Some("2026-11-26T14:00:00Z")),
            ("9am (UTC)", Some("2026-11-27T09:00:00Z")),
            ("12:05 AM (UTC).", Some("2026-11-27T00:05:00Z")),
            ("14:05 (UTC)", Some("2026-11-26T14:05:00Z")),
            ("2026-11-28T01:02:03Z.", Some("2026-11-28T01:02:03Z")),
            ("soon", None),
            ("5", None),
            ("25:00 (UTC)", None),
            ("13pm (UTC)", None),
            ("3pm (America/New_York)", Some("2026-11-26T20:00:00Z")),
            ("4am (Pacific/Auckland)", Some("2026-11-26T15:00:00Z")),
            ("3pm (Nowhere/Atall)", None),
            ("3pm (/etc/localtime)", None),
            ("3pm (../zoneinfo/Europe/Paris)", None),
            ("3pm ()", None),
            ("14:60 (UTC)", None),
            ("3pm (UTC", None),
            ("", None),
            ("1:2pm (UTC)", None),
        ] {
            assert_eq!(read(text, now), expected.map(at), "{text:?}");
        }
        assert!(read("12:48 PM.", now).is_some(), "without a zone it is local time");
    }

    #[test]
    fn the_day_on_which_the_clocks_are_changed() {
        let at = |text: &str| iso(text).unwrap();
        for (now, text, expected) in [
            ("2026-10-24T20:00:00Z", "1am (Europe/Paris)", "2026-10-24T23:00:00Z"),
            ("2026-10-24T20:00:00Z", "4am (Europe/Paris)", "2026-10-25T03:00:00Z"),
            ("2026-03-28T20:00:00Z", "1am (Europe/Paris)", "2026-03-29T00:00:00Z"),
            ("2026-03-28T20:00:00Z", "4am (Europe/Paris)", "2026-03-29T02:00:00Z"),
        ] {
            assert_eq!(read(text, at(now)), Some(at(expected)), "{text} after {now}");
        }
    }
}
