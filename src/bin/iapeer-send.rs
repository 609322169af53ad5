//! iapeer-send: accept a message durably, then have it delivered.
//!
//! Promise: when it says `delivered` or `queued`, the message survives a crash of any program and a power cut;
//! when it says anything else, nothing was kept.
//!
//! 1. Refuse what can be refused: unknown peer, stopped, over a limit, no tmux, no program.
//! 2. Write the item into the recipient's queue: file, fsync, link, fsync of the folder.
//! 3. Start a detached `iapeer-drain` and watch the item settle. Giving up waiting loses nothing.
//!
//! Exit: 0 delivered or queued · 64 usage · 65 bad message · 66 no such file · 67 no such peer · 69 refused ·
//! 74 I/O, nothing kept · 75 with `--require delivered`: only queued · 77 permission · 78 configuration.

use iapeer::base::{Exit, Failure, Topic};
use iapeer::cli::{self, Access, args};
use iapeer::delivery::accept::{self, Message, SendOutcome};
use serde_json::json;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    cli::main(
        "iapeer-send",
        |_| Access::Write,
        |given: args::Send, world| {
            let json = given.json;
            let require = given.require.is_some();
            let report = match message(given).and_then(|message| accept::send(world, message)) {
                Ok(report) => report,
                Err(failure) => {
                    let outcome = if failure.exit == Exit::Io { "failed" } else { "refused" };
                    if json {
                        cli::say(json!({"outcome": outcome, "reason": failure.to_string()}).to_string());
                    }
                    return Err(Failure::new(failure.exit, format!("{outcome}: {failure}")));
                }
            };
            // A caller that repeats a failed send must not repeat an accepted one.
            cli::tell_done(json, &report, || report.line());
            Ok(if require && report.outcome != SendOutcome::Delivered { Exit::TryAgain } else { Exit::Ok })
        },
    )
}

fn message(given: args::Send) -> Result<Message, Failure> {
    let usage = |error: &dyn std::fmt::Display| Failure::new(Exit::Usage, error.to_string());
    let wait = if given.no_wait { 0.0 } else { given.wait };
    Ok(Message {
        to: given.to,
        runtime: given.runtime.map(|text| text.parse()).transpose().map_err(|error| usage(&error))?,
        from: given.from,
        topic: Topic::parse(&given.topic.unwrap_or_default())
            .map_err(|error| Failure::new(Exit::DataErr, error.to_string()))?,
        re: None,
        attachments: given.attach,
        urgent: given.urgent,
        wait: Duration::try_from_secs_f64(wait).map_err(|_| usage(&"--wait wants seconds, 0 or more"))?,
        body: cli::body(given.message, given.message_file.as_deref())?,
    })
}
