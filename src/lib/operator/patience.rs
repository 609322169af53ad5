//! Waiting for the program that has a peer's lock, and reporting to the operator which program that is, what it does,
//! and how long the wait may take.

use crate::base::identity::Identity;
use crate::base::{StateFile, output};
use crate::store::LockError;
use crate::store::lock;
use crate::store::session_record::{Phase, SessionRecord};
use crate::world::{Held, World};
use std::time::Duration;

/// A wait of up to this time is not reported.
const SILENT: Duration = Duration::from_millis(700);

/// Takes the lock of `identity`, waiting at most `wait`. A longer wait is reported on stderr: which program is waited for,
/// and what Ctrl-C would leave (`leaves`).
pub(crate) fn lock<'w>(
    world: &'w World<'_>,
    identity: &Identity,
    wait: Duration,
    leaves: &str,
) -> Result<Held<'w>, LockError> {
    match world.lock(identity, wait.min(SILENT)) {
        Err(LockError::Held { .. }) if wait > SILENT => {}
        taken => return taken,
    }
    let whom = whom(world, identity);
    output::complain(&format!("iapeer: waiting for {whom}, up to {}; Ctrl-C {leaves}", words(wait)));
    world.lock(identity, wait.saturating_sub(SILENT))
}

/// `iapeer-drain, pid 7, booting bob`: which program has the lock, and what it does.
pub(crate) fn whom(world: &World<'_>, identity: &Identity) -> String {
    let holder = lock::holder(&world.paths.state(identity, StateFile::Lock));
    // The program that has the lock wrote `pid 7 (iapeer-drain)`.
    let named = holder.split_once(" (").and_then(|(pid, program)| Some((pid, program.strip_suffix(')')?)));
    let (who, program) = match named {
        Some((pid, program)) => (format!("{program}, {pid}"), program),
        None => (holder.clone(), ""),
    };
    let name = identity.personality();
    let boots = SessionRecord::peek(world.paths, identity).is_some_and(|record| record.phase == Phase::Booting);
    match program {
        _ if boots => format!("{who}, booting {name}"),
        "iapeer-drain" => format!("{who}, delivering to {name}"),
        _ => format!("{who}, at work on {name}"),
    }
}

/// A length of time for people, rounded up: `90s`, `4m`.
pub(crate) fn words(length: Duration) -> String {
    let secs = length.as_millis().div_ceil(1000);
    if secs < 120 { format!("{secs}s") } else { format!("{}m", secs.div_ceil(60)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_as_a_table() {
        for (ms, said) in [(300, "1s"), (90_000, "90s"), (240_000, "4m"), (265_000, "5m")] {
            assert_eq!(words(Duration::from_millis(ms)), said);
        }
    }
}
