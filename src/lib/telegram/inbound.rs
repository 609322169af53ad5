//! From Telegram to the queues: an update is processed, then its offset is stored. An update that Telegram sends again
//! after a crash is accepted once, since the message's id is derived from the update.

use crate::base::address::Contact;
use crate::base::clock::EpochMs;
use crate::base::exit::{Exit, Failure};
use crate::base::identity::Intelligence;
use crate::base::message_id::MessageId;
use crate::delivery::accept::{self, Acceptance, Message};
use crate::operator::{list, status};
use crate::people::bots::{self, Bot, Progress, Token};
use crate::store::event_log::Event;
use crate::store::hosts::HostFile;
use crate::store::registry::{PeerRecord, Registry};
use crate::telegram::api::{Api, ApiError};
use crate::telegram::bridge::Bridge;
use crate::telegram::buttons;
use crate::telegram::download::{self, Saved};
use crate::telegram::notes::Note;
use crate::telegram::pace::Pace;
use crate::telegram::said::{self, Said};
use crate::telegram::update::{Update, Written};
use serde_json::{Value, json};
use std::time::Duration;

/// How long Telegram may keep a request for updates open.
const LONG_POLL: Duration = Duration::from_secs(50);
/// How long to wait for a new token before the refused one is tried again.
const TOKEN: Duration = Duration::from_secs(60);

/// Listens to the bot numbered `id` until the bot is gone.
pub(crate) fn listen(bridge: &Bridge<'_>, id: i64) {
    let mut listener = Listener { bridge, pace: Pace::new(), api: None, failed_before: None };
    loop {
        match bots::bots(&bridge.peer) {
            Ok(bots) => match bots.into_iter().find(|bot| bot.facts.id == id) {
                Some(bot) => listener.round(&bot),
                None => return,
            },
            Err(failure) => listener.failed(&failure.to_string(), None),
        }
    }
}

struct Listener<'a, 'w> {
    bridge: &'a Bridge<'w>,
    pace: Pace,
    api: Option<Api>,
    failed_before: Option<String>,
}

impl Listener<'_, '_> {
    /// Makes one request for updates, and processes them or the failure.
    fn round(&mut self, bot: &Bot) {
        match self.take_updates(bot) {
            Ok(()) => {
                self.pace.worked();
                self.failed_before = None;
            }
            Err(Stop::Token(token)) => {
                let why = format!(
                    "Telegram does not accept the token of {} any more: `iapeer connect telegram {} --token-file FILE` with \
                     a new one (BotFather: /token)",
                    bot.handle(),
                    self.bridge.peer.identity.personality()
                );
                self.trouble(bot, Some(&why));
                self.bridge.pause(TOKEN, || bot.token().is_ok_and(|now| now != token));
            }
            Err(Stop::Busy(time)) => self.bridge.pause(time, || false),
            Err(Stop::Failed(why)) => self.failed(&why, Some(bot)),
        }
    }

    fn take_updates(&mut self, bot: &Bot) -> Result<(), Stop> {
        let token = bot.token()?;
        let api = match self.api.take().filter(|api| api.is_of(&token)) {
            Some(api) => api,
            None => Api::new(token.clone())?,
        };
        let mut progress = bot.progress()?;
        let api = self.api.insert(api);
        // After a failure the request does not wait, so that the end of the failure is noticed at once.
        let wait = if bot.trouble().is_some() { Duration::ZERO } else { LONG_POLL };
        let updates = api.updates(progress.offset, wait).map_err(|error| match error {
            ApiError::Token => Stop::Token(token),
            ApiError::Busy(time) => Stop::Busy(time),
            error => Stop::Failed(error.to_string()),
        })?;
        if bot.trouble().is_some() {
            trouble(self.bridge, bot, None);
        }
        for update in updates {
            let api = self.api.as_ref().ok_or_else(|| Stop::Failed("no connection".into()))?;
            let mut after = progress.clone();
            deal_with(self.bridge, api, bot, &update, &mut after)?;
            // An update without a number can't be acknowledged, and Telegram sends none.
            let number = update["update_id"].as_i64().unwrap_or(progress.offset - 1);
            after.offset = after.offset.max(number.saturating_add(1));
            bot.store(&after)?;
            progress = after;
        }
        Ok(())
    }

    fn failed(&mut self, why: &str, bot: Option<&Bot>) {
        // Recorded only at the second failure in a row for the same reason: a single one is not worth a report.
        if self.failed_before.as_deref() == Some(why)
            && let Some(bot) = bot
        {
            self.trouble(bot, Some(why));
        }
        self.failed_before = Some(why.to_owned());
        let time = self.pace.failed();
        self.bridge.pause(time, || false);
    }

    fn trouble(&self, bot: &Bot, why: Option<&str>) {
        trouble(self.bridge, bot, why);
    }
}

/// Why a round ended early.
enum Stop {
    Token(Token),
    Busy(Duration),
    Failed(String),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Stop {
        Stop::Failed(failure.to_string())
    }
}

/// Records for doctor, and logs, why no updates come, or (`None`) that they come again.
fn trouble(bridge: &Bridge<'_>, bot: &Bot, why: Option<&str>) {
    match bot.set_trouble(why, bridge.world.now()) {
        Ok(false) => {}
        Ok(true) => {
            let event = event(bridge, bot).field("outcome", if why.is_some() { "failing" } else { "works-again" });
            bridge.world.lifecycle(&event.maybe("reason", why));
        }
        Err(failure) => tracing::warn!("{}: {failure}", bot.handle()),
    }
}

fn event(bridge: &Bridge<'_>, bot: &Bot) -> Event {
    Event::new("telegram").field("identity", &bridge.peer.identity).field("bot", bot.handle())
}

/// Processes one update. An error is temporary: the update is requested again.
fn deal_with(
    bridge: &Bridge<'_>,
    api: &Api,
    bot: &Bot,
    update: &Value,
    progress: &mut Progress,
) -> Result<(), Failure> {
    let Ok(update) = serde_json::from_value::<Update>(update.clone()) else {
        bridge
            .world
            .lifecycle(&event(bridge, bot).field("outcome", "unreadable").field("update", &update["update_id"]));
        return Ok(());
    };
    if let Some(pressed) = &update.callback_query {
        return buttons::press(bridge, api, bot, pressed);
    }
    let Some(written) = &update.message else { return Ok(()) };
    if !written.is_of(bot.facts.chat) {
        if progress.note_stranger(written.chat.id) {
            bridge.world.lifecycle(&event(bridge, bot).field("outcome", "stranger").field("chat", written.chat.id));
        }
        return Ok(());
    }
    Dealing { bridge, api, bot, written, update: update.update_id }.deal(progress)
}

/// A message of the person that is being processed.
struct Dealing<'a, 'w> {
    bridge: &'a Bridge<'w>,
    api: &'a Api,
    bot: &'a Bot,
    written: &'a Written,
    update: i64,
}

impl Dealing<'_, '_> {
    fn deal(&self, progress: &mut Progress) -> Result<(), Failure> {
        let (to, text, re) = match said::read(self.written.text()) {
            Said::Help => return self.say(said::HELP),
            Said::List => return self.say(&self.list()?),
            Said::Status => {
                let overview = status::overview(self.bridge.world)?;
                return self.say(&overview.lines().join("\n"));
            }
            Said::To(name, text) => (name.to_owned(), text, None),
            Said::Text(text) => match self.addressee(progress)? {
                Some((name, re)) => (name.to_string(), text, re),
                None => return self.say(&format!("To whom? {}", said::HELP)),
            },
        };
        let files = self.written.files();
        if text.is_empty()
            && files.is_empty()
            && re.is_none()
            && self.written.text().starts_with("/to")
            && let Some(name) = self.named(&to)?
        {
            progress.to = Some(name);
            return self.say(&format!("What you write goes to {to} from now on."));
        }
        let mut body = text.to_owned();
        let mut attachments = Vec::new();
        for (at, file) in files.iter().enumerate() {
            let mark = format!("{}-{}-{at}", self.bot.facts.id, self.update);
            match download::save(self.api, self.bridge.peer.cwd(), &mark, file)? {
                Saved::At(path) => attachments.push(path),
                Saved::Missing(line) => body = format!("{body}\n{line}"),
            }
        }
        if body.trim().is_empty() {
            match attachments.first() {
                Some(first) => body = format!("(sent {})", first.rsplit('/').next().unwrap_or_default()),
                None => return self.say("Only texts, photos, documents, voice, audio and video are passed on."),
            }
        }
        self.accept(progress, to, body.trim_start().to_owned(), re, attachments)
    }

    fn accept(
        &self,
        progress: &mut Progress,
        to: String,
        body: String,
        re: Option<MessageId>,
        attachments: Vec<String>,
    ) -> Result<(), Failure> {
        let (world, bot) = (self.bridge.world, &self.bot.facts);
        let id = MessageId::of(EpochMs(self.written.date.saturating_mul(1000)), &(bot.id, self.update));
        let message = Message {
            to: to.clone(),
            runtime: None,
            from: Some(self.bridge.peer.identity.to_string()),
            body,
            topic: None,
            re,
            ask: None,
            attachments,
            urgent: false,
            no_pile: false,
            wait: Duration::ZERO,
        };
        let peer = match accept::accept_once(world, message, id) {
            Ok(Some(Acceptance::Accepted(mut accepted))) => {
                // Where no drain can be started now, the next tick delivers the message.
                accepted.deliver(world);
                match accepted.to.contact() {
                    Some(contact) => contact,
                    None => return Ok(()),
                }
            }
            Ok(Some(Acceptance::NotKept(report))) => return self.say(&report.line()),
            Ok(None) => {
                world.lifecycle(&event(self.bridge, self.bot).field("outcome", "accepted-before").field("id", id));
                match self.named(&to)? {
                    Some(name) => name,
                    None => return Ok(()),
                }
            }
            Err(failure) if matches!(failure.exit, Exit::Io | Exit::CantCreate | Exit::TryAgain | Exit::Internal) => {
                return Err(failure);
            }
            Err(failure) => return self.say(&format!("Not sent: {failure}")),
        };
        let mut notes = self.bridge.notes()?;
        if notes.written(bot.id, id).is_none() {
            let message = self.written.message_id;
            notes.add(Note { bot: bot.id, message, id, peer: peer.clone(), part: None, asked: None })?;
        }
        progress.to = Some(peer);
        Ok(())
    }

    /// The peer that `to` names, if it is known. A peer on another host counts as known if the host is.
    fn named(&self, to: &str) -> Result<Option<Contact>, Failure> {
        let paths = self.bridge.world.paths;
        let Ok(contact) = to.parse::<Contact>() else { return Ok(None) };
        let known = match contact.host() {
            None => Registry::read(paths)?.get(contact.name()).is_some(),
            Some(host) => HostFile::read(paths, host)?.is_some(),
        };
        Ok(Some(contact).filter(|_| known))
    }

    /// The recipient of a text that names nobody, and the message that it answers. A reply goes to the peer of the message
    /// that it replies to; another text to the only agent of this bot, else to the peer that the person wrote to last.
    fn addressee(&self, progress: &Progress) -> Result<Option<(Contact, Option<MessageId>)>, Failure> {
        if let Some(replied) = &self.written.reply_to_message
            && let Some(note) = self.bridge.note_of(self.bot.facts.id, replied.message_id)?
        {
            // Only a message of the peer is answered: not one of the person's own (no `part`), nor a question with buttons,
            // which is a message of iapeer itself.
            let re = (note.part.is_some() && note.asked.is_none()).then_some(note.id);
            return Ok(Some((note.peer.clone(), re)));
        }
        let agents = self.agents()?;
        if let [only] = agents.as_slice() {
            return Ok(Some((only.personality.clone().into(), None)));
        }
        Ok(progress.to.clone().map(|name| (name, None)))
    }

    /// The agents that this bot speaks for.
    fn agents(&self) -> Result<Vec<PeerRecord>, Failure> {
        let facts = &self.bot.facts;
        let registry = Registry::read(self.bridge.world.paths)?;
        let is_ours = |record: &&PeerRecord| {
            let own = record.telegram_bot_name().map(|name| name.trim_start_matches('@'));
            record.intelligence == Intelligence::Artificial
                && match own {
                    Some(own) => own.eq_ignore_ascii_case(&facts.username),
                    None => facts.all,
                }
        };
        Ok(registry.peers().iter().filter(is_ours).cloned().collect())
    }

    fn list(&self) -> Result<String, Failure> {
        let agents = self.agents()?;
        let peers = list::peers(self.bridge.world)?;
        let mine = peers.iter().filter(|peer| agents.iter().any(|agent| agent.personality == peer.personality));
        let lines: Vec<String> = mine
            .map(|peer| {
                let text = peer.text.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
                let waiting = if peer.queue > 0 { format!(", {} waiting", peer.queue) } else { String::new() };
                format!("{} — {}{text}{waiting}", peer.personality, peer.state)
            })
            .collect();
        Ok(if lines.is_empty() {
            "There is no agent yet: `iapeer create NAME` makes one.".into()
        } else {
            lines.join("\n")
        })
    }

    /// Sends a text of the bridge itself.
    fn say(&self, text: &str) -> Result<(), Failure> {
        let text: String = text.chars().take(1000).collect();
        let arguments = json!({
            "chat_id": self.bot.facts.chat, "text": text,
            "reply_parameters": { "message_id": self.written.message_id, "allow_sending_without_reply": true },
        });
        match self.api.call("sendMessage", &arguments) {
            // A chat that takes no messages must not block those that the person sends.
            Ok(_) | Err(ApiError::Refused(..)) => Ok(()),
            Err(error) => Err(error.later()),
        }
    }
}
