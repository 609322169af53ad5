//! The steps by which files change for good: one function for each kind of step, and one name ([`Point`]) for each
//! place in the code that makes a step.
//!
//! A build with the feature `failpoints` can be told to die at a step, to fail it, or to record it (`failpoints.rs`);
//! every other build makes the step and nothing else. Every crash is a death between two steps, so that a test that
//! dies at each step in turn has tried every crash.

#[cfg(feature = "failpoints")]
pub mod failpoints;
mod point;

pub use point::{Act, Point};

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;

#[track_caller]
fn step<T>(point: Point, act: Act<'_>, run: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    #[cfg(feature = "failpoints")]
    return failpoints::step(point, act, run);
    #[cfg(not(feature = "failpoints"))]
    {
        let _ = (point, act);
        run()
    }
}

/// A place at which a build with the feature `failpoints` can be told to panic, as a mistake in the code would.
pub(crate) fn panic_point(name: &str) {
    #[cfg(feature = "failpoints")]
    failpoints::panic_at(name);
    #[cfg(not(feature = "failpoints"))]
    let _ = name;
}

/// Opens `path` with `options`; a new file gets mode 0600.
#[track_caller]
pub(crate) fn open(point: Point, path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    step(point, Act::Open(path), || options.mode(0o600).open(path))
}

/// Writes `bytes` to `file`, which is `path` and whose offset is at its start.
#[track_caller]
pub(crate) fn write(point: Point, mut file: &File, path: &Path, bytes: &[u8]) -> io::Result<()> {
    step(point, Act::Write(path, Some(0), bytes), || file.write_all(bytes))
}

/// Writes `bytes` to `file`, which is `path`, from the byte `at` on.
#[track_caller]
pub(crate) fn write_at(point: Point, file: &File, path: &Path, bytes: &[u8], at: u64) -> io::Result<()> {
    step(point, Act::Write(path, Some(at), bytes), || file.write_all_at(bytes, at))
}

/// Appends `bytes` to `file`, which is `path` and opened for appending.
#[track_caller]
pub(crate) fn append(point: Point, mut file: &File, path: &Path, bytes: &[u8]) -> io::Result<()> {
    step(point, Act::Write(path, None, bytes), || file.write_all(bytes))
}

/// Writes `bytes` over the start of `file`, which is `path`.
#[track_caller]
pub(crate) fn overwrite(point: Point, mut file: &File, path: &Path, bytes: &[u8]) -> io::Result<()> {
    file.rewind()?;
    write(point, file, path, bytes)
}

/// Cuts `file`, which is `path`, to `len` bytes.
#[track_caller]
pub(crate) fn truncate(point: Point, file: &File, path: &Path, len: u64) -> io::Result<()> {
    step(point, Act::Truncate(path, len), || file.set_len(len))
}

/// Makes the content of `file`, which is `path`, durable.
#[track_caller]
pub(crate) fn sync(point: Point, file: &File, path: &Path) -> io::Result<()> {
    step(point, Act::Sync(path), || file.sync_all())
}

/// Makes the names in `dir` durable.
#[track_caller]
pub(crate) fn sync_dir(point: Point, dir: &Path) -> io::Result<()> {
    step(point, Act::SyncDir(dir), || File::open(dir)?.sync_all())
}

/// Gives the file `from` the second name `to`, which must be free.
#[track_caller]
pub(crate) fn link(point: Point, from: &Path, to: &Path) -> io::Result<()> {
    step(point, Act::Link(from, to), || fs::hard_link(from, to))
}

/// Moves `from` to `to`.
#[track_caller]
pub(crate) fn rename(point: Point, from: &Path, to: &Path) -> io::Result<()> {
    step(point, Act::Rename(from, to), || fs::rename(from, to))
}

/// Removes the name `path`.
#[track_caller]
pub(crate) fn unlink(point: Point, path: &Path) -> io::Result<()> {
    step(point, Act::Unlink(path), || fs::remove_file(path))
}

/// Makes the folder `dir`, 0700.
#[track_caller]
pub(crate) fn mkdir(point: Point, dir: &Path) -> io::Result<()> {
    step(point, Act::Mkdir(dir), || fs::DirBuilder::new().mode(0o700).create(dir))
}

/// Removes the folder `dir`, which must be empty.
#[track_caller]
pub(crate) fn rmdir(point: Point, dir: &Path) -> io::Result<()> {
    step(point, Act::Rmdir(dir), || fs::remove_dir(dir))
}

/// The step before the lock at `path` is asked for. Does nothing by itself.
#[track_caller]
pub(crate) fn lock(point: Point, path: &Path) -> io::Result<()> {
    step(point, Act::Lock(path), || Ok(()))
}
