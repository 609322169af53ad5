//! iapeer-telegram: the bridge between a person and Telegram, behind the built-in runtime `telegram`.
//!
//! `run` takes the person's messages out of the queue itself, settles each when Telegram has it, and accepts what the
//! person writes; it ends only where it is killed or can't go on. `connect` pairs a bot with the person's chat.
//!
//! Exit: 0 connected · 64 usage · 65 no token in the file · 66 no such file · 67 no such peer · 69 refused · 70 defect ·
//! 74 I/O · 75 Telegram can't be reached, nobody sent the code, another bridge runs · 77 permission · 78 configuration.

use iapeer::base::output;
use iapeer::base::{Exit, Failure};
use iapeer::cli::telegram_args::{Telegram, TelegramAct};
use iapeer::cli::{self, Access};
use iapeer::telegram::connect::{Connection, connect};
use iapeer::telegram::run;
use iapeer::world::World;
use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main("iapeer-telegram", |_| Access::Write, act)
}

fn act(given: Telegram, world: &World<'_>) -> Result<Exit, Failure> {
    match given.act {
        TelegramAct::Run => {
            let identity = std::env::var("PEER_IDENTITY").unwrap_or_default();
            let identity = identity.parse().map_err(|_| {
                Failure::new(Exit::Usage, "run is for a session: PEER_IDENTITY must say whose bridge this is")
            })?;
            run::run(world, &identity, |line| cli::say(line))
        }
        TelegramAct::Connect(given) => {
            let connection = Connection {
                person: &given.person,
                token_file: &given.token_file,
                agents: &given.agents,
                wait: given.wait,
            };
            let connected = connect(world, &connection, output::complain)?;
            cli::tell(given.json, &connected, || connected.line());
            Ok(Exit::Ok)
        }
    }
}
