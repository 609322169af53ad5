//! The worktrees of a fleet: which have to be made, and which may be removed. Branches and their commits are never changed
//! or removed.

use crate::base::exit::Failure;
use crate::base::paths;
use crate::fleet::error::FleetError;
use crate::fleet::file::Fleet;
use crate::fleet::peer::{FleetPeer, FleetWorktree};
use crate::fleet::step::{FleetAction, FleetKind, FleetStep, FleetWork};
use crate::host::git::{self, GitRepository, Worktree};
use crate::store::open::{self, Rule};
use crate::store::registry::PeerRecord;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What git ignores in each worktree: the folder of the peer's own files is no part of the repository.
const EXCLUDED: &str = "/.iapeer/";

/// The step that makes `cwd` the worktree that `peer` wants, or that reports a difference. `None`: nothing to report.
pub(crate) fn plan(fleet: &Fleet, peer: &FleetPeer, cwd: &Path) -> Result<Option<FleetStep>, FleetError> {
    let Some(wanted) = &peer.worktree else { return Ok(None) };
    let name = peer.name.as_str();
    let wrong = |key: &str, why: String| fleet.places.wrong(&["peers", name, "worktree", key], why);
    let repository = repository(wanted).map_err(|error| wrong("repo", error.to_string()))?;
    if !repository.can_name_branch(&wanted.branch) {
        return Err(wrong("branch", format!("{:?} can't be the name of a branch", wanted.branch)));
    }
    for other in fleet.peers.iter().filter(|other| other.name < peer.name) {
        let same = other.worktree.as_ref().filter(|tree| tree.branch == wanted.branch);
        if same.is_some_and(|tree| GitRepository::of(&tree.repo).ok().as_ref() == Some(&repository)) {
            let why = format!("{} works on branch {} already: a branch has one worktree", other.name, wanted.branch);
            return Err(wrong("branch", why));
        }
    }
    let all = repository.worktrees().map_err(FleetError::git("list the worktrees of", &wanted.repo))?;
    let here = paths::real(cwd);
    let is_here = |tree: &&Worktree| paths::real(&tree.path) == here;
    let there = all.iter().find(is_here);
    let discard = there.is_some_and(|tree| tree.half_made);
    match there {
        Some(tree) if !discard => return Ok(standing(wanted, peer, tree)),
        _ => {}
    }
    if let Some(taken) = all.iter().find(|tree| tree.branch.as_ref() == Some(&wanted.branch) && !is_here(tree)) {
        let why = format!("branch {} is checked out in {}: choose another", wanted.branch, taken.path.display());
        return Err(wrong("branch", why));
    }
    if !discard && fs::read_dir(cwd).is_ok_and(|mut entries| entries.next().is_some()) {
        let why =
            format!("{} is there already and no worktree of {}: move it away", cwd.display(), wanted.repo.display());
        return Err(wrong("repo", why));
    }
    let is_new = !repository.has_branch(&wanted.branch);
    if is_new && !repository.has_commit(&wanted.base) {
        return Err(wrong("base", format!("branch {} is new, and {} is no commit", wanted.branch, wanted.base)));
    }
    let note = match is_new {
        true => format!("new branch {} from {} at {}", wanted.branch, wanted.base, cwd.display()),
        false => format!("branch {} at {}", wanted.branch, cwd.display()),
    };
    let work = FleetWork::Worktree {
        repository,
        path: cwd.to_owned(),
        branch: wanted.branch.clone(),
        base: is_new.then(|| wanted.base.clone()),
        discard,
    };
    Ok(Some(FleetStep::new(FleetKind::Worktree, FleetAction::Create, name, work).noted(note)))
}

fn repository(wanted: &FleetWorktree) -> Result<GitRepository, FleetError> {
    GitRepository::of(&wanted.repo).map_err(FleetError::git("use the repository", &wanted.repo))
}

/// An existing worktree stays as it is, since the agent decides on which branch it works; another branch is reported.
fn standing(wanted: &FleetWorktree, peer: &FleetPeer, tree: &Worktree) -> Option<FleetStep> {
    if tree.branch.as_ref() == Some(&wanted.branch) {
        return None;
    }
    let on = tree.branch.as_ref().map_or("no branch".to_owned(), |branch| format!("branch {branch}"));
    let note = format!("on {on}, the file says {}: left as it is", wanted.branch);
    Some(FleetStep::new(FleetKind::Worktree, FleetAction::Leave, &peer.name, FleetWork::Nothing).noted(note))
}

/// Makes a worktree. git inherits `held`, the lock under which this is done, so that the lock lasts until git ends.
pub(crate) fn make(
    repository: &GitRepository,
    path: &Path,
    branch: &str,
    base: Option<&str>,
    discard: bool,
    held: fs::File,
) -> Result<(), Failure> {
    if discard {
        repository.discard(path).map_err(FleetError::git("remove the unfinished worktree", path))?;
    }
    exclude(&repository.exclude_file())?;
    if let Some(parent) = path.parent() {
        paths::create_dirs(parent)?;
    }
    Ok(repository.add(path, branch, base, held).map_err(FleetError::git("make the worktree", path))?)
}

/// Makes git ignore the peers' own folders, so that no agent commits its profile, and no worktree counts as changed.
fn exclude(path: &Path) -> Result<(), Failure> {
    let failed = |error| Failure::io("write", path, &error);
    let text = open::read(path, Rule::DOCUMENT)?.unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    if text.lines().any(|line| line == EXCLUDED) {
        return Ok(());
    }
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).map_err(failed)?;
    }
    let line_end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    let mut file =
        OpenOptions::new().append(true).create(true).custom_flags(open::NO_WAIT).open(path).map_err(failed)?;
    file.write_all(format!("{line_end}{EXCLUDED}\n").as_bytes()).map_err(failed)
}

/// The worktree of the peer of `record`, to be removed with the peer. Refused where something in it is not committed.
pub(crate) fn removable(record: &PeerRecord) -> Result<Option<(GitRepository, PathBuf)>, FleetError> {
    let Some(repo) = record.policy().worktree_of().filter(|_| record.cwd.exists()) else { return Ok(None) };
    let cwd = &record.cwd;
    let repository = GitRepository::of(repo).map_err(FleetError::git("use the repository", repo))?;
    let all = repository.worktrees().map_err(FleetError::git("list the worktrees of", repo))?;
    if all.iter().all(|tree| paths::real(&tree.path) != paths::real(cwd)) {
        return Ok(None);
    }
    let left = git::uncommitted(cwd).map_err(FleetError::git("look into", cwd))?;
    if let Some(first) = left.first() {
        let (name, changes) = (&record.personality, left.len());
        let why = format!(
            "{name} can't be removed: its worktree {} has {changes} uncommitted change(s) ({}): commit or discard them, or `iapeer remove {name}` keeps the folder",
            cwd.display(),
            first.trim()
        );
        return Err(FleetError::Refused(why));
    }
    Ok(Some((repository, cwd.clone())))
}
