//! The steps by which files change for good: one function for each kind of operation, one name for each place in the
//! code that makes one.
//!
//! A build with the feature `failpoints` can be told to die at a step, to fail it, or to record it (`failpoints.rs`);
//! every other build does the operation and nothing else. A crash is a death between two steps, so whoever tries each
//! step in turn has tried them all.

#[cfg(feature = "failpoints")]
pub mod failpoints;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

macro_rules! points {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// A place in the code that makes a step.
        #[derive(Clone, Copy, PartialEq, Eq)]
        pub enum Point {
            $($(#[$doc])* $variant,)*
        }

        #[cfg(feature = "failpoints")]
        impl Point {
            /// All of them.
            pub const ALL: &[Point] = &[$(Point::$variant,)*];

            /// Its name: what writes, and the step.
            pub fn name(self) -> &'static str {
                match self {
                    $(Point::$variant => $name,)*
                }
            }
        }
    };
}

points! {
    /// A temporary file is made.
    TempOpen = "temp.open",
    /// It gets its content.
    TempWrite = "temp.write",
    /// Its content is made durable.
    TempSync = "temp.sync",
    /// It is taken away again, because something failed.
    TempDiscard = "temp.discard",
    /// It replaces a file durably.
    ReplaceRename = "replace.rename",
    /// The folder of a replaced file is made durable.
    ReplaceSyncDir = "replace.sync-dir",
    /// It replaces a file that a power cut may take back.
    VolatileRename = "volatile.rename",
    /// It gets its second name, by which it is found.
    PublishLink = "publish.link",
    /// The folder of a published file is made durable.
    PublishSyncDir = "publish.sync-dir",
    /// A published file whose folder can't be made durable is taken back.
    PublishTakeBack = "publish.take-back",
    /// The first name of a published file goes.
    PublishUnlinkTemp = "publish.unlink-temp",
    /// A file is moved.
    MoveRename = "move.rename",
    /// The folder that it is in now is made durable.
    MoveSyncTo = "move.sync-to",
    /// The folder that it was in is made durable.
    MoveSyncFrom = "move.sync-from",
    /// A file is removed.
    RemoveUnlink = "remove.unlink",
    /// The folder of a removed file is made durable.
    RemoveSyncDir = "remove.sync-dir",
    /// What a crash left is removed.
    SweepUnlink = "sweep.unlink",
    /// A folder is made.
    MkdirMake = "mkdir.make",
    /// The folder above a new one is made durable.
    MkdirSyncParent = "mkdir.sync-parent",
    /// The folders above a queue are made durable, before its first message.
    QueueSyncAbove = "queue.sync-above",
    /// The queue's folder is made durable, since another one in it was used for the first time.
    QueueSyncDir = "queue.sync-dir",
    /// The number of the next message is noted.
    SeqWrite = "seq.write",
    /// What stood behind the noted number is cut off.
    SeqTruncate = "seq.truncate",
    /// An item that was put into a queue by hand gets the name by which it is found.
    AdoptLink = "adopt.link",
    /// The name that it had goes.
    AdoptUnlink = "adopt.unlink",
    /// The folder of the marks is made.
    DueMkdir = "due.mkdir",
    /// A peer is marked for the next tick.
    DueMark = "due.mark",
    /// The mark is taken away.
    DueUnmark = "due.unmark",
    /// A history is opened, and made where it is missing.
    HistoryOpen = "history.open",
    /// A full history is put aside.
    HistoryRotate = "history.rotate",
    /// A line is appended to a history.
    HistoryAppend = "history.append",
    /// An event log is opened, and made where it is missing.
    LogOpen = "log.open",
    /// An older event log moves one number up.
    LogShift = "log.shift",
    /// A full event log is put aside.
    LogRotate = "log.rotate",
    /// A line is appended to an event log.
    LogAppend = "log.append",
    /// A line of `exits.log` is made durable.
    ExitsSync = "exits.sync",
    /// The folder of `exits.log` is made durable.
    ExitsSyncDir = "exits.sync-dir",
    /// A lock file is opened, and made where it is missing.
    LockOpen = "lock.open",
    /// A lock is asked for.
    LockTake = "lock.take",
}

/// What a step does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Act<'a> {
    /// Opens a file; makes it where it is missing.
    Open(&'a Path),
    /// Writes to a file, from this place on; `None`: at its end.
    Write(&'a Path, Option<u64>, &'a [u8]),
    /// Cuts a file to a length.
    Truncate(&'a Path, u64),
    /// Makes a file's content durable.
    Sync(&'a Path),
    /// Makes a folder's names durable.
    SyncDir(&'a Path),
    /// Gives a file a second name.
    Link(&'a Path, &'a Path),
    /// Moves a file.
    Rename(&'a Path, &'a Path),
    /// Removes a name.
    Unlink(&'a Path),
    /// Makes a folder.
    Mkdir(&'a Path),
    /// Asks for a lock.
    Lock(&'a Path),
}

fn step<T>(point: Point, act: Act<'_>, run: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    #[cfg(feature = "failpoints")]
    return failpoints::step(point, act, run);
    #[cfg(not(feature = "failpoints"))]
    {
        let _ = (point, act);
        run()
    }
}

/// Opens `path` with `options`, to which 0600 for a new file is added.
pub(crate) fn open(point: Point, path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    step(point, Act::Open(path), || options.mode(0o600).open(path))
}

/// Writes `bytes` to `file`, which is `path`, where it stands: at its start, or, opened for appending, at its end.
pub(crate) fn write(point: Point, mut file: &File, path: &Path, bytes: &[u8]) -> io::Result<()> {
    step(point, Act::Write(path, Some(0), bytes), || file.write_all(bytes))
}

/// Appends `bytes` to `file`, which is `path` and opened for appending.
pub(crate) fn append(point: Point, mut file: &File, path: &Path, bytes: &[u8]) -> io::Result<()> {
    step(point, Act::Write(path, None, bytes), || file.write_all(bytes))
}

/// Writes `bytes` over the start of `file`, which is `path`.
pub(crate) fn overwrite(point: Point, mut file: &File, path: &Path, bytes: &[u8]) -> io::Result<()> {
    file.rewind()?;
    write(point, file, path, bytes)
}

/// Cuts `file`, which is `path`, to `len` bytes.
pub(crate) fn truncate(point: Point, file: &File, path: &Path, len: u64) -> io::Result<()> {
    step(point, Act::Truncate(path, len), || file.set_len(len))
}

/// Makes the content of `file`, which is `path`, durable.
pub(crate) fn sync(point: Point, file: &File, path: &Path) -> io::Result<()> {
    step(point, Act::Sync(path), || file.sync_all())
}

/// Makes the names in `dir` durable.
pub(crate) fn sync_dir(point: Point, dir: &Path) -> io::Result<()> {
    step(point, Act::SyncDir(dir), || File::open(dir)?.sync_all())
}

/// Gives the file `from` the second name `to`, which must be free.
pub(crate) fn link(point: Point, from: &Path, to: &Path) -> io::Result<()> {
    step(point, Act::Link(from, to), || fs::hard_link(from, to))
}

/// Moves `from` to `to`.
pub(crate) fn rename(point: Point, from: &Path, to: &Path) -> io::Result<()> {
    step(point, Act::Rename(from, to), || fs::rename(from, to))
}

/// Removes the name `path`.
pub(crate) fn unlink(point: Point, path: &Path) -> io::Result<()> {
    step(point, Act::Unlink(path), || fs::remove_file(path))
}

/// Makes the folder `dir`, 0700.
pub(crate) fn mkdir(point: Point, dir: &Path) -> io::Result<()> {
    step(point, Act::Mkdir(dir), || fs::DirBuilder::new().mode(0o700).create(dir))
}

/// Says that the lock at `path` is about to be asked for.
pub(crate) fn lock(point: Point, path: &Path) -> io::Result<()> {
    step(point, Act::Lock(path), || Ok(()))
}
