//! The state of a turn of the parrot.

use super::ask::Ask;
use super::hooks::Ticket;
use super::reply::{ParrotLetter, ReplyError};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

/// What a turn is about.
#[derive(Debug)]
pub(crate) enum Work {
    Message(String),
    Compact,
}

/// The state of a turn.
#[derive(Debug)]
pub(crate) enum ParrotTurn {
    Idle {
        since: Instant,
    },
    /// The prompt hook has not returned yet.
    Prompting {
        ticket: Ticket,
        work: Work,
    },
    /// At work; `until` is `None` where the turn hangs.
    Running {
        until: Option<Instant>,
        crash: Option<Instant>,
        work: Work,
    },
    /// The reply is being sent.
    Replying {
        to: ParrotLetter,
        number: u64,
        cancel: Arc<AtomicBool>,
    },
    /// A question is open, on the screen or with the permission hook.
    Asking {
        ask: Ask,
        /// Whether the screen shows the question.
        shown: bool,
        work: Work,
        cancel: Arc<AtomicBool>,
    },
    /// The stop hook, or the hook for a failed turn, has not returned yet.
    Stopping {
        ticket: Ticket,
    },
}

/// Whether the session continues after a submit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    Stay,
    Leave,
}

/// The number of a turn, and whether its reply was sent.
pub(crate) type Replied = (u64, Result<(), ReplyError>);
