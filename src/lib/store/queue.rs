//! `<identity>.queue/`: the durable queue of one peer, and `outbox/<host>.queue/`: that of another host.
//!
//! ```text
//! NNNNNN            waiting, in the order of acceptance (at least six digits, sorted as numbers)
//! inflight/NNNNNN   being delivered, delivered without evidence yet, or a worker's current task
//! dead/NNNNNN       given up: the reason is in the item
//! corrupt/NNNNNN    unreadable, with NNNNNN.reason beside it
//! seq               last number given; its flock orders acceptance, so numbers never go back
//! ```

use crate::base::StateFile;
use crate::base::address::HostName;
use crate::base::clock::{Clock, EpochMs};
use crate::base::exit::Failure;
use crate::base::identity::Identity;
use crate::base::message_id::MessageId;
use crate::base::paths::{self, Paths};
use crate::base::step::{self, Point};
use crate::store::due::Due;
use crate::store::durable::{self, Published, StoreError};
use crate::store::field_error::ItemFault;
use crate::store::lock::{FileLock, LockError};
use std::fs::{self, DirEntry, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use crate::store::queue_item::{Errand, Item, Passed, Place, Receipt, Seq, Settled, nobody};

/// How long an acceptance waits for another one, which takes a few milliseconds.
const SEQ_WAIT: Duration = Duration::from_secs(10);
/// How many bytes of `seq` are read: a number has 20 digits at most.
const NUMBER_MAX: u64 = 4096;

/// The folders above a queue's that iapeer may have created (`lifecycle`, `state`, the root), and the one above these.
const LEVELS: usize = 4;

/// A failed queue operation.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// A file operation failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another program kept the lock that orders acceptance.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A folder could not be created.
    #[error("{0}")]
    Folder(Failure),
}

impl From<QueueError> for Failure {
    fn from(error: QueueError) -> Self {
        match error {
            QueueError::Store(error) => error.into(),
            QueueError::Lock(error) => error.into(),
            QueueError::Folder(failure) => failure,
        }
    }
}

/// The queue of one peer, or of one other host.
#[derive(Debug, Clone)]
pub struct Queue {
    /// The peer, and the marks for the tick. `None` for an outbox, which needs no mark: a tick examines every outbox.
    peer: Option<(Identity, Due)>,
    pub(crate) dir: PathBuf,
}

impl Queue {
    /// The queue of `identity`. Nothing is created before something is accepted.
    pub fn of(paths: &Paths, identity: &Identity) -> Queue {
        let peer = Some((identity.clone(), Due::of(paths)));
        Queue { peer, dir: paths.state(identity, StateFile::Queue) }
    }

    /// The outbox: what waits for `host`.
    pub fn outbox(paths: &Paths, host: &HostName) -> Queue {
        Queue { peer: None, dir: paths.outbox(host, StateFile::Queue.suffix()) }
    }

    fn mark_due(&self) -> Result<(), StoreError> {
        self.peer.iter().try_for_each(|(identity, due)| due.mark(identity))
    }

    /// The queue's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn folder(&self, place: Place) -> PathBuf {
        self.dir.join(place.folder())
    }

    /// The file of an item.
    pub fn path(&self, place: Place, seq: Seq) -> PathBuf {
        self.folder(place).join(seq.to_string())
    }

    fn make(&self, place: Place) -> Result<PathBuf, QueueError> {
        let dir = self.folder(place);
        paths::create_dirs(&dir).map_err(QueueError::Folder).map(|()| dir)
    }

    /// The lock that orders acceptance, which also holds the last number.
    pub(crate) fn order_lock(&self) -> PathBuf {
        self.dir.join("seq")
    }

    /// Takes [`Queue::order_lock`]: while the lock is held, no message is accepted.
    pub(crate) fn hold_order(&self, clock: &dyn Clock) -> Result<FileLock, QueueError> {
        Ok(FileLock::acquire_unsigned(&self.order_lock(), SEQ_WAIT, clock)?)
    }

    /// Accepts `item` durably and returns its place in the order. An error means that nothing was kept.
    pub fn accept(&self, item: &Item, clock: &dyn Clock) -> Result<Seq, QueueError> {
        self.make(Place::Waiting)?;
        let path = &self.order_lock();
        let order = self.hold_order(clock)?;
        let failed = |what| move |error| StoreError::io(what, path, error);
        let mut noted = Vec::new();
        order.file().take(NUMBER_MAX).read_to_end(&mut noted).map_err(failed("read"))?;
        let mut next = self.after(self.last_number(&noted)?)?;
        while Place::ALL.iter().any(|place| self.path(*place, next).exists()) {
            next = self.after(next)?;
        }
        let bytes = self.encode(Place::Waiting, next, item)?;
        if noted.is_empty() {
            self.sync_above()?;
        }
        // The number is written before the item: on a disk that is too full for the number no item is kept.
        write_number(order.file(), path, next, noted.len()).map_err(failed("write"))?;
        self.mark_due()?;
        match durable::publish(&self.path(Place::Waiting, next), &bytes)? {
            Published::Done => {
                // The item is accepted even if this mark fails: a drain is started, and a full tick finds the item.
                let _ = self.mark_due();
                Ok(next)
            }
            Published::Taken => {
                let why = format!("number {next} was taken by something that ignores the lock");
                Err(StoreError::Corrupt { path: path.clone(), why }.into())
            }
        }
    }

    /// Makes a new queue's folder durable, and the folders above it: a power cut must not remove them together with
    /// accepted messages. The program that created them may have been killed before it synced them.
    fn sync_above(&self) -> Result<(), StoreError> {
        for dir in self.dir.ancestors().skip(1).take(LEVELS) {
            match step::sync_dir(Point::QueueSyncAbove, dir) {
                // The folder above the root belongs to somebody else.
                Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {}
                synced => synced.map_err(|error| StoreError::io("sync", dir, error))?,
            }
        }
        Ok(())
    }

    /// The last number given: the content of `seq`, or the highest number in use where that is higher or `seq` can't be
    /// read (a power cut may take back the newest content of `seq`).
    fn last_number(&self, noted: &[u8]) -> Result<Seq, QueueError> {
        let noted = std::str::from_utf8(noted).ok().and_then(|text| text.trim().parse().ok()).map(Seq);
        let mut last = self.list(Place::Waiting)?.last().copied().unwrap_or(Seq(0));
        if let Some(noted) = noted.filter(|noted| *noted >= last) {
            return Ok(noted);
        }
        for place in [Place::Inflight, Place::Dead, Place::Corrupt] {
            last = last.max(self.list(place)?.last().copied().unwrap_or(last));
        }
        Ok(last)
    }

    fn after(&self, seq: Seq) -> Result<Seq, QueueError> {
        let exhausted = || StoreError::Corrupt { path: self.order_lock(), why: format!("no number follows {seq}") };
        Ok(seq.0.checked_add(1).map(Seq).ok_or_else(exhausted)?)
    }

    fn encode(&self, place: Place, seq: Seq, item: &Item) -> Result<Vec<u8>, QueueError> {
        serde_json::to_vec(item)
            .map_err(|error| StoreError::Corrupt { path: self.path(place, seq), why: error.to_string() }.into())
    }

    /// The items in `place`, ascending: its regular files. A missing folder is empty; an unreadable one is an error.
    pub fn list(&self, place: Place) -> Result<Vec<Seq>, StoreError> {
        let mut found: Vec<Seq> = durable::entries_of(&self.folder(place))?.iter().filter_map(Queue::item_of).collect();
        found.sort_unstable();
        Ok(found)
    }

    /// The number of the item that `entry` of a queue's folder is.
    pub(crate) fn item_of(entry: &DirEntry) -> Option<Seq> {
        Seq::parse(entry.file_name().to_str()?).filter(|_| entry.file_type().is_ok_and(|kind| kind.is_file()))
    }

    /// Renames items that were put there by hand under another form of their number: `7` becomes `000007`, unless
    /// `000007` exists. An item that another program moves between the two steps may be adopted once more; its id stays
    /// the same, so the second copy is dropped as a duplicate.
    pub(crate) fn adopt(&self) -> Result<(), StoreError> {
        for name in durable::names_of(&self.dir)? {
            let Some(seq) = Seq::number(&name).filter(|seq| seq.to_string() != name) else { continue };
            let path = self.dir.join(&name);
            let Some(found) = path.symlink_metadata().ok().filter(fs::Metadata::is_file) else { continue };
            let is_same = |place| {
                let other = self.path(place, seq).symlink_metadata();
                other.is_ok_and(|other| (other.dev(), other.ino()) == (found.dev(), found.ino()))
            };
            // The file has both names where an earlier adoption was cut short.
            if Place::ALL.into_iter().any(is_same)
                || step::link(Point::AdoptLink, &path, &self.path(Place::Waiting, seq)).is_ok()
            {
                step::unlink(Point::AdoptUnlink, &path).map_err(|error| StoreError::io("remove", &path, error))?;
            }
        }
        Ok(())
    }

    /// Reads an item. `None`: it is gone, or it is unreadable and was moved to `corrupt/` with the reason beside it.
    pub fn read(&self, place: Place, seq: Seq) -> Result<Option<Item>, QueueError> {
        let path = self.path(place, seq);
        let decoded = match durable::read_optional(&path) {
            Ok(None) => return Ok(None),
            Ok(Some(bytes)) => self.decode(&path, seq, &bytes),
            Err(StoreError::Unfit(unfit)) => Err(unfit.fault.into()),
            Err(error) => return Err(error.into()),
        };
        match decoded {
            Ok(item) => Ok(Some(item)),
            Err(why) => {
                let dir = self.make(Place::Corrupt)?;
                tracing::warn!("{} is not readable ({why}): moved to {}", path.display(), dir.display());
                durable::write_atomic(&dir.join(format!("{seq}.reason")), format!("{why}\n").as_bytes())?;
                durable::move_file(&path, &self.path(Place::Corrupt, seq))?;
                Ok(None)
            }
        }
    }

    /// Reads an item and leaves an unreadable one where it is.
    pub fn peek(&self, place: Place, seq: Seq) -> Option<Item> {
        let path = self.path(place, seq);
        self.decode(&path, seq, &durable::read_optional(&path).ok()??).ok()
    }

    /// An item of the earlier system has no id and no time of acceptance: both are derived from the file's modification
    /// time and the item's number, which a move does not change.
    fn decode(&self, path: &Path, seq: Seq, bytes: &[u8]) -> Result<Item, ItemFault> {
        let mut item = Item::decode(bytes)?;
        if item.id == MessageId::nil() || item.accepted == EpochMs::default() {
            let written = fs::metadata(path).and_then(|meta| meta.modified()).map_err(ItemFault::NoTime)?;
            if item.accepted == EpochMs::default() {
                item.accepted = written.into();
            }
            if item.id == MessageId::nil() {
                item.id = match &self.peer {
                    Some((identity, _)) => MessageId::of(item.accepted, &(identity, seq)),
                    None => MessageId::of(item.accepted, &seq),
                };
            }
        }
        Ok(item)
    }

    /// Moves an item. `Ok(false)`: the item was not in `from`.
    pub(crate) fn shift(&self, seq: Seq, from: Place, to: Place) -> Result<bool, QueueError> {
        self.make(to)?;
        let moved = durable::move_file(&self.path(from, seq), &self.path(to, seq))?;
        // The folder `to` may be new. A move from or to the queue's own folder has synced that folder already.
        if moved && from != Place::Waiting && to != Place::Waiting {
            let failed = |error| StoreError::io("sync", &self.dir, error);
            step::sync_dir(Point::QueueSyncDir, &self.dir).map_err(failed)?;
        }
        Ok(moved)
    }

    /// Replaces an item's content. An item that somebody has removed is not written again.
    pub fn update(&self, place: Place, seq: Seq, item: &Item) -> Result<(), QueueError> {
        if !self.path(place, seq).exists() {
            return Ok(());
        }
        let bytes = self.encode(place, seq, item)?;
        Ok(durable::write_atomic(&self.path(place, seq), &bytes)?)
    }

    /// Removes an item that is settled. `Ok(false)`: the item was not in `place`.
    pub fn remove(&self, place: Place, seq: Seq) -> Result<bool, QueueError> {
        Ok(durable::remove(&self.path(place, seq))?)
    }

    /// Accepts a dead item again, at the end of the order, and returns its new number. `None`: there is no such item.
    pub fn requeue(&self, seq: Seq, clock: &dyn Clock) -> Result<Option<Seq>, QueueError> {
        let Some(mut item) = self.read(Place::Dead, seq)? else { return Ok(None) };
        item.attempts = 0;
        item.reason = None;
        item.held = None;
        item.notice = None;
        let new = self.accept(&item, clock)?;
        // In this order a crash between the two steps leaves the message in the queue twice, and never loses it.
        self.remove(Place::Dead, seq)?;
        Ok(Some(new))
    }
}

/// Writes `number` over the `before` bytes of `seq`. In place, because the file is a lock: another program may hold or
/// await this very file.
fn write_number(seq: &File, path: &Path, number: Seq, before: usize) -> std::io::Result<()> {
    let text = format!("{}\n", number.0);
    step::overwrite(Point::SeqWrite, seq, path, text.as_bytes())?;
    // A number only grows, so the new text covers the old one; anything longer was garbage.
    if before > text.len() { step::truncate(Point::SeqTruncate, seq, path, text.len() as u64) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::SystemClock;
    use crate::base::identity::Intelligence;
    use std::os::unix::fs::PermissionsExt;

    fn queue(dir: &Path) -> Queue {
        let paths = Paths::read(|name| (name == "IAPEER_ROOT").then(|| dir.join("root"))).unwrap();
        paths.ensure().unwrap();
        Queue::of(&paths, &"parrot-bob".parse().unwrap())
    }

    fn item(task: &str) -> Item {
        Item::new(nobody(), Intelligence::Absent, task.into(), EpochMs(1))
    }

    #[test]
    fn numbers_never_go_back_even_when_the_queue_ran_dry_or_seq_was_lost() {
        let dir = tempfile::tempdir().unwrap();
        let (q, clock) = (queue(dir.path()), SystemClock::default());
        assert_eq!(q.accept(&item("a"), &clock).unwrap(), Seq(1));
        assert_eq!(q.accept(&item("b"), &clock).unwrap(), Seq(2));
        q.remove(Place::Waiting, Seq(1)).unwrap();
        q.remove(Place::Waiting, Seq(2)).unwrap();
        assert_eq!(q.accept(&item("c"), &clock).unwrap(), Seq(3));
        for (seq, next) in [("garbage\n", 4), ("2\n", 5), ("999999999999999999999999\n", 6)] {
            fs::write(q.dir.join("seq"), seq).unwrap();
            assert_eq!(q.accept(&item("d"), &clock).unwrap(), Seq(next), "{seq}");
        }
        fs::write(q.dir.join("seq"), u64::MAX.to_string()).unwrap();
        assert!(q.accept(&item("e"), &clock).is_err(), "there is no number left");
    }

    #[test]
    fn items_sort_as_numbers_past_six_digits() {
        let dir = tempfile::tempdir().unwrap();
        let (q, clock) = (queue(dir.path()), SystemClock::default());
        q.accept(&item("a"), &clock).unwrap();
        fs::write(q.dir.join("seq"), "999998\n").unwrap();
        for n in [999_999, 1_000_000, 1_000_001] {
            assert_eq!(q.accept(&item("x"), &clock).unwrap(), Seq(n));
        }
        assert_eq!(q.list(Place::Waiting).unwrap(), [Seq(1), Seq(999_999), Seq(1_000_000), Seq(1_000_001)]);
    }

    #[test]
    fn concurrent_acceptors_get_distinct_numbers() {
        let dir = tempfile::tempdir().unwrap();
        let (q, clock) = (queue(dir.path()), SystemClock::default());
        std::thread::scope(|scope| {
            for _ in 0..5 {
                scope.spawn(|| (0..10).for_each(|_| assert!(q.accept(&item("x"), &clock).is_ok())));
            }
        });
        let expected: Vec<Seq> = (1..=50).map(Seq).collect();
        assert_eq!(q.list(Place::Waiting).unwrap(), expected);
    }

    #[test]
    fn an_unreadable_item_is_moved_aside_with_its_reason_and_the_next_is_the_head() {
        let dir = tempfile::tempdir().unwrap();
        let (q, clock) = (queue(dir.path()), SystemClock::default());
        for bad in ["{torn", "{\"task\":\"  \"}", "{\"v\":2,\"task\":\"x\"}"] {
            let seq = q.accept(&item("x"), &clock).unwrap();
            fs::write(q.path(Place::Waiting, seq), bad).unwrap();
        }
        q.accept(&item("good"), &clock).unwrap();
        let (seq, head) = q.head(Place::Waiting).unwrap().unwrap();
        assert_eq!((seq, head.task.as_str()), (Seq(4), "good"));
        assert_eq!(q.list(Place::Corrupt).unwrap().len(), 3);
        assert!(q.dir.join("corrupt/000001.reason").exists());
    }

    #[test]
    fn an_item_of_the_earlier_system_is_read_and_keeps_its_id_wherever_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let q = queue(dir.path());
        q.make(Place::Waiting).unwrap();
        fs::write(q.path(Place::Waiting, Seq(1)), r#"{"task":"hello","topic":"t"}"#).unwrap();
        let (seq, item) = q.head(Place::Waiting).unwrap().unwrap();
        assert_eq!((item.task.as_str(), item.from == nobody(), item.attempts), ("hello", true, 0));
        assert_eq!(item.topic.as_ref().unwrap().as_str(), "t");
        assert!(item.accepted > EpochMs(1_000_000_000_000), "{item:?}");
        q.shift(seq, Place::Waiting, Place::Dead).unwrap();
        assert_eq!(q.peek(Place::Dead, seq), Some(item.clone()));
        assert_eq!(q.find(item.id).unwrap(), Some((Place::Dead, seq)));
        fs::write(q.path(Place::Waiting, Seq(2)), r#"{"task":"hello"}"#).unwrap();
        assert_ne!(q.peek(Place::Waiting, Seq(2)).unwrap().id, item.id);
    }

    #[test]
    fn what_was_put_there_by_hand_is_adopted_and_what_is_no_file_is_no_item() {
        let dir = tempfile::tempdir().unwrap();
        let q = queue(dir.path());
        q.make(Place::Waiting).unwrap();
        fs::write(q.dir.join("7"), r#"{"task":"by hand"}"#).unwrap();
        fs::write(q.dir.join("0000008"), r#"{"task":"taken"}"#).unwrap();
        fs::write(q.dir.join("000008"), r#"{"task":"eight"}"#).unwrap();
        std::os::unix::fs::symlink("nowhere", q.dir.join("000009")).unwrap();
        fs::create_dir(q.dir.join("000010")).unwrap();
        assert_eq!(q.list(Place::Waiting).unwrap(), [Seq(8)]);
        assert!(q.tend(Duration::from_secs(3600)).unwrap());
        q.adopt().unwrap();
        assert_eq!(q.list(Place::Waiting).unwrap(), [Seq(7), Seq(8)]);
        assert_eq!(q.peek(Place::Waiting, Seq(7)).unwrap().task, "by hand");
        assert_eq!(q.peek(Place::Waiting, Seq(8)).unwrap().task, "eight");
        assert!(!q.dir.join("7").exists() && q.dir.join("0000008").exists());
    }

    #[test]
    fn a_locked_queue_is_an_error_not_an_empty_one() {
        if nix::unistd::geteuid().is_root() {
            return eprintln!("SKIPPED: root reads every folder (tests/bad_state.rs tries it as somebody else)");
        }
        let dir = tempfile::tempdir().unwrap();
        let (q, clock) = (queue(dir.path()), SystemClock::default());
        q.accept(&item("a"), &clock).unwrap();
        fs::set_permissions(&q.dir, fs::Permissions::from_mode(0o000)).unwrap();
        assert!(q.list(Place::Waiting).is_err());
        fs::set_permissions(&q.dir, fs::Permissions::from_mode(0o700)).unwrap();
    }

    #[test]
    fn a_dead_item_comes_back_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let (q, clock) = (queue(dir.path()), SystemClock::default());
        let a = item("a");
        let seq = q.accept(&a, &clock).unwrap();
        q.accept(&item("b"), &clock).unwrap();
        q.shift(seq, Place::Waiting, Place::Dead).unwrap();
        assert_eq!(q.settled(seq), Settled::Dead);
        assert_eq!(q.find(a.id).unwrap(), Some((Place::Dead, seq)));
        assert_eq!(q.requeue(seq, &clock).unwrap(), Some(Seq(3)));
        assert_eq!(q.settled(seq), Settled::Gone);
    }
}
