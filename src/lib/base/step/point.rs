//! The kinds of steps, and a name for each place in the code that makes a step.

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
            pub(crate) const ALL: &[Point] = &[$(Point::$variant,)*];

            /// The point's name: what changes the file, and the step.
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
    /// The temporary file gets its content.
    TempWrite = "temp.write",
    /// The temporary file's content is made durable.
    TempSync = "temp.sync",
    /// The temporary file is removed, because something failed.
    TempDiscard = "temp.discard",
    /// The temporary file replaces a file durably.
    ReplaceRename = "replace.rename",
    /// The folder of a replaced file is made durable.
    ReplaceSyncDir = "replace.sync-dir",
    /// The temporary file replaces a file; a power cut may undo this.
    VolatileRename = "volatile.rename",
    /// The temporary file gets its second name, the one by which it is found.
    PublishLink = "publish.link",
    /// The folder of a published file is made durable.
    PublishSyncDir = "publish.sync-dir",
    /// A published file whose folder can't be made durable is taken back.
    PublishTakeBack = "publish.take-back",
    /// The temporary name of a published file is removed.
    PublishUnlinkTemp = "publish.unlink-temp",
    /// A file is moved.
    MoveRename = "move.rename",
    /// The folder that a moved file is in now is made durable.
    MoveSyncTo = "move.sync-to",
    /// The folder that a moved file was in is made durable.
    MoveSyncFrom = "move.sync-from",
    /// A file is removed.
    RemoveUnlink = "remove.unlink",
    /// The folder of a removed file is made durable.
    RemoveSyncDir = "remove.sync-dir",
    /// A file is removed together with its folder or with other files.
    TreeUnlink = "tree.unlink",
    /// A folder that is removed with its content is removed, once it is empty.
    TreeRmdir = "tree.rmdir",
    /// A folder is removed because nothing is in it any more.
    EmptyRmdir = "empty.rmdir",
    /// A file that a crash left is removed.
    SweepUnlink = "sweep.unlink",
    /// A folder is made.
    MkdirMake = "mkdir.make",
    /// The folder above a new one is made durable.
    MkdirSyncParent = "mkdir.sync-parent",
    /// The folders above a queue are made durable, before its first message.
    QueueSyncAbove = "queue.sync-above",
    /// The queue's folder is made durable, since a folder in it was used for the first time.
    QueueSyncDir = "queue.sync-dir",
    /// The number of the next message is noted.
    SeqWrite = "seq.write",
    /// What follows the noted number in the file is cut off.
    SeqTruncate = "seq.truncate",
    /// An item that was put into a queue by hand gets the name by which it is found.
    AdoptLink = "adopt.link",
    /// The name that such an item had is removed.
    AdoptUnlink = "adopt.unlink",
    /// The folder of the marks is made.
    DueMkdir = "due.mkdir",
    /// A peer is marked for the next tick.
    DueMark = "due.mark",
    /// The mark of a peer is renamed, before a last check whether a tick may remove it.
    DueUnmarking = "due.unmarking",
    /// The mark of a peer is removed.
    DueUnmark = "due.unmark",
    /// A history is opened, and made where it is missing.
    HistoryOpen = "history.open",
    /// A full history is renamed.
    HistoryRotate = "history.rotate",
    /// A line is appended to a history.
    HistoryAppend = "history.append",
    /// An event log is opened, and made where it is missing.
    LogOpen = "log.open",
    /// An older event log gets the next higher number.
    LogShift = "log.shift",
    /// A full event log is renamed.
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
    /// The file of notes about what Telegram has taken is opened, and made where it is missing.
    NoteOpen = "note.open",
    /// What Telegram has taken is noted.
    NoteAppend = "note.append",
    /// The note is made durable.
    NoteSync = "note.sync",
    /// An unfinished file that comes from another host is opened, and made where it is missing.
    PartOpen = "part.open",
    /// A part of that file is written.
    PartWrite = "part.write",
    /// The unfinished file is removed, once the whole file is in its place.
    PartRemove = "part.remove",
    /// The note that a host can't be reached is removed.
    AwayRemove = "away.remove",
    /// A hook has taken the answer to its request.
    AnswerTake = "answer.take",
    /// A request that is over is removed, and so is its answer.
    AnswerRemove = "answer.remove",
    /// A question whose asker has stopped waiting is removed.
    AskRemove = "ask.remove",
}

/// What a step does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Act<'a> {
    /// Opens a file; makes it where it is missing.
    Open(&'a Path),
    /// Writes to a file, from this byte on; `None`: at its end.
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
    /// Removes an empty folder.
    Rmdir(&'a Path),
    /// Asks for a lock.
    Lock(&'a Path),
}
