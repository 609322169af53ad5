//! Completing interrupted verbs: carries out the remaining steps of their intents.

use crate::base::exit::{Exit, Failure};
use crate::roster::journal::{self, Journal, RosterAct, RosterIntent};
use crate::roster::{create, remove, rename};
use crate::store::event_log::Event;
use crate::world::World;
use std::time::Duration;

/// How long a starting program waits for a verb at work: a verb takes milliseconds once its intent is written.
const PATIENCE: Duration = Duration::from_secs(2);

/// Completes every interrupted verb, for a program that is about to do something else. A verb that can't be completed
/// now is reported on stderr and left to a later program.
pub fn finish_all(world: &World<'_>) {
    if let Err(failure) = try_finish_all(world, PATIENCE) {
        tracing::warn!("{failure}");
    }
}

/// [`finish_all`], which waits at most `wait` for a verb at work. The error is that of the first verb that can't be
/// completed.
pub(crate) fn try_finish_all(world: &World<'_>, wait: Duration) -> Result<(), Failure> {
    let journal = match Journal::take(world, wait) {
        Ok(journal) => journal,
        // Another program is at work on the verbs.
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
