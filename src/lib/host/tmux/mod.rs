//! The one place that talks to tmux: argument vectors, exact targets, a time limit on every call, and errors sorted
//! into classes of which only two mean that a session is gone.

mod call;
mod error;
mod input;
mod server;

pub use error::TmuxError;
pub use input::{Input, Key};
pub use server::{Client, Look, Server, StartSpec, Started, Survey};

use crate::host::spawn::find_program;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where tmux is looked for beyond PATH: service managers give a short one.
const FALLBACK_PATH: &str = "/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin:/opt/local/bin";

/// The tmux program.
#[derive(Debug, Clone)]
pub struct Tmux {
    program: PathBuf,
    timeout: Duration,
}

impl Tmux {
    /// Finds tmux: `IAPEER_TMUX_BIN`, else PATH. Each call may take `timeout`.
    pub fn find(timeout: Duration) -> Result<Tmux, TmuxError> {
        let named = std::env::var("IAPEER_TMUX_BIN").ok().filter(|value| !value.is_empty());
        let path = std::env::var_os("PATH").unwrap_or_else(|| OsString::from(FALLBACK_PATH));
        let program = match &named {
            Some(named) => find_program(named, Some(&path)),
            None => find_program("tmux", Some(&path)),
        };
        program.map(|program| Tmux { program, timeout }).ok_or(TmuxError::NotFound { named })
    }

    /// The program's path.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The server on `socket` that holds the session `session`.
    pub fn server(&self, socket: &Path, session: &str) -> Server<'_> {
        Server::new(self, socket.to_owned(), session.to_owned())
    }
}
