//! iapeer-send: accept a message durably, then start its delivery.
//!
//! Promise: after `delivered` or `queued` the message survives a crash of any program and a power cut; after any other
//! outcome the message was not kept.
//!
//! 1. Refuse what can't be delivered: unknown or stopped peer, message over a limit, no tmux, no agent program.
//! 2. Write the item into the recipient's queue: file, fsync, link, fsync of the folder.
//! 3. Start a detached `iapeer-drain` and watch the item settle. Giving up waiting loses nothing.
//! 4. With `--ask`: wait for the answer and print it.
//!
//! Exit: 0 delivered or queued, with `--ask` answered · 64 usage · 65 bad message · 66 no such file · 67 no such peer ·
//! 69 refused · 74 I/O, nothing kept · 75 with `--require delivered`: only queued, with `--ask`: no answer in time · 77
//! permission · 78 configuration. Of several recipients it is the worst.

use iapeer::base::{Exit, Failure, Topic};
use iapeer::cli::{self, Access, args};
use iapeer::delivery::accept::Message;
use iapeer::delivery::recipients;
use iapeer::world::World;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    cli::main_without_actions("iapeer-send", |_| Access::Write, run)
}

fn run(given: args::Send, world: &World<'_>) -> Result<Exit, Failure> {
    let (json, require, ask) = (given.json, given.require.is_some(), given.ask);
    let (message, recipients) = message(world, given).map_err(|failure| cli::send::refused(json, None, failure))?;
    if ask {
        return cli::send::ask(world, &message, &recipients, json);
    }
    cli::send::send(world, &message, &recipients, json, require)
}

fn message(world: &World<'_>, given: args::Send) -> Result<(Message, Vec<String>), Failure> {
    let usage = |error: &dyn std::fmt::Display| Failure::new(Exit::Usage, error.to_string());
    let data = |error: &dyn std::fmt::Display| Failure::new(Exit::DataErr, error.to_string());
    let wait = match given.wait.as_deref() {
        _ if given.no_wait => Duration::ZERO,
        Some(text) => {
            let why = "--wait wants seconds, 0 or more, or a time as 90s, 10m, 2h";
            iapeer::base::span::span(text).ok_or_else(|| usage(&why))?
        }
        None => Duration::from_secs(if given.ask { 600 } else { 60 }),
    };
    let message = Message {
        to: String::new(),
        runtime: given.runtime.map(|text| text.parse()).transpose().map_err(|error| usage(&error))?,
        topic: Topic::parse(&given.topic.unwrap_or_default()).map_err(|error| data(&error))?,
        re: given.re.as_deref().map(str::parse).transpose().map_err(|error| usage(&error))?,
        ask: None,
        attachments: given.attach,
        urgent: given.urgent,
        no_pile: given.no_pile,
        wait,
        body: cli::body(given.message, given.message_file.as_deref())?,
        from: given.from,
    };
    let recipients = recipients::resolve(world, given.to, message.from.as_deref())?;
    Ok((message, recipients))
}
