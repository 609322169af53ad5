//! From the queue to Telegram: one message after the other, each settled when the API has confirmed all its parts.

use crate::base::exit::Failure;
use crate::base::hold::Hold;
use crate::base::paths;
use crate::delivery::outgoing::{self, Head, Sent};
use crate::host::dir_watch::DirWatch;
use crate::mailbox::ledger::Entry;
use crate::people::bots::{self, Bot, Token};
use crate::store::open::{self, Links, Owner, Rule};
use crate::store::queue::{Item, nobody};
use crate::store::registry::Registry;
use crate::telegram::api::{Api, ApiError, UPLOAD_MAX};
use crate::telegram::bridge::Bridge;
use crate::telegram::buttons;
use crate::telegram::notes::{Asked, Note};
use crate::telegram::pace::Pace;
use crate::telegram::parts::{self, Part};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// How long one wait for a message lasts at most; after it the bots are read again.
const LOOK: Duration = Duration::from_secs(2);
/// The pause where only an answer waits, which its asker will take out of the queue.
const AWAITED: Duration = Duration::from_millis(200);
/// The pause before the next try where the chat takes no messages, or the token is not accepted.
const BLOCKED: Duration = Duration::from_secs(60);
/// The pause where no bot is connected for the sender.
const SETUP: Duration = Duration::from_secs(2);

/// Why a message was not sent, and what to wait for before the next try.
struct Unsent {
    what: Sent,
    wait: Wait,
}

/// What to wait for.
enum Wait {
    /// A time that doubles with each failure.
    Growing,
    /// This long.
    For(Duration),
    /// A token of this bot that differs from this one.
    Token(Box<(Bot, Token)>),
}

impl Unsent {
    fn held(hold: Hold, why: impl Into<String>, wait: Wait) -> Unsent {
        Unsent { what: Sent::Held(hold, why.into()), wait }
    }
}

impl From<Failure> for Unsent {
    /// A failure on this host, not at Telegram.
    fn from(failure: Failure) -> Unsent {
        Unsent::held(Hold::Setup, failure.to_string(), Wait::Growing)
    }
}

/// Sends the messages of the queue for ever. Returns only a failure after which it can't continue. `keep_listening` gets
/// the current bots again and again, to listen to each.
pub(crate) fn go_on(bridge: &Bridge<'_>, keep_listening: &mut dyn FnMut(&[Bot]) -> Result<(), Failure>) -> Failure {
    loop {
        if let Err(failure) = send_all(bridge, keep_listening) {
            return failure;
        }
    }
}

fn send_all(bridge: &Bridge<'_>, keep_listening: &mut dyn FnMut(&[Bot]) -> Result<(), Failure>) -> Result<(), Failure> {
    let (world, peer) = (bridge.world, &bridge.peer);
    let queue = world.queue(&peer.identity);
    paths::create_dirs(queue.dir())?;
    let watch = DirWatch::on(queue.dir()).map_err(|error| Failure::io("watch", queue.dir(), &error))?;
    let mut pace = Pace::new();
    loop {
        let bots = bots::bots(peer)?;
        keep_listening(&bots)?;
        let entry = match outgoing::head(world, peer, &queue)? {
            Head::Message(entry) => *entry,
            Head::Awaited => {
                world.clock.sleep(AWAITED);
                continue;
            }
            Head::Empty => {
                watch.wait(None, LOOK).map_err(|error| Failure::io("watch", queue.dir(), &error))?;
                continue;
            }
        };
        let (sent, wait) = match send(bridge, &bots, &entry) {
            Ok(()) => (Sent::Taken, None),
            Err(Unsent { what, wait }) => (what, Some(wait)),
        };
        outgoing::conclude(world, peer, &queue, entry, sent)?;
        match wait {
            None => pace.worked(),
            Some(Wait::Growing) => bridge.pause(pace.failed(), || false),
            Some(Wait::For(time)) => bridge.pause(time, || false),
            Some(Wait::Token(of)) => bridge.pause(BLOCKED, || of.0.token().is_ok_and(|now| now != of.1)),
        }
    }
}

/// Sends the parts of `entry` that have not been sent yet.
fn send(bridge: &Bridge<'_>, bots: &[Bot], entry: &Entry) -> Result<(), Unsent> {
    let item = &entry.item;
    let Some((bot, named)) = speaker(bridge, bots, item)? else {
        let name = bridge.peer.identity.personality();
        let why = format!("no bot speaks for {}: `iapeer connect telegram {name}` connects one", item.from);
        return Err(Unsent::held(Hold::Setup, why, Wait::For(SETUP)));
    };
    let token = bot.token()?;
    let sending = Sending { bridge, bot, api: Api::new(token.clone())?, item, asked: buttons::asked(bridge, item) };
    let parts = parts::parts(item, named);
    let last_text = parts.iter().rposition(|part| matches!(part, Part::Text { .. }));
    let done = bridge.notes()?.parts_sent(item.id);
    for (at, part) in parts.iter().enumerate().skip(done) {
        let asked = sending.asked.as_ref().filter(|_| Some(at) == last_text);
        let _noted = bridge.sending()?;
        let sent = match part {
            Part::Text { speaker, text } => sending.text(speaker, text, at == 0, asked),
            Part::File { speaker, path } => sending.file(speaker, path),
        };
        let sent = sent.map_err(|error| unsent(bridge, bot, &token, error))?;
        let about = asked.map_or_else(|| item.from.contact(), |asked| asked.identity.personality().clone().into());
        let note = Note {
            bot: bot.facts.id,
            message: sent["message_id"].as_i64().unwrap_or_default(),
            id: item.id,
            peer: about,
            part: Some(at),
            asked: asked.cloned(),
        };
        bridge.notes()?.add(note)?;
    }
    Ok(())
}

/// What an error of the API means for a message.
fn unsent(bridge: &Bridge<'_>, bot: &Bot, token: &Token, error: ApiError) -> Unsent {
    match error {
        ApiError::Token => {
            let (handle, name) = (bot.handle(), bridge.peer.identity.personality());
            let why = format!(
                "Telegram no longer accepts the token of {handle}: `iapeer connect telegram {name}` with a new one"
            );
            Unsent::held(Hold::Login, why, Wait::Token(Box::new((bot.clone(), token.clone()))))
        }
        ApiError::Busy(time) => Unsent::held(Hold::Network, error.to_string(), Wait::For(time)),
        ApiError::Passing(why) => Unsent::held(Hold::Network, why, Wait::Growing),
        // The person has blocked the bot, or was never in a chat with it.
        ApiError::Refused(403, why) => {
            Unsent::held(Hold::Setup, format!("{}: {why}", bot.handle()), Wait::For(BLOCKED))
        }
        ApiError::Refused(..) => Unsent { what: Sent::Refused(error.to_string()), wait: Wait::Growing },
    }
}

/// The bot that speaks for the sender of `item`, and whether the parts begin with the sender's name.
fn speaker<'b>(bridge: &Bridge<'_>, bots: &'b [Bot], item: &Item) -> Result<Option<(&'b Bot, bool)>, Failure> {
    let registry = Registry::read(bridge.world.paths)?;
    let named = |bot: &Bot, name: &str| bot.facts.username.eq_ignore_ascii_case(name.trim_start_matches('@'));
    let here = item.from.here().and_then(|from| registry.get(from.personality()));
    let own = here.and_then(|record| record.telegram_bot_name());
    if let Some(bot) = own.and_then(|own| bots.iter().find(|bot| named(bot, own))) {
        let speakers = registry.peers().iter().filter_map(|record| record.telegram_bot_name());
        return Ok(Some((bot, bot.facts.all || speakers.filter(|name| named(bot, name)).count() > 1)));
    }
    let for_all = bots.iter().find(|bot| bot.facts.all);
    // A message of iapeer itself must reach the person, through whichever bot.
    let any = || bots.first().filter(|_| item.from == nobody());
    Ok(for_all.or_else(any).map(|bot| (bot, true)))
}

/// One message that is being sent by one bot.
struct Sending<'a, 'w> {
    bridge: &'a Bridge<'w>,
    bot: &'a Bot,
    api: Api,
    item: &'a Item,
    /// The question that the message asks, if it gets buttons.
    asked: Option<Asked>,
}

impl Sending<'_, '_> {
    /// Sends a text: the `first` one as a reply to the message that it answers, one with `asked` with buttons.
    fn text(&self, speaker: &str, text: &str, first: bool, asked: Option<&Asked>) -> Result<Value, ApiError> {
        let mut arguments = parts::text_arguments(self.bot.facts.chat, speaker, text);
        let re = self.item.re.filter(|_| first);
        if let Some(message) = re.and_then(|re| self.bridge.notes().ok()?.written(self.bot.facts.id, re)) {
            arguments["reply_parameters"] = json!({ "message_id": message, "allow_sending_without_reply": true });
        }
        if let Some(asked) = asked.filter(|asked| !asked.answers.is_empty()) {
            arguments["reply_markup"] = buttons::keyboard(self.item.id, asked);
        }
        self.api.call("sendMessage", &arguments)
    }

    /// Sends the file at `path`. If it is gone, is no regular file, or is refused by Telegram, a text names it instead.
    fn file(&self, speaker: &str, path: &str) -> Result<Value, ApiError> {
        let chat = self.bot.facts.chat;
        let instead = |why: String| {
            let room = parts::TEXT_MAX.saturating_sub(parts::units(speaker) + parts::units(&why) + 40) / 2;
            let shown: String = path.chars().rev().take(room).collect::<Vec<_>>().into_iter().rev().collect();
            let text = format!("[{shown} could not be sent: {why}]");
            self.api.call("sendMessage", &parts::text_arguments(chat, speaker, &text))
        };
        let rule = Rule { max: UPLOAD_MAX, links: Links::Followed, owner: Owner::Any };
        let content = match open::read(Path::new(path), rule) {
            Ok(Some(content)) => content,
            Ok(None) => return instead("it is not there any more".into()),
            Err(error) => return instead(error.to_string()),
        };
        let name = path.rsplit('/').next().unwrap_or(path);
        let caption = speaker.trim_end().trim_end_matches(':').to_owned();
        let fields = [("chat_id", chat.to_string()), ("caption", caption)];
        match self.api.upload("sendDocument", &fields, "document", name, &content) {
            Err(ApiError::Refused(status, why)) if status != 403 => instead(why),
            sent => sent,
        }
    }
}
