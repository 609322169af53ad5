//! Advisory locks: flock on a file that is never deleted. The kernel releases them when the holder dies.
//!
//! The file holds the holder's pid and program, for people and for messages; no decision is based on it.

use crate::base::clock::{Clock, Deadline, wait_for};
use crate::base::exit::{Exit, Failure};
use crate::base::step::{self, Point};
use crate::host::ProcessId;
use crate::host::flock::{FlockState, flock_state};
use crate::store::open::NO_WAIT_NO_LINK;
use fs2::FileExt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody holds it.
    #[error("{} is held by {holder}", path.display())]
    Held {
        /// The lock file.
        path: PathBuf,
        /// `pid N (program)`, as the holder wrote it.
        holder: String,
    },
    /// The lock file could not be opened or locked.
    #[error("cannot lock {}: {source}", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl LockError {
    /// The exit code of a program that gives up for this reason.
    pub fn exit(&self) -> Exit {
        match self {
            LockError::Held { .. } => Exit::TryAgain,
            LockError::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => Exit::NoPerm,
            LockError::Io { .. } => Exit::Io,
        }
    }
}

impl From<LockError> for Failure {
    fn from(error: LockError) -> Self {
        let hint = if matches!(error, LockError::Held { .. }) { ": try again when it is done" } else { "" };
        Failure::new(error.exit(), format!("{error}{hint}"))
    }
}

/// A held lock; dropping it releases the lock.
#[derive(Debug)]
pub struct FileLock {
    file: File,
}

impl FileLock {
    /// Takes the lock at `path` for `program`, waiting at most `wait` (zero: one try).
    pub fn acquire(path: &Path, program: &str, wait: Duration, clock: &dyn Clock) -> Result<FileLock, LockError> {
        let mut lock = FileLock::acquire_unsigned(path, wait, clock)?;
        lock.sign(program);
        Ok(lock)
    }

    /// [`FileLock::acquire`] that leaves the content of the file as it is.
    ///
    /// Rust opens files close-on-exec, so no tmux server inherits a lock.
    pub fn acquire_unsigned(path: &Path, wait: Duration, clock: &dyn Clock) -> Result<FileLock, LockError> {
        let failed = |source| LockError::Io { path: path.to_owned(), source };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).custom_flags(NO_WAIT_NO_LINK);
        let file = step::open(Point::LockOpen, path, &mut options).map_err(failed)?;
        step::lock(Point::LockTake, path).map_err(failed)?;
        let deadline = Deadline::after(clock, wait);
        let taken = wait_for(clock, deadline, Duration::from_micros(200), || match file.try_lock_exclusive() {
            Ok(()) => Some(Ok(())),
            Err(error) if error.kind() == fs2::lock_contended_error().kind() => None,
            Err(error) => Some(Err(error)),
        });
        match taken {
            Some(Ok(())) => Ok(FileLock { file }),
            Some(Err(source)) => Err(failed(source)),
            None => Err(LockError::Held { path: path.to_owned(), holder: holder(path) }),
        }
    }

    /// Hands the lock to the program that is started with this as its standard input. That program holds the lock until
    /// it ends; so does this process until it ends or executes another program.
    pub(crate) fn into_stdio(self) -> io::Result<Stdio> {
        let stdio = Stdio::from(self.file.try_clone()?);
        // Dropped, it would release the lock, which belongs to both descriptors.
        std::mem::forget(self);
        Ok(stdio)
    }

    /// The lock file, opened to read and write.
    pub fn file(&self) -> &File {
        &self.file
    }

    fn sign(&mut self, program: &str) {
        // The text is for people only: a failure to write it must not cost the lock.
        let text = format!("pid {} ({program})\n", std::process::id());
        let _ =
            self.file.set_len(0).and_then(|()| self.file.rewind()).and_then(|()| self.file.write_all(text.as_bytes()));
    }
}

/// The lock is released explicitly: closing the file would not release it while a process that was just forked, and has
/// not executed its program yet, has a duplicate of the descriptor.
impl Drop for FileLock {
    fn drop(&mut self) {
        let _ = FileExt::unlock(&self.file);
    }
}

/// Whether somebody holds the lock at `path` right now. Creates nothing; a free lock is taken, shared, for an instant.
pub fn is_held(path: &Path) -> bool {
    let Ok(file) = OpenOptions::new().read(true).custom_flags(NO_WAIT_NO_LINK).open(path) else { return false };
    let probe = FileExt::try_lock_shared(&file);
    let _ = FileExt::unlock(&file);
    matches!(probe, Err(error) if error.kind() == fs2::lock_contended_error().kind())
}

/// [`is_held`] for reports: takes no lock itself where the kernel tells who holds the lock (Linux).
pub fn is_seen_held(path: &Path) -> bool {
    match flock_state(path) {
        FlockState::Held(_) => true,
        FlockState::Free => false,
        FlockState::Unknown => is_held(path),
    }
}

/// The pid of the holder of the lock at `path`: as the kernel says, or, where the kernel does not say or names a
/// process that has ended (a child has its descriptor), as the holder wrote.
pub(crate) fn holder_pid(path: &Path) -> Option<i32> {
    match flock_state(path) {
        FlockState::Held(pid) if pid > 0 && ProcessId::of(pid).is_some() => Some(pid),
        _ => holder(path).strip_prefix("pid ")?.split(' ').next()?.parse().ok(),
    }
}

/// What the last holder of the lock at `path` wrote into it: `pid N (program)`.
pub fn holder(path: &Path) -> String {
    let mut text = String::new();
    let file = OpenOptions::new().read(true).custom_flags(NO_WAIT_NO_LINK).open(path);
    let read = file.and_then(|file| file.take(200).read_to_string(&mut text));
    match text.trim() {
        text if read.is_ok() && !text.is_empty() => text.to_owned(),
        _ => "another program".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::SystemClock;

    #[test]
    fn a_held_lock_names_its_holder_and_letting_go_frees_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("l");
        let clock = SystemClock::default();
        assert!(!is_held(&path) && !is_seen_held(&path));
        let lock = FileLock::acquire(&path, "iapeer-test", Duration::ZERO, &clock).unwrap();
        assert!(is_held(&path) && is_seen_held(&path));
        assert_eq!(holder_pid(&path), Some(std::process::id() as i32));
        let error = FileLock::acquire(&path, "other", Duration::from_millis(20), &clock).unwrap_err();
        assert_eq!(error.exit(), Exit::TryAgain);
        assert!(error.to_string().contains(&format!("pid {} (iapeer-test)", std::process::id())), "{error}");
        drop(lock);
        assert!(!is_seen_held(&path));
        FileLock::acquire(&path, "other", Duration::ZERO, &clock).unwrap();
    }

    #[test]
    fn a_held_lock_is_seen_however_many_others_come_and_go() {
        let dir = tempfile::tempdir().unwrap();
        let clock = SystemClock::default();
        let take = |name: &str| FileLock::acquire(&dir.path().join(name), "a", Duration::ZERO, &clock).unwrap();
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            for thread in 0..2 {
                let (stop, take) = (&stop, &take);
                scope.spawn(move || {
                    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                        let locks: Vec<FileLock> = (0..10).map(|n| take(&format!("{thread}-{n}"))).collect();
                        drop(locks);
                    }
                });
            }
            let _held = take("held");
            let unseen = (0..2000).filter(|_| !is_seen_held(&dir.path().join("held"))).count();
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            assert_eq!(unseen, 0);
        });
    }

    #[test]
    fn a_waiter_gets_the_lock_when_the_holder_lets_go() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("l");
        let clock = SystemClock::default();
        let lock = FileLock::acquire(&path, "a", Duration::ZERO, &clock).unwrap();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| FileLock::acquire(&path, "b", Duration::from_secs(10), &clock).is_ok());
            drop(lock);
            assert!(waiter.join().unwrap());
        });
    }
}
