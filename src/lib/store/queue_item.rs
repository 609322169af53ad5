//! One message in a queue: its number, its content, and where it can be.

use crate::base::address::{Address, Origin};
use crate::base::clock::EpochMs;
use crate::base::evidence::{Landed, Outcome};
use crate::base::hold::HeldSince;
use crate::base::identity::{Identity, Intelligence, Topic};
use crate::base::message_id::MessageId;
use crate::store::field_error::ItemFault;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt;

/// An item's number: its position in the order of acceptance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:06}", self.0)
    }
}

impl Seq {
    /// Parses a number in the form that [`Seq`] prints.
    pub(crate) fn parse(name: &str) -> Option<Seq> {
        Seq::number(name).filter(|seq| seq.to_string() == name)
    }

    /// Parses a number with any count of leading zeros.
    pub(crate) fn number(name: &str) -> Option<Seq> {
        (!name.is_empty() && name.bytes().all(|b| b.is_ascii_digit())).then(|| name.parse().ok().map(Seq))?
    }
}

/// One message in a queue. An item of the earlier system, which has only `task` and perhaps `topic`, is still read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Version of the format.
    #[serde(default = "one")]
    pub v: u32,
    /// The message's id.
    #[serde(default = "MessageId::nil")]
    pub id: MessageId,
    /// The message's body.
    pub task: String,
    /// The message's topic.
    #[serde(default, deserialize_with = "Topic::lenient", skip_serializing_if = "Option::is_none")]
    pub topic: Option<Topic>,
    /// The message that this one answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub re: Option<MessageId>,
    /// The sender.
    #[serde(default = "from_nobody")]
    pub from: Origin,
    /// The recipient on another host; set only in an outbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Address>,
    /// The item's number in the outbox of the host that it came from, which the receipt names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub far_seq: Option<Seq>,
    /// Set in an outbox where the item is not a peer's message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errand: Option<Errand>,
    /// The sender's nature.
    #[serde(default = "absent")]
    pub from_intelligence: Intelligence,
    /// When the message was accepted.
    #[serde(default)]
    pub accepted: EpochMs,
    /// The number of tries that did not end in evidence of delivery.
    #[serde(default)]
    pub attempts: u32,
    /// How often the recipient may already have seen the message: `redelivered` in the envelope.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub redelivered: u32,
    /// Absolute paths of attached files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<String>,
    /// Whether the message steers a running turn instead of waiting for its end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub urgent: bool,
    /// Set on a message of a worker that answers its task: whoever settles the message sees to it that the task counts as
    /// answered, should the worker's own program have died before it could.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub answers_task: bool,
    /// The launch of the worker's session that sent the answer, where `answers_task` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launch: Option<String>,
    /// When there was evidence that a worker took the message as its task. The item stays in flight until the worker
    /// answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub landed: Option<EpochMs>,
    /// How the message landed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub landing: Option<Landed>,
    /// Set while the message waits in the agent program's own queue. The item stays in our queue: where the program
    /// ends before a turn has taken the message, the message is handed over again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed: Option<Passed>,
    /// The id of the notice that tells the sender about the dead letter, noted before the notice is sent: a drain that
    /// finds this id completes the burial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<MessageId>,
    /// What holds the message and since when; `None` where nothing holds it, or where its own tries failed.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub held: Option<HeldSince>,
    /// Why the last try failed, or why the item is dead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Item {
    /// A new message with a new id, which was not tried yet.
    pub fn new(from: impl Into<Origin>, from_intelligence: Intelligence, task: String, now: EpochMs) -> Item {
        Item {
            v: 1,
            id: MessageId::generate(now),
            task,
            topic: None,
            re: None,
            from: from.into(),
            to: None,
            far_seq: None,
            errand: None,
            from_intelligence,
            accepted: now,
            attempts: 0,
            redelivered: 0,
            attachments: Vec::new(),
            urgent: false,
            answers_task: false,
            launch: None,
            landed: None,
            landing: None,
            passed: None,
            notice: None,
            held: None,
            reason: None,
        }
    }

    /// Parses an item; the error says why `bytes` are not an item.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Item, ItemFault> {
        let item: Item = serde_json::from_slice(bytes)?;
        if item.v > 1 {
            return Err(ItemFault::Newer(item.v));
        }
        if item.task.trim().is_empty() { Err(ItemFault::Empty) } else { Ok(item) }
    }
}

/// When, and to which launch, a message was passed that no turn has taken yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    /// When the message was found to be in the program's own queue.
    pub at: EpochMs,
    /// The launch of that program.
    #[serde(default)]
    pub launch: Option<String>,
}

/// A value with an unknown word in it counts as `None`, so that no message is lost because of it.
fn lenient<'de, D: serde::Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Option<T>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).ok())
}

fn one() -> u32 {
    1
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

fn from_nobody() -> Origin {
    nobody().into()
}

fn absent() -> Intelligence {
    Intelligence::Absent
}

/// An item for another host that is not a peer's message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Errand {
    /// The outcome of a message that came from that host.
    Receipt(Receipt),
    /// It is acknowledged by a receipt and delivered to nobody: `iapeer host test`.
    Probe,
    /// The request to send again, in their order, the messages that were handed over and have no receipt yet.
    Again,
}

/// The outcome of a message that came from another host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The message.
    pub about: MessageId,
    /// Its number in the outbox of its sender's host.
    pub seq: Seq,
    /// Delivered or dead.
    pub outcome: Outcome,
    /// How it landed; `None` also where that is in words that this version does not know.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub landed: Option<Landed>,
    /// Why it is dead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The identity that sends iapeer's own notices (D28).
pub fn nobody() -> Identity {
    // "system-iapeer" satisfies the grammar of both halves.
    "system-iapeer".parse().unwrap_or_else(|_| unreachable!("the constant is a valid identity"))
}

/// The folder of a queue that an item is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// In the queue's own folder.
    Waiting,
    /// In `inflight/`.
    Inflight,
    /// In `dead/`.
    Dead,
    /// In `corrupt/`.
    Corrupt,
}

impl Place {
    /// All places, in the order in which they are listed for people.
    pub(crate) const ALL: [Place; 4] = [Place::Waiting, Place::Inflight, Place::Dead, Place::Corrupt];

    pub(crate) fn folder(self) -> &'static str {
        match self {
            Place::Waiting => "",
            Place::Inflight => "inflight",
            Place::Dead => "dead",
            Place::Corrupt => "corrupt",
        }
    }

    /// The word for the place in listings and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Place::Waiting => "waiting",
            place => place.folder(),
        }
    }
}

/// Where an item is, from its sender's point of view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// Still waiting.
    Waiting,
    /// In flight.
    Inflight,
    /// Given up: a dead letter.
    Dead,
    /// No longer in the queue. The history says whether it was delivered.
    Gone,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_that_somebody_wrote_into_an_item_is_one_line_or_none() {
        let topic =
            |text: &str| Item::decode(format!(r#"{{"task":"x","topic":{text}}}"#).as_bytes()).map(|item| item.topic);
        assert_eq!(topic(r#""a\nb""#).unwrap().unwrap().as_str(), "a b");
        assert_eq!(topic(r#""""#).unwrap(), None);
        assert_eq!(topic("null").unwrap(), None);
        assert!(topic(&format!("{:?}", "x".repeat(201))).is_err());
    }
}
