//! Why a message is held: the state of its peer that has to end before a try to deliver the message makes sense.

use crate::base::clock::EpochMs;
use crate::base::words::words;
use serde::{Deserialize, Serialize};

words! {
    /// What holds a message (D38). None of these is the message's own fault, so that no try is counted.
    pub enum Hold {
        /// A person's draft stands in the composer.
        Draft = "draft",
        /// A turn is running: a message now would cut it short, or the message may be what started it.
        Turn = "turn",
        /// The pane stays in a mode of tmux's: copy mode, a chooser, the clock.
        Mode = "tmux-mode",
        /// A dialog that the manifest knows does not go away.
        Dialog = "dialog",
        /// The program asks for a login.
        Login = "login",
        /// The manifest does not know the screen: a menu, a limit, something new.
        Screen = "unknown-screen",
        /// The session ended before anything was typed: the next try wakes the peer again.
        Ended = "session-ended",
        /// tmux does not answer, or is not installed.
        Terminal = "no-terminal",
        /// The peer waits for somebody, or for the end of a limit: `<identity>.attention` says what.
        Attention = "attention",
        /// The crash-loop guard leaves the peer asleep.
        CrashLoop = "crash-loop",
        /// Something that a session needs is missing or wrong: its folder, its program, its manifest.
        Setup = "setup",
        /// The service behind a bridge can't be reached, or takes nothing for now.
        Network = "network",
    }
}

/// Since when a message is held, and by what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldSince {
    /// What holds the message now.
    pub why: Hold,
    /// When the message was first held since the last counted try.
    pub since: EpochMs,
}
