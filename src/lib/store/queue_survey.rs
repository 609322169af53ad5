//! Questions about a whole queue: how many items it has, where an item is, whether anything waits.

use super::durable::{self, StoreError};
use super::queue::{Queue, QueueError};
use super::queue_item::{Item, Place, Seq, Settled};
use crate::base::message_id::MessageId;
use std::time::Duration;

impl Queue {
    /// The first readable item in `place`.
    pub fn head(&self, place: Place) -> Result<Option<(Seq, Item)>, QueueError> {
        for seq in self.list(place)? {
            if let Some(item) = self.read(place, seq)? {
                return Ok(Some((seq, item)));
            }
        }
        Ok(None)
    }

    /// The number of items in each place, in the order of `Place::ALL`.
    pub fn counts(&self) -> Result<[usize; 4], StoreError> {
        // Most queues have no `dead/`: a folder that the queue's own folder does not list is not opened.
        let own = durable::entries_of(&self.folder(Place::Waiting))?;
        let mut counts = [0; 4];
        for (count, place) in counts.iter_mut().zip(Place::ALL) {
            *count = match place {
                Place::Waiting => own.iter().filter_map(Queue::item_of).count(),
                _ if own.iter().any(|entry| entry.file_name() == place.folder()) => self.list(place)?.len(),
                _ => 0,
            };
        }
        Ok(counts)
    }

    /// Whether any item waits.
    pub(crate) fn has_waiting(&self) -> Result<bool, StoreError> {
        Ok(!self.list(Place::Waiting)?.is_empty())
    }

    /// Whether no item waits and none is in flight.
    pub fn is_at_rest(&self) -> Result<bool, StoreError> {
        Ok(self.list(Place::Waiting)?.is_empty() && self.list(Place::Inflight)?.is_empty())
    }

    /// Where the item numbered `seq` is now.
    pub fn settled(&self, seq: Seq) -> Settled {
        // Where a folder can't be read, the item counts as still there.
        let is_in = |place| durable::exists(&self.path(place, seq)).unwrap_or(true);
        // An item moves waiting → inflight → waiting: the places are searched twice, so that a move during the first
        // search can't hide it.
        for _ in 0..2 {
            if is_in(Place::Waiting) {
                return Settled::Waiting;
            }
            if is_in(Place::Inflight) {
                return Settled::Inflight;
            }
        }
        if is_in(Place::Dead) { Settled::Dead } else { Settled::Gone }
    }

    /// The first item that is `wanted`, is in flight or waits, and has no evidence that it landed.
    pub(crate) fn still_waits(&self, wanted: impl Fn(&Item) -> bool) -> Result<Option<Item>, StoreError> {
        for place in [Place::Inflight, Place::Waiting] {
            for seq in self.list(place)? {
                let waits = |item: &Item| wanted(item) && item.landed.is_none();
                if let Some(item) = self.peek(place, seq).filter(waits) {
                    return Ok(Some(item));
                }
            }
        }
        Ok(None)
    }

    /// Finds an item by its id.
    pub fn find(&self, id: MessageId) -> Result<Option<(Place, Seq)>, QueueError> {
        for place in Place::ALL {
            if let Some(seq) = self.find_in(place, id)? {
                return Ok(Some((place, seq)));
            }
        }
        Ok(None)
    }

    /// Finds an item in `place` by its id.
    pub(crate) fn find_in(&self, place: Place, id: MessageId) -> Result<Option<Seq>, QueueError> {
        let is_it = |seq: &Seq| self.peek(place, *seq).is_some_and(|item| item.id == id);
        Ok(self.list(place)?.into_iter().find(is_it))
    }

    /// Removes temporary files older than `age`, which a crash left behind, and returns whether any item waits or is in
    /// flight. Each folder is read once, since a tick does this for many peers. A folder that can't be read is an
    /// error.
    pub(crate) fn tend(&self, age: Duration) -> Result<bool, StoreError> {
        let names = durable::names_of(&self.dir)?;
        durable::sweep(&self.dir, &names, age);
        let holds_items = |names: &[String]| names.iter().any(|name| Seq::number(name).is_some());
        let mut due = holds_items(&names);
        for place in [Place::Inflight, Place::Dead, Place::Corrupt] {
            if names.iter().any(|name| name == place.folder()) {
                let dir = self.folder(place);
                let names = durable::names_of(&dir)?;
                durable::sweep(&dir, &names, age);
                due |= place == Place::Inflight && holds_items(&names);
            }
        }
        Ok(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Paths;
    use crate::base::clock::{EpochMs, SystemClock};
    use crate::base::identity::Intelligence;
    use crate::store::queue_item::nobody;
    use std::fs;
    use std::path::Path;

    fn queue(dir: &Path) -> Queue {
        let paths = Paths::read(|name| (name == "IAPEER_ROOT").then(|| dir.join("root"))).unwrap();
        paths.ensure().unwrap();
        Queue::of(&paths, &"parrot-bob".parse().unwrap())
    }

    fn item(task: &str) -> Item {
        Item::new(nobody(), Intelligence::Absent, task.into(), EpochMs(1))
    }

    #[test]
    fn tending_a_queue_sweeps_litter_and_tells_what_is_due() {
        let dir = tempfile::tempdir().unwrap();
        let (q, clock) = (queue(dir.path()), SystemClock::default());
        let hour = Duration::from_secs(3600);
        assert!(!q.tend(hour).unwrap(), "no queue");
        let seq = q.accept(&item("a"), &clock).unwrap();
        assert!(q.tend(hour).unwrap());
        q.shift(seq, Place::Waiting, Place::Inflight).unwrap();
        assert!(q.tend(hour).unwrap());
        q.shift(seq, Place::Inflight, Place::Dead).unwrap();
        assert!(!q.tend(hour).unwrap(), "a dead letter waits for a person");
        for place in [Place::Waiting, Place::Inflight, Place::Dead] {
            let litter = q.folder(place).join(".tmp-1-2-3");
            fs::write(&litter, "").unwrap();
            q.tend(hour).unwrap();
            assert!(litter.exists(), "somebody may be writing it");
            q.tend(Duration::ZERO).unwrap();
            assert!(!litter.exists());
        }
    }

    #[test]
    fn an_adoption_that_was_cut_short_leaves_one_name() {
        let dir = tempfile::tempdir().unwrap();
        let q = queue(dir.path());
        for place in [Place::Waiting, Place::Inflight] {
            fs::create_dir_all(q.folder(place)).unwrap();
            fs::write(q.dir.join("7"), r#"{"task":"by hand"}"#).unwrap();
            fs::hard_link(q.dir.join("7"), q.path(place, Seq(7))).unwrap();
            q.adopt().unwrap();
            assert!(!q.dir.join("7").exists() && q.list(place).unwrap() == [Seq(7)], "{place:?}");
            q.remove(place, Seq(7)).unwrap();
        }
        assert!(!q.tend(Duration::from_secs(3600)).unwrap(), "nothing is left to start a drain for");
    }
}
