//! The id of a message: a ULID, 26 characters, sortable by the time it was made (<https://github.com/ulid/spec>).

use crate::base::clock::EpochMs;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::str::FromStr;
use ulid::Ulid;

/// A message's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MessageId(Ulid);

/// The text is not a message id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a message id (26 characters of Crockford base 32)")]
pub struct MessageIdError(String);

impl MessageId {
    /// A new id, made at `now`.
    pub(crate) fn generate(now: EpochMs) -> MessageId {
        // Random bits come from the standard library's hash keys: a random number generator would open /dev/random and
        // query the CPU's features, which in a virtual machine takes longer than writing the message.
        let half = || u128::from(RandomState::new().build_hasher().finish());
        MessageId(Ulid::from_parts(now.0, half() << 64 | half()))
    }

    /// The placeholder for an item that has no id; no message is generated with it.
    pub(crate) fn nil() -> MessageId {
        MessageId(Ulid::nil())
    }

    /// When the id was generated.
    pub fn made(self) -> EpochMs {
        EpochMs(self.0.timestamp_ms())
    }

    /// An id for something that was made at `made` and has none of its own. The same inputs give the same id, in programs
    /// of every build: `DefaultHasher` may become another algorithm with any version of Rust.
    pub fn of(made: EpochMs, what: &impl Hash) -> MessageId {
        let mut hasher = Fnv1a(0xcbf2_9ce4_8422_2325);
        what.hash(&mut hasher);
        MessageId(Ulid::from_parts(made.0, hasher.finish().into()))
    }
}

/// FNV-1a with 64 bits (<http://www.isthe.com/chongo/tech/comp/fnv/>).
struct Fnv1a(u64);

impl Hasher for Fnv1a {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl FromStr for MessageId {
    type Err = MessageIdError;
    fn from_str(text: &str) -> Result<Self, MessageIdError> {
        Ulid::from_string(text).map(MessageId).map_err(|_| MessageIdError(text.to_owned()))
    }
}

impl TryFrom<String> for MessageId {
    type Error = MessageIdError;
    fn try_from(text: String) -> Result<Self, MessageIdError> {
        text.parse()
    }
}

impl From<MessageId> for String {
    fn from(id: MessageId) -> String {
        id.0.to_string()
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_and_sorts_by_time() {
        let (a, b) = (MessageId::generate(EpochMs(1000)), MessageId::generate(EpochMs(2000)));
        assert!(a < b && a.to_string() < b.to_string());
        assert_ne!(MessageId::generate(EpochMs(1000)), a);
        assert_eq!(a.to_string().len(), 26);
        assert_eq!(a.to_string().parse(), Ok(a));
        assert!("01ARZ3NDEKTSV4RRFFQ69G5FA".parse::<MessageId>().is_err());
    }

    #[test]
    fn a_derived_id_is_the_same_in_every_build() {
        // The hash of "a" by the reference implementation.
        let mut hasher = Fnv1a(0xcbf2_9ce4_8422_2325);
        hasher.write(b"a");
        assert_eq!(hasher.finish(), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(MessageId::of(EpochMs(1000), &(7_i64, 8_i64)), MessageId::of(EpochMs(1000), &(7_i64, 8_i64)));
        assert_ne!(MessageId::of(EpochMs(1000), &(7_i64, 8_i64)), MessageId::of(EpochMs(1000), &(8_i64, 7_i64)));
    }
}
