//! Buttons under the messages that tell the owner of an approval or a question. A press answers as `iapeer answer`
//! does.

use crate::attention::{answer, tell};
use crate::base::exit::Failure;
use crate::base::message_id::MessageId;
use crate::people::bots::Bot;
use crate::store::attention;
use crate::store::queue::{Item, nobody};
use crate::telegram::api::Api;
use crate::telegram::bridge::Bridge;
use crate::telegram::notes::Asked;
use crate::telegram::update::Pressed;
use crate::world::peer::Peer;
use serde_json::{Value, json};

/// Longest text that Telegram shows for a press, in characters.
const TOAST: usize = 200;

/// The question that `item` reports, if it is still open.
pub(crate) fn asked(bridge: &Bridge<'_>, item: &Item) -> Option<Asked> {
    if item.from != nobody() {
        return None;
    }
    // Where the state can't be read now, the message is sent without buttons.
    let (identity, now) = tell::told_of(bridge.world, &item.task).ok().flatten()?;
    Some(Asked { identity, request: now.id, since: now.since, answers: now.answers })
}

/// The keyboard under the message `id`: a button for each answer. A button's data is only the message's id and the
/// answer's index, since Telegram allows at most 64 bytes.
pub(crate) fn keyboard(id: MessageId, asked: &Asked) -> Value {
    let button = |(at, word): (usize, &String)| json!([{ "text": word, "callback_data": format!("{id}:{at}") }]);
    json!({ "inline_keyboard": asked.answers.iter().enumerate().map(button).collect::<Vec<_>>() })
}

/// Answers by the button that was pressed, and reports the result in the chat. A report that fails is only logged: an error
/// would make the same press answer a second time.
pub(crate) fn press(bridge: &Bridge<'_>, api: &Api, bot: &Bot, pressed: &Pressed) -> Result<(), Failure> {
    let shown = pressed.message.as_ref().filter(|shown| shown.chat.id == bot.facts.chat);
    let Some(shown) = shown.filter(|_| pressed.from.id == bot.facts.chat) else { return Ok(()) };
    let note = bridge.note_of(bot.facts.id, shown.message_id)?;
    let place = |note: &crate::telegram::notes::Note| {
        let (id, at) = pressed.data.split_once(':')?;
        (id == note.id.to_string()).then(|| at.parse::<usize>().ok()).flatten()
    };
    let chosen = note.as_ref().and_then(|note| {
        let asked = note.asked.as_ref()?;
        Some((asked, asked.answers.get(place(note)?)?))
    });
    let said = match chosen {
        Some((asked, word)) => answered(bridge, asked, word),
        None => "this button is for nothing that is known any more".to_owned(),
    };
    let chat = bot.facts.chat;
    let toast: String = said.chars().take(TOAST).collect();
    let calls = [
        ("answerCallbackQuery", json!({ "callback_query_id": pressed.id, "text": toast })),
        ("editMessageReplyMarkup", json!({ "chat_id": chat, "message_id": shown.message_id })),
        (
            "sendMessage",
            json!({ "chat_id": chat, "text": said, "reply_parameters": { "message_id": shown.message_id, "allow_sending_without_reply": true } }),
        ),
    ];
    for (method, arguments) in calls {
        if let Err(error) = api.call(method, &arguments) {
            tracing::warn!("{}: {method}: {error}", bot.handle());
        }
    }
    Ok(())
}

/// Answers the question `asked` with `word`, if it is still open. Returns the result, for people.
fn answered(bridge: &Bridge<'_>, asked: &Asked, word: &str) -> String {
    let (world, name) = (bridge.world, asked.identity.personality());
    let stands = attention::peek(world.paths, &asked.identity)
        .is_some_and(|now| now.since == asked.since && now.id == asked.request);
    if !stands {
        return format!("{name} waits for this no more: nothing was answered");
    }
    let by = bridge.peer.identity.as_str();
    let answer = Peer::of(world.paths, &asked.identity)
        .and_then(|peer| answer::answer(world, &peer, asked.request.as_deref(), word, None, by));
    match answer {
        Ok(answered) => answered.line(),
        Err(failure) => format!("{name} was not answered: {failure}"),
    }
}
