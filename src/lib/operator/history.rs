//! `iapeer history`: the settled messages, from the histories of all peers.

use crate::base::address::Origin;
use crate::base::clock::EpochMs;
use crate::base::evidence::Outcome;
use crate::base::exit::Failure;
use crate::base::identity::Personality;
use crate::base::message_id::MessageId;
use crate::store::durable;
use crate::store::history::{History, Settlement};
use crate::world::World;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Which messages are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistoryFilter {
    /// Messages from or to each of these peers: with two, the messages between them.
    pub between: Vec<Personality>,
    /// Messages that were accepted since then.
    pub since: Option<EpochMs>,
    /// Messages with this in the text or the topic, in upper or lower case.
    pub grep: Option<String>,
    /// Messages in one thread with this one: those that it answers, those that answer it, and so on.
    pub thread: Option<MessageId>,
}

/// One message and its outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PastMessage {
    /// The message's id.
    pub id: MessageId,
    /// When it was accepted: UTC, ISO 8601.
    pub ts: String,
    /// When it was settled.
    pub settled: String,
    /// Who sent it.
    pub from: Origin,
    /// The recipient: RUNTIME-NAME, or NAME@HOST.
    pub to: String,
    /// `delivered`, `dead` or `dropped`; `handed-over` where another host has it and has sent no receipt yet.
    pub outcome: Outcome,
    /// Why it was not delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The topic.
    pub topic: Option<String>,
    /// The message that it answers.
    pub re: Option<MessageId>,
    /// Absolute paths of attached files.
    pub attachments: Vec<String>,
    /// Its text; absent where it is not kept.
    pub body: Option<String>,
    #[serde(skip)]
    accepted: EpochMs,
}

impl PastMessage {
    fn of(to: &str, line: Settlement) -> PastMessage {
        let to = line.to.as_ref().map_or_else(|| to.to_owned(), ToString::to_string);
        PastMessage {
            id: line.id,
            ts: line.accepted.utc(),
            settled: line.settled.utc(),
            from: line.from,
            to,
            outcome: line.outcome,
            reason: line.reason,
            topic: line.topic.map(|topic| topic.to_string()),
            re: line.re,
            attachments: line.attachments,
            body: line.task,
            accepted: line.accepted,
        }
    }

    /// The message for people: a line about it, then its text, indented.
    pub fn text(&self) -> String {
        let mut text = format!("{}  {} → {}  {}", self.accepted.local(), self.from, self.to, self.id);
        if let Some(topic) = &self.topic {
            text.push_str(&format!("  [{topic}]"));
        }
        if let Some(re) = self.re {
            text.push_str(&format!("  re {re}"));
        }
        if self.outcome != Outcome::Delivered {
            let reason = self.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            text.push_str(&format!("  {}{reason}", self.outcome));
        }
        self.attachments.iter().for_each(|path| text.push_str(&format!("\n  attached: {path}")));
        self.body.iter().flat_map(|body| body.lines()).for_each(|line| text.push_str(&format!("\n  {line}")));
        text
    }

    fn is_wanted(&self, filter: &HistoryFilter) -> bool {
        let (from, to) = (self.from.contact().to_string(), contact(&self.to));
        let needle = filter.grep.as_ref().map(|text| text.to_lowercase());
        let texts = [self.body.as_ref(), self.topic.as_ref()];
        filter.between.iter().all(|name| from == name.as_str() || to == name.as_str())
            && filter.since.is_none_or(|since| self.accepted >= since)
            && needle.is_none_or(|needle| texts.iter().flatten().any(|text| text.to_lowercase().contains(&needle)))
    }
}

/// The wanted messages, the oldest first.
pub fn read(world: &World<'_>, filter: &HistoryFilter) -> Result<Vec<PastMessage>, Failure> {
    // A message has a line for each outcome: the last line counts.
    let mut all = BTreeMap::new();
    for (to, history) in histories(world)? {
        // A line of an outbox without an address is that of a probe or a receipt.
        for line in history.lines()?.into_iter().filter(|line| line.to.is_some() || !to.starts_with('@')) {
            all.insert((line.accepted, line.id, to.clone()), PastMessage::of(&to, line));
        }
    }
    let mut messages: Vec<PastMessage> = all.into_values().collect();
    if let Some(id) = filter.thread {
        let thread = thread(&messages, id);
        messages.retain(|message| thread.contains(&message.id));
    }
    messages.retain(|message| message.is_wanted(filter));
    Ok(messages)
}

/// The name of the peer `to`: NAME of RUNTIME-NAME, or the whole NAME@HOST.
fn contact(to: &str) -> &str {
    if to.contains('@') { to } else { to.split_once('-').map_or(to, |(_, name)| name) }
}

/// All histories: by identity, of registered and other peers, and by `@HOST`, of the outboxes.
pub(crate) fn histories(world: &World<'_>) -> Result<BTreeMap<String, History>, Failure> {
    let history = |name: String| -> Option<(String, History)> {
        let whose = name.trim_end_matches(".1").strip_suffix(".jsonl")?;
        let history = match whose.strip_prefix('@') {
            Some(host) => world.outbox(&host.parse().ok()?).history,
            None => world.history(&whose.parse().ok()?),
        };
        Some((whose.to_owned(), history))
    };
    Ok(durable::names_of(&world.paths.history_dir())?.into_iter().filter_map(history).collect())
}

/// The ids of all messages that are connected to `id` by answers.
fn thread(messages: &[PastMessage], id: MessageId) -> BTreeSet<MessageId> {
    let mut ids = BTreeSet::from([id]);
    loop {
        let before = ids.len();
        for message in messages {
            let Some(re) = message.re else { continue };
            if ids.contains(&re) || ids.contains(&message.id) {
                ids.extend([re, message.id]);
            }
        }
        if ids.len() == before {
            return ids;
        }
    }
}
