//! What the threads of a bridge share.

use crate::base::clock::Deadline;
use crate::base::exit::{Exit, Failure};
use crate::telegram::notes::Notes;
use crate::world::World;
use crate::world::peer::Peer;
use std::path::Path;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

/// What both directions share.
pub(crate) struct Bridge<'w> {
    pub(crate) world: &'w World<'w>,
    /// The person, on runtime `telegram`.
    pub(crate) peer: Peer,
    notes: Mutex<Notes>,
}

impl<'w> Bridge<'w> {
    /// The bridge of `peer`, whose notes are in `folder`.
    pub(crate) fn new(world: &'w World<'w>, peer: Peer, folder: &Path) -> Result<Bridge<'w>, Failure> {
        Ok(Bridge { world, peer, notes: Mutex::new(Notes::read(folder)?) })
    }

    /// Which message of Telegram's is which of ours.
    pub(crate) fn notes(&self) -> Result<MutexGuard<'_, Notes>, Failure> {
        self.notes.lock().map_err(|_| Failure::new(Exit::Internal, "another thread of the bridge has failed"))
    }

    /// Waits for `time`, or until `over`.
    pub(crate) fn pause(&self, time: Duration, mut over: impl FnMut() -> bool) {
        const LOOK: Duration = Duration::from_millis(500);
        let deadline = Deadline::after(self.world.clock, time);
        while !deadline.passed(self.world.clock) && !over() {
            self.world.clock.sleep(LOOK.min(deadline.left(self.world.clock)));
        }
    }
}
