//! The outbox of one other host: messages that wait for the host, messages that were handed over and await their
//! receipts, and since when the host is away.
//!
//! ```text
//! <host>.queue/NNNNNN             a waiting message
//! <host>.queue/inflight/NNNNNN    a message that the host has accepted, and whose receipt is missing
//! <host>.queue/dead/NNNNNN        a dead letter: the reason is in the item
//! <host>.files/<id>/NAME          copies of attachments, until the host has them
//! <host>.away                     exists while tries fail: since when, why, when the next try is due
//! <host>.again                    exists until what has no receipt is sent again: the id of the request
//! <host>.lock                     held by the one program that hands messages over
//! <host>.settle.lock              held while an item moves and its line is written
//! <host>.receive.lock             held by the one program that takes messages from that host
//! run.lock, run.away              of the relay that is always on: its lock; why it can't reach its server
//! ```

use crate::base::address::HostName;
use crate::base::clock::EpochMs;
use crate::base::message_id::MessageId;
use crate::base::paths::Paths;
use crate::base::settings::Settings;
use crate::base::step::{self, Point};
use crate::store::durable::{self, StoreError};
use crate::store::history::History;
use crate::store::queue::{Item, Place, Queue};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// The shortest and the longest time between two tries.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// The longest time between two of the first tries, and how many these are: most links that break are back within
/// minutes, and messages should not have to wait much longer than the link is broken.
const SOON: (Duration, u32) = (Duration::from_secs(5), 24);

/// The outbox of one host.
#[derive(Debug, Clone)]
pub struct Outbox {
    /// The host.
    pub host: HostName,
    /// The queue of messages for it.
    pub queue: Queue,
    /// The outcomes of the messages that left the queue.
    pub history: History,
    paths: Paths,
}

/// A host, or the server of the always-on relay, that can't be reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Away {
    /// Since when.
    pub since: EpochMs,
    /// How many tries have failed in a row.
    pub tries: u32,
    /// When the next try is due.
    pub next: EpochMs,
    /// Why the last try failed.
    pub why: String,
}

impl Away {
    /// The time until the next try after this many have failed.
    pub(crate) fn pause(tries: u32) -> Duration {
        let doubled = |from: Duration, times: u32, limit| from.saturating_mul(1 << times.min(16)).min(limit);
        match tries.checked_sub(SOON.1) {
            None | Some(0) => doubled(PAUSES.0, tries.saturating_sub(1), SOON.0),
            Some(later) => doubled(SOON.0, later, PAUSES.1),
        }
    }
}

impl Outbox {
    /// The outbox of `host`. Nothing is created.
    pub fn of(paths: &Paths, settings: &Settings, host: &HostName) -> Outbox {
        let history = History::of_outbox(paths, settings, host);
        Outbox { host: host.clone(), queue: Queue::outbox(paths, host), history, paths: paths.clone() }
    }

    /// The lock of the program that hands messages over.
    pub(crate) fn lock(&self) -> PathBuf {
        self.paths.outbox(&self.host, "lock")
    }

    /// The lock of the program that takes messages.
    pub(crate) fn receive_lock(&self) -> PathBuf {
        self.paths.outbox(&self.host, "receive.lock")
    }

    /// The folder of the copies of a message's attachments.
    pub(crate) fn files(&self, id: MessageId) -> PathBuf {
        self.files_dir().join(id.to_string())
    }

    pub(crate) fn files_dir(&self) -> PathBuf {
        self.paths.outbox(&self.host, "files")
    }

    /// The lock of a program that moves an item and writes its outcome.
    pub(crate) fn settle_lock(&self) -> PathBuf {
        self.paths.outbox(&self.host, "settle.lock")
    }

    /// The file that exists while messages are to be sent again.
    pub(crate) fn again(&self) -> PathBuf {
        self.paths.outbox(&self.host, "again")
    }

    fn away_file(&self) -> PathBuf {
        self.paths.outbox(&self.host, "away")
    }

    fn trouble(&self) -> Trouble {
        Trouble(self.away_file())
    }

    /// Since when the host is away; `None`: the last try succeeded, or there was none.
    pub fn away(&self) -> Option<Away> {
        self.trouble().noted()
    }

    /// Notes a try that failed.
    pub(crate) fn note_away(&self, now: EpochMs, why: &str) -> Away {
        self.trouble().note(now, why)
    }

    /// Notes a try that succeeded.
    pub(crate) fn note_back(&self) {
        self.trouble().over();
    }

    /// Whether a try is due now. A clock that was set back delays no try.
    pub(crate) fn is_due(&self, now: EpochMs) -> bool {
        self.away().is_none_or(|away| away.next <= now || away.next > now.plus(PAUSES.1))
    }

    /// The item that was handed over first of those that have no receipt yet: the items are in the order of acceptance.
    pub(crate) fn oldest_in_flight(&self) -> Result<Option<Item>, StoreError> {
        let first = self.queue.list(Place::Inflight)?.into_iter().next();
        Ok(first.and_then(|seq| self.queue.peek(Place::Inflight, seq)))
    }

    /// How many items wait, and how many were handed over and have no receipt yet.
    pub fn counts(&self) -> Result<(usize, usize), StoreError> {
        Ok((self.queue.list(Place::Waiting)?.len(), self.queue.list(Place::Inflight)?.len()))
    }
}

/// The file that notes since when a host, or the relay's server, can't be reached.
#[derive(Debug, Clone)]
pub(crate) struct Trouble(PathBuf);

impl Trouble {
    /// The file about the server of the always-on relay.
    pub(crate) fn of(paths: &Paths) -> Trouble {
        Trouble(paths.relay_trouble())
    }

    /// The last failure that was noted; `None`: the last try succeeded.
    pub(crate) fn noted(&self) -> Option<Away> {
        durable::read_json(&self.0).ok().flatten()
    }

    /// Notes a try that failed. Where the file can't be written, this is only logged: the next try then comes sooner.
    pub(crate) fn note(&self, now: EpochMs, why: &str) -> Away {
        let before = self.noted();
        let tries = before.as_ref().map_or(0, |away| away.tries).saturating_add(1);
        let since = before.map_or(now, |away| away.since.min(now));
        let next = now.plus(Away::pause(tries));
        let away = Away { since, tries, next, why: why.to_owned() };
        let written = serde_json::to_vec(&away)
            .map_err(|error| StoreError::Corrupt { path: self.0.clone(), why: error.to_string() });
        if let Err(error) = written.and_then(|text| durable::write_volatile(&self.0, &text)) {
            tracing::warn!("{error}");
        }
        away
    }

    /// Notes a try that succeeded.
    pub(crate) fn over(&self) {
        let _ = step::unlink(Point::AwayRemove, &self.0);
    }
}

/// The hosts that have an outbox, registered or not, by name.
pub(crate) fn hosts_with_outbox(paths: &Paths) -> Result<Vec<HostName>, StoreError> {
    let names = durable::names_of(&paths.outbox_dir())?;
    let mut hosts: Vec<HostName> = names.iter().filter_map(|name| name.strip_suffix(".queue")?.parse().ok()).collect();
    hosts.sort();
    Ok(hosts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_come_soon_for_minutes_and_then_ever_later_up_to_five_minutes() {
        let pauses = |tries: std::ops::RangeInclusive<u32>| tries.map(|tries| Away::pause(tries).as_secs());
        assert_eq!(pauses(1..=5).collect::<Vec<_>>(), [1, 2, 4, 5, 5]);
        assert_eq!(pauses(23..=32).collect::<Vec<_>>(), [5, 5, 10, 20, 40, 80, 160, 300, 300, 300]);
        assert_eq!(Away::pause(u32::MAX), PAUSES.1);
    }

    #[test]
    fn an_away_host_says_since_when_until_it_is_back() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::read(|name| (name == "IAPEER_ROOT").then(|| dir.path().join("root"))).unwrap();
        paths.ensure().unwrap();
        std::fs::create_dir_all(paths.outbox_dir()).unwrap();
        let outbox = Outbox::of(&paths, &Settings::read(|_| None).unwrap(), &"box".parse().unwrap());
        assert!(outbox.is_due(EpochMs(5_000)) && outbox.away().is_none());
        outbox.note_away(EpochMs(5_000), "no route");
        outbox.note_away(EpochMs(7_000), "no route");
        let away = outbox.away().unwrap();
        assert_eq!((away.since, away.tries, away.next), (EpochMs(5_000), 2, EpochMs(9_000)));
        assert!(!outbox.is_due(EpochMs(8_999)) && outbox.is_due(EpochMs(9_000)));
        outbox.note_back();
        assert!(outbox.away().is_none());
    }
}
