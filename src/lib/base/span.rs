//! Durations as people write them: `90s`, `10m`, `2h`, `3d`.

use std::time::Duration;

/// The duration that `text` names: seconds, or a number with the unit `s`, `m`, `h` or `d`. `None` for anything else.
pub fn span(text: &str) -> Option<Duration> {
    let (number, unit) = match text.char_indices().next_back()? {
        (at, 's') => (&text[..at], 1.0),
        (at, 'm') => (&text[..at], 60.0),
        (at, 'h') => (&text[..at], 3600.0),
        (at, 'd') => (&text[..at], 86_400.0),
        _ => (text, 1.0),
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * unit).ok()
}

/// A length of time for people, in one unit and rounded down: `90s`, `2m`, `1h`, `3d`.
pub fn said(length: Duration) -> String {
    let secs = length.as_secs();
    match secs {
        0..=119 => format!("{secs}s"),
        120..=3_599 => format!("{}m", secs / 60),
        3_600..=172_799 => format!("{}h", secs / 3_600),
        _ => format!("{}d", secs / 86_400),
    }
}

/// A text that is no length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a time is written as 90s, 10m, 2h or 1d")]
pub struct NoSpan;

/// [`span`] for the value of an option.
pub(crate) fn of_option(text: &str) -> Result<Duration, NoSpan> {
    span(text).ok_or(NoSpan)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_in_one_unit_and_can_be_read_again() {
        for (secs, text) in
            [(0, "0s"), (119, "119s"), (120, "2m"), (3_599, "59m"), (3_600, "1h"), (172_799, "47h"), (172_800, "2d")]
        {
            assert_eq!(said(Duration::from_secs(secs)), text);
            assert!(span(text).is_some_and(|read| read.as_secs() <= secs), "{text}");
        }
    }

    #[test]
    fn spans_as_a_table() {
        for (text, millis) in [
            ("60", Some(60_000)),
            ("0", Some(0)),
            ("1.5", Some(1500)),
            ("10m", Some(600_000)),
            ("2h", Some(7_200_000)),
            ("0.5s", Some(500)),
            ("", None),
            ("m", None),
            ("-1", None),
            ("5ü", None),
            ("inf", None),
        ] {
            assert_eq!(span(text), millis.map(Duration::from_millis), "{text:?}");
        }
    }
}
