//! Changes of files that survive a power cut: each kind of change with the order of steps that makes it durable.
//!
//! | write | order |
//! |---|---|
//! | replace | temp (O_EXCL) → write → fsync → rename → fsync dir |
//! | publish | temp (O_EXCL) → write → fsync → link (fails where the name exists) → fsync dir → unlink temp |
//! | move | rename → fsync the dir it is in now → fsync the dir it was in |
//! | remove | unlink → fsync dir |
//! | remove a tree | unlink and rmdir from below; the caller fsyncs the dir it was in |
//!
//! A directory is fsynced because fsync of a file does not make its directory entry durable
//! (<https://lwn.net/Articles/457667/>). When the fsync of the directory fails, the change has been made all the same:
//! [`StoreError::Unsynced`].

use crate::base::clock::EpochMs;
use crate::base::step::{self, Point};
use crate::store::open::{self, Rule};
use std::fs::{self, DirEntry, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use crate::store::error::StoreError;

/// The names of temporary files begin with this; a tick removes those older than an hour.
const TEMP_PREFIX: &str = ".tmp-";

/// Temporary files older than this were left by a crash: no program is writing them any more.
pub(crate) const LITTER_AGE: Duration = Duration::from_secs(3600);

/// Whether `name` is the name of one of our temporary files.
pub(crate) fn is_temp(name: &str) -> bool {
    name.starts_with(TEMP_PREFIX)
}

/// Whether the file `name` in `dir` is one of our temporary files and older than `age`.
pub(crate) fn is_litter(dir: &Path, name: &str, age: Duration) -> bool {
    let modified = || fs::metadata(dir.join(name)).and_then(|meta| meta.modified());
    is_temp(name) && modified().is_ok_and(|at| at.elapsed().is_ok_and(|elapsed| elapsed > age))
}

/// Removes those of `names` in `dir` that are temporary files of ours older than `age`.
#[track_caller]
pub(crate) fn sweep(dir: &Path, names: &[String], age: Duration) {
    for name in names.iter().filter(|name| is_litter(dir, name, age)) {
        let _ = step::unlink(Point::SweepUnlink, &dir.join(name));
    }
}

fn temp_path(dir: &Path) -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let nonce = NEXT.fetch_add(1, Ordering::Relaxed);
    // Pids are reused: the time keeps the name from colliding for ever with a file that a crash left.
    dir.join(format!("{TEMP_PREFIX}{}-{}-{nonce}", std::process::id(), EpochMs::from(std::time::SystemTime::now()).0))
}

fn dir_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes `bytes` to a new temporary file beside `path` and fsyncs it.
#[track_caller]
fn write_temp(path: &Path, bytes: &[u8], sync: bool) -> Result<PathBuf, StoreError> {
    let temp = temp_path(dir_of(path));
    match fill(&temp, bytes, sync) {
        Ok(()) => Ok(temp),
        Err(error) => {
            discard(&temp);
            Err(StoreError::io("write", path, error))
        }
    }
}

#[track_caller]
fn fill(temp: &Path, bytes: &[u8], sync: bool) -> io::Result<()> {
    let file = step::open(Point::TempOpen, temp, OpenOptions::new().write(true).create_new(true))?;
    step::write(Point::TempWrite, &file, temp, bytes)?;
    // The content is synced before the name exists: after a power cut the name must not show an empty file.
    if sync { step::sync(Point::TempSync, &file, temp) } else { Ok(()) }
}

/// Removes a temporary file that is of no use any more. Where the removal fails, the tick removes the file later.
#[track_caller]
fn discard(temp: &Path) {
    let _ = step::unlink(Point::TempDiscard, temp);
}

/// Makes the entries of `dir` durable.
#[track_caller]
pub(crate) fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    step::sync_dir(Point::RemoveSyncDir, dir).map_err(|error| StoreError::io("sync", dir, error))
}

#[track_caller]
fn replace(path: &Path, bytes: &[u8], sync: bool) -> Result<(), StoreError> {
    let temp = write_temp(path, bytes, sync)?;
    let point = if sync { Point::ReplaceRename } else { Point::VolatileRename };
    if let Err(error) = step::rename(point, &temp, path) {
        discard(&temp);
        return Err(StoreError::io("write", path, error));
    }
    if !sync {
        return Ok(());
    }
    // The old content is replaced by now: a failure from here on must not be reported as "nothing was changed".
    step::sync_dir(Point::ReplaceSyncDir, dir_of(path)).map_err(StoreError::unsynced("written", path))
}

/// Replaces `path` by `bytes` (0600), atomically and durably. Refuses the registry's file name.
#[track_caller]
pub(crate) fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    if path.file_name().is_some_and(|name| name == "peers-profiles.json") {
        return Err(StoreError::Guarded(path.to_owned()));
    }
    replace(path, bytes, true)
}

/// [`write_atomic`] for the registry's own writer, which holds its lock.
#[track_caller]
pub(crate) fn write_registry(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    replace(path, bytes, true)
}

/// Replaces `path` atomically, without fsync: for content that may be lost in a power cut (a turn event).
#[track_caller]
pub(crate) fn write_volatile(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    replace(path, bytes, false)
}

/// The result of publishing a file under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// The file is there, durably.
    Done,
    /// The name is taken; nothing was written.
    Taken,
}

/// Writes `bytes` durably to a new file at `path`, which must not exist yet. An error means that nothing is kept.
#[track_caller]
pub fn publish(path: &Path, bytes: &[u8]) -> Result<Published, StoreError> {
    let temp = write_temp(path, bytes, true)?;
    let linked = match step::link(Point::PublishLink, &temp, path) {
        Ok(()) => match step::sync_dir(Point::PublishSyncDir, dir_of(path)) {
            Ok(()) => Ok(Published::Done),
            Err(error) => take_back(path, error),
        },
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Published::Taken),
        Err(error) => Err(StoreError::io("publish", path, error)),
    };
    let _ = step::unlink(Point::PublishUnlinkTemp, &temp);
    linked
}

/// Removes a published file whose folder could not be synced: since the caller reports a failure, nothing may be found
/// of the file. A file that another program has moved by now, or that can't be removed, counts as published.
#[track_caller]
fn take_back(path: &Path, error: io::Error) -> Result<Published, StoreError> {
    match step::unlink(Point::PublishTakeBack, path) {
        Ok(()) => Err(StoreError::io("publish", path, error)),
        Err(undo) => {
            tracing::warn!("{}; it can't be taken back: {undo}", StoreError::unsynced("published", path)(error));
            Ok(Published::Done)
        }
    }
}

/// Moves a file durably. `Ok(false)`: the file was not there (another program moved it).
#[track_caller]
pub(crate) fn move_file(from: &Path, to: &Path) -> Result<bool, StoreError> {
    match step::rename(Point::MoveRename, from, to) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound && !from.exists() => return Ok(false),
        Err(error) => return Err(StoreError::io("move", from, error)),
    }
    let unsynced = |error| StoreError::unsynced("moved", from)(error);
    step::sync_dir(Point::MoveSyncTo, dir_of(to)).map_err(unsynced)?;
    // A journal keeps both halves of a move together. Without a journal a power cut could bring the file back in its
    // old folder.
    if dir_of(from) != dir_of(to) {
        step::sync_dir(Point::MoveSyncFrom, dir_of(from)).map_err(unsynced)?;
    }
    Ok(true)
}

/// Removes a file durably. `Ok(false)`: the file was not there.
#[track_caller]
pub fn remove(path: &Path) -> Result<bool, StoreError> {
    match step::unlink(Point::RemoveUnlink, path) {
        Ok(()) => step::sync_dir(Point::RemoveSyncDir, dir_of(path))
            .map(|()| true)
            .map_err(StoreError::unsynced("removed", path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(StoreError::io("remove", path, error)),
    }
}

/// Removes `path`, and everything below it where `path` is a folder. The caller makes the removal durable by `sync_dir`
/// of the folder that `path` was in. `Ok(false)`: `path` did not exist.
#[track_caller]
pub(crate) fn remove_tree(path: &Path) -> Result<bool, StoreError> {
    let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let failed = |error| StoreError::io("remove", path, error);
    match path.symlink_metadata() {
        Ok(meta) if meta.is_dir() => {}
        Ok(_) => {
            return match step::unlink(Point::TreeUnlink, path) {
                Err(error) if !gone(&error) => Err(failed(error)),
                unlinked => Ok(unlinked.is_ok()),
            };
        }
        Err(error) if gone(&error) => return Ok(false),
        Err(error) => return Err(failed(error)),
    }
    for entry in entries_of(path)? {
        remove_tree(&entry.path())?;
    }
    match step::rmdir(Point::TreeRmdir, path) {
        Err(error) if !gone(&error) => Err(failed(error)),
        removed => Ok(removed.is_ok()),
    }
}

/// Removes the folder `dir` if it is empty. A folder that is in use again, or can't be removed, stays.
#[track_caller]
pub(crate) fn remove_if_empty(dir: &Path) {
    // Checked first, because in a folder that is not empty rmdir would fail each time.
    if fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none()) {
        let _ = step::rmdir(Point::EmptyRmdir, dir);
    }
}

/// Reads a state file. `None`: it is missing. Anything but a regular file is an error that names the file.
pub(crate) fn read_optional(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    open::read(path, Rule::STATE)
}

/// Whether `path` exists, links followed. An error where that can't be determined.
pub fn exists(path: &Path) -> Result<bool, StoreError> {
    path.try_exists().map_err(|error| StoreError::io("look for", path, error))
}

/// The entries of `dir`. A missing folder is empty; an unreadable one is an error, never empty.
pub(crate) fn entries_of(dir: &Path) -> Result<Vec<DirEntry>, StoreError> {
    match fs::read_dir(dir).and_then(Iterator::collect) {
        Ok(entries) => Ok(entries),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(StoreError::io("list", dir, error)),
    }
}

/// The names of the entries of `dir` ([`entries_of`]), without those that are not UTF-8.
pub(crate) fn names_of(dir: &Path) -> Result<Vec<String>, StoreError> {
    Ok(entries_of(dir)?.into_iter().filter_map(|entry| entry.file_name().into_string().ok()).collect())
}

/// Reads a JSON file. `None`: it is missing, or it can't be parsed and was set aside as `*.corrupt-<epoch>` with a line
/// on stderr. A torn or foreign file never stops a program.
#[track_caller]
pub fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, StoreError> {
    let read = match read_optional(path) {
        Ok(None) => return Ok(None),
        Ok(Some(bytes)) => serde_json::from_slice(&bytes).map_err(|error| error.to_string()),
        Err(StoreError::Unfit(unfit)) => Err(unfit.fault.to_string()),
        Err(error) => return Err(error),
    };
    match read {
        Ok(value) => Ok(Some(value)),
        Err(error) => {
            let aside = set_aside(path, EpochMs::from(std::time::SystemTime::now()))?;
            tracing::warn!("{} is not readable ({error}): set aside as {}", path.display(), aside.display());
            Ok(None)
        }
    }
}

/// [`read_json`] for programs that promise to change nothing: an unreadable file is `None` and stays.
pub(crate) fn peek_json<T: serde::de::DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&read_optional(path).ok()??).ok()
}

/// Moves an unreadable file out of the way: `NAME.corrupt-<epoch seconds>`.
#[track_caller]
pub(crate) fn set_aside(path: &Path, now: EpochMs) -> Result<PathBuf, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".corrupt-{}", now.0 / 1000));
    let aside = PathBuf::from(name);
    move_file(path, &aside)?;
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_write_is_private_and_leaves_no_litter() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        write_atomic(&path, b"1").unwrap();
        write_atomic(&path, b"2").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"2");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_generic_writer_refuses_the_registry() {
        let dir = tempfile::tempdir().unwrap();
        let error = write_atomic(&dir.path().join("peers-profiles.json"), b"{}").unwrap_err();
        assert!(error.to_string().contains("locked write target"), "{error}");
    }

    #[test]
    fn publishing_never_replaces() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("1");
        assert_eq!(publish(&path, b"x").unwrap(), Published::Done);
        assert_eq!(publish(&path, b"y").unwrap(), Published::Taken);
        assert_eq!(fs::read(&path).unwrap(), b"x");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_unreadable_file_is_set_aside_not_lost() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.session");
        fs::write(&path, b"{torn").unwrap();
        assert_eq!(read_json::<serde_json::Value>(&path).unwrap(), None);
        let names: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        assert!(names.len() == 1 && names[0].starts_with("x.session.corrupt-"), "{names:?}");
    }

    #[test]
    fn moving_and_removing_what_is_gone_is_not_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!move_file(&dir.path().join("a"), &dir.path().join("b")).unwrap());
        assert!(!remove(&dir.path().join("a")).unwrap());
    }
}
