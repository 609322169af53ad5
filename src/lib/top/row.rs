//! A peer as a row of the screen, and which columns there is room for.

use crate::attention::report::age;
use crate::base::AttentionState;
use crate::base::clock::EpochMs;
use crate::base::identity::Identity;
use crate::chronicle::usage_table::amount;
use crate::operator::list::{Listed, Status};
use crate::operator::table::size;

/// A peer; of several runtimes the one that needs a person most.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TopRow {
    pub identity: Identity,
    pub state: AttentionState,
    /// Whether a session is alive.
    pub lives: bool,
    pub since: Option<EpochMs>,
    /// Since when a turn runs.
    pub turn: Option<EpochMs>,
    /// Messages that wait or are in flight; for a person the unread ones too.
    pub queue: usize,
    pub dead: usize,
    /// Whether a queue of the peer can't be read.
    pub unreadable: bool,
    pub last: Option<EpochMs>,
    pub memory: Option<u64>,
    /// The share of a processor; 1.0 is all of one processor.
    pub cpu: Option<f64>,
    pub tokens: Option<u64>,
    /// What the peer waits for.
    pub text: Option<String>,
    /// When the wait ends by itself.
    pub until: Option<String>,
    pub description: String,
    /// Whether it is a person with an inbox.
    pub has_inbox: bool,
}

impl TopRow {
    /// The row of a peer, without CPU time and tokens.
    pub(crate) fn of(peer: &Listed) -> TopRow {
        let on = peer.foremost();
        let runtime = on.map_or(&peer.default_runtime, |on| &on.runtime);
        TopRow {
            identity: Identity::new(runtime.clone(), peer.personality.clone()),
            state: peer.state,
            lives: on.is_some_and(|on| on.status == Status::Live),
            since: peer.began(),
            turn: on.and_then(|on| on.turn),
            queue: peer.queue + peer.unread.unwrap_or(0),
            dead: peer.dead,
            unreadable: peer.unreadable.is_some(),
            last: peer.last_settled(),
            memory: peer.memory_bytes,
            cpu: None,
            tokens: None,
            text: peer.text.clone(),
            until: peer.until.clone(),
            description: peer.description.clone(),
            has_inbox: peer.unread.is_some(),
        }
    }

    /// Whether name, runtime, state or description contain `filter`, in whatever case.
    pub(crate) fn matches(&self, filter: &str) -> bool {
        let filter = filter.to_lowercase();
        let has = |text: &str| text.to_lowercase().contains(&filter);
        filter.is_empty()
            || has(self.identity.personality().as_str())
            || has(self.identity.runtime().as_str())
            || has(self.state.as_str())
            || has(&self.description)
    }
}

/// A column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TopColumn {
    Name,
    Runtime,
    State,
    Since,
    Turn,
    Queue,
    Last,
    Memory,
    Cpu,
    Tokens,
    /// What the peer waits for, else what it is for.
    About,
}

use TopColumn::*;

impl TopColumn {
    pub(crate) fn header(self) -> &'static str {
        match self {
            Name => "NAME",
            Runtime => "RUNTIME",
            State => "STATE",
            Since => "SINCE",
            Turn => "TURN",
            Queue => "QUEUE",
            Last => "LAST",
            Memory => "MEM",
            Cpu => "CPU",
            Tokens => "TOKENS",
            About => "WAITS FOR / IS FOR",
        }
    }

    /// The width of the column before spare columns are distributed.
    fn width(self) -> usize {
        match self {
            Name => 8,
            Runtime => 8,
            State => 10,
            Since | Turn | Queue | Memory | Cpu => 5,
            Last => 4,
            Tokens => 6,
            About => 20,
        }
    }

    /// Whether the cells are aligned to the right.
    pub(crate) fn is_number(self) -> bool {
        !matches!(self, Name | Runtime | State | About)
    }

    /// The cell of `row`.
    pub(crate) fn cell(self, row: &TopRow, now: EpochMs) -> String {
        let ago = |at: Option<EpochMs>| at.map_or("-".to_owned(), |at| age(now, at));
        match self {
            Name => row.identity.personality().to_string(),
            Runtime => row.identity.runtime().to_string(),
            State => row.state.to_string(),
            Since => ago(row.since),
            Turn => ago(row.turn),
            Queue => match (row.queue, row.dead) {
                _ if row.unreadable => "?".to_owned(),
                (0, 0) => "-".to_owned(),
                (waiting, 0) => waiting.to_string(),
                (waiting, dead) => format!("{waiting}+{dead}"),
            },
            Last => ago(row.last),
            Memory => row.memory.map_or("-".to_owned(), size),
            Cpu => row.cpu.map_or("-".to_owned(), |share| format!("{:.0}%", share * 100.0)),
            Tokens => row.tokens.map_or("-".to_owned(), amount),
            About => match (&row.text, &row.until) {
                (Some(text), Some(until)) => format!("{text} (until {until})"),
                (Some(text), None) => text.clone(),
                (None, _) => row.description.clone(),
            },
        }
    }
}

const ORDER: [TopColumn; 10] = [Name, Runtime, State, Since, Turn, Queue, Last, Memory, Cpu, Tokens];
/// The columns that are left out where the terminal is too narrow, in this order.
const LEAVES: [TopColumn; 7] = [Tokens, Turn, Cpu, Memory, Last, Runtime, Since];
/// The greatest width of the columns of names and runtimes.
const LONGEST: usize = 24;

/// The columns that fit into `width`, each with its own width; there is one space between them. Names are up to `longest`
/// characters long, runtimes up to `runtimes`.
pub(crate) fn columns(width: usize, longest: usize, runtimes: usize) -> Vec<(TopColumn, usize)> {
    let least = |column: TopColumn| match column {
        Name => longest.clamp(4, Name.width()),
        Runtime => runtimes.clamp(7, Runtime.width()),
        other => other.width(),
    };
    let mut chosen: Vec<(TopColumn, usize)> = ORDER.iter().map(|column| (*column, least(*column))).collect();
    let total = |chosen: &[(TopColumn, usize)]| chosen.iter().map(|(_, width)| width + 1).sum::<usize>() - 1;
    for leaves in LEAVES {
        if total(&chosen) <= width {
            break;
        }
        chosen.retain(|(column, _)| *column != leaves);
    }
    let mut spare = width.saturating_sub(total(&chosen));
    for (column, wanted) in [(Name, longest), (Runtime, runtimes)] {
        if let Some((_, width)) = chosen.iter_mut().find(|(found, _)| *found == column) {
            let more = wanted.min(LONGEST).saturating_sub(*width).min(spare);
            (*width, spare) = (*width + more, spare - more);
        }
    }
    if spare > About.width() {
        chosen.push((About, spare - 1));
    }
    chosen
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A peer for tests.
    pub(crate) fn row(name: &str, state: AttentionState) -> TopRow {
        TopRow {
            identity: format!("parrot-{name}").parse().unwrap(),
            state,
            lives: true,
            since: Some(EpochMs(1_000_000)),
            turn: None,
            queue: 0,
            dead: 0,
            unreadable: false,
            last: None,
            memory: None,
            cpu: None,
            tokens: None,
            text: None,
            until: None,
            description: "reviews pull requests".to_owned(),
            has_inbox: false,
        }
    }

    #[test]
    fn cells_as_a_table() {
        let plain = row("ann", AttentionState::Idle);
        let full = TopRow {
            turn: Some(EpochMs(1_060_000)),
            queue: 3,
            dead: 1,
            memory: Some(212 << 20),
            cpu: Some(1.254),
            tokens: Some(12_345),
            text: Some("Shell: touch x".to_owned()),
            until: Some("noon".to_owned()),
            ..plain.clone()
        };
        let unreadable = TopRow { unreadable: true, ..full.clone() };
        for (column, of_plain, of_full) in [
            (Name, "ann", "ann"),
            (Runtime, "parrot", "parrot"),
            (State, "idle", "idle"),
            (Since, "2m", "2m"),
            (Turn, "-", "60s"),
            (Queue, "-", "3+1"),
            (Last, "-", "-"),
            (Memory, "-", "212M"),
            (Cpu, "-", "125%"),
            (Tokens, "-", "12.3k"),
            (About, "reviews pull requests", "Shell: touch x (until noon)"),
        ] {
            let cell = |row: &TopRow| column.cell(row, EpochMs(1_120_000));
            assert_eq!((cell(&plain).as_str(), cell(&full).as_str()), (of_plain, of_full), "{column:?}");
        }
        assert_eq!(Queue.cell(&unreadable, EpochMs(0)), "?");
    }

    #[test]
    fn a_filter_finds_name_runtime_state_and_purpose() {
        let row = row("ann", AttentionState::Approval);
        for (filter, found) in
            [("", true), ("AN", true), ("parr", true), ("appro", true), ("pull", true), ("bob", false)]
        {
            assert_eq!(row.matches(filter), found, "{filter:?}");
        }
    }

    #[test]
    fn columns_make_room_as_a_table() {
        let names = |width, longest| -> String {
            let chosen = columns(width, longest, 6);
            let total: usize = chosen.iter().map(|(_, width)| width + 1).sum::<usize>() - 1;
            assert!(total <= width || chosen.len() == 3, "{width}: {chosen:?}");
            chosen.iter().map(|(column, width)| format!("{}:{width} ", column.header())).collect()
        };
        let all = "RUNTIME:7 STATE:10 SINCE:5 TURN:5 QUEUE:5 LAST:4 MEM:5 CPU:5 TOKENS:6 ";
        assert_eq!(names(80, 40), format!("NAME:19 {all}"));
        assert_eq!(names(80, 12), format!("NAME:12 {all}"));
        assert_eq!(names(120, 12), format!("NAME:12 {all}WAITS FOR / IS FOR:46 "));
        assert_eq!(names(60, 12), "NAME:12 RUNTIME:7 STATE:10 SINCE:5 QUEUE:5 LAST:4 MEM:5 CPU:5 ");
        assert_eq!(names(40, 12), "NAME:9 RUNTIME:7 STATE:10 SINCE:5 QUEUE:5 ");
        assert_eq!(names(10, 12), "NAME:8 STATE:10 QUEUE:5 ");
    }
}
