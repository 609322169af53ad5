//! iapeer-wake: start a peer's session without a message.
//!
//! The wake rule decides whether the session is resumed or fresh, unless `--fresh` or `--resume` says so (`--resume` fails
//! if there is nothing to resume). A live session is left as it is.
//!
//! Exit: 0 ready · 64 usage · 65 bad topic · 67 no such peer · 69 refused (stopped, crash-loop guard, no tmux, nothing to resume) ·
//! 75 it did not come up, or somebody else is waking it · 77 permission · 78 configuration.

use iapeer::base::{Exit, Failure, Topic};
use iapeer::cli::{self, Access, args};
use iapeer::operator::control::{self, WakeReport};
use iapeer::session::rule::WakeRequest;
use iapeer::world::Peer;
use iapeer::world::World;
use serde_json::json;
use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main("iapeer-wake", |_| Access::Write, run)
}

fn run(given: args::Wake, world: &World<'_>) -> Result<Exit, Failure> {
    let json = given.json;
    let woken = wake(given, world).map_err(|failure| {
        let status = if matches!(failure.exit, Exit::Io | Exit::TryAgain) { "failed" } else { "refused" };
        if json {
            cli::say(json!({"status": status, "reason": failure.to_string()}).to_string());
        }
        Failure::new(failure.exit, format!("{status}: {failure}"))
    })?;
    if json || woken.exit == Exit::Ok {
        cli::tell(json, &woken, || match (&woken.mode, &woken.cause) {
            (Some(mode), Some(cause)) => format!("{} ready (woke: {mode}, {cause})", woken.identity),
            _ => format!("{} ready (lived already)", woken.identity),
        });
    }
    if woken.exit == Exit::Ok {
        return Ok(Exit::Ok);
    }
    Err(Failure::new(woken.exit, format!("{}: {}", woken.status, woken.reason.unwrap_or_default())))
}

fn wake(given: args::Wake, world: &World<'_>) -> Result<WakeReport, Failure> {
    let usage = |error: &dyn std::fmt::Display| Failure::new(Exit::Usage, error.to_string());
    let runtime = given.runtime.map(|text| text.parse()).transpose().map_err(|error| usage(&error))?;
    let topic = Topic::parse(&given.topic.unwrap_or_default())
        .map_err(|error| Failure::new(Exit::DataErr, error.to_string()))?;
    let peer = Peer::named(world.paths, &given.peer, runtime.as_ref())?;
    let request = match (given.fresh, given.resume) {
        (true, _) => WakeRequest::Fresh,
        (_, true) => WakeRequest::Resume,
        _ => WakeRequest::Default,
    };
    control::wake(world, &peer, request, topic.as_ref())
}
