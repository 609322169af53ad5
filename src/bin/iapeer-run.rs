//! iapeer-run: keep one always-on peer (telegram, notifier) in the foreground, for its service unit.
//!
//! 1. Start the peer's session, or take over the session that lives.
//! 2. Wait, without polling, for the end of the session's server or for TERM or INT.
//! 3. When the server has ended, exit: the service manager starts this program, and with it the session, again. On TERM or
//!    INT, end the session, then exit.
//!
//! Exit: 0 the session ended or was ended · 64 usage · 67 no such peer · 69 refused (no always-on runtime, its program
//! is missing) · 75 it did not come up, or ended at once · 77 permission · 78 configuration.

use iapeer::base::{Exit, Failure};
use iapeer::cli::{self, Access, args};
use iapeer::mailbox::queues;
use iapeer::units::hold;
use iapeer::world::World;
use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main("iapeer-run", |_| Access::Write, run)
}

fn run(given: args::Run, world: &World<'_>) -> Result<Exit, Failure> {
    hold::run(world, &queues::chosen(world, &[given.identity])?[0])
}
