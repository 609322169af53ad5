//! Worktrees of git repositories, by the program `git`.

use crate::host::spawn::find_program;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Why git did not do what was asked of it.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// There is no git.
    #[error("there is no git on PATH: install it")]
    Missing,
    /// It could not be started.
    #[error("cannot run git: {0}")]
    Start(#[source] io::Error),
    /// It refused, in its own words.
    #[error("git {call}: {said}")]
    Refused {
        /// The subcommand.
        call: String,
        /// The first line of what it said.
        said: String,
    },
}

/// A repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GitRepository(PathBuf);

/// A worktree of a repository, as `git worktree list --porcelain` shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Worktree {
    /// Its folder.
    pub path: PathBuf,
    /// The branch that is checked out; absent where none is.
    pub branch: Option<String>,
    /// git was interrupted while it made the worktree.
    pub half_made: bool,
}

/// Variables that would make git work in another repository than that of the folder it is started for. They are set
/// where one of git's hooks has called `iapeer`.
const LOCAL: [&str; 6] =
    ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX"];

fn git(dir: &Path, arguments: &[&OsStr], input: Stdio) -> Result<String, GitError> {
    let program = find_program("git", std::env::var_os("PATH").as_deref()).ok_or(GitError::Missing)?;
    let mut command = Command::new(program);
    command.arg("-C").arg(dir).args(arguments).stdin(input).env("LC_ALL", "C").env("GIT_TERMINAL_PROMPT", "0");
    for name in LOCAL {
        command.env_remove(name);
    }
    let ran = command.output().map_err(GitError::Start)?;
    if ran.status.success() {
        return Ok(String::from_utf8_lossy(&ran.stdout).into_owned());
    }
    let text = String::from_utf8_lossy(&ran.stderr).into_owned();
    let fatal = text.lines().find(|line| line.starts_with("fatal: ") || line.starts_with("error: "));
    let said = fatal.or_else(|| text.lines().next()).unwrap_or("it gave no reason").to_owned();
    let words = arguments.iter().take(2).map(|word| word.to_string_lossy().into_owned());
    Err(GitError::Refused { call: words.collect::<Vec<_>>().join(" "), said })
}

fn ask(dir: &Path, arguments: &[&str]) -> Result<String, GitError> {
    let words: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
    git(dir, &words, Stdio::null())
}

impl GitRepository {
    /// The repository that `dir` is in, or is. It is the same for all worktrees of a repository.
    pub(crate) fn of(dir: &Path) -> Result<GitRepository, GitError> {
        let found = ask(dir, &["rev-parse", "--git-common-dir"])?;
        let common = dir.join(found.trim_end_matches('\n'));
        Ok(GitRepository(common.canonicalize().map_err(GitError::Start)?))
    }

    /// Its worktrees, the main one first.
    pub(crate) fn worktrees(&self) -> Result<Vec<Worktree>, GitError> {
        ask(&self.0, &["worktree", "list", "--porcelain"]).map(|text| parse(&text))
    }

    /// Whether `name` can be the name of a branch.
    pub(crate) fn can_name_branch(&self, name: &str) -> bool {
        !name.starts_with('-') && ask(&self.0, &["check-ref-format", "--branch", name]).is_ok()
    }

    /// Whether there is a branch `name`.
    pub(crate) fn has_branch(&self, name: &str) -> bool {
        ask(&self.0, &["show-ref", "--verify", "--quiet", &format!("refs/heads/{name}")]).is_ok()
    }

    /// Whether `name` names a commit.
    pub(crate) fn has_commit(&self, name: &str) -> bool {
        !name.starts_with('-')
            && ask(&self.0, &["rev-parse", "--verify", "--quiet", &format!("{name}^{{commit}}")]).is_ok()
    }

    /// Makes a worktree at `path` with `branch`, which is created from `base` where `base` is given. git keeps `held`
    /// (a lock) open for as long as it works, even where this program is killed.
    pub(crate) fn add(&self, path: &Path, branch: &str, base: Option<&str>, held: File) -> Result<(), GitError> {
        let mut words: Vec<&OsStr> = vec!["worktree".as_ref(), "add".as_ref(), "--quiet".as_ref()];
        if base.is_some() {
            words.extend(["-b".as_ref(), OsStr::new(branch)]);
        }
        words.extend([path.as_os_str(), OsStr::new(base.unwrap_or(branch))]);
        git(&self.0, &words, held.into()).map(drop)
    }

    /// Removes an incomplete worktree, which git has left where it was interrupted.
    pub(crate) fn discard(&self, path: &Path) -> Result<(), GitError> {
        let words: [&OsStr; 5] =
            ["worktree".as_ref(), "remove".as_ref(), "--force".as_ref(), "--force".as_ref(), path.as_os_str()];
        git(&self.0, &words, Stdio::null()).map(drop)
    }

    /// Removes the worktree at `path`. git refuses where something in it is not committed. Its branch stays.
    pub(crate) fn remove(&self, path: &Path) -> Result<(), GitError> {
        let words: [&OsStr; 3] = ["worktree".as_ref(), "remove".as_ref(), path.as_os_str()];
        git(&self.0, &words, Stdio::null()).map(drop)
    }

    /// Corrects what git knows of a worktree that was moved to `path`.
    pub(crate) fn repair(&self, path: &Path) -> Result<(), GitError> {
        let words: [&OsStr; 3] = ["worktree".as_ref(), "repair".as_ref(), path.as_os_str()];
        git(&self.0, &words, Stdio::null()).map(drop)
    }

    /// The file with the patterns that git ignores in all worktrees of the repository.
    pub(crate) fn exclude_file(&self) -> PathBuf {
        self.0.join("info/exclude")
    }
}

/// The uncommitted changes in the worktree at `path`, one line for each file.
pub fn uncommitted(path: &Path) -> Result<Vec<String>, GitError> {
    let status = ask(path, &["status", "--porcelain"])?;
    Ok(status.lines().map(str::to_owned).collect())
}

fn parse(text: &str) -> Vec<Worktree> {
    let each = text.split("\n\n").filter(|block| !block.trim().is_empty());
    each.map(|block| {
        let mut found = Worktree::default();
        for line in block.lines() {
            match line.split_once(' ').unwrap_or((line, "")) {
                ("worktree", path) => found.path = path.into(),
                ("branch", name) => found.branch = Some(name.strip_prefix("refs/heads/").unwrap_or(name).to_owned()),
                ("locked", "initializing") => found.half_made = true,
                _ => {}
            }
        }
        found
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_worktrees() {
        let text = "worktree /r\nHEAD 1\nbranch refs/heads/main\n\nworktree /w/a b\nHEAD 1\nbranch refs/heads/x/y\nlocked initializing\n\nworktree /w/c\nHEAD 2\ndetached\n\n";
        let worktree = |path: &str, branch: Option<&str>, half_made| Worktree {
            path: path.into(),
            branch: branch.map(str::to_owned),
            half_made,
        };
        assert_eq!(
            parse(text),
            [worktree("/r", Some("main"), false), worktree("/w/a b", Some("x/y"), true), worktree("/w/c", None, false)]
        );
    }
}
