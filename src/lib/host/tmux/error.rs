//! tmux's errors, classified. Only "no server" and "no session" mean that a session is gone; every other error means
//! something else ("any tmux error = session missing" killed nine live agents elsewhere).

use crate::base::exit::{Exit, Failure};
use crate::host::tmux::release::OLDEST_TMUX;
use std::time::Duration;

/// A tmux call that did not do what it was to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TmuxError {
    /// There is no tmux.
    #[error("{}", not_found(named.as_deref()))]
    NotFound {
        /// The value of `IAPEER_TMUX_BIN`, where it is set.
        named: Option<String>,
    },
    /// tmux refuses a call, and is older than the oldest that iapeer works with.
    #[error("{program} is {version}, too old to work with: install tmux {}.{} or newer", OLDEST_TMUX.0, OLDEST_TMUX.1)]
    TooOld {
        /// The path of the program.
        program: String,
        /// What it says of itself, as `tmux 2.9a`.
        version: String,
    },
    /// No server listens on the socket.
    #[error("no tmux server")]
    NoServer,
    /// The server has no such session.
    #[error("no such tmux session")]
    NoSession,
    /// A server with that session lives already.
    #[error("the tmux session is alive already")]
    AlreadyRunning,
    /// The pane's program has ended; typing into it would be lost or crash the server.
    #[error("the program in the pane has ended")]
    PaneDead,
    /// The pane stays in a mode of tmux's, where text would be taken for commands.
    #[error("the pane stays in a tmux mode (copy mode, a chooser, the clock)")]
    InMode,
    /// The command line is longer than tmux takes.
    #[error("tmux {call}: the command line has {bytes} bytes, and tmux takes about 16,000: shorten the folders' names")]
    TooLong {
        /// The tmux command.
        call: String,
        /// How long the command line is.
        bytes: usize,
    },
    /// The text must not reach a composer.
    #[error("refusing to type: {0}")]
    Refused(&'static str),
    /// tmux did not answer in time.
    #[error("tmux did not answer `{call}` within {}s", after.as_secs_f32())]
    Timeout {
        /// The tmux command.
        call: String,
        /// The limit.
        after: Duration,
    },
    /// Anything else.
    #[error("tmux {call}: {message}")]
    Other {
        /// The tmux command.
        call: String,
        /// What it said.
        message: String,
    },
}

fn not_found(named: Option<&str>) -> String {
    match named {
        Some(named) => format!("no tmux at {named}, which IAPEER_TMUX_BIN names: correct or unset it"),
        None => "no tmux on PATH: install it (apt install tmux, brew install tmux) or set IAPEER_TMUX_BIN to its path"
            .into(),
    }
}

impl TmuxError {
    /// The exit code of a program that gives up for this reason.
    pub fn exit(&self) -> Exit {
        match self {
            TmuxError::NotFound { .. } | TmuxError::TooOld { .. } => Exit::Refused,
            TmuxError::Refused(_) => Exit::Internal,
            TmuxError::TooLong { .. } => Exit::Config,
            _ => Exit::TryAgain,
        }
    }

    /// Sorts what tmux wrote to stderr before it exited with an error.
    pub(crate) fn classify(call: &str, stderr: &str) -> TmuxError {
        let text = stderr.trim();
        // "error connecting to S (…)": the parenthesis is strerror's, and only these two mean that nobody listens.
        let nobody = text.starts_with("no server running on ")
            || (text.starts_with("error connecting to ")
                && (text.ends_with("(No such file or directory)") || text.ends_with("(Connection refused)")));
        if nobody {
            return TmuxError::NoServer;
        }
        if text.starts_with("can't find session") || text.starts_with("no such session") {
            return TmuxError::NoSession;
        }
        // tmux also says "can't find pane" or "window" where the session of a target does not exist.
        if text.starts_with("can't find pane") || text.starts_with("can't find window") {
            return TmuxError::NoSession;
        }
        if text.starts_with("duplicate session") {
            return TmuxError::AlreadyRunning;
        }
        let message = if text.is_empty() { "failed without a word".to_owned() } else { text.to_owned() };
        TmuxError::Other { call: call.to_owned(), message }
    }
}

impl From<TmuxError> for Failure {
    fn from(error: TmuxError) -> Self {
        Failure::new(error.exit(), error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stderr_as_a_table() {
        let other = |message: &str| TmuxError::Other { call: "x".into(), message: message.into() };
        let cases = [
            ("no server running on /s/a.sock\n", TmuxError::NoServer),
            ("error connecting to /s/a.sock (No such file or directory)\n", TmuxError::NoServer),
            ("error connecting to /s/a.sock (Connection refused)\n", TmuxError::NoServer),
            (
                "error connecting to /s/a.sock (Permission denied)",
                other("error connecting to /s/a.sock (Permission denied)"),
            ),
            (
                "error connecting to /s/a.sock (File name too long)",
                other("error connecting to /s/a.sock (File name too long)"),
            ),
            ("can't find session: claude-bob\n", TmuxError::NoSession),
            ("can't find pane: claude-bob\n", TmuxError::NoSession),
            ("duplicate session: claude-bob\n", TmuxError::AlreadyRunning),
            // A server that dies in the middle proves nothing about what comes next.
            ("server exited unexpectedly\n", other("server exited unexpectedly")),
            ("lost server\n", other("lost server")),
            (
                "protocol version mismatch (client 8, server 7)\n",
                other("protocol version mismatch (client 8, server 7)"),
            ),
            ("", other("failed without a word")),
        ];
        for (stderr, expected) in cases {
            assert_eq!(TmuxError::classify("x", stderr), expected, "{stderr:?}");
        }
    }
}
