//! What the loop of a drain and its rounds tell each other: the state of the queue before a round, and what follows the
//! round.

use crate::store::markers::Turn;
use crate::store::queue::Seq;
use std::time::Duration;

/// What a drain does after a round, once it has released the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// The drain ends.
    Leave,
    /// A message or an answer may have come during the round: the drain does another round.
    Recheck,
    /// A worker will have been quiet for long enough after this time: the drain waits for it, then does another round.
    WatchFor(Duration),
}

/// What was seen at the start of a round.
pub(crate) struct RoundStart {
    pub(crate) newest: Option<Seq>,
    pub(crate) turn: Option<Turn>,
}
