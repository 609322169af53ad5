//! Checks of ownership and modes below the root, of files that were set aside, and of leftovers of crashes.

use super::finding::{Finding, MendError, moved};
use crate::base::exit::Exit;
use crate::base::private::{Openness, PrivateDir};
use crate::base::shell;
use crate::base::socket_owner::{self, Owner};
use crate::host::disk;
use crate::store::durable;
use crate::store::event_log::Log;
use crate::store::open::{self, Fault, Rule, Unfit};
use crate::world::World;
use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// What every program refuses about the root and the socket folder.
pub(crate) fn root<'a>(world: &'a World<'a>) -> Vec<Finding<'a>> {
    world.paths.private_dirs().into_iter().filter_map(private).chain(sockets_of_another(world)).collect()
}

/// A folder of sockets that every program refuses, since another root's sessions are in it.
fn sockets_of_another<'a>(world: &'a World<'a>) -> Option<Finding<'a>> {
    let sockets = world.paths.socket_dir();
    let owner = world.paths.has_own_socket_dir().then(|| socket_owner::of(sockets, world.paths.root()))?;
    let refused = |what: String| Finding::error("root", Exit::Config, sockets.display(), what);
    match owner {
        Ok(Owner::Ours | Owner::Nobody) => None,
        Err(error) => {
            let what = format!("does not say whose sockets it holds ({error}): every program refuses it");
            let todo = format!("`chmod 700 {}`, or {}", shell::path(sockets), socket_owner::ELSEWHERE);
            Some(refused(what).todo(todo))
        }
        Ok(Owner::Other(root)) => {
            let what =
                format!("holds the sockets of the root {}: every program of this root refuses it", root.display());
            Some(refused(what).todo(socket_owner::ELSEWHERE))
        }
        Ok(Owner::NoLink) => {
            let link = sockets.join(socket_owner::LINK);
            let what =
                format!("{} is not the link to the root that it should be: every program refuses it", link.display());
            Some(refused(what).todo(moved(&link, "aside")))
        }
    }
}

fn private(dir: PrivateDir<'_>) -> Option<Finding<'_>> {
    let path = dir.path;
    let me = nix::unistd::geteuid().as_raw();
    let fault = dir.fault(&fs::metadata(path).ok()?, me)?;
    let refused = |what: String| Finding::error("root", Exit::NoPerm, path.display(), what);
    let quoted = shell::path(path);
    Some(match fault {
        Openness::NoFolder => {
            refused("is not a folder, so that no state can be kept".into()).todo(moved(path, "aside"))
        }
        Openness::Foreign(uid) => {
            let what = format!("belongs to uid {uid}, not to you (uid {me}): every program refuses it");
            // The owner of a folder that serves others must stay.
            let own = (!dir.serves_others()).then(|| format!("`sudo chown {me} {quoted}`, or "));
            refused(what).todo(format!("{}{}", own.unwrap_or_default(), dir.elsewhere()))
        }
        Openness::Open(mode) if dir.serves_others() => {
            let what = format!("is open to others (mode {mode:04o}), and not iapeer's alone: every program refuses it");
            refused(what).todo(dir.elsewhere())
        }
        Openness::Open(mode) => refused(format!("is open to others (mode {mode:04o}): every program refuses it"))
            .todo(format!("`chmod 700 {quoted}`, or --fix does it"))
            .mend(move || close(path, 0o700)),
    })
}

pub(super) fn close(path: &Path, mode: u32) -> Result<(), MendError> {
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(|source| MendError::File {
        what: "change",
        path: path.to_owned(),
        source,
    })
}

/// Names below the root at which iapeer expects a regular file and finds none, and files that are far too large: iapeer
/// does not read their content.
pub(crate) fn unfit<'a>(world: &'a World<'a>) -> Vec<Finding<'a>> {
    let root = world.paths.root();
    let mut found: Vec<Unfit> = [world.paths.owner(), world.paths.hostname(), world.paths.nats()]
        .iter()
        .filter_map(|path| open::fault(path, Rule::STATE))
        .collect();
    found.extend(open::fault(&world.paths.registry_copy(), Rule::REGISTRY));
    found.extend(open::fault(&world.paths.prices(), Rule::DOCUMENT));
    let mut unseen = Vec::new();
    let mut todo: Vec<PathBuf> = ["state", "history", "schedules", "hosts", "logs", "cache", "runtimes"]
        .iter()
        .map(|name| root.join(name))
        .collect();
    while let Some(dir) = todo.pop() {
        let names = match durable::names_of(&dir) {
            Ok(names) => names,
            Err(error) => {
                unseen.push(Finding::unseen("files", &error));
                continue;
            }
        };
        for name in names {
            let path = dir.join(&name);
            let below: Vec<&str> =
                path.strip_prefix(root).into_iter().flat_map(Path::iter).filter_map(OsStr::to_str).collect();
            let is_folder = path.symlink_metadata().is_ok_and(|meta| meta.is_dir());
            if is_folder && is_a_folder_of_ours(&below) {
                todo.push(path);
            } else if !name.contains(".corrupt-") && !name.ends_with(".aside") {
                // `.aside` is what our advice has somebody move away; no program reads it.
                found.extend(open::fault(&path, rule(&below)));
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    let finding = |unfit: Unfit| {
        let what = format!("{}: its content is not known", unfit.fault);
        Finding::error("files", unfit.exit(), unfit.path.display(), what).todo(command(&unfit))
    };
    unseen.into_iter().chain(found.into_iter().map(finding)).collect()
}

/// What to do about a file that iapeer does not use.
pub(super) fn command(unfit: &Unfit) -> String {
    let path = shell::path(&unfit.path);
    match unfit.fault {
        Fault::Kind(_) | Fault::NoFolder(_) | Fault::Link | Fault::Large(..) => {
            format!("{}, then look into it there", moved(&unfit.path, "aside"))
        }
        Fault::Owner(_, me) => format!("`sudo chown {me} {path}`, or move it away"),
        Fault::Open(_) => format!("`chmod go-w {path}`"),
        Fault::Unlisted(_) => format!("`chmod u+rwx {path}`"),
        Fault::Shut(_) => format!("`chmod u+rw {path}`"),
    }
}

/// The rule that a file must meet. Files that grow have no bound here: their next writer cuts or rotates them.
fn rule(below: &[&str]) -> Rule {
    match below {
        // Copies of attachments have no bound.
        ["state", "outbox", files, _, ..] if files.ends_with(".files") => Rule { max: u64::MAX, ..Rule::STATE },
        ["state" | "schedules" | "hosts", ..] => Rule::STATE,
        ["runtimes", ..] => Rule::DOCUMENT,
        _ => Rule { max: u64::MAX, ..Rule::STATE },
    }
}

/// Whether iapeer expects a folder at this path, given by its parts below the root.
fn is_a_folder_of_ours(below: &[&str]) -> bool {
    match below {
        ["state", "lifecycle", name] => name.ends_with(".queue") || name.ends_with(".approval"),
        ["state", "lifecycle", _, place] => ["inflight", "dead", "corrupt"].contains(place),
        ["state", "asks", _] => true,
        ["state", "outbox", name] => name.ends_with(".queue") || name.ends_with(".files"),
        ["state", "outbox", of, name] => of.ends_with(".files") || ["inflight", "dead", "corrupt"].contains(name),
        ["state", "outbox", of, _, _] => of.ends_with(".files"),
        ["state", name] => *name != "clock" && !name.ends_with(".lock"),
        ["state", ..] | ["history", ..] | ["schedules", ..] | ["hosts", ..] => false,
        ["runtimes", .., name] => !name.ends_with(".json"),
        ["logs" | "cache", .., name] => !name.ends_with(".log") && !name.ends_with(".md"),
        _ => true,
    }
}

/// All files and folders of iapeer below the root, without the peers' working folders.
fn ours(world: &World<'_>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut todo: Vec<PathBuf> = ["state", "history", "schedules", "owner", "logs", "cache", "runtimes"]
        .iter()
        .map(|name| world.paths.root().join(name))
        .collect();
    todo.extend(fs::read_dir(world.paths.root()).into_iter().flatten().flatten().filter_map(|entry| {
        let name = entry.file_name();
        name.to_string_lossy().starts_with("peers-profiles").then(|| entry.path())
    }));
    while let Some(path) = todo.pop() {
        let Ok(meta) = fs::symlink_metadata(&path) else { continue };
        if meta.is_dir() {
            todo.extend(fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
        }
        if meta.is_dir() || meta.is_file() {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// A file system with fewer bytes left counts as full: it may have no room for a long message or a log.
const ROOM: u64 = 1 << 20;

/// File systems of state, logs and sockets that are full or read-only. Each is named once, by the first folder on it.
pub(crate) fn disks<'a>(world: &'a World<'a>) -> Vec<Finding<'a>> {
    let paths = world.paths;
    let folders = [paths.root().to_owned(), paths.state_dir(), paths.event_log_dir(), paths.pane_log_dir()];
    let sockets = [paths.socket_dir().to_owned()];
    let mut seen = Vec::new();
    let mut findings = Vec::new();
    for dir in folders.into_iter().chain(sockets) {
        let Ok(meta) = fs::metadata(&dir) else { continue };
        if seen.contains(&meta.dev()) {
            continue;
        }
        seen.push(meta.dev());
        if disk::is_read_only(&dir) {
            let what = "its file system is mounted read-only: no message is accepted and no session started";
            let todo = format!("`sudo mount -o remount,rw {}`, once its cause is known", shell::path(&dir));
            findings.push(Finding::error("files", Exit::Io, dir.display(), what).todo(todo));
            continue;
        }
        let Ok(space) = disk::space(&dir) else { continue };
        let full = |left: String| {
            let what = format!("its file system is full ({left} left): no message is accepted and no session started");
            Finding::error("files", Exit::Io, dir.display(), what)
                .todo(format!("free some space: `du -axk {} | sort -n | tail` shows what takes it", shell::path(&dir)))
        };
        if space.bytes < ROOM {
            findings.push(full(format!("{} KiB", space.bytes / 1024)));
        } else if space.files == Some(0) {
            findings.push(full("no file".into()));
        }
    }
    findings
}

/// Event logs that can't be written, so that events are lost.
pub(crate) fn logs<'a>(world: &'a World<'a>) -> Vec<Finding<'a>> {
    let dir = world.paths.event_log_dir();
    let names = [Log::Lifecycle, Log::Delivery, Log::Exits].map(|log| dir.join(log.file_name()));
    let mut findings = Vec::new();
    for path in std::iter::once(dir).chain(names) {
        let Ok(meta) = fs::metadata(&path) else { continue };
        let is_log = path.extension().is_some();
        let why = disk::unwritable(&path).or_else(|| (is_log && !meta.is_file()).then(|| "not a regular file".into()));
        if let Some(why) = why {
            let what = format!("can't be written ({why}): events of sessions and messages are not logged");
            let finding = Finding::error("files", Exit::Io, path.display(), what);
            findings.push(if is_log && !meta.is_file() {
                finding
                    .todo(format!("{}, or --fix does it", moved(&path, "aside")))
                    .mend(move || Ok(durable::set_aside(&path, world.now()).map(drop)?))
            } else {
                finding.todo(format!(
                    "`chmod u+rwX {}`, if the cause is its mode and not a read-only mount",
                    shell::path(&path)
                ))
            });
        }
    }
    findings
}

/// State, logs and caches that another user owns or may read.
pub(crate) fn modes<'a>(world: &'a World<'a>) -> Vec<Finding<'a>> {
    let me = nix::unistd::geteuid().as_raw();
    let (mut foreign, mut open) = (Vec::new(), Vec::new());
    for path in ours(world) {
        let Ok(meta) = fs::symlink_metadata(&path) else { continue };
        if meta.uid() != me {
            foreign.push(path);
        } else if meta.mode() & 0o077 != 0 {
            open.push((path, meta.mode() & 0o700));
        }
    }
    let mut findings = Vec::new();
    if let Some(first) = foreign.first() {
        let what = format!("{} of iapeer belong to another user: iapeer can't write there", count(foreign.len()));
        findings.push(
            Finding::error("files", Exit::NoPerm, first.display(), what)
                .todo(format!("`sudo chown -h {me} {}`, and the others", shell::path(first))),
        );
    }
    if let Some((first, _)) = open.first() {
        let what = format!("{} open to other users, who can read peers' messages", count(open.len()));
        let todo = "`iapeer doctor --fix` closes them";
        findings.push(
            Finding::warn("files", first.display(), what)
                .todo(todo)
                .mend(move || open.iter().try_for_each(|(path, mode)| close(path, *mode))),
        );
    }
    findings
}

fn count(n: usize) -> String {
    if n == 1 { "one file or folder".into() } else { format!("this and {} more files or folders", n - 1) }
}

fn file_name(path: &Path) -> Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}

/// Files that could not be read and were set aside. Somebody may want their content back.
pub(crate) fn set_aside<'a>(world: &'a World<'a>) -> Vec<Finding<'a>> {
    let is_aside = |path: &PathBuf| {
        let name = file_name(path);
        let at = name.rsplit_once(".corrupt-").map(|(_, at)| at).unwrap_or_default();
        !at.is_empty() && at.chars().all(|c| c.is_ascii_digit())
    };
    let what = "was unreadable and set aside: iapeer works without its content";
    ours(world)
        .into_iter()
        .filter(is_aside)
        .map(|path| {
            let todo = format!("look into it, then `rm -r {}`", shell::path(&path));
            Finding::warn("files", path.display(), what).todo(todo)
        })
        .collect()
}

/// Temporary files that a crash left behind.
pub(crate) fn litter<'a>(world: &'a World<'a>) -> Vec<Finding<'a>> {
    let is_old = |path: &PathBuf| {
        path.parent().is_some_and(|dir| durable::is_litter(dir, &file_name(path), durable::LITTER_AGE))
    };
    let old: Vec<PathBuf> = ours(world).into_iter().filter(is_old).collect();
    let Some(first) = old.first() else { return vec![] };
    let what = format!("{} left behind by a crash", count(old.len()));
    vec![Finding::warn("files", first.display(), what).todo("`iapeer doctor --fix` removes them").mend(move || {
        for path in &old {
            fs::remove_file(path).map_err(|source| MendError::File { what: "remove", path: path.clone(), source })?;
        }
        Ok(())
    })]
}
