//! iapeer-canary: watch one tmux server and record why it died.
//!
//! `iapeer-canary IDENTITY` runs in the foreground; a launch and the tick start it detached.
//! 1. Take `<identity>.canary.lock`, so that one canary watches each server.
//! 2. Open a pidfd (Linux) or a kqueue (macOS) on the recorded server's pid and start time, and start
//!    `tmux wait-for iap-canary-IDENTITY`, whose end tells how the server ended. Then sleep without polling. If the
//!    pane's program ends and tmux does not report it, record its end and start a tick, which removes the session.
//! 3. When the server has ended and an intent names it (a deliberate end), record nothing. Otherwise collect the evidence,
//!    decide on the cause, write the forensics file, one fsynced line in exits.log and `<identity>.last-death`, and end.
//!
//! A cause is recorded only if its evidence exists; a server that ended for an unknown cause is `server-vanished`.
//!
//! `iapeer-canary --beside FILE`, the first program of a session's pane, is no canary: it starts an app-server, waits
//! until the server listens, and becomes the session's program. A second process ends the server when that program ends.
//!
//! Exit: 0 done, or another canary watches · 64 usage · 67 no such peer · 69 no session to watch · 74 I/O · 75 no
//! canary could be started · 77 permission · 78 configuration.

use iapeer::base::{Exit, Failure, Identity};
use iapeer::canary::arm::{self, Armed};
use iapeer::canary::beside::BesidePlan;
use iapeer::canary::{pane, report, watch};
use iapeer::cli::{self, Access, args};
use iapeer::mailbox::queues;
use iapeer::store::pane_log::PaneLog;
use iapeer::store::session_record::SessionRecord;
use iapeer::world::PaneEnd;
use iapeer::world::World;
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let access = |given: &args::Canary| if given.report { Access::ReadOnly } else { Access::Write };
    iapeer::host::inherited::disown();
    // Watching takes a short way: a process that sleeps for days should not carry an argument parser's memory.
    if let Some(log) = lone_log() {
        iapeer::host::slim::slim();
        // The stream ends with the session; nobody reads the exit code.
        let _ = PaneLog::at(&log).keep(std::io::stdin().lock());
        return ExitCode::SUCCESS;
    }
    if let Some((file, program)) = beside() {
        return keep_beside(&file, program);
    }
    match lone_identity() {
        Some(identity) => iapeer::base::output::run("iapeer-canary", || {
            cli::with_world_without_actions("iapeer-canary", Access::Write, |world| {
                // A peer's name (`code-review`) may look like an identity.
                match SessionRecord::peek(world.paths, &identity) {
                    Some(_) => watch::watch(world, &identity),
                    None => watch::watch(world, &named(world, identity.to_string())?),
                }
            })
        }),
        None => cli::main_without_actions("iapeer-canary", access, run),
    }
}

/// `--pane-log FILE`, as tmux is told to call it.
fn lone_log() -> Option<PathBuf> {
    let mut words = std::env::args_os().skip(1);
    let (Some(option), Some(file), None) = (words.next(), words.next(), words.next()) else { return None };
    (option == "--pane-log").then(|| file.into())
}

/// `--beside FILE`, as a launch starts the pane's first program, and `--beside FILE --program PID`, as that program
/// starts the keeper.
fn beside() -> Option<(PathBuf, Option<i32>)> {
    let mut words = std::env::args_os().skip(1);
    let (option, file) = (words.next()?, words.next()?);
    let program =
        words.next().filter(|option| option == "--program").and_then(|_| words.next()?.to_str()?.parse().ok());
    (option == "--beside").then(|| (file.into(), program))
}

fn keep_beside(file: &std::path::Path, program: Option<i32>) -> ExitCode {
    let read = || BesidePlan::read(file).map_err(|error| Failure::io("read", file, &error));
    iapeer::base::output::run("iapeer-canary", || match program {
        Some(program) => cli::with_world_without_actions("iapeer-canary", Access::Write, |world| {
            read()?.keep(world, program).map(|()| Exit::Ok)
        }),
        None => {
            let plan = read()?;
            let error = plan.run(file);
            Err(Failure::io("start the program of", file, &error))
        }
    })
}

fn lone_identity() -> Option<Identity> {
    let mut words = std::env::args_os().skip(1);
    let (word, None) = (words.next()?, words.next()) else { return None };
    word.to_str()?.parse().ok()
}

fn run(given: args::Canary, world: &World<'_>) -> Result<Exit, Failure> {
    if given.report {
        for line in report::newest(world, given.last) {
            cli::tell(given.json, &line, || line.text());
        }
        return Ok(Exit::Ok);
    }
    if let Some(log) = &given.pane_log {
        PaneLog::at(log)
            .keep(std::io::stdin().lock())
            .map_err(|error| Failure::io("read the stream for", log, &error))?;
        return Ok(Exit::Ok);
    }
    if let Some(name) = &given.session_exit {
        let end = PaneEnd { status: number(given.status), signal: number(given.signal) };
        pane::on_pane_died(world, &queues::chosen(world, std::slice::from_ref(name))?[0], given.server, end);
        return Ok(Exit::Ok);
    }
    if !given.ensure.is_empty() {
        let mut exit = Exit::Ok;
        for identity in queues::chosen(world, &given.ensure)? {
            let armed = arm::ensure(world, &identity);
            exit = exit.max(match armed {
                Armed::Spawned | Armed::Already => Exit::Ok,
                Armed::NoSession => Exit::Refused,
                Armed::Failed(_) => Exit::TryAgain,
            });
            let mut value = serde_json::json!({ "identity": identity, "state": armed.to_string() });
            let why = arm::reason(&armed);
            if let Some(why) = why {
                value["reason"] = why.into();
            }
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            cli::tell(given.json, &value, || format!("{identity}  {armed}{why}"));
        }
        return Ok(exit);
    }
    let name = given.identity.ok_or_else(|| Failure::new(Exit::Usage, "whose server: iapeer-canary IDENTITY"))?;
    watch::watch(world, &named(world, name)?)
}

/// The first of the identities named by `name` that has a session, else the first.
fn named(world: &World<'_>, name: String) -> Result<Identity, Failure> {
    let all = queues::chosen(world, &[name])?;
    let live = all.iter().find(|identity| SessionRecord::peek(world.paths, identity).is_some());
    Ok(live.unwrap_or(&all[0]).clone())
}

/// A number that tmux has filled in. `None`: tmux does not know it, and left it empty.
fn number(text: Option<String>) -> Option<i32> {
    text?.trim().parse().ok()
}
