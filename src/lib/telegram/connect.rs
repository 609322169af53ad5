//! `iapeer connect telegram`: checks the token, pairs the person's chat by a one-time code, writes the bridge's files,
//! and starts the bridge. Nothing is written before the chat is paired.

use crate::base::clock::Deadline;
use crate::base::exit::{Exit, Failure};
use crate::base::identity::{Identity, Intelligence, Personality, Runtime};
use crate::base::message_id::MessageId;
use crate::operator::control;
use crate::people::bots::{self, Bot, Facts, Token};
use crate::people::owner;
use crate::runtime::Manifest;
use crate::session::rule::WakeRequest;
use crate::store::event_log::Event;
use crate::store::one_writer::OneWriter;
use crate::store::open::{self, Rule};
use crate::store::profile::Profile;
use crate::store::profile_update::ProfileUpdate;
use crate::store::registry::{PeerRecord, Registry};
use crate::store::reindex;
use crate::telegram::api::{Api, ApiError};
use crate::telegram::pace::Pace;
use crate::telegram::update::Update;
use crate::units::install;
use crate::world::World;
use crate::world::peer::{Peer, whole_peer};
use serde::Serialize;
use serde_json::json;
use std::path::Path;
use std::time::Duration;

/// How long one request for updates waits for the code.
const POLL: Duration = Duration::from_secs(10);
/// Length of the code, in characters.
const CODE: usize = 8;

/// What to connect.
#[derive(Debug, Clone)]
pub struct Connection<'a> {
    /// The name of the person.
    pub person: &'a str,
    /// The file that contains the bot's token.
    pub token_file: &'a Path,
    /// The agents that the bot speaks for; empty: all agents.
    pub agents: &'a [String],
    /// How long to wait for the code.
    pub wait: Duration,
}

/// What was connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Connected {
    /// The person, on runtime `telegram`.
    pub identity: Identity,
    /// The bot, `@NAME`.
    pub bot: String,
    /// The agents that the bot speaks for; empty: all agents.
    pub agents: Vec<Personality>,
    /// How the bridge was started, or why it was not.
    pub bridge: String,
}

impl Connected {
    /// The line for people.
    pub fn line(&self) -> String {
        let names: Vec<&str> = self.agents.iter().map(Personality::as_str).collect();
        let whom = if names.is_empty() { "all agents".to_owned() } else { names.join(", ") };
        format!(
            "connected {} through {}, which speaks for {whom}; the bridge: {}",
            self.identity, self.bot, self.bridge
        )
    }
}

/// Connects the person to the bot. `say` gets the instructions for the person.
pub fn connect(world: &World<'_>, given: &Connection<'_>, mut say: impl FnMut(&str)) -> Result<Connected, Failure> {
    let registry = Registry::read(world.paths)?;
    let name = whole_peer(&registry, given.person)?;
    let record = person(&registry, &name)?;
    let agents = agents(&registry, given.agents)?;
    let telegram: Runtime = "telegram".parse().map_err(|error| Failure::new(Exit::Internal, format!("{error}")))?;
    let identity = Identity::new(telegram.clone(), name.clone());
    install::refuse_foreign(world, &identity)?;
    let manifest = Manifest::load(world.paths, &telegram)?;
    let peer = Peer { identity: identity.clone(), record: record.clone(), profile: None, manifest: manifest.into() };
    let token = token(given.token_file)?;
    let api = Api::new(token.clone())?;
    let (id, username) = check(&api)?;
    let known = bots::bots(&peer)?.into_iter().find(|bot| bot.facts.id == id);
    let (chat, offset) = match &known {
        // A new token of the same bot: the chat is paired already.
        Some(bot) => (bot.facts.chat, bot.progress()?.offset),
        None => pair(world, &api, &username, given.wait, &mut say)?,
    };
    let facts = Facts { id, username: username.clone(), all: agents.is_empty(), chat };
    let bot = Bot::keep(&peer, facts, &token, offset)?;
    enter(world, &telegram, record, &agents, &username)?;
    owner::claim(world.paths, &name)?;
    let event = Event::new("telegram").field("identity", &identity).field("bot", bot.handle());
    world.lifecycle(&event.field("outcome", "connected").field("chat", chat));
    let bridge = start(world, &Peer::of(world.paths, &identity)?);
    Ok(Connected { identity, bot: bot.handle(), agents, bridge })
}

fn person<'r>(registry: &'r Registry, name: &Personality) -> Result<&'r PeerRecord, Failure> {
    let record = registry.get(name).ok_or_else(|| {
        let why = format!("there is no person {name}: `iapeer create {name} --runtime person` makes one");
        Failure::new(Exit::NoPeer, why)
    })?;
    if record.intelligence != Intelligence::Natural {
        let why = format!("{name} is no person (intelligence {}): --agent NAME names agents", record.intelligence);
        return Err(Failure::new(Exit::Refused, why));
    }
    Ok(record)
}

fn agents(registry: &Registry, given: &[String]) -> Result<Vec<Personality>, Failure> {
    let agent = |text: &String| {
        let name = whole_peer(registry, text)?;
        match registry.get(&name).map(|record| record.intelligence) {
            Some(Intelligence::Artificial) => Ok(name),
            Some(other) => Err(Failure::new(Exit::Refused, format!("{name} is no agent (intelligence {other})"))),
            None => Err(crate::world::peer::unknown(&name)),
        }
    };
    given.iter().map(agent).collect()
}

fn token(path: &Path) -> Result<Token, Failure> {
    let bytes = open::read(path, Rule::DOCUMENT)?
        .ok_or_else(|| Failure::new(Exit::NoInput, format!("there is no file {}", path.display())))?;
    Token::parse(&String::from_utf8_lossy(&bytes)).ok_or_else(|| {
        let why = format!("{} holds no token: BotFather gives one, as 123456:ABC-DEF…", path.display());
        Failure::new(Exit::DataErr, why)
    })
}

/// The bot's number and name. Removes the bot's webhook.
fn check(api: &Api) -> Result<(i64, String), Failure> {
    let me = api.call("getMe", &json!({})).map_err(failed)?;
    // Telegram sends updates either to a program that asks for them or to a webhook, never to both.
    api.call("deleteWebhook", &json!({})).map_err(failed)?;
    match (me["id"].as_i64(), me["username"].as_str()) {
        (Some(id), Some(username)) => Ok((id, username.to_owned())),
        _ => Err(Failure::new(Exit::TryAgain, "Telegram does not say which bot the token is of")),
    }
}

fn failed(error: ApiError) -> Failure {
    match error {
        ApiError::Token => {
            let why = "Telegram does not accept this token: BotFather's /token shows the one that counts";
            Failure::new(Exit::Refused, why)
        }
        ApiError::Refused(..) => Failure::new(Exit::Refused, error.to_string()),
        ApiError::Busy(_) | ApiError::Passing(_) => Failure::new(Exit::TryAgain, format!("{error}; try again")),
    }
}

/// Waits until somebody sends the code to the bot in a private chat. Returns that chat, and the number of the next update.
fn pair(
    world: &World<'_>,
    api: &Api,
    username: &str,
    wait: Duration,
    say: &mut impl FnMut(&str),
) -> Result<(i64, i64), Failure> {
    let id = MessageId::generate(world.now()).to_string();
    let code = &id[id.len() - CODE..];
    say(&format!("in Telegram, send this to @{username} (https://t.me/{username}): {code}"));
    let deadline = Deadline::after(world.clock, wait);
    let (mut offset, mut pace) = (0, Pace::new());
    while !deadline.passed(world.clock) {
        let updates = match api.updates(offset, POLL.min(deadline.left(world.clock))) {
            Ok(updates) => updates,
            Err(error @ (ApiError::Token | ApiError::Refused(..))) => return Err(failed(error)),
            Err(ApiError::Busy(time)) => {
                world.clock.sleep(time.min(deadline.left(world.clock)));
                continue;
            }
            Err(ApiError::Passing(_)) => {
                world.clock.sleep(pace.failed().min(deadline.left(world.clock)));
                continue;
            }
        };
        for update in updates {
            offset = offset.max(update["update_id"].as_i64().unwrap_or_default() + 1);
            let Ok(Update { message: Some(written), .. }) = serde_json::from_value(update) else { continue };
            // Pressing a link's button sends /start CODE.
            let text = written.text().trim();
            let said = text.strip_prefix("/start").unwrap_or(text).trim();
            if said.eq_ignore_ascii_case(code) && written.is_of(written.chat.id) {
                let text = "Connected to iapeer. /help says what you can do here.";
                // Only a courtesy: a failure changes nothing.
                let _ = api.call("sendMessage", &json!({ "chat_id": written.chat.id, "text": text }));
                return Ok((written.chat.id, offset));
            }
        }
    }
    let why = format!("nobody sent the code to @{username} in time, and nothing was changed: run this again");
    Err(Failure::new(Exit::TryAgain, why))
}

/// Names the bot in the profiles of those that speak through it, and makes `telegram` the person's default runtime.
fn enter(
    world: &World<'_>,
    telegram: &Runtime,
    person: &PeerRecord,
    agents: &[Personality],
    username: &str,
) -> Result<(), Failure> {
    let writer = OneWriter::acquire(world.paths, world.program, world.clock)?;
    let registry = Registry::read(world.paths)?;
    let none = |record: &PeerRecord| {
        Failure::new(Exit::Config, format!("{} holds no profile: `iapeer init` makes one", record.cwd.display()))
    };
    let profile = Profile::read(&person.cwd)?.ok_or_else(|| none(person))?;
    let update = ProfileUpdate {
        personality: profile.personality().clone(),
        default_runtime: telegram.clone(),
        description: None,
        intelligence: Some(profile.intelligence()),
        ephemeral: None,
        keys: serde_json::Map::new(),
    };
    Profile::write(&writer, &person.cwd, Some(&profile), &update)?;
    let speakers = match agents {
        [] => vec![person],
        names => names.iter().filter_map(|name| registry.get(name)).collect(),
    };
    for record in speakers {
        Profile::connect_telegram(&writer, &record.cwd, username)?.ok_or_else(|| none(record))?;
        reindex::reindex_by(world.paths, &writer, Some(&record.personality))?;
    }
    reindex::reindex_by(world.paths, &writer, Some(&person.personality))?;
    Ok(())
}

/// Starts the bridge if it does not run: by the service manager, else as a session. Returns the result, for people.
fn start(world: &World<'_>, peer: &Peer) -> String {
    let identity = &peer.identity;
    if install::is_always_on(world, peer.manifest.kind) {
        match install::hold(world, identity) {
            Ok(step) if step.action != "not-held" => {
                let reason = step.reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
                return format!("{} {}{reason}", step.name, step.action);
            }
            Ok(_) => {}
            Err(failure) => {
                return format!("not started: {failure}; `iapeer-run {identity}` holds it in the foreground");
            }
        }
    }
    match control::wake(world, peer, WakeRequest::Default, None) {
        Ok(woken) if woken.exit == Exit::Ok && woken.woke => "started; nothing holds it but the next message".into(),
        Ok(woken) if woken.exit == Exit::Ok => "it runs already".into(),
        Ok(woken) => format!("not started: {}", woken.reason.unwrap_or_default()),
        Err(failure) => format!("not started: {failure}"),
    }
}
