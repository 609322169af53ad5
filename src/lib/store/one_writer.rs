//! The lock for writing the registry and profiles. A program takes it before it reads a file that it will change and
//! write back, so that of two writers neither undoes the other's change.

use crate::base::clock::Clock;
use crate::base::exit::Failure;
use crate::base::paths::Paths;
use crate::store::lock::FileLock;
use std::time::Duration;

/// How long a writer waits for another one.
const LOCK_WAIT: Duration = Duration::from_secs(4);

/// Proof that the lock is held: every write of the registry or a profile requires it.
#[derive(Debug)]
pub struct OneWriter {
    _lock: FileLock,
}

impl OneWriter {
    /// Takes the lock for `program`.
    pub(crate) fn acquire(paths: &Paths, program: &str, clock: &dyn Clock) -> Result<OneWriter, Failure> {
        paths.refuse_the_real_one()?;
        Ok(OneWriter { _lock: FileLock::acquire(&paths.registry_lock(), program, LOCK_WAIT, clock)? })
    }

    /// For tests, each of which has its own folder and lock.
    #[cfg(test)]
    pub(crate) fn alone(dir: &std::path::Path) -> OneWriter {
        let clock = crate::base::clock::SystemClock::default();
        OneWriter { _lock: FileLock::acquire(&dir.join("lock"), "test", LOCK_WAIT, &clock).unwrap() }
    }
}
