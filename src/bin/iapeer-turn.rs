//! iapeer-turn: the program that agents call as their hook. It records that a session started, took a prompt, finished or
//! failed a turn, needs a person, or ends; `approval` waits for the answer to a permission request.
//!
//! Promise: it never makes its agent fail. It exits 0 whatever happens, since a hook that exits 2 can send an agent into an
//! endless loop. It prints nothing but the decision on a permission request that somebody has answered (and diagnostics if
//! `IAPEER_LOG` asks for them). Outside a session that iapeer started it does nothing.
//!
//! Exit: 0, always.

use clap::Parser;
use iapeer::attention::{approval, hook as attention};
use iapeer::base::{Exit, Failure, Identity, output};
use iapeer::cli::{self, Access, args, hook_input};
use iapeer::session::hook::{self, Hook};
use iapeer::world::World;
use std::os::fd::AsFd;
use std::process::ExitCode;
use tracing::level_filters::LevelFilter;

fn main() -> ExitCode {
    iapeer::host::inherited::disown();
    match args::TurnArgs::try_parse() {
        Ok(given) => {
            let _ = run(given).inspect_err(|failure| tracing::debug!("iapeer-turn: {failure}"));
        }
        // Help or version, which no hook asks for.
        Err(asked) if !asked.use_stderr() => drop(asked.print()),
        Err(_) => {}
    }
    ExitCode::SUCCESS
}

fn run(given: args::TurnArgs) -> Result<Exit, Failure> {
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
        args::TurnEvent::Failed => Hook::Failed,
        args::TurnEvent::End => Hook::End,
        args::TurnEvent::Notice => {
            return with_world(|world| attention::notice(world, &identity, launch.as_deref(), &input));
        }
        args::TurnEvent::Approval => {
            let out = std::io::stdout();
            return with_world(|world| {
                approval::ask(world, &identity, launch.as_deref(), &input, Some(out.as_fd()), output::say_surely)
            });
        }
    };
    with_world(|world| {
        attention::event(world, &identity, launch.as_deref(), hook, &input)?;
        if let (Hook::Prompt, Some(launch)) = (hook, &launch) {
            hook::hold_for_tool(world, &identity, launch);
        }
        Ok(())
    })
}

fn with_world(body: impl FnOnce(&World<'_>) -> Result<(), Failure>) -> Result<Exit, Failure> {
    cli::with_world_without_actions("iapeer-turn", Access::Hook, |world| body(world).map(|()| Exit::Ok))
}
