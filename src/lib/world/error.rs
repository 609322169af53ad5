//! Errors of the host: questions that were not answered, and actions that failed.

use crate::base::exit::{Exit, Failure};
use crate::base::identity::Runtime;
use crate::host::spawn::SpawnError;
use crate::host::tmux::TmuxError;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// A question about a session that the host could not answer, or an action on it that the host could not complete.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// A tmux call failed.
    #[error(transparent)]
    Tmux(#[from] TmuxError),
    /// The session has ended, in these words.
    #[error("{0}")]
    Ended(String),
    /// tmux did not answer properly; a later call may be answered.
    #[error("tmux does not answer")]
    Silent,
    /// The server ended between two questions.
    #[error("the server ended meanwhile")]
    ServerEnded,
    /// These processes of an ended session live on.
    #[error("processes remain: {}", pids(.0))]
    Remain(Vec<i32>),
    /// This host does not support the call.
    #[error("this host {0}")]
    Unsupported(&'static str),
}

fn pids(left: &[i32]) -> String {
    left.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

impl From<HostError> for Failure {
    fn from(error: HostError) -> Self {
        Failure::new(Exit::TryAgain, error.to_string())
    }
}

/// Why an answer was not given on a session's screen.
#[derive(Debug, thiserror::Error)]
pub enum ChoiceError {
    /// The screen can't be read, or a key can't be pressed.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The runtime has no screen rules.
    #[error("its runtime has no screen")]
    NoScreen,
    /// No row of the screen has that label.
    #[error("the screen does not offer {0:?} now")]
    NotOffered(String),
    /// The screen shows something other than what was to be answered.
    #[error("the screen has changed: nothing was confirmed")]
    Changed,
    /// The screen changed while the cursor was on the answer.
    #[error("the screen changed before the key was pressed: nothing was confirmed")]
    ChangedAtTheKey,
    /// Keys do not move the cursor.
    #[error("the list does not react to keys")]
    Deaf,
    /// The cursor did not get to the answer in time.
    #[error("the cursor did not reach the answer in time: nothing was confirmed")]
    TooSlow,
}

/// A compaction that was not done, or whose end is not known.
#[derive(Debug, thiserror::Error)]
pub enum CompactError {
    /// The screen can't be read, or nothing can be typed.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The runtime reports no end of a compaction.
    #[error("runtime {0} has no transcript that shows the end of a compaction")]
    NoTranscript(Runtime),
    /// A turn runs.
    #[error("a turn is running; try again when it is over")]
    Busy,
    /// A person's draft is in the composer.
    #[error("somebody has a draft in the composer")]
    Draft,
    /// The screen shows no composer.
    #[error("the composer is not on the screen")]
    NoComposer,
    /// The transcript did not show the end of the compaction in time.
    #[error("compact did not complete within {}ms (no transcript compact marker; pane tail: {tail})", waited.as_millis())]
    NotDone {
        /// How long the compaction was waited for.
        waited: Duration,
        /// The screen's last rows.
        tail: String,
    },
}

impl From<CompactError> for Failure {
    fn from(error: CompactError) -> Self {
        Failure::new(Exit::TryAgain, error.to_string())
    }
}

/// A program that did not start: one line, why and what to do.
#[derive(Debug, thiserror::Error)]
pub enum NotStarted {
    /// One of iapeer's programs.
    #[error(transparent)]
    Ours(#[from] SpawnError),
    /// The owner's program, `<root>/notify`.
    #[error("{}: {source}", program.display())]
    Owners {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
}
