//! `iapeer list` as a table: one row per peer, those that need a person first, at most 80 columns.

use crate::attention::report::age;
use crate::base::AttentionState;
use crate::base::clock::EpochMs;
use crate::operator::list::Listed;

const HEADER: [&str; 7] = ["NAME", "RUNTIME", "STATE", "SINCE", "QUEUE", "LAST-MESSAGE", "MEM"];
/// The greatest width of each column: together, with two spaces between columns, 80.
const WIDEST: [usize; 7] = [20, 10, 10, 5, 6, 12, 5];

/// Whether states are colored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// They are colored.
    Colour,
    /// They are plain.
    Plain,
}

/// Sorts peers that are in the order of their names: those that need a person first, then by name.
pub fn sort(peers: &mut [Listed]) {
    // A stable sort: peers in the same state stay in the order of their names.
    peers.sort_by_key(|peer| peer.state.rank());
}

/// The table's lines, the header first.
pub fn lines(peers: &[Listed], now: EpochMs, paint: Paint) -> Vec<String> {
    let rows: Vec<[String; 7]> = peers.iter().map(|peer| cells(peer, now)).collect();
    let mut widths = HEADER.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for (width, most) in widths.iter_mut().zip(WIDEST) {
        *width = (*width).min(most);
    }
    let line = |cells: &[String; 7], state: Option<AttentionState>| {
        let mut line = String::new();
        for (at, (cell, width)) in cells.iter().zip(widths).enumerate() {
            let cell = cut(cell, width);
            let pad = " ".repeat(width - cell.chars().count());
            // Numbers are aligned to the right.
            let padded = match at {
                3..=6 => format!("{pad}{cell}"),
                2 => format!("{}{pad}", painted(&cell, state, paint)),
                _ => format!("{cell}{pad}"),
            };
            line.push_str(if at == 0 { "" } else { "  " });
            line.push_str(&padded);
        }
        line.trim_end().to_owned()
    };
    let mut lines = vec![line(&HEADER.map(str::to_owned), None)];
    lines.extend(rows.iter().zip(peers).map(|(row, peer)| line(row, Some(peer.state))));
    lines
}

/// Explanations of what is in the table, for a person at a terminal; only of what occurs in it.
pub fn legend(peers: &[Listed]) -> Vec<String> {
    let any = |is: fn(&Listed) -> bool| peers.iter().any(is);
    let lines = [
        (any(|peer| peer.dead > 0), "QUEUE 2+1: two messages wait, one is a dead letter: `iapeer-drain --list`"),
        (any(|peer| peer.unreadable.is_some()), "QUEUE ?: the queue can't be read: `iapeer doctor` says why"),
        (any(|peer| peer.state.is_trouble()), "a peer on top waits for somebody: `iapeer attention` says for what"),
        (any(|peer| peer.state == AttentionState::Unknown), "unknown: tmux does not say whether the session lives"),
    ];
    lines.into_iter().filter(|(occurs, _)| *occurs).map(|(_, line)| line.to_owned()).collect()
}

fn cells(peer: &Listed, now: EpochMs) -> [String; 7] {
    let ago = |at: Option<EpochMs>| at.map_or("-".to_owned(), |at| age(now, at));
    let runtime = peer.foremost().map_or(&peer.default_runtime, |on| &on.runtime);
    let queue = match (peer.queue, peer.dead) {
        _ if peer.unreadable.is_some() => "?".to_owned(),
        (0, 0) => "-".to_owned(),
        (waiting, 0) => waiting.to_string(),
        (waiting, dead) => format!("{waiting}+{dead}"),
    };
    [
        peer.personality.to_string(),
        runtime.to_string(),
        peer.state.to_string(),
        ago(peer.began()),
        queue,
        ago(peer.last_settled()),
        peer.memory_bytes.map_or("-".to_owned(), size),
    ]
}

/// A size in at most four characters: `940K`, `212M`, `1.4G`, `12G`.
pub(crate) fn size(bytes: u64) -> String {
    let mib = bytes as f64 / f64::from(1 << 20);
    match mib {
        _ if mib < 1.0 => format!("{}K", bytes / 1024),
        _ if mib < 1000.0 => format!("{mib:.0}M"),
        _ if mib < 10_000.0 => format!("{:.1}G", mib / 1024.0),
        _ => format!("{:.0}G", mib / 1024.0),
    }
}

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// The colour of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hue {
    /// Bold red: a person is needed.
    Needed,
    /// Yellow: the peer failed, is at a limit, or its state is unknown.
    Failed,
    /// Cyan: a person is writing in the composer.
    Writing,
    /// Green: the peer works.
    Working,
    /// The terminal's own color.
    Plain,
    /// Dim: there is no session.
    Away,
}

impl Hue {
    /// The color of `state`.
    pub(crate) fn of(state: AttentionState) -> Hue {
        use AttentionState::*;
        match state {
            Approval | Question | Login | Dialog | Strange | Hung | CrashLoop => Hue::Needed,
            Failing | Limited | Dead | Unknown => Hue::Failed,
            Draft => Hue::Writing,
            Working => Hue::Working,
            Idle => Hue::Plain,
            Asleep | Stopped => Hue::Away,
        }
    }
}

/// `cell` in the color of `state`, if `paint` asks for colors.
pub(crate) fn painted(cell: &str, state: Option<AttentionState>, paint: Paint) -> String {
    let Some(state) = state.filter(|_| paint == Paint::Colour) else { return cell.to_owned() };
    let code = match Hue::of(state) {
        Hue::Needed => "1;31",
        Hue::Failed => "33",
        Hue::Writing => "36",
        Hue::Working => "32",
        Hue::Plain => "0",
        Hue::Away => "2",
    };
    format!("\u{1b}[{code}m{cell}\u{1b}[0m")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short_and_long_names_are_cut() {
        for (bytes, text) in
            [(0, "0K"), (900 << 10, "900K"), (212 << 20, "212M"), (1434 << 20, "1.4G"), (12 << 30, "12G")]
        {
            assert_eq!(size(bytes), text);
        }
        assert_eq!(cut("a-very-long-name", 8), "a-very-…");
        assert_eq!(WIDEST.iter().sum::<usize>() + 2 * 6, 80);
    }
}
