//! iapeer-turn: hook entry. Records that a session started, took a prompt, finished a turn, or ends.
//!
//! Promise: it never fails its agent. Whatever happens, it prints nothing (diagnostics only where `IAPEER_LOG` asks for them) and exits 0: a hook that
//! exits 2 can loop an agent for ever. Outside a session of ours it does nothing.
//!
//! Exit: 0, always.

use clap::Parser;
use iapeer::base::{Exit, Failure, Identity};
use iapeer::cli::{self, Access, args, hook_input};
use iapeer::session::hook::{self, Hook};
use std::process::ExitCode;
use tracing::level_filters::LevelFilter;

fn main() -> ExitCode {
    iapeer::host::inherited::disown();
    match args::Turn::try_parse() {
        Ok(given) => {
            let _ = run(given).inspect_err(|failure| tracing::debug!("iapeer-turn: {failure}"));
        }
        // Help or version, which no hook asks for.
        Err(asked) if !asked.use_stderr() => drop(asked.print()),
        Err(_) => {}
    }
    ExitCode::SUCCESS
}

fn run(given: args::Turn) -> Result<Exit, Failure> {
    // Read in any case: an agent must not see its hook's pipe break.
    let input = hook_input::read(std::io::stdin().lock());
    // An agent may show its hook's stderr, and takes it for a failure.
    cli::init_logging(LevelFilter::OFF)?;
    let bad = |error: &dyn std::fmt::Display| Failure::new(Exit::Usage, error.to_string());
    let identity: Identity =
        std::env::var("PEER_IDENTITY").map_err(|error| bad(&error))?.parse().map_err(|error| bad(&error))?;
    let launch = std::env::var("PEER_LAUNCH").ok();
    let hook = match given.event {
        args::TurnEvent::Start => Hook::Start,
        args::TurnEvent::Prompt => Hook::Prompt,
        args::TurnEvent::Stop => Hook::Stop,
        args::TurnEvent::End => Hook::End,
    };
    cli::with_world("iapeer-turn", Access::Write, |world| {
        hook::record(world, &identity, launch.as_deref(), hook, &input)?;
        if let (Hook::Prompt, Some(launch)) = (hook, &launch) {
            hook::hold_for_tool(world, &identity, launch);
        }
        Ok(Exit::Ok)
    })
}
