//! Reading the time at which a program says that its limit ends. What is not clearly a time is none: never guessed.

use crate::base::clock::EpochMs;
use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// An ISO time.
pub(crate) fn iso(text: &str) -> Option<EpochMs> {
    let at: Timestamp = text.trim().parse().ok()?;
    u64::try_from(at.as_millisecond()).ok().map(EpochMs)
}

/// The time that `text` begins with: `12:27pm`, `12:27pm (UTC)`, `3pm (Europe/Paris)`, `12:48 PM`, `14:05`, or an ISO
/// time. One without a date is the next one after `now`; without a zone it is that of this machine.
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
    let (hour, minute): (i8, i8) = (hour.parse().ok()?, minute.parse().ok()?);
    let half = rest.trim_start().get(..2).map(str::to_ascii_lowercase);
    let hour = match half.as_deref() {
        Some("am") if (1..=12).contains(&hour) => hour % 12,
        Some("pm") if (1..=12).contains(&hour) => hour % 12 + 12,
        // `14:05`; a bare number is no time.
        _ if has_minute && !matches!(half.as_deref(), Some("am" | "pm")) => hour,
        _ => return None,
    };
    let rest = if matches!(half.as_deref(), Some("am" | "pm")) { &rest.trim_start()[2..] } else { rest };
    let zone = match rest.trim_start().strip_prefix('(') {
        Some(named) => TimeZone::get(named.split_once(')')?.0).ok()?,
        None => TimeZone::system(),
    };
    let now = Timestamp::from_millisecond(i64::try_from(now.0).ok()?).ok()?.to_zoned(zone);
    let today = now.with().time(Time::new(hour, minute, 0, 0).ok()?).build().ok()?;
    let at = if today < now { today.checked_add(1.day()).ok()? } else { today };
    u64::try_from(at.timestamp().as_millisecond()).ok().map(EpochMs)
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
            ("3pm (Nowhere/Atall)", None),
            ("3pm (UTC", None),
            ("", None),
            ("1:2pm (UTC)", None),
        ] {
            assert_eq!(read(text, now), expected.map(at), "{text:?}");
        }
        assert!(read("12:48 PM.", now).is_some(), "without a zone it is local time");
    }
}
