//! The Telegram bots of a person: `<cwd>/.iapeer/runtimes/telegram/bot-<id>/`, a folder each.
//!
//! ```text
//! token         the token from BotFather (0600); no other file has it
//! bot.json      the bot's number and name, and the chat with which it is paired; a folder without this file is no bot
//! progress.json the number of the first update that is not processed yet, and to whom the person wrote last
//! trouble.json  why no messages can be received, while that is so
//! ```

use crate::base::address::Contact;
use crate::base::clock::EpochMs;
use crate::base::exit::{Exit, Failure};
use crate::base::paths;
use crate::store::durable;
use crate::store::open::{self, Rule};
use crate::world::peer::Peer;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};

/// How many strangers' chats are remembered, each of which is logged once.
const STRANGERS: usize = 500;

/// A bot's secret: `<bot id>:<letters>`. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token(String);

impl Token {
    /// Parses a token; white space around it is ignored.
    pub(crate) fn parse(text: &str) -> Option<Token> {
        let text = text.trim();
        let (id, secret) = text.split_once(':')?;
        let is_id = !id.is_empty() && id.len() < 19 && id.bytes().all(|c| c.is_ascii_digit());
        let is_secret =
            secret.len() >= 20 && secret.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_');
        (is_id && is_secret && text.len() < 256).then(|| Token(text.to_owned()))
    }

    /// The text of the token, only for the URL of a request.
    pub(crate) fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// `bot.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Facts {
    /// Telegram's number for the bot.
    pub(crate) id: i64,
    /// Its name, without `@`.
    pub(crate) username: String,
    /// Whether the bot speaks for all agents; else for those whose profiles name it.
    pub(crate) all: bool,
    /// The private chat that the bot is paired with: messages from other chats are ignored. The chat's number is also the
    /// person's.
    pub(crate) chat: i64,
}

/// `progress.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// The number of the first update that has not been processed.
    pub(crate) offset: i64,
    /// The peer that the person wrote to last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) to: Option<Contact>,
    /// Chats that were ignored, and logged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) strangers: Vec<i64>,
}

impl Progress {
    /// Remembers a stranger's chat. Returns whether it is new.
    pub(crate) fn note_stranger(&mut self, chat: i64) -> bool {
        let new = !self.strangers.contains(&chat);
        if new {
            self.strangers.push(chat);
            let over = self.strangers.len().saturating_sub(STRANGERS);
            self.strangers.drain(..over);
        }
        new
    }
}

/// `trouble.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Trouble {
    /// Since when.
    pub(crate) since: EpochMs,
    /// What is wrong, and what to do about it.
    pub(crate) why: String,
}

/// A bot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bot {
    dir: PathBuf,
    /// The content of its `bot.json`.
    pub(crate) facts: Facts,
}

/// The folder of the bots of the person in `cwd`.
pub(crate) fn folder(cwd: &Path) -> PathBuf {
    cwd.join(".iapeer/runtimes/telegram")
}

/// The paired bots of `person`.
pub(crate) fn bots(person: &Peer) -> Result<Vec<Bot>, Failure> {
    let folder = folder(person.cwd());
    let mut names = durable::names_of(&folder)?;
    names.retain(|name| name.starts_with("bot-"));
    names.sort();
    let read = |name: &String| {
        let dir = folder.join(name);
        read_json::<Facts>(&dir.join("bot.json")).map(|facts| facts.map(|facts| Bot { dir, facts })).transpose()
    };
    names.iter().filter_map(read).collect()
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Failure> {
    let Some(bytes) = open::read(path, Rule::OF_A_PEER)? else { return Ok(None) };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| Failure::new(Exit::Config, format!("{}: {error}", path.display())))
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_vec(value).map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
    Ok(durable::write_atomic(path, &text)?)
}

impl Bot {
    /// Stores a bot that has been paired, or its new token. `bot.json` is written last: only with it is the bot complete.
    pub(crate) fn keep(person: &Peer, facts: Facts, token: &Token, offset: i64) -> Result<Bot, Failure> {
        let dir = folder(person.cwd()).join(format!("bot-{}", facts.id));
        paths::create_dirs(&dir)?;
        durable::write_atomic(&dir.join("token"), format!("{}\n", token.0).as_bytes())?;
        let bot = Bot { dir, facts };
        let progress = bot.progress()?;
        bot.store(&Progress { offset: offset.max(progress.offset), ..progress })?;
        write_json(&bot.dir.join("bot.json"), &bot.facts)?;
        Ok(bot)
    }

    /// `@NAME`.
    pub(crate) fn handle(&self) -> String {
        format!("@{}", self.facts.username)
    }

    /// Reads the token, which may have been replaced.
    pub(crate) fn token(&self) -> Result<Token, Failure> {
        let path = self.dir.join("token");
        let bytes = open::read(&path, Rule::OF_A_PEER)?.unwrap_or_default();
        Token::parse(&String::from_utf8_lossy(&bytes)).ok_or_else(|| {
            let why = format!("{} holds no token: `iapeer connect telegram` writes it", path.display());
            Failure::new(Exit::Config, why)
        })
    }

    /// Reads `progress.json`.
    pub(crate) fn progress(&self) -> Result<Progress, Failure> {
        Ok(read_json(&self.dir.join("progress.json"))?.unwrap_or_default())
    }

    /// Stores `progress` durably.
    pub(crate) fn store(&self, progress: &Progress) -> Result<(), Failure> {
        write_json(&self.dir.join("progress.json"), progress)
    }

    /// Why no messages can be received, if that is so.
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        read_json(&self.dir.join("trouble.json")).ok().flatten()
    }

    /// Records why no messages can be received, or (`None`) that they can. Returns whether that has changed.
    pub(crate) fn set_trouble(&self, why: Option<&str>, now: EpochMs) -> Result<bool, Failure> {
        let path = self.dir.join("trouble.json");
        match (self.trouble(), why) {
            (None, None) => Ok(false),
            (Some(known), Some(why)) if known.why == why => Ok(false),
            (_, None) => Ok(durable::remove(&path)?),
            (_, Some(why)) => write_json(&path, &Trouble { since: now, why: why.to_owned() }).map(|()| true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_checked_and_never_shown() {
        let token = Token::parse(" 123456:AAbbccddeeffgghhiijjkk-_\n").unwrap();
        assert_eq!(token.secret(), "123456:AAbbccddeeffgghhiijjkk-_");
        assert!(!format!("{token:?}").contains("AAbb"));
        for bad in [
            "",
            "123456",
            "x:AAbbccddeeffgghhiijjkk",
            "1:short",
            "1:AAbbccddeeffgg hhiijjkk",
            "1:../../../../../../../../x",
        ] {
            assert!(Token::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_stranger_is_new_once() {
        let mut progress = Progress::default();
        assert!(progress.note_stranger(1) && !progress.note_stranger(1) && progress.note_stranger(2));
        let known = (0..2 * STRANGERS as i64).filter(|chat| !progress.note_stranger(*chat)).count();
        assert_eq!(known, 2);
        assert_eq!(progress.strangers.len(), STRANGERS);
    }
}
