//! A session's options, and how it reports its end.

use std::path::PathBuf;

/// Which session to go on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResumeRequest {
    /// The newest of this folder.
    Newest,
    /// The one with this id.
    Id(String),
}

/// What the command line asks for.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// An earlier session, or a new one.
    pub resume: Option<ResumeRequest>,
    /// A file that is counted, as a system prompt.
    pub system_prompt: Option<PathBuf>,
    /// The program that is told of the session's events.
    pub hook: Option<PathBuf>,
}

/// How it ended: the exit code, and words for the one who looks at the terminal afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParrotExit {
    /// The exit code of the program.
    pub code: u8,
    /// One line, where there is something to say.
    pub words: Option<String>,
    /// Why, as the end hook is told.
    pub(crate) reason: &'static str,
}

impl ParrotExit {
    pub(crate) fn new(code: u8, reason: &'static str) -> ParrotExit {
        ParrotExit { code, words: None, reason }
    }

    /// The person left.
    pub(crate) fn left() -> ParrotExit {
        ParrotExit::new(0, "prompt_input_exit")
    }
}
