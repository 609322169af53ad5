//! The command lines of the Telegram bridge.

use crate::base::span::of_option;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

/// The bridge between a person and Telegram: the program of the built-in runtime `telegram`.
#[derive(Debug, Parser)]
#[command(name = "iapeer-telegram", version)]
pub struct Telegram {
    /// What to do.
    #[command(subcommand)]
    pub act: TelegramAct,
}

/// What it does.
#[derive(Debug, Subcommand)]
pub enum TelegramAct {
    /// Be the bridge of the peer whose session this is (PEER_IDENTITY), until killed.
    Run,
    /// Connect a person: what `iapeer connect telegram` runs.
    Connect(ConnectTelegram),
}

/// Whom `iapeer connect` connects to what.
#[derive(Debug, Subcommand)]
pub enum Connect {
    /// Through a Telegram bot: its messages come to your phone, and your answers go back.
    Telegram(ConnectTelegram),
}

/// A person, and a bot.
#[derive(Debug, Args)]
pub struct ConnectTelegram {
    /// The person.
    #[arg(value_name = "PERSON")]
    pub person: String,
    /// The file that holds the bot's token, as BotFather gave it; it is copied, 0600.
    #[arg(long, value_name = "FILE")]
    pub token_file: PathBuf,
    /// The bot speaks for this agent alone. May be given several times. Default: for all agents.
    #[arg(long = "agent", value_name = "NAME")]
    pub agents: Vec<String>,
    /// How long to wait until the code is sent to the bot: 90s, 10m.
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
