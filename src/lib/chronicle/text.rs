//! The timeline as text: one row per peer, as wide as the terminal.

use crate::base::clock::EpochMs;
use crate::chronicle::story::{Began, Finish};
use crate::chronicle::timeline::{Lane, Timeline};
use crate::chronicle::usage_table::{TOKEN_COLUMNS, amount, token_counts};

/// What each sign means.
const LEGEND: &str = "[ fresh  ( resumed  < worker  - session  = turn  ? waits for somebody  ] ended  x died";
/// The signs for the length of the queues, from short to long.
const STEPS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// The width of a number to the right of the rows.
const COUNT: usize = 7;
/// From this width on all columns of tokens are shown; below it only that of answered tokens.
const ROOMY: usize = 100;

/// The lines, at most `width` columns wide.
pub fn lines(timeline: &Timeline, width: usize) -> Vec<String> {
    let name = timeline.lanes.iter().map(|lane| lane.identity.chars().count()).max().unwrap_or(0).clamp(6, 24);
    let skipped = if width < ROOMY { TOKEN_COLUMNS.len() - 1 } else { 0 };
    let titles = [&["turns", "msgs", "deaths"], &TOKEN_COLUMNS[skipped..]].concat();
    let columns = width.saturating_sub(name + 2 + COUNT * titles.len()).max(20);
    let scale = Scale { since: timeline.since.0, length: timeline.length(), columns };
    let from = timeline.since.local();
    let mut lines =
        vec![format!("{from} to {}, a column is {}", timeline.until.local(), span(scale.length / columns as u64))];
    let titles: String = titles.iter().map(|title| format!("{:>COUNT$}", title.to_uppercase())).collect();
    lines.push(format!("{:<name$}  {:<columns$}{titles}", "", hours(&scale)));
    for lane in &timeline.lanes {
        let messages = timeline.messages.iter().filter(|message| message.to == lane.identity).count() as u64;
        let deaths = lane.story.deaths.len() as u64;
        let tokens = token_counts(lane.tokens);
        let counts = [&[lane.turns.len() as u64, messages, deaths], &tokens[skipped..]].concat();
        let counts: String = counts.into_iter().map(|count| format!("{:>COUNT$}", amount(count))).collect();
        let label: String = lane.identity.chars().take(name).collect();
        lines.push(format!("{label:<name$}  {}{counts}", row(lane, &scale)));
    }
    lines.push(format!("{:<name$}  {}", "queues", depth(timeline, &scale)));
    lines.push(LEGEND.to_owned());
    let trim = |line: String| line.trim_end().to_owned();
    lines.into_iter().map(trim).collect()
}

/// Converts times to columns.
struct Scale {
    since: u64,
    length: u64,
    columns: usize,
}

impl Scale {
    fn column(&self, at: EpochMs) -> usize {
        let into = at.0.saturating_sub(self.since).min(self.length - 1);
        (into as u128 * self.columns as u128 / u128::from(self.length)) as usize
    }
}

fn row(lane: &Lane, scale: &Scale) -> String {
    let mut row = vec![' '; scale.columns];
    let mut fill = |from: EpochMs, to: EpochMs, sign: char| {
        row[scale.column(from)..=scale.column(to)].fill(sign);
    };
    for bar in &lane.story.sessions {
        fill(bar.from, bar.to, '-');
    }
    for (from, to) in &lane.turns {
        fill(*from, *to, '=');
    }
    for bar in &lane.story.sessions {
        if bar.finish != Finish::Runs {
            fill(bar.to, bar.to, ']');
        }
        let sign = match bar.began {
            Began::Fresh | Began::Unseen => '[',
            Began::Resumed => '(',
            Began::Worker => '<',
        };
        if bar.from.0 >= scale.since {
            fill(bar.from, bar.from, sign);
        }
    }
    for wait in lane.story.waits.iter().filter(|wait| Timeline::needs_somebody(wait.state)) {
        fill(wait.from, wait.to, '?');
    }
    for death in &lane.story.deaths {
        fill(death.at, death.at, 'x');
    }
    row.into_iter().collect()
}

/// The row of the queues: for each column the greatest number of messages that waited at once.
fn depth(timeline: &Timeline, scale: &Scale) -> String {
    let most = most(timeline, scale.columns);
    let top = most.iter().copied().max().unwrap_or(0).max(1);
    let sign = |n: &u64| if *n == 0 { ' ' } else { STEPS[((n * 8).div_ceil(top) as usize).clamp(1, 8) - 1] };
    format!(
        "{} most at once: {}",
        most.iter().map(sign).collect::<String>(),
        if top == 1 && most.iter().all(|n| *n == 0) { 0 } else { top }
    )
}

/// For each of `columns` parts of the time the greatest number of messages that waited at once.
pub(crate) fn most(timeline: &Timeline, columns: usize) -> Vec<u64> {
    let scale = Scale { since: timeline.since.0, length: timeline.length(), columns };
    let mut most = vec![0; columns];
    for (at, (from, count)) in timeline.depth.iter().enumerate() {
        let to = timeline.depth.get(at + 1).map_or(timeline.until, |(next, _)| *next);
        for cell in &mut most[scale.column(*from)..=scale.column(to)] {
            *cell = (*count).max(*cell);
        }
    }
    most
}

/// The row with the times of day above the peers.
fn hours(scale: &Scale) -> String {
    let mut row = vec![' '; scale.columns];
    let mut free = 0;
    for (at, label) in ticks(scale.since, scale.length, scale.columns / 12) {
        let column = scale.column(EpochMs(at));
        if column >= free && column + label.len() <= scale.columns {
            row[column..column + label.len()].copy_from_slice(&label.chars().collect::<Vec<_>>());
            free = column + label.len() + 1;
        }
    }
    row.into_iter().collect()
}

/// Round local times with their labels, about `most` of them at most.
pub(crate) fn ticks(since: u64, length: u64, most: usize) -> Vec<(u64, String)> {
    const STEPS: [u64; 12] = [1, 5, 15, 30, 60, 180, 360, 720, 1440, 2880, 10_080, 43_200];
    let enough = |minutes: &&u64| length / (**minutes * 60_000) < most.max(2) as u64;
    let step = STEPS.iter().find(enough).unwrap_or(&43_200) * 60_000;
    // Round in local time. The offset at the beginning is used for all times, although a change to summer time may come.
    let local = EpochMs(since).local();
    let offset = offset_ms(&local);
    let first = ((since as i64 + offset).div_euclid(step as i64) + 1) * step as i64 - offset;
    let times = (0..).map(|n| first as u64 + n * step).take_while(|at| *at < since + length);
    times
        .map(|at| {
            let text = EpochMs(at).local();
            let label = if step >= 86_400_000 { text.get(5..10) } else { text.get(11..16) };
            (at, label.unwrap_or_default().to_owned())
        })
        .collect()
}

/// The offset, in milliseconds, of a time in the form `2026-11-21T05:46:07+01:00`.
fn offset_ms(local: &str) -> i64 {
    let part = |range: std::ops::Range<usize>| local.get(range).and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
    let minutes = part(20..22) * 60 + part(23..25);
    if local.get(19..20) == Some("-") { -minutes * 60_000 } else { minutes * 60_000 }
}

fn span(ms: u64) -> String {
    match ms {
        0..=9_999 => format!("{:.1}s", ms as f64 / 1e3),
        10_000..=599_999 => format!("{}s", ms / 1000),
        600_000..=35_999_999 => format!("{}m", ms / 60_000),
        _ => format!("{}h", ms / 3_600_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_offsets_are_read() {
        assert_eq!(offset_ms("2026-11-21T05:46:07+01:30"), 5_400_000);
        assert_eq!(offset_ms("2026-11-21T05:46:07-05:00"), -18_000_000);
        let day = 86_400_000;
        let found = ticks(1_000, day, 8);
        assert!((4..=9).contains(&found.len()), "{found:?}");
        assert!(found.iter().all(|(_, label)| label.ends_with(":00") || label.ends_with(":30")), "{found:?}");
        assert!(ticks(0, 7 * day, 10).iter().all(|(_, label)| label.len() == 5));
    }
}
