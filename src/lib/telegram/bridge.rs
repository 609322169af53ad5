//! The state that the threads of a bridge share.

use crate::base::clock::Deadline;
use crate::base::exit::{Exit, Failure};
use crate::telegram::notes::{Note, Notes};
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
    /// Locked from before a message is sent until it is noted: the person may answer it in between.
    sending: Mutex<()>,
}

impl<'w> Bridge<'w> {
    /// The bridge of `peer`, whose notes are in `folder`.
    pub(crate) fn new(world: &'w World<'w>, peer: Peer, folder: &Path) -> Result<Bridge<'w>, Failure> {
        Ok(Bridge { world, peer, notes: Mutex::new(Notes::read(folder)?), sending: Mutex::new(()) })
    }

    /// The notes: which Telegram message belongs to which of iapeer's messages.
    pub(crate) fn notes(&self) -> Result<MutexGuard<'_, Notes>, Failure> {
        self.notes.lock().map_err(|_| another_failed())
    }

    /// The lock to take while a message is sent and noted.
    pub(crate) fn sending(&self) -> Result<MutexGuard<'_, ()>, Failure> {
        self.sending.lock().map_err(|_| another_failed())
    }

    /// The note of Telegram's message `message` of `bot`. A message that is being sent may be the one that is asked for: in
    /// that case this waits until it is noted.
    pub(crate) fn note_of(&self, bot: i64, message: i64) -> Result<Option<Note>, Failure> {
        let known = self.notes()?.of_message(bot, message).cloned();
        if known.is_some() {
            return Ok(known);
        }
        drop(self.sending()?);
        Ok(self.notes()?.of_message(bot, message).cloned())
    }

    /// Waits for `time`, or until `over` returns true.
    pub(crate) fn pause(&self, time: Duration, mut over: impl FnMut() -> bool) {
        const LOOK: Duration = Duration::from_millis(500);
        let deadline = Deadline::after(self.world.clock, time);
        while !deadline.passed(self.world.clock) && !over() {
            self.world.clock.sleep(LOOK.min(deadline.left(self.world.clock)));
        }
    }
}

fn another_failed() -> Failure {
    Failure::new(Exit::Internal, "another thread of the bridge has failed")
}
