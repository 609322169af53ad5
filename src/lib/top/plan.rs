//! How the screen is divided, by its size.

/// What is shown of the selected peer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Pane {
    /// All panes, where there is room; else the screen alone.
    #[default]
    All,
    /// The peer's screen; for a person the inbox.
    Screen,
    /// The peer's queue.
    Queue,
    /// The peer's last events.
    Events,
}

impl Pane {
    /// The next pane; `roomy`: all panes have room at once.
    pub(crate) fn next(self, roomy: bool) -> Pane {
        match self {
            Pane::All if !roomy => Pane::Queue,
            Pane::All => Pane::Screen,
            Pane::Screen => Pane::Queue,
            Pane::Queue => Pane::Events,
            Pane::Events => Pane::All,
        }
    }
}

/// A place on the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TopArea {
    pub x: u16,
    pub y: u16,
    pub width: u16,
    pub height: u16,
}

/// How the screen is divided. The first line is the title, the last one the foot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopPlan {
    /// The header of the table and its rows.
    pub list: TopArea,
    /// The line about the selected peer; its panes are below.
    pub about: Option<TopArea>,
    /// The panes of the selected peer.
    pub panes: Vec<(Pane, TopArea)>,
    /// Whether all panes have room at once.
    pub roomy: bool,
}

/// The fewest rows of the list, with its header.
const LEAST_LIST: u16 = 4;
/// The fewest lines for the panes: with fewer, none is shown.
const LEAST_PANE: u16 = 4;

/// Divides a terminal of this size, in columns and rows, for a table of so many peers.
pub(crate) fn plan(width: u16, height: u16, peers: usize, pane: Pane) -> TopPlan {
    // Title and foot.
    let body = height.saturating_sub(2);
    let wanted = u16::try_from(peers).unwrap_or(u16::MAX).saturating_add(1).max(LEAST_LIST);
    // More than the sum: the line about the peer takes a row too.
    let shows_peer = body > LEAST_LIST + LEAST_PANE;
    let list_height = if shows_peer { wanted.min(body / 2) } else { body };
    let list = TopArea { x: 0, y: 1, width, height: list_height };
    if !shows_peer {
        return TopPlan { list, about: None, panes: Vec::new(), roomy: false };
    }
    let about = TopArea { x: 0, y: 1 + list_height, width, height: 1 };
    let rest = TopArea { x: 0, y: about.y + 1, width, height: body - list_height - 1 };
    let (wide, tall) = (width >= 120 && rest.height >= 10, rest.height >= 24);
    let roomy = wide || tall;
    let panes = match pane {
        Pane::All if wide => {
            let left = TopArea { width: width * 3 / 5, ..rest };
            let upper = TopArea { x: left.width + 1, width: width - left.width - 1, height: rest.height / 2, ..rest };
            let lower = TopArea { y: rest.y + upper.height, height: rest.height - upper.height, ..upper };
            vec![(Pane::Screen, left), (Pane::Queue, upper), (Pane::Events, lower)]
        }
        Pane::All if tall => {
            let first = TopArea { height: rest.height / 2, ..rest };
            let second = TopArea { y: rest.y + first.height, height: (rest.height - first.height) / 2, ..rest };
            let third =
                TopArea { y: second.y + second.height, height: rest.height - first.height - second.height, ..rest };
            vec![(Pane::Screen, first), (Pane::Queue, second), (Pane::Events, third)]
        }
        Pane::All => vec![(Pane::Screen, rest)],
        one => vec![(one, rest)],
    };
    TopPlan { list, about: Some(about), panes, roomy }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_as_a_table() {
        use Pane::*;
        // Width, height, peers, pane: rows of the list with its header, panes with width and height.
        type Case = (u16, u16, usize, Pane, u16, &'static [(Pane, u16, u16)]);
        let cases: [Case; 8] = [
            (80, 24, 100, All, 11, &[(Screen, 80, 10)]),
            (80, 24, 3, All, 4, &[(Screen, 80, 17)]),
            (80, 24, 100, Queue, 11, &[(Queue, 80, 10)]),
            (80, 60, 100, All, 29, &[(Screen, 80, 14), (Queue, 80, 7), (Events, 80, 7)]),
            (200, 50, 10, All, 11, &[(Screen, 120, 36), (Queue, 79, 18), (Events, 79, 18)]),
            (200, 50, 10, Events, 11, &[(Events, 200, 36)]),
            (80, 10, 100, All, 8, &[]),
            (20, 2, 100, All, 0, &[]),
        ];
        for (width, height, peers, pane, list, panes) in cases {
            let plan = plan(width, height, peers, pane);
            let found: Vec<_> = plan.panes.iter().map(|(pane, at)| (*pane, at.width, at.height)).collect();
            assert_eq!(
                (plan.list.height, found.as_slice()),
                (list, panes),
                "{width}x{height}, {peers} peers, {pane:?}"
            );
            let inside = |at: &TopArea| at.x + at.width <= width && at.y + at.height < height;
            assert!(plan.panes.iter().all(|(_, at)| inside(at)), "{plan:?}");
        }
    }

    #[test]
    fn panes_come_in_turn() {
        let turn = |roomy| {
            let mut pane = Pane::All;
            [(); 4].map(|()| {
                pane = pane.next(roomy);
                pane
            })
        };
        assert_eq!(turn(true), [Pane::Screen, Pane::Queue, Pane::Events, Pane::All]);
        assert_eq!(turn(false), [Pane::Queue, Pane::Events, Pane::All, Pane::Queue]);
    }
}
