//! iapeer-reap: end sessions deliberately: by name, by policy, or from a plan.
//!
//! An intent is recorded before each end, so that the next tick finishes an end that a crash has interrupted, and no
//! canary records the end as a death. A line of a plan applies only to the session that it was made for; a plan with an
//! invalid line is refused before any session is ended.
//!
//! Exit: 0 · 64 usage · 65 an invalid plan · 66 no such file · 67 no such peer · 74 I/O · 75 a session could not be
//! ended · 77 permission · 78 configuration.

use iapeer::base::span::span;
use iapeer::base::{Exit, Failure};
use iapeer::cli::{self, Access, args};
use iapeer::mailbox::queues;
use iapeer::session::end::Park;
use iapeer::supervision::reap::{self, ReapAction, Reaped};
use iapeer::world::World;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let access = |given: &args::Reap| if given.dry_run { Access::ReadOnly } else { Access::Write };
    cli::main("iapeer-reap", access, run)
}

fn run(given: args::Reap, world: &World<'_>) -> Result<Exit, Failure> {
    let mut exit = Exit::Ok;
    let mut tell = |reaped: Reaped| {
        if reaped.action == ReapAction::Failed {
            exit = Exit::TryAgain;
        }
        cli::tell(given.json, &reaped, || {
            let reason = reaped.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            format!("{} {}{reason}", reaped.identity, reaped.action)
        });
    };
    if let Some(plan) = &given.plan {
        // The whole plan is read and checked before any session is ended.
        for line in reap::read_plan(&read(plan)?)? {
            tell(reap::planned(world, &line));
        }
    } else if given.idle {
        let older = match &given.older_than {
            Some(text) => span(text).ok_or_else(|| {
                Failure::new(Exit::Usage, "--older-than wants seconds, 0 or more, or a time as 90s, 10m, 2h")
            })?,
            None => world.settings.idle,
        };
        reap::idle(world, older, given.dry_run, tell)?;
    } else {
        let park = if given.no_park { Park::No } else { Park::Yes };
        for identity in queues::chosen(world, &given.identities)? {
            tell(reap::by_name(world, &identity, park, &given.reason));
        }
    }
    Ok(exit)
}

fn read(plan: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = if plan == Path::new("-") {
        std::io::stdin().read_to_end(&mut bytes)
    } else {
        std::fs::File::open(plan).and_then(|mut file| file.read_to_end(&mut bytes))
    };
    read.map_err(|error| Failure::new(Exit::NoInput, format!("cannot read {}: {error}", plan.display())))?;
    Ok(bytes)
}
