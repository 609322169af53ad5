//! The record of a failed tick, for hosts where nobody reads the output of cron's or a timer's programs.

use crate::base::clock::EpochMs;
use crate::base::exit::Failure;
use crate::base::paths::Paths;
use crate::store::durable;
use crate::world::World;
use serde::{Deserialize, Serialize};

/// A tick that could not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FailedTick {
    /// When it was tried.
    pub(crate) at: EpochMs,
    /// Why it could not run.
    pub(crate) why: String,
}

/// Notes that a tick could not run: the program that starts it each minute (cron) may discard what the tick prints.
pub fn note_failed(failure: &Failure) {
    let Ok(paths) = Paths::from_env() else { return };
    let failed = FailedTick { at: EpochMs::from(std::time::SystemTime::now()), why: failure.message.clone() };
    // Where not even this can be written, `iapeer doctor` finds by the time of the last tick that none runs.
    let _ = serde_json::to_vec(&failed).map(|text| durable::write_volatile(&paths.superviser_failed(), &text));
}

/// Removes the note about a failed tick, since a tick has run.
pub fn note_done(world: &World<'_>) -> Result<(), Failure> {
    let note = world.paths.superviser_failed();
    if note.exists() {
        durable::remove(&note)?;
    }
    Ok(())
}

/// The tick that could not run, where none has run since.
pub(crate) fn failed_tick(paths: &Paths) -> Option<FailedTick> {
    durable::peek_json(&paths.superviser_failed())
}
