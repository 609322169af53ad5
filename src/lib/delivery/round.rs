//! What the loop of a drain and its rounds tell each other: what was seen before a round, and what comes after it.

use crate::store::markers::Turn;
use crate::store::queue::Seq;
use std::time::Duration;

/// What a drain does after a round, once it has let go of the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing more: it leaves.
    Leave,
    /// Something may have come in between: another round.
    Recheck,
    /// A worker will be quiet enough in this long: wait, then another round.
    WatchFor(Duration),
}

/// What was seen at the start of a round.
pub(crate) struct RoundStart {
    pub(crate) newest: Option<Seq>,
    pub(crate) turn: Option<Turn>,
}
