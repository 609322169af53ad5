//! Usage as a table for people.

use crate::chronicle::usage::{UsageRow, Used};
use crate::runtime::Tokens;

/// The columns of tokens.
pub(crate) const TOKEN_COLUMNS: [&str; 3] = ["in", "cached", "out"];

/// The numbers for [`TOKEN_COLUMNS`]: tokens sent, including those written to a cache, tokens read from a cache, and tokens
/// answered.
pub(crate) fn token_counts(tokens: Tokens) -> [u64; 3] {
    [tokens.input.saturating_add(tokens.written), tokens.cached, tokens.output]
}

/// The lines: a header, the rows, the sum. `currency` is `None` if there are no prices.
pub fn lines(used: &Used, by: &str, currency: Option<&str>) -> Vec<String> {
    let mut header = vec![by.to_uppercase()];
    header.extend(["TURNS", "WORKING", "RECEIVED", "SENT"].map(str::to_owned));
    header.extend(TOKEN_COLUMNS.map(str::to_uppercase));
    header.extend(currency.map(|currency| if currency.is_empty() { "COST".to_owned() } else { currency.to_owned() }));
    let mut rows = vec![header];
    rows.extend(used.rows.iter().chain([&used.total]).map(|row| cells(row, currency.is_some())));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let each = row.iter().zip(&widths).enumerate().map(|(at, (cell, width))| match at {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        each.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

fn cells(row: &UsageRow, priced: bool) -> Vec<String> {
    let count = |count: Option<u64>| count.map_or("-".to_owned(), |count| count.to_string());
    let mut cells = vec![
        row.name.clone(),
        count(row.turns),
        row.working_secs.map_or("-".to_owned(), span),
        count(row.received),
        count(row.sent),
    ];
    cells.extend(token_counts(row.tokens).map(amount));
    if priced {
        let more = if row.unpriced { "+" } else { "" };
        cells.push(
            row.cost
                .map_or_else(|| if row.unpriced { "?".into() } else { "-".into() }, |cost| format!("{cost:.2}{more}")),
        );
    }
    cells
}

/// A time span for people: `45s`, `12m`, `3h05m`; `-` for none.
pub(crate) fn span(secs: u64) -> String {
    match secs {
        0 => "-".to_owned(),
        1..=99 => format!("{secs}s"),
        100..=5_999 => format!("{}m", secs / 60),
        _ => format!("{}h{:02}m", secs / 3600, secs / 60 % 60),
    }
}

/// A number in at most five characters: `999`, `12.3k`, `1.2M`; `-` for 0.
pub(crate) fn amount(count: u64) -> String {
    let n = count as f64;
    match count {
        0 => "-".to_owned(),
        1..=9_999 => count.to_string(),
        10_000..=99_949 => format!("{:.1}k", n / 1e3),
        99_950..=999_499 => format!("{:.0}k", n / 1e3),
        999_500..=99_949_999 => format!("{:.1}M", n / 1e6),
        99_950_000..=9_999_499_999 => format!("{:.0}M", n / 1e6),
        _ => format!("{:.0}G", n / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (count, text) in [
            (0, "-"),
            (9_999, "9999"),
            (12_345, "12.3k"),
            (99_960, "100k"),
            (999_600, "1.0M"),
            (123_456_789, "123M"),
            (99_999_999_999, "100G"),
        ] {
            assert_eq!(amount(count), text);
        }
        for (secs, text) in [(0, "-"), (99, "99s"), (100, "1m"), (6_000, "1h40m")] {
            assert_eq!(span(secs), text);
        }
    }
}
