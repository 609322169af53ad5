//! One message in a queue: its number, its content, and where it can be.

use crate::base::clock::EpochMs;
use crate::base::evidence::Landed;
use crate::base::hold::HeldSince;
use crate::base::identity::{Identity, Intelligence, Topic};
use crate::base::message_id::MessageId;
use crate::store::field_error::ItemFault;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A place in the order of acceptance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:06}", self.0)
    }
}

impl Seq {
    /// The number that is written as [`Seq`] writes it.
    pub(crate) fn parse(name: &str) -> Option<Seq> {
        Seq::number(name).filter(|seq| seq.to_string() == name)
    }

    /// The number, with however many zeros it is written.
    pub(crate) fn number(name: &str) -> Option<Seq> {
        (!name.is_empty() && name.bytes().all(|b| b.is_ascii_digit())).then(|| name.parse().ok().map(Seq))?
    }
}

/// One message in a queue. `{"task","topic"?}` alone, as the earlier system wrote it, is still read.
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
    /// What it is about.
    #[serde(default, deserialize_with = "Topic::lenient", skip_serializing_if = "Option::is_none")]
    pub topic: Option<Topic>,
    /// The message that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub re: Option<MessageId>,
    /// Who sent it.
    #[serde(default = "nobody")]
    pub from: Identity,
    /// The sender's nature.
    #[serde(default = "absent")]
    pub from_intelligence: Intelligence,
    /// When it was accepted.
    #[serde(default)]
    pub accepted: EpochMs,
    /// How often a delivery was tried and did not end in evidence.
    #[serde(default)]
    pub attempts: u32,
    /// How often it may already have been seen: the envelope's `redelivered`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub redelivered: u32,
    /// Absolute paths of attached files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<String>,
    /// Steer a running turn instead of waiting for its end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub urgent: bool,
    /// When there was evidence that a worker took it as its task; it stays in flight until the worker answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub landed: Option<EpochMs>,
    /// How it landed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub landing: Option<Landed>,
    /// The message that tells the sender of its end, named before it is sent: whoever finds this finishes the burial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<MessageId>,
    /// What holds it, where it is not its own fault that it is not delivered, and since when.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub held: Option<HeldSince>,
    /// Why the last try failed, or why the item is dead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Item {
    /// A message that has just been made.
    pub fn new(from: Identity, from_intelligence: Intelligence, task: String, now: EpochMs) -> Item {
        Item {
            v: 1,
            id: MessageId::generate(now),
            task,
            topic: None,
            re: None,
            from,
            from_intelligence,
            accepted: now,
            attempts: 0,
            redelivered: 0,
            attachments: Vec::new(),
            urgent: false,
            landed: None,
            landing: None,
            notice: None,
            held: None,
            reason: None,
        }
    }

    /// Reads an item; the error is why it is none.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Item, ItemFault> {
        let item: Item = serde_json::from_slice(bytes)?;
        if item.v > 1 {
            return Err(ItemFault::Newer(item.v));
        }
        if item.task.trim().is_empty() { Err(ItemFault::Empty) } else { Ok(item) }
    }
}

/// A word for a hold that this version does not know is no reason to lose a message.
fn lenient<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<HeldSince>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).ok())
}

fn one() -> u32 {
    1
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

fn absent() -> Intelligence {
    Intelligence::Absent
}

/// What iapeer itself has to say comes from here (D28).
pub fn nobody() -> Identity {
    // "system-iapeer" satisfies the grammar of both halves.
    "system-iapeer".parse().unwrap_or_else(|_| unreachable!("the constant is a valid identity"))
}

/// Where an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// In the queue proper.
    Waiting,
    /// In `inflight/`.
    Inflight,
    /// In `dead/`.
    Dead,
    /// In `corrupt/`.
    Corrupt,
}

impl Place {
    /// All places, in the order a person wants them listed.
    pub const ALL: [Place; 4] = [Place::Waiting, Place::Inflight, Place::Dead, Place::Corrupt];

    pub(crate) fn folder(self) -> &'static str {
        match self {
            Place::Waiting => "",
            Place::Inflight => "inflight",
            Place::Dead => "dead",
            Place::Corrupt => "corrupt",
        }
    }

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Place::Waiting => "waiting",
            place => place.folder(),
        }
    }
}

/// What became of an item that left the queue's waiting and inflight places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// Still waiting.
    Waiting,
    /// In flight.
    Inflight,
    /// Given up.
    Dead,
    /// No longer there: delivered.
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
