//! Peers on other hosts: the name of a host, the address of a peer there, and where a message comes from.
//!
//! ```text
//! bob@box               an address: the peer bob, or RUNTIME-NAME, on the host box
//! claude-alice@laptop   an origin: the sender of a message from the host laptop; without @HOST, a sender on this host
//! ```

use crate::base::identity::{Identity, NameError, Personality, Runtime, name_type};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

name_type!(
    /// The name by which other hosts know a host: one `a-z`, then up to 31 of `a-z 0-9 -`.
    HostName, Host, |text: &str| text.parse::<Personality>().is_ok()
);

/// Longest name before the `@`: a runtime, a dash and a personality.
const NAME_MAX: usize = 65;

/// A peer on another host: `NAME@HOST` or `RUNTIME-NAME@HOST`. Only the other host can tell which of the two it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    name: String,
    host: HostName,
}

impl Address {
    /// The peer `name` on `host`.
    pub fn new(name: &str, host: HostName) -> Result<Address, NameError> {
        let mut chars = name.bytes();
        let valid = chars.next().is_some_and(|c| c.is_ascii_lowercase())
            && name.len() <= NAME_MAX
            && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-');
        match valid {
            true => Ok(Address { name: name.to_owned(), host }),
            false => Err(NameError::Address(format!("{name}@{host}"))),
        }
    }

    /// `NAME` or `RUNTIME-NAME`, as it is sent to the other host.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The host.
    pub fn host(&self) -> &HostName {
        &self.host
    }

    /// Whether `origin` is this peer: with `NAME@HOST` on any of its runtimes, with `RUNTIME-NAME@HOST` on that one.
    pub fn is(&self, origin: &Origin) -> bool {
        let (name, identity) = (self.name.as_str(), origin.identity());
        origin.host() == Some(&self.host) && (name == identity.personality().as_str() || name == identity.as_str())
    }
}

impl FromStr for Address {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let bad = || NameError::Address(text.to_owned());
        let (name, host) = text.split_once('@').ok_or_else(bad)?;
        Address::new(name, host.parse().map_err(|_| bad())?).map_err(|_| bad())
    }
}

impl TryFrom<String> for Address {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> String {
        address.to_string()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}@{}", self.name, self.host))
    }
}

/// Who sent a message: a peer of this host, or one of another host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Origin {
    identity: Identity,
    host: Option<HostName>,
}

impl Origin {
    /// `identity` on `host`.
    pub(crate) fn afar(identity: Identity, host: HostName) -> Origin {
        Origin { identity, host: Some(host) }
    }

    /// The sender's identity on its own host.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The sender's host; `None`: this host.
    pub fn host(&self) -> Option<&HostName> {
        self.host.as_ref()
    }

    /// The identity, where the sender is on this host.
    pub fn here(&self) -> Option<&Identity> {
        self.host.is_none().then_some(&self.identity)
    }

    /// The name half of the identity.
    pub fn personality(&self) -> &Personality {
        self.identity.personality()
    }

    /// The runtime half of the identity.
    pub fn runtime(&self) -> &Runtime {
        self.identity.runtime()
    }

    /// The address for an answer to this sender.
    pub fn contact(&self) -> Contact {
        Contact { name: self.personality().clone(), host: self.host.clone() }
    }
}

impl From<Identity> for Origin {
    fn from(identity: Identity) -> Origin {
        Origin { identity, host: None }
    }
}

/// An identity without a host is a peer of this host.
impl PartialEq<Identity> for Origin {
    fn eq(&self, identity: &Identity) -> bool {
        self.here() == Some(identity)
    }
}

impl FromStr for Origin {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        match text.split_once('@') {
            None => Ok(text.parse::<Identity>()?.into()),
            Some((identity, host)) => Ok(Origin::afar(identity.parse()?, host.parse()?)),
        }
    }
}

impl TryFrom<String> for Origin {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<Origin> for String {
    fn from(origin: Origin) -> String {
        origin.to_string()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            None => self.identity.fmt(f),
            Some(host) => f.pad(&format!("{}@{host}", self.identity)),
        }
    }
}

/// A peer by its name, here or on another host: `NAME` or `NAME@HOST`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Contact {
    name: Personality,
    host: Option<HostName>,
}

impl Contact {
    /// The peer's name.
    pub fn name(&self) -> &Personality {
        &self.name
    }

    /// The peer's host; `None`: this host.
    pub fn host(&self) -> Option<&HostName> {
        self.host.as_ref()
    }

    /// Whether `origin` is this peer. A name on another host may be a RUNTIME-NAME, which only that host can tell.
    pub fn is(&self, origin: &Origin) -> bool {
        let identity = origin.identity();
        let is_named =
            self.name == *identity.personality() || (self.host.is_some() && self.name.as_str() == identity.as_str());
        self.host == origin.host && is_named
    }
}

impl From<Personality> for Contact {
    fn from(name: Personality) -> Contact {
        Contact { name, host: None }
    }
}

impl FromStr for Contact {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        match text.split_once('@') {
            None => Ok(text.parse::<Personality>()?.into()),
            Some((name, host)) => Ok(Contact { name: name.parse()?, host: Some(host.parse()?) }),
        }
    }
}

impl TryFrom<String> for Contact {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<Contact> for String {
    fn from(contact: Contact) -> String {
        contact.to_string()
    }
}

impl fmt::Display for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            None => self.name.fmt(f),
            Some(host) => f.pad(&format!("{}@{host}", self.name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_a_table() {
        for good in ["bob@box", "claude-bob@box", "b@b", "a-b-c@my-box2"] {
            assert_eq!(good.parse::<Address>().unwrap().to_string(), good);
        }
        for bad in
            ["bob", "@box", "bob@", "bob@@box", "Bob@box", "bob@box@far", "bob@1box", "../x@box", "bob@../x", "b b@x"]
        {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_origin_of_this_host_is_written_as_an_identity() {
        let here: Origin = "claude-alice".parse().unwrap();
        let afar: Origin = "claude-alice@laptop".parse().unwrap();
        let identity: Identity = "claude-alice".parse().unwrap();
        assert!(here == identity && afar != identity);
        assert_eq!((here.contact().to_string(), afar.contact().to_string()), ("alice".into(), "alice@laptop".into()));
        assert_eq!("alice@laptop".parse(), Ok(afar.contact()));
        assert_eq!(serde_json::to_string(&afar).unwrap(), "\"claude-alice@laptop\"");
        for bad in ["alice@laptop", "claude-alice@", "claude-alice@a@b", ""] {
            assert!(bad.parse::<Origin>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_address_is_the_peer_on_each_of_its_runtimes() {
        let from = |text: &str| text.parse::<Origin>().unwrap();
        let address: Address = "bob@box".parse().unwrap();
        assert!(address.is(&from("claude-bob@box")) && address.is(&from("codex-bob@box")));
        assert!(!address.is(&from("claude-bob")) && !address.is(&from("claude-bob@other")));
        let one: Address = "claude-bob@box".parse().unwrap();
        assert!(one.is(&from("claude-bob@box")) && !one.is(&from("codex-bob@box")));
        let is = |contact: &str, origin: &str| contact.parse::<Contact>().unwrap().is(&from(origin));
        assert!(is("bob@box", "codex-bob@box") && is("claude-bob@box", "claude-bob@box") && is("bob", "claude-bob"));
        for (contact, origin) in [
            ("claude-bob@box", "codex-bob@box"),
            ("bob@box", "claude-bob"),
            ("bob", "claude-bob@box"),
            ("claude-bob", "claude-bob"),
        ] {
            assert!(!is(contact, origin), "{contact} {origin}");
        }
    }
}
