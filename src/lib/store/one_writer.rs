//! The one writer of registry and profiles. What is read, changed and written back is read under this lock: of two
//! writers at once neither undoes what the other has just written.

use crate::base::clock::Clock;
use crate::base::exit::Failure;
use crate::base::paths::Paths;
use crate::store::lock::FileLock;
use std::time::Duration;

/// How long a writer waits for another one.
const LOCK_WAIT: Duration = Duration::from_secs(4);

/// Proof that the lock is held: nothing writes the registry or a profile without it.
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

    /// For tests of what is written, alone in a folder of their own.
    #[cfg(test)]
    pub(crate) fn alone(dir: &std::path::Path) -> OneWriter {
        let clock = crate::base::clock::SystemClock::default();
        OneWriter { _lock: FileLock::acquire(&dir.join("lock"), "test", LOCK_WAIT, &clock).unwrap() }
    }
}
