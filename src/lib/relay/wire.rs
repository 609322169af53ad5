//! The protocol between two hosts: JSON objects, one per line over ssh, one per message over NATS.
//!
//! ```text
//! {"hello":{"host":"box","version":"0.1.0","protocol":[1,1],"calls":true}}    both, first
//! {"part":{"id":"…","file":0,"name":"a.png","offset":0,"data":"<base64>"}}    before the message it belongs to
//! {"message":{"id":"…","seq":7,"to":"bob","from":"claude-alice","body":"…"}}
//! {"ack":{"id":"…","outcome":"accepted"}}                                      one for each message, in their order
//! "done"                                                                       the other host's turn to give messages
//! {"bye":"words"}                                                              why the connection ends
//! ```

use crate::base::HostName;
use crate::base::clock::EpochMs;
use crate::base::identity::{Identity, Intelligence, Topic};
use crate::base::message_id::MessageId;
use crate::base::words::words;
use crate::store::queue::{Errand, Seq};
use serde::{Deserialize, Serialize};

/// The oldest and the newest version of this protocol that this program speaks.
pub(crate) const PROTOCOL: (u32, u32) = (1, 1);

/// How many messages may be sent ahead of their acknowledgements.
pub(crate) const WINDOW: usize = 64;

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WireLine {
    Hello(Hello),
    Part(FilePart),
    Message(Box<Parcel>),
    Ack(Ack),
    Done,
    AskPeers,
    Peers(Vec<PeerThere>),
    Bye(String),
}

/// Which host speaks, and which versions of the protocol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) host: HostName,
    /// The version of the program, for people.
    pub(crate) version: String,
    /// The oldest and the newest version of the protocol that this host speaks.
    pub(crate) protocol: (u32, u32),
    /// Whether this host can connect to the other host by itself.
    #[serde(default)]
    pub(crate) calls: bool,
}

impl Hello {
    /// The newest version that both hosts speak. The error names the host to upgrade.
    pub(crate) fn common(&self, own: (u32, u32)) -> Result<u32, String> {
        let (theirs, host) = (self.protocol, &self.host);
        let newest = own.1.min(theirs.1);
        if newest >= own.0.max(theirs.0) {
            return Ok(newest);
        }
        let who = if theirs.1 < own.0 {
            format!("iapeer on {host} (version {})", self.version)
        } else {
            "iapeer here".into()
        };
        Err(format!(
            "{host} speaks version {} to {} of the protocol, this host {} to {}: upgrade {who}; what waits, waits",
            theirs.0, theirs.1, own.0, own.1
        ))
    }
}

/// A part of a file that goes with a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FilePart {
    /// The id of the message.
    pub(crate) id: MessageId,
    /// The index of the file, from 0.
    pub(crate) file: usize,
    pub(crate) name: String,
    pub(crate) offset: u64,
    /// In base64.
    pub(crate) data: String,
}

/// A file that goes with a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileHead {
    pub(crate) name: String,
    pub(crate) size: u64,
}

/// A message, or an errand (an item that is no peer's message: a receipt, for example).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Parcel {
    pub(crate) id: MessageId,
    /// The item's number in the outbox of the sender's host.
    pub(crate) seq: Seq,
    /// `NAME` or `RUNTIME-NAME` there; empty for an errand.
    #[serde(default)]
    pub(crate) to: String,
    pub(crate) from: Identity,
    pub(crate) from_intelligence: Intelligence,
    /// When the message was accepted at its sender's host.
    pub(crate) sent: EpochMs,
    #[serde(default, deserialize_with = "Topic::lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) topic: Option<Topic>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) re: Option<MessageId>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) urgent: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) files: Vec<FileHead>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) errand: Option<Errand>,
    /// The series that it was published in (over NATS): each time a host publishes messages again, it begins a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) series: Option<MessageId>,
    /// The message that was published before this one and has no receipt yet (over NATS).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<Predecessor>,
    pub(crate) body: String,
}

/// The message that precedes another one on its way to the same host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Predecessor {
    /// Its id.
    pub(crate) id: MessageId,
    /// Its recipient there.
    pub(crate) to: String,
}

words! {
    /// The outcome of a message that was handed over.
    pub(crate) enum AckOutcome {
        /// The message is durable there.
        Accepted = "accepted",
        /// The message was durable there before.
        Known = "known",
        /// The message can't be accepted: its sender has to be told.
        Refused = "refused",
        /// The message can't be accepted now: it and all later ones have to be sent again.
        Later = "later",
    }
}

/// The answer to a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ack {
    pub(crate) id: MessageId,
    pub(crate) outcome: AckOutcome,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

/// A peer, as its host describes it to another host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PeerThere {
    /// Its name there.
    pub name: String,
    /// Its default runtime.
    pub runtime: String,
    /// Whether it is an agent, a person or neither.
    pub intelligence: Intelligence,
    /// Its state, in a word.
    pub state: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_agreed_on_as_a_table() {
        let hello = |protocol| Hello { host: "box".parse().unwrap(), version: "0.9".into(), protocol, calls: false };
        for (own, theirs, agreed) in [
            ((1, 1), (1, 1), Some(1)),
            ((1, 3), (2, 5), Some(3)),
            ((2, 5), (1, 3), Some(3)),
            ((2, 2), (1, 1), None),
            ((1, 1), (2, 4), None),
        ] {
            assert_eq!(hello(theirs).common(own).ok(), agreed, "{own:?} {theirs:?}");
        }
        let older = hello((0, 0)).common((1, 1)).unwrap_err();
        assert!(older.contains("upgrade iapeer on box (version 0.9)"), "{older}");
        assert!(hello((2, 2)).common((1, 1)).unwrap_err().contains("upgrade iapeer here"));
    }

    #[test]
    fn lines_are_as_the_head_of_this_file_says() {
        let line = |text: &str| serde_json::from_str::<WireLine>(text);
        assert_eq!(line("\"done\"").unwrap(), WireLine::Done);
        assert!(matches!(line(r#"{"bye":"x"}"#).unwrap(), WireLine::Bye(why) if why == "x"));
        let hello = line(r#"{"hello":{"host":"box","version":"0.1.0","protocol":[1,1],"calls":true,"new":"field"}}"#);
        assert!(matches!(hello.unwrap(), WireLine::Hello(hello) if hello.calls && hello.protocol == (1, 1)));
        let ack = line(r#"{"ack":{"id":"01ARZ3NDEKTSV4RRFFQ69G5FAV","outcome":"later"}}"#).unwrap();
        assert!(matches!(ack, WireLine::Ack(ack) if ack.outcome == AckOutcome::Later));
        for bad in ["", "{}", "[]", r#"{"new-thing":1}"#, r#"{"hello":{"host":"../x","version":"","protocol":[1,1]}}"#]
        {
            assert!(line(bad).is_err(), "{bad}");
        }
    }
}
