//! Lengths of time as people write them.

use std::time::Duration;

/// Seconds, or a number of `s`, `m`, `h` or `d`.
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

#[cfg(test)]
mod tests {
    use super::*;

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
