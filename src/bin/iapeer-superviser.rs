//! iapeer-superviser: one tick, which examines every session and acts where one needs it.
//!
//! 1. Take the tick's lock. If another tick is running, say so and exit 0.
//! 2. Examine each session once, decide by the table in `supervision/rule.rs`, and act under the identity's lock.
//! 3. Relaunch the sessions that asked for it, and start a drain for each queue in which an item waits.
//!
//! A peer whose files are bad never keeps the tick from the other peers. `--dry-run` changes nothing; its `--json` lines
//! are a plan for `iapeer-reap --plan -`.
//!
//! Exit: 0 unless the tick itself could not run · 64 usage · 67 no such peer · 74 I/O · 77 permission · 78
//! configuration.

use iapeer::base::span::said;
use iapeer::base::{Exit, Failure, output};
use iapeer::cli::{self, Access, args};
use iapeer::mailbox::queues;
use iapeer::store::{FileLock, LockError};
use iapeer::supervision::failed;
use iapeer::supervision::tick::{self, TickOptions};
use iapeer::world::Peer;
use iapeer::world::World;
use std::cell::Cell;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    // A tick over single identities has a caller who sees its failure. Nobody sees the failure of a tick that the timer
    // or cron starts, so it is noted in a file.
    let unseen = Cell::new(false);
    let access = |given: &args::Superviser| {
        unseen.set(!given.dry_run && given.only.is_empty());
        if given.dry_run { Access::ReadOnly } else { Access::Write }
    };
    cli::main_noting("iapeer-superviser", access, run, |failure| {
        if unseen.get() {
            failed::note_failed(failure);
        }
    })
}

fn run(given: args::Superviser, world: &World<'_>) -> Result<Exit, Failure> {
    let only = if given.only.is_empty() { Vec::new() } else { queues::chosen(world, &given.only)? };
    for identity in &only {
        // Such an identity is examined all the same: its session may have outlived its peer.
        if let Err(failure) = Peer::of(world.paths, identity) {
            output::complain(&format!("iapeer-superviser: {identity}: {failure}"));
        }
    }
    // A tick over single identities takes no lock: it need not wait for the timer's tick, nor delay it.
    let _lock = if given.dry_run || !only.is_empty() {
        None
    } else {
        match FileLock::acquire(&world.paths.superviser_lock(), world.program, Duration::ZERO, world.clock) {
            Ok(lock) => Some(lock),
            Err(LockError::Held { holder, .. }) => {
                let busy = serde_json::json!({ "tick": { "busy": holder } });
                cli::tell(given.json, &busy, || format!("a tick is running already, held by {holder}"));
                return Ok(Exit::Ok);
            }
            Err(error) => return Err(error.into()),
        }
    };
    let full = !given.dry_run && only.is_empty();
    let options = TickOptions { dry_run: given.dry_run, only, verbose: given.verbose };
    let summary = tick::tick(world, &options, |judged| {
        cli::tell(given.json, judged, || {
            let part =
                |name: &str, value: Option<String>| value.map(|value| format!("  {name}:{value}")).unwrap_or_default();
            format!(
                "{}  {}{}{}{}{}",
                judged.identity,
                judged.action.as_str(),
                part("age", judged.age_secs.map(|age| said(Duration::from_secs(age)))),
                part("outcome", judged.outcome.map(|outcome| outcome.to_string())),
                part("reason", judged.reason.clone()),
                part("by", judged.by.clone())
            )
        });
    })?;
    if full {
        failed::note_done(world)?;
    }
    cli::tell(given.json, &serde_json::json!({ "tick": summary }), || {
        format!(
            "tick: {} sessions, {} acted on, {} drains started, {} ms",
            summary.sessions, summary.acted, summary.drained, summary.ms
        )
    });
    Ok(Exit::Ok)
}
