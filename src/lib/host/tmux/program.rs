//! The tmux program: its path and version.

use super::TmuxError;
use crate::host::command;
use crate::host::spawn::find_program;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where tmux is searched where PATH is not set.
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

    /// Another tmux than the one that `IAPEER_TMUX_BIN` names: the named path, and the path of the other on PATH.
    pub fn beside_the_named() -> Option<(PathBuf, PathBuf)> {
        let named = PathBuf::from(std::env::var_os("IAPEER_TMUX_BIN")?);
        let path = std::env::var_os("PATH").unwrap_or_else(|| OsString::from(FALLBACK_PATH));
        let other = find_program("tmux", Some(&path))?;
        (named.is_absolute() && named != other).then_some((named, other))
    }

    /// The program's path.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// How long a call may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// What it reports as its version: `tmux 3.3a`; empty where it does not answer.
    pub fn version(&self) -> String {
        command::ask(&self.program.to_string_lossy(), &["-V"], self.timeout).unwrap_or_default().trim().to_owned()
    }
}
