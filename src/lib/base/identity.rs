//! Names as types that can't hold an invalid value: a peer's personality, its runtime, and the identity made of both.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Why a text is not a valid name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text is not a personality.
    #[error("{0:?} is not a peer name (one a-z, then up to 31 of a-z, 0-9 and -)")]
    Personality(String),
    /// The text is not a runtime id.
    #[error("{0:?} is not a runtime (one a-z, then up to 31 of a-z and 0-9, no dash)")]
    Runtime(String),
    /// The text is not an identity.
    #[error("{0:?} is not an identity (RUNTIME-NAME, as in claude-alice)")]
    Identity(String),
    /// The text is not a host's name.
    #[error("{0:?} is not a host's name (one a-z, then up to 31 of a-z, 0-9 and -)")]
    Host(String),
    /// The text is not the address of a peer on another host.
    #[error("{0:?} is not an address (NAME@HOST, as in bob@box)")]
    Address(String),
    /// The topic is longer than the limit.
    #[error("topic exceeds 200 char limit (got {0})")]
    Topic(usize),
}

fn grammar(text: &str, dash: bool) -> bool {
    let mut chars = text.bytes();
    chars.next().is_some_and(|c| c.is_ascii_lowercase())
        && text.len() <= 32
        && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || (dash && c == b'-'))
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $error:ident, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                if $valid(text) { Ok($name(text.to_owned())) } else { Err(NameError::$error(text.to_owned())) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}
pub(crate) use name_type;

name_type!(
    /// A peer's name: one `a-z`, then up to 31 of `a-z 0-9 -`.
    Personality, Personality, |text: &str| grammar(text, true)
);
name_type!(
    /// The id of an agent program: one `a-z`, then up to 31 of `a-z 0-9`. It has no dash, which is what makes
    /// "split at the first dash" unambiguous.
    Runtime, Runtime, |text: &str| grammar(text, false)
);

impl Personality {
    /// Whether this is iapeer's own name, the sender of notices; no peer may have it (D41).
    pub(crate) fn is_reserved(&self) -> bool {
        self.0 == "iapeer"
    }
}

/// A peer on one of its runtimes: `RUNTIME-NAME`, the name of its tmux session and of its state files.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Identity {
    runtime: Runtime,
    personality: Personality,
    text: String,
}

impl Identity {
    /// The identity of `personality` on `runtime`.
    pub fn new(runtime: Runtime, personality: Personality) -> Self {
        let text = format!("{runtime}-{personality}");
        Identity { runtime, personality, text }
    }

    /// The runtime half.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// The name half.
    pub fn personality(&self) -> &Personality {
        &self.personality
    }

    /// `RUNTIME-NAME`.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Identity {
    type Err = NameError;
    /// Splits at the first dash.
    fn from_str(text: &str) -> Result<Self, NameError> {
        let bad = || NameError::Identity(text.to_owned());
        let (runtime, personality) = text.split_once('-').ok_or_else(bad)?;
        Ok(Identity::new(runtime.parse().map_err(|_| bad())?, personality.parse().map_err(|_| bad())?))
    }
}

impl TryFrom<String> for Identity {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<Identity> for String {
    fn from(identity: Identity) -> String {
        identity.text
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

/// What a conversation is about: trimmed, 1 to 200 characters, one line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Topic(String);

impl Topic {
    /// Longest topic in characters.
    pub(crate) const MAX_CHARS: usize = 200;

    /// A topic from what somebody typed: control characters become spaces, blank means none.
    pub fn parse(text: &str) -> Result<Option<Topic>, NameError> {
        let flat: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let flat = flat.trim();
        match flat.chars().count() {
            0 => Ok(None),
            n if n > Self::MAX_CHARS => Err(NameError::Topic(n)),
            _ => Ok(Some(Topic(flat.to_owned()))),
        }
    }

    /// Reads a topic as [`Topic::parse`] does, for a file that anybody may have written.
    pub fn lenient<'de, D: serde::Deserializer<'de>>(given: D) -> Result<Option<Topic>, D::Error> {
        let text = Option::<String>::deserialize(given)?.unwrap_or_default();
        Topic::parse(&text).map_err(serde::de::Error::custom)
    }

    /// The topic as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The nature of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Intelligence {
    /// An AI agent.
    Artificial,
    /// A person.
    Natural,
    /// Neither: a timer, a bridge, a script.
    Absent,
}

impl Intelligence {
    /// Reads the word for a nature, the legacy words `human` and `scripted` included. `None` for an unknown word.
    pub fn parse(word: &str) -> Option<Intelligence> {
        match word {
            "artificial" => Some(Intelligence::Artificial),
            "natural" | "human" => Some(Intelligence::Natural),
            "absent" | "scripted" => Some(Intelligence::Absent),
            _ => None,
        }
    }

    /// The nature of a peer on this runtime, unless its profile says otherwise.
    pub(crate) fn default_for(runtime: &Runtime) -> Intelligence {
        match runtime.as_str() {
            "person" | "telegram" | "discord" | "matrix" | "email" | "web" | "voicetalk" => Intelligence::Natural,
            "notifier" | "webhook" | "api" | "cron" | "system" => Intelligence::Absent,
            _ => Intelligence::Artificial,
        }
    }

    /// The natures that a peer on this runtime may have where the manifest does not say: a runtime for people may also
    /// carry an unattended service; a runtime for agents carries agents only.
    pub(crate) fn allowed_for(runtime: &Runtime) -> &'static [Intelligence] {
        match Intelligence::default_for(runtime) {
            Intelligence::Natural => &[Intelligence::Natural, Intelligence::Absent],
            Intelligence::Absent => &[Intelligence::Absent],
            Intelligence::Artificial => &[Intelligence::Artificial],
        }
    }

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Intelligence::Artificial => "artificial",
            Intelligence::Natural => "natural",
            Intelligence::Absent => "absent",
        }
    }
}

impl fmt::Display for Intelligence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn personality_grammar() {
        for good in ["a", "alice", "a-1", "x-", &format!("a{}", "b".repeat(31))] {
            assert!(good.parse::<Personality>().is_ok(), "{good}");
        }
        for bad in ["", "1a", "-a", "A", "a_b", "ä", "a b", "a\n", &format!("a{}", "b".repeat(32))] {
            assert!(bad.parse::<Personality>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_identity_splits_at_the_first_dash() {
        let id: Identity = "notifier-notifier-timer".parse().unwrap();
        assert_eq!((id.runtime().as_str(), id.personality().as_str()), ("notifier", "notifier-timer"));
        for bad in ["", "-a", "claude", "claude-", "Claude-a", "clau de-a", "claude-A"] {
            assert!(bad.parse::<Identity>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn natures_as_a_table() {
        use Intelligence::{Absent, Artificial, Natural};
        let cases: &[(&str, &[Intelligence])] = &[
            ("claude", &[Artificial]),
            ("parrot", &[Artificial]),
            ("telegram", &[Natural, Absent]),
            ("voicetalk", &[Natural, Absent]),
            ("notifier", &[Absent]),
            ("cron", &[Absent]),
        ];
        for (runtime, allowed) in cases {
            let runtime: Runtime = runtime.parse().unwrap();
            assert_eq!(Intelligence::allowed_for(&runtime), *allowed, "{runtime}");
            assert_eq!(Intelligence::default_for(&runtime), allowed[0], "{runtime}");
        }
        for (word, nature) in [
            ("human", Some(Natural)),
            ("scripted", Some(Absent)),
            ("artificial", Some(Artificial)),
            ("Human", None),
            ("", None),
        ] {
            assert_eq!(Intelligence::parse(word), nature, "{word:?}");
        }
    }

    #[test]
    fn a_topic_is_trimmed_bounded_and_one_line() {
        assert_eq!(Topic::parse("  \n ").unwrap(), None);
        assert_eq!(Topic::parse(" a\nb ").unwrap().unwrap().as_str(), "a b");
        assert!(Topic::parse(&"é".repeat(200)).is_ok());
        assert_eq!(Topic::parse(&"é".repeat(201)).unwrap_err(), NameError::Topic(201));
    }
}
