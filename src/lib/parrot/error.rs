//! The errors for which the parrot can't start or continue.

use crate::base::exit::{Exit, Failure};
use nix::errno::Errno;
use std::path::PathBuf;

/// A failure of the parrot. Its text is one line, a lower-case fragment.
#[derive(Debug, thiserror::Error)]
pub enum ParrotError {
    /// A `PARROT_*` variable can't be read.
    #[error("{name}={value:?} can't be parsed: it must be {wants}; unset it for the default")]
    Variable {
        /// The variable.
        name: &'static str,
        /// Its value.
        value: String,
        /// What the value must be.
        wants: &'static str,
    },
    /// Standard input or output is not a terminal.
    #[error("standard {0} is not a terminal: start it in one, for example in tmux")]
    NotATerminal(&'static str),
    /// An operation on the terminal failed.
    #[error("cannot {what} the terminal: {source}")]
    Terminal {
        /// What was tried.
        what: &'static str,
        /// The system's reason.
        source: Errno,
    },
    /// There is no home folder to keep sessions in.
    #[error("HOME is not set to an absolute path: sessions are kept in $HOME/.iapeer-parrot")]
    NoHome,
    /// A file can't be opened or written.
    #[error("cannot {what} {}: {source}", path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Another operation of the system failed.
    #[error("cannot {what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file given as system prompt can't be read.
    #[error("cannot read the system prompt {}: {source}", path.display())]
    SystemPrompt {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
}

impl ParrotError {
    /// The sysexits code.
    pub fn exit(&self) -> Exit {
        match self {
            ParrotError::Variable { .. } | ParrotError::NoHome => Exit::Config,
            ParrotError::NotATerminal(_) => Exit::Usage,
            ParrotError::SystemPrompt { .. } => Exit::NoInput,
            ParrotError::Terminal { .. } | ParrotError::File { .. } | ParrotError::System { .. } => Exit::Io,
        }
    }

    /// The exit code of the program: [`ParrotError::exit`], but 1 for an unreadable system prompt, as with the agent
    /// programs.
    pub fn code(&self) -> u8 {
        match self {
            ParrotError::SystemPrompt { .. } => 1,
            other => other.exit() as u8,
        }
    }
}

impl From<ParrotError> for Failure {
    fn from(error: ParrotError) -> Failure {
        Failure::new(error.exit(), error.to_string())
    }
}
