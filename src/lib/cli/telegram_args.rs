//! The command lines of the Telegram bridge.

use crate::base::span::of_option;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

/// The bridge between a person and Telegram, the program of the built-in runtime `telegram`.
#[derive(Debug, Parser)]
#[command(name = "iapeer-telegram", version)]
pub struct Telegram {
    /// The verb.
    #[command(subcommand)]
    pub act: TelegramAct,
}

/// What it does.
#[derive(Debug, Subcommand)]
pub enum TelegramAct {
    /// Run the bridge for the peer of this session (PEER_IDENTITY), until it is killed.
    Run,
    /// Connect a person (run by `iapeer connect telegram`).
    Connect(ConnectTelegram),
}

/// The services of `iapeer connect`.
#[derive(Debug, Subcommand)]
pub enum Connect {
    /// Connect a person to a Telegram bot, which shows messages on the person's phone and takes answers.
    Telegram(ConnectTelegram),
}

/// A person, and a bot.
#[derive(Debug, Args)]
pub struct ConnectTelegram {
    /// The person.
    #[arg(value_name = "PERSON")]
    pub person: String,
    /// The file with the bot's token, as BotFather gave it; the token is copied (0600).
    #[arg(long, value_name = "FILE")]
    pub token_file: PathBuf,
    /// An agent that the bot is for; other agents are not reached by it. May be given several times. Default: all
    /// agents.
    #[arg(long = "agent", value_name = "NAME")]
    pub agents: Vec<String>,
    /// How long to wait until the person has sent the code to the bot: 90s, 10m.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = of_option)]
    pub wait: Duration,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

impl ConnectTelegram {
    /// These arguments as `iapeer-telegram` takes them.
    pub(crate) fn words(&self) -> Vec<std::ffi::OsString> {
        let mut words = vec!["connect".into(), self.person.clone().into(), "--token-file".into()];
        words.push(self.token_file.clone().into_os_string());
        self.agents.iter().for_each(|agent| words.extend(["--agent".into(), agent.into()]));
        words.extend(["--wait".into(), format!("{}s", self.wait.as_secs_f64()).into()]);
        words.extend(self.json.then(|| "--json".into()));
        words
    }
}
