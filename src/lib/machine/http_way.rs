//! Handing a message to a conversation by the HTTP server of the program in the terminal (opencode): nothing is typed, so
//! that a person's draft stays as it is.
//!
//! ```text
//! may it have been given before?      → the conversation is asked for it first; without an answer it stays in flight
//! no conversation yet                 → one is opened, and shown in the terminal
//! a turn runs → urgent: it is aborted; else → held, until the turn's end
//! POST prompt_async                   → refused: nothing was given, the next way is tried
//!                                     → no answer, 5xx: the conversation is asked for it; without a trace: unknown
//! evidence: an answer in the conversation that follows the message, a hook's turn marker, a transcript record
//! ```
//!
//! The program's own queue is not used: what waits there is lost with the program.

use super::confirm::Evident;
use super::http::{HttpError, HttpServer};
use super::real::RealHost;
use super::way::{Unusable, Way, held_by_the_turn, patience};
use crate::base::clock::{Deadline, wait_for};
use crate::base::evidence::Evidence;
use crate::base::hold::Hold;
use crate::base::identity::Identity;
use crate::base::message_id::MessageId;
use crate::base::{DeliveryKind, StateFile};
use crate::store::channel::{Channel, HttpPlace};
use crate::store::markers::Markers;
use crate::store::session_record::SessionRecord;
use crate::world::peer::Peer;
use crate::world::{Delivery, HostError, Landing};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// How long an answer may take; it takes some milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a server may still report an aborted turn as running.
const ENDING: Duration = Duration::from_secs(3);
/// How long a message that was given may take to be found in the conversation.
const FOUND: Duration = Duration::from_millis(1500);
/// Pause between two searches of files for evidence.
const LOOK: Duration = Duration::from_millis(5);
/// Pause between two requests about one message.
const SEARCH: Duration = Duration::from_millis(50);
/// How many of a conversation's last messages are searched for a message that may have been given before.
const MESSAGES: u32 = 60;

/// The way http: by the HTTP server of the program in the terminal.
pub(super) struct HttpWay;

impl Way for HttpWay {
    fn kind(&self) -> DeliveryKind {
        DeliveryKind::Http
    }

    fn hand_over(&self, host: &RealHost<'_>, delivery: &Delivery<'_>) -> Result<Landing, Unusable> {
        let talk = Talk::of(host, &delivery.peer.identity, delivery.launch)?;
        match talk.stood_before(host, delivery) {
            Ok(Stood::Taken) => return Ok(Landing::Landed { by: Evidence::Http, forced: false }),
            Ok(Stood::Absent | Stood::Stored) => {}
            // If the server has the message, typing it would deliver it twice.
            Err(error) if delivery.resumed => {
                return Ok(Landing::Unknown(format!("http: whether it has the message is not known: {error}")));
            }
            Err(error) => return Err(unusable(&error)),
        }
        let session = match &talk.session {
            Some(session) => session.clone(),
            None => talk.open(host, delivery).map_err(|error| unusable(&error))?,
        };
        if talk.asks(&session).map_err(|error| unusable(&error))?.is_some() {
            return Ok(Landing::Held(Hold::Attention, "the agent waits for an answer".into()));
        }
        if talk.is_busy(&session).map_err(|error| unusable(&error))? {
            let ended = delivery.urgent && !delivery.resumed && talk.abort(host, &session);
            if !ended {
                return Ok(held_by_the_turn());
            }
        }
        let evident = Evident::of(host, delivery);
        let parts = json!({"parts": [{"type": "text", "text": delivery.text}]});
        match talk.server.post(&format!("/session/{session}/prompt_async"), &parts) {
            Ok(_) => Ok(talk.await_turn(host, delivery, &session, &evident, None)),
            // Whether the server has the message is not known: it must not be given again before that is known.
            Err(HttpError::NoAnswer(why)) => Ok(talk.await_turn(host, delivery, &session, &evident, Some(&why))),
            Err(error @ HttpError::Refused { status: 500.., .. }) => match talk.settled(host, delivery, &session) {
                Ok(Stood::Absent) => Err(unusable(&error)),
                _ => Ok(talk.await_turn(host, delivery, &session, &evident, Some(&error.to_string()))),
            },
            Err(error) => Err(unusable(&error)),
        }
    }

    fn is_busy(&self, host: &RealHost<'_>, peer: &Peer) -> Result<bool, Unusable> {
        let talk = Talk::now(host, &peer.identity)?;
        let Some(session) = &talk.session else { return Ok(false) };
        talk.is_busy(session).map_err(|error| unusable(&error))
    }

    fn interrupt(&self, host: &RealHost<'_>, peer: &Peer, _: &[String]) -> Result<Result<(), HostError>, Unusable> {
        let talk = Talk::now(host, &peer.identity)?;
        let Some(session) = &talk.session else { return Err(unusable(&"it has no conversation open")) };
        let aborted = talk.server.post(&format!("/session/{session}/abort"), &json!({}));
        aborted.map(|_| Ok(())).map_err(|error| unusable(&error))
    }

    fn answer(&self, host: &RealHost<'_>, identity: &Identity, text: &str, answer: &str) -> Option<String> {
        let talk = Talk::now(host, identity).ok()?;
        let asked = talk.asks(talk.session.as_deref()?).ok()??;
        let reply = match answer {
            "allow" => "once",
            "deny" => "reject",
            _ => return None,
        };
        let id = asked["id"].as_str().filter(|_| is_about(&asked, text, host.paths.home()))?;
        talk.server.post(&format!("/permission/{id}/reply"), &json!({"reply": reply})).ok()?;
        Some(format!("{reply}, told to its server"))
    }
}

fn unusable(why: &dyn std::fmt::Display) -> Unusable {
    Unusable(format!("http: {why}"))
}

/// The server of a session, and the conversation that its terminal shows.
struct Talk {
    server: HttpServer,
    session: Option<String>,
}

impl Talk {
    fn of(host: &RealHost<'_>, identity: &Identity, launch: Option<&str>) -> Result<Talk, Unusable> {
        let place = Channel::of(host.paths, identity, launch).and_then(|channel| channel.http);
        let place = place.ok_or_else(|| unusable(&"its port is not known"))?;
        // A person may have opened another conversation since.
        let turn = Markers::of(host.paths, identity).turn_of(launch);
        let session = turn.and_then(|turn| turn.session).or_else(|| place.session.clone());
        Ok(Talk { server: HttpServer::at(&place, PATIENCE), session })
    }

    fn now(host: &RealHost<'_>, identity: &Identity) -> Result<Talk, Unusable> {
        let launch = SessionRecord::launch_of(host.paths, identity);
        Talk::of(host, identity, launch.as_deref())
    }

    /// What the conversation has of a message that may have been given before.
    fn stood_before(&self, host: &RealHost<'_>, delivery: &Delivery<'_>) -> Result<Stood, HttpError> {
        match &self.session {
            Some(session) if delivery.resumed => self.settled(host, delivery, session),
            _ => Ok(Stood::Absent),
        }
    }

    /// What the conversation has of a message that was given a moment ago: asked until a turn takes the message or time
    /// is over.
    fn settled(&self, host: &RealHost<'_>, delivery: &Delivery<'_>, session: &str) -> Result<Stood, HttpError> {
        let deadline = Deadline::after(host.clock, FOUND);
        loop {
            let stood = self.stood(session, delivery.id)?;
            if stood == Stood::Taken || deadline.passed(host.clock) {
                return Ok(stood);
            }
            host.clock.sleep(SEARCH);
        }
    }

    fn stood(&self, session: &str, id: MessageId) -> Result<Stood, HttpError> {
        Ok(stood(&self.server.get(&format!("/session/{session}/message?limit={MESSAGES}"))?, id))
    }

    /// Opens a conversation, shows it in the terminal, and notes it.
    fn open(&self, host: &RealHost<'_>, delivery: &Delivery<'_>) -> Result<String, HttpError> {
        let opened = self.server.post("/session", &json!({}))?;
        let id =
            opened["id"].as_str().ok_or_else(|| HttpError::NotAsked("it opens a conversation without an id".into()))?;
        self.server.post("/tui/select-session", &json!({"sessionID": id}))?;
        let identity = &delivery.peer.identity;
        if let Some(channel) = Channel::of(host.paths, identity, delivery.launch) {
            let http = channel.http.map(|place| HttpPlace { session: Some(id.to_owned()), ..place });
            let noted = Channel { http, ..channel };
            noted
                .write(&host.paths.state(identity, StateFile::Channel))
                .map_err(|error| HttpError::NotAsked(error.to_string()))?;
        }
        Ok(id.to_owned())
    }

    fn is_busy(&self, session: &str) -> Result<bool, HttpError> {
        let all = self.server.get("/session/status")?;
        Ok(all[session]["type"].as_str().is_some_and(|kind| kind != "idle"))
    }

    /// The approval that the conversation asks a person for, if any.
    fn asks(&self, session: &str) -> Result<Option<Value>, HttpError> {
        let mut all = self.server.get("/permission")?;
        let list = all.as_array_mut().map(std::mem::take).unwrap_or_default();
        Ok(list.into_iter().find(|asked| asked["sessionID"] == session))
    }

    /// Ends the running turn. Returns whether it has ended.
    fn abort(&self, host: &RealHost<'_>, session: &str) -> bool {
        let patience = Deadline::after(host.clock, ENDING);
        self.server.post(&format!("/session/{session}/abort"), &json!({})).is_ok()
            && wait_for(host.clock, patience, SEARCH, || self.is_busy(session).ok().filter(|busy| !busy)).is_some()
    }

    /// Waits for evidence that a turn took the message. `why`: the reason why it is not known that the server has the
    /// message.
    fn await_turn(
        &self,
        host: &RealHost<'_>,
        delivery: &Delivery<'_>,
        session: &str,
        evident: &Evident<'_>,
        why: Option<&str>,
    ) -> Landing {
        let deadline = Deadline::after(host.clock, patience(host, delivery));
        let gone = Deadline::after(host.clock, FOUND);
        while !deadline.passed(host.clock) {
            match self.stood(session, delivery.id) {
                Ok(Stood::Taken) => return Landing::Landed { by: Evidence::Http, forced: false },
                // The server has ended: a message that a turn had taken is in the transcript.
                Err(HttpError::NotAsked(_)) if gone.passed(host.clock) => break,
                _ => {}
            }
            if let Some(by) = wait_for(host.clock, Deadline::after(host.clock, SEARCH), LOOK, || evident.now()) {
                return Landing::Landed { by, forced: false };
            }
        }
        Landing::Unknown(format!("http: {}", why.unwrap_or("it accepted the message, and no turn took it")))
    }
}

/// What a conversation has of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stood {
    /// Nothing.
    Absent,
    /// The message, which no turn has begun to answer.
    Stored,
    /// The message, and the turn that has begun to answer it.
    Taken,
}

/// What a conversation, whose last messages are `messages`, has of message `id`.
fn stood(messages: &Value, id: MessageId) -> Stood {
    let envelope = format!("id=\"{id}\"");
    let all = || messages.as_array().into_iter().flatten();
    let carries = |message: &Value| {
        let mut parts = message["parts"].as_array().into_iter().flatten();
        parts.any(|part| part["text"].as_str().is_some_and(|text| text.contains(&envelope)))
    };
    let given: Vec<&Value> = all()
        .filter(|message| message["info"]["role"] == "user" && carries(message))
        .map(|message| &message["info"]["id"])
        .collect();
    let answers = |message: &Value| {
        message["info"]["role"] == "assistant" && given.iter().any(|id| **id == message["info"]["parentID"])
    };
    match given.is_empty() {
        true => Stood::Absent,
        false if all().any(answers) => Stood::Taken,
        false => Stood::Stored,
    }
}

/// Whether the request is for what the screen shows, which may be cut off there, and has `~` for the user's `home`.
fn is_about(asked: &Value, text: &str, home: &Path) -> bool {
    let marks = |c: char| c.is_whitespace() || "$-".contains(c);
    let seen = match text.trim_start().strip_prefix(['→', '%']) {
        // A title names the kind of the permission, and then what it is for: `→ Edit src/main.rs`.
        Some(title) => match title.trim_start().split_once(' ') {
            Some((kind, what)) if asked["permission"] == kind.to_lowercase() => what.trim_start(),
            _ => return false,
        },
        None => text.trim_start_matches(marks),
    };
    let seen = seen.trim_end().trim_end_matches('…').trim_end();
    let holds = |text: &str| asked.to_string().contains(serde_json::json!(text).to_string().trim_matches('"'));
    match seen.strip_prefix("~/") {
        Some(path) if !path.is_empty() => holds(seen) || holds(&format!("{}/{path}", home.display())),
        _ => !seen.is_empty() && holds(seen),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_conversation_knows_of_a_message_as_a_table() {
        let id: MessageId = "01M7Q5CQG0BYHCDT2D4AREQYBQ".parse().unwrap();
        let user = |name: &str, text: &str| json!({"info": {"id": name, "role": "user"}, "parts": [{"text": text}]});
        let answer = |parent: &str| json!({"info": {"id": "z", "role": "assistant", "parentID": parent}, "parts": []});
        let ours = format!("<iap from-personality=\"a\" id=\"{id}\">");
        let spoken = format!("did you get {id}?");
        for (messages, found) in [
            (json!(null), Stood::Absent),
            (json!([]), Stood::Absent),
            (json!([user("a", "hello"), answer("a")]), Stood::Absent),
            (json!([user("a", &spoken), answer("a")]), Stood::Absent),
            (json!([user("a", &ours)]), Stood::Stored),
            (json!([user("a", &ours), user("b", "x"), answer("b")]), Stood::Stored),
            (json!([user("a", &ours), answer("a")]), Stood::Taken),
            (json!([user("a", &ours), user("b", &ours), answer("b")]), Stood::Taken),
            (json!([{"info": {"id": "a", "role": "assistant"}, "parts": [{"text": ours}]}]), Stood::Absent),
        ] {
            assert_eq!(stood(&messages, id), found, "{messages}");
        }
    }

    #[test]
    fn a_request_is_about_what_the_screen_shows_as_a_table() {
        let home = Path::new("/home/u");
        let asked = json!({"id": "per_1", "permission": "bash", "patterns": ["touch \"x\""]});
        for (text, is) in [("- touch \"x\"", true), ("touch…", true), ("touch y", false), ("", false), ("- ", false)]
        {
            assert_eq!(is_about(&asked, text, home), is, "{text:?}");
        }
        let asked = json!({"id": "per_1", "permission": "webfetch", "patterns": ["https://example.org/"]});
        assert!(is_about(&asked, "% WebFetch https://example.org/", home));
        // Measured with opencode 1.18.33.
        let asked = json!({"id": "per_1", "permission": "edit", "patterns": ["src/a b.rs", "../u/c.rs"],
            "metadata": {"filepath": "/home/u/c.rs", "diff": "Index: /home/u/c.rs"}});
        for (text, is) in [
            ("→ Edit src/a b.rs", true),
            ("→ Edit src/a…", true),
            ("→ Edit src/c.rs", false),
            ("→ Edit ~/c.rs", true),
            ("→ Edit ~/a.rs", false),
            ("→ Edit ~/", false),
            ("→ Read src/a b.rs", false),
            ("→ Edit", false),
            ("→ Edit ", false),
            ("% WebFetch src/a b.rs", false),
        ] {
            assert_eq!(is_about(&asked, text, home), is, "{text:?}");
        }
    }
}
