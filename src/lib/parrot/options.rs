//! A session's options, and how it reports its end.

use std::path::PathBuf;

/// Which session to resume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResumeRequest {
    /// The newest session of the working folder.
    Newest,
    /// The session with this id.
    Id(String),
}

/// What the command line asks for.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The session to resume; `None`: a new one.
    pub resume: Option<ResumeRequest>,
    /// The file with the system prompt; the parrot only shows its size.
    pub system_prompt: Option<PathBuf>,
    /// The program to call as hook for the session's events.
    pub hook: Option<PathBuf>,
}

/// How the session ended: the exit code, and words for the person at the terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParrotExit {
    /// The exit code of the program.
    pub code: u8,
    /// One line, if there is something to say.
    pub words: Option<String>,
    /// The reason that is given to the end hook.
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
