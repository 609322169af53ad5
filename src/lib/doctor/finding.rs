//! A finding: one problem, and the result of mending it.

use super::replace::with_ending;
use crate::base::exit::{Exit, Failure, one_line};
use crate::base::shell;
use crate::store::conformance::Severity;
use crate::store::durable::StoreError;
use crate::store::lock::LockError;
use crate::store::profile::ProfileError;
use serde::Serialize;
use std::io;
use std::path::{Path, PathBuf};

/// The result of `--fix` for a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MendOutcome {
    /// The finding is mended.
    Done,
    /// The finding could not be mended, for this reason.
    Failed(String),
}

/// A finding: one thing that is not as it should be.
#[derive(Serialize)]
pub struct Finding<'a> {
    /// The check: `root`, `files`, `tmux`, `programs`, `runtime`, `units`, `tick`, `queue`, `session`, `attention`,
    /// `telegram`, `host`, `state`, `profile`.
    pub check: &'static str,
    /// Error or warning.
    pub severity: Severity,
    /// What it is about: a path, an identity, a program.
    pub about: String,
    /// What is wrong, and why it matters.
    pub what: String,
    /// What to do, in words; commands are between backticks.
    pub todo: String,
    /// The commands of `todo`, one after the other, as a shell takes them. Empty where a person has to decide.
    pub commands: Vec<String>,
    /// The result of `--fix`; absent where there was nothing to mend.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mended: Option<MendOutcome>,
    /// The exit code that the finding asks for until it is mended.
    #[serde(skip)]
    pub exit: Exit,
    #[serde(skip)]
    pub(crate) mend: Option<Mend<'a>>,
}

pub(crate) type Mend<'a> = Box<dyn FnOnce() -> Result<(), MendError> + 'a>;

/// Why a mend was not carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MendError {
    /// The file's mode could not be changed, or the file could not be removed.
    #[error("cannot {what} {}: {source}", path.display())]
    File { what: &'static str, path: PathBuf, source: io::Error },
    /// A state file could not be changed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another program holds the lock.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The profile can't be read or written.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// Another operation of the library failed.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// No operation failed, but the problem is still there: why.
    #[error("{0}")]
    Stands(String),
}

/// A finding that lacks what to do about it: [`Symptom::todo`] completes it.
pub(crate) struct Symptom {
    check: &'static str,
    severity: Severity,
    about: String,
    what: String,
    exit: Exit,
}

impl Symptom {
    /// Adds what to do about it, in words; commands are between backticks, as a shell takes them.
    pub(crate) fn todo<'a>(self, todo: impl Into<String>) -> Finding<'a> {
        let Symptom { check, severity, about, what, exit } = self;
        let todo = todo.into();
        let commands = todo.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        Finding { check, severity, about, what, todo, commands, mended: None, exit, mend: None }
    }
}

/// If the path can't be examined because a file is in the place of a folder: that file.
fn in_the_way(error: &StoreError) -> Option<PathBuf> {
    let StoreError::Io { source, path, .. } = error else { return None };
    // Without a slash at the end, with which the file itself would not be found.
    let path: PathBuf = path.components().collect();
    let is_no_folder = |path: &&Path| path.metadata().is_ok_and(|meta| !meta.is_dir());
    let found = || path.ancestors().find(is_no_folder).map(Path::to_owned);
    (source.kind() == io::ErrorKind::NotADirectory).then(found)?
}

/// The command that moves `path` to the same name with `ending`.
pub(super) fn moved(path: &Path, ending: &str) -> String {
    format!("`mv {} {}`", shell::path(path), shell::path(&with_ending(path, ending)))
}

/// What to do about a path that can't be examined.
pub(super) fn to_see(error: &StoreError) -> String {
    match in_the_way(error) {
        Some(file) => format!("{}, then look into it there", moved(&file, "aside")),
        None => format!("`ls -ld {}` shows its mode and owner: you must be able to read it", shell::path(error.path())),
    }
}

impl<'a> Finding<'a> {
    pub(crate) fn error(check: &'static str, exit: Exit, about: impl ToString, what: impl Into<String>) -> Symptom {
        Symptom { check, severity: Severity::Error, about: about.to_string(), what: what.into(), exit }
    }

    /// The finding that something can't be examined, which counts as an error.
    pub(crate) fn unseen(check: &'static str, error: &StoreError) -> Self {
        let what = format!("{error}: its content is not known");
        Finding::error(check, error.exit(), error.path().display(), what).todo(to_see(error))
    }

    pub(crate) fn warn(check: &'static str, about: impl ToString, what: impl Into<String>) -> Symptom {
        Symptom { severity: Severity::Warn, ..Finding::error(check, Exit::Ok, about, what) }
    }

    pub(crate) fn mend(mut self, mend: impl FnOnce() -> Result<(), MendError> + 'a) -> Self {
        self.mend = Some(Box::new(mend));
        self
    }

    /// Whether the finding is not mended.
    pub fn stands(&self) -> bool {
        self.mended != Some(MendOutcome::Done)
    }

    /// The line for people.
    pub fn line(&self) -> String {
        let glyph = match (&self.mended, self.severity) {
            (Some(MendOutcome::Done), _) => '✓',
            (_, Severity::Error) => '✗',
            (_, Severity::Warn) => '⚠',
        };
        let mut line = format!("{glyph} {}: {}", self.about, self.what);
        match &self.mended {
            Some(MendOutcome::Done) => line += " — mended",
            Some(MendOutcome::Failed(why)) => line += &format!(" — not mended ({why}): {}", self.todo),
            None if !self.todo.is_empty() => line += &format!(" — {}", self.todo),
            None => {}
        }
        one_line(&line)
    }
}
