//! The tool `send_to_peer`: its text, its parameters, and what a call does.

use crate::base::exit::{Exit, Failure};
use crate::base::identity::Topic;
use crate::base::message_id::MessageIdError;
use crate::base::paths::Paths;
use crate::cli::{self, Access};
use crate::delivery::accept::{self, Message, SendReport};
use crate::store::markers::Markers;
use crate::store::registry::Registry;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// The tool's name.
pub(crate) const NAME: &str = "send_to_peer";

/// How long a call waits until the message is settled. A sleeping peer is awake well before; an agent's own time limit
/// for a tool (60 s are common) must not pass first.
const WAIT: Duration = Duration::from_secs(45);

/// The arguments of a call. An unknown argument is refused: it may be what the agent cared about.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    personality: String,
    message: String,
    topic: Option<String>,
    re: Option<String>,
    attachments: Option<Vec<String>>,
    runtime: Option<String>,
}

/// Notes that this launch's program has fetched the tool: a message that came earlier could not be answered with it. A
/// failure is only logged: the first prompt is then held back a little longer.
pub(crate) fn note_listed() {
    let (identity, launch) = (std::env::var("PEER_IDENTITY"), std::env::var("PEER_LAUNCH"));
    let (Ok(Ok(identity)), Ok(launch)) = (identity.map(|text| text.parse()), launch) else { return };
    let noted = Paths::from_env().and_then(|paths| Ok(Markers::of(&paths, &identity).note_tool_listed(&launch)?));
    if let Err(failure) = noted {
        tracing::warn!("{failure}");
    }
}

/// The parameters as a JSON schema.
pub(crate) fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "personality": { "type": "string", "description": "The recipient's name, or RUNTIME-NAME." },
            "message": { "type": "string", "description": "The message, 16000 characters at most." },
            "topic": { "type": "string", "description": "What it is about, 200 characters at most. A sleeping peer resumes its conversation about a topic it knows." },
            "re": { "type": "string", "description": "The id of the message that this one answers. Give it whenever you answer: who asked waits for an answer with it." },
            "attachments": { "type": "array", "items": { "type": "string" }, "description": "Absolute paths of files that go with it, 20 at most." },
            "runtime": { "type": "string", "description": "The recipient's runtime, where it has several." }
        },
        "required": ["personality", "message"],
        "additionalProperties": false
    })
}

/// What the tool does, and one line for each other peer.
pub(crate) fn description() -> String {
    let mut text = "Send a message to another agent, person or service on this host. It is kept durably and \
                    delivered into the peer's session; a sleeping peer is woken by it. An answer comes later as a \
                    message of its own. When you answer a message, give its id as re."
        .to_owned();
    let own = std::env::var("PEER_PERSONALITY").unwrap_or_default();
    let registry = Paths::from_env().ok().and_then(|paths| Registry::read(&paths).ok());
    let peers: Vec<String> = registry
        .iter()
        .flat_map(Registry::peers)
        .filter(|peer| peer.personality.as_str() != own)
        .map(|peer| {
            let about = crate::base::exit::one_line(&peer.description);
            if about.is_empty() {
                format!("- {}", peer.personality)
            } else {
                format!("- {} — {about}", peer.personality)
            }
        })
        .collect();
    if !peers.is_empty() {
        text.push_str("\n\nPeers:\n");
        text.push_str(&peers.join("\n"));
    }
    text
}

/// Carries out a call, in the same way as `iapeer-send`. An error means that nothing was kept.
pub(crate) fn call(arguments: Value) -> Result<SendReport, Failure> {
    let mut report = None;
    let done = message(arguments).and_then(|message| {
        cli::with_world_without_actions("iapeer-mcp", Access::Write, |world| {
            report = Some(accept::send(world, message)?);
            Ok(Exit::Ok)
        })
    });
    match (done, report) {
        (Ok(_), Some(report)) => Ok(report),
        (Err(failure), _) => Err(failure),
        (Ok(_), None) => Err(Failure::new(Exit::Io, "no report")),
    }
}

/// The line for an agent whose message was not accepted.
pub(crate) fn not_accepted(failure: &Failure) -> String {
    let outcome = if failure.exit == Exit::Io { "failed" } else { "refused" };
    format!("{outcome}: {failure}")
}

fn message(arguments: Value) -> Result<Message, Failure> {
    let usage = |error: &dyn std::fmt::Display| Failure::new(Exit::Usage, error.to_string());
    let given: Arguments = serde_json::from_value(arguments).map_err(|error| usage(&error))?;
    Ok(Message {
        to: given.personality,
        runtime: given.runtime.map(|text| text.parse()).transpose().map_err(|error| usage(&error))?,
        from: None,
        topic: Topic::parse(&given.topic.unwrap_or_default())
            .map_err(|error| Failure::new(Exit::DataErr, error.to_string()))?,
        re: given
            .re
            .as_deref()
            .map(str::parse)
            .transpose()
            .map_err(|error: MessageIdError| Failure::new(Exit::DataErr, format!("re: {error}")))?,
        ask: None,
        attachments: given.attachments.unwrap_or_default(),
        urgent: false,
        no_pile: false,
        wait: WAIT,
        body: given.message,
    })
}
