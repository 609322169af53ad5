//! Completing interrupted verbs: carries out the remaining steps of their intents.

use crate::base::exit::{Exit, Failure};
use crate::roster::journal::{self, Journal, RosterAct, RosterIntent};
use crate::roster::{create, remove, rename};
use crate::store::event_log::Event;
use crate::world::World;
use std::time::Duration;

/// How long a program that is started waits for a verb at work: it takes milliseconds once its intent is written.
const PATIENCE: Duration = Duration::from_secs(2);

/// Finishes every verb that was cut short, for a program that is about to do something else. What can't be finished now
/// is said, and stays for a later one.
pub fn finish_all(world: &World<'_>) {
    if let Err(failure) = try_finish_all(world, PATIENCE) {
        tracing::warn!("{failure}");
    }
}

/// The same; the error is that of the first one that can't be finished.
pub(crate) fn try_finish_all(world: &World<'_>, wait: Duration) -> Result<(), Failure> {
    let journal = match Journal::take(world, wait) {
        Ok(journal) => journal,
        // Somebody is at work on it.
        Err(failure) if failure.exit == Exit::TryAgain => return Ok(()),
        Err(failure) => return Err(failure),
    };
    let mut first = Ok(());
    for intent in journal::pending(world.paths) {
        let finished = intent.map_err(|bad| bad.failure).and_then(|intent| finish(world, &journal, &intent));
        first = first.and(finished);
    }
    journal.tidy();
    first
}

fn finish(world: &World<'_>, journal: &Journal<'_>, intent: &RosterIntent) -> Result<(), Failure> {
    let finished = match &intent.act {
        RosterAct::Create(creation) => create::finish(world, journal, creation),
        RosterAct::Rename(renaming) => rename::finish(world, journal, renaming),
        RosterAct::Remove(removal) => remove::finish(world, journal, removal),
    };
    let event = Event::new("verb-finished")
        .field("verb", intent.act.describe())
        .field("begun_by", &intent.by)
        .field("ok", finished.is_ok())
        .maybe("reason", finished.as_ref().err());
    world.lifecycle(&event);
    finished.map_err(|failure| intent.act.unfinished(&failure))
}
