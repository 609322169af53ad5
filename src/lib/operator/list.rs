//! What there is: peers, their sessions, their queues.

use crate::base::Liveness;
use crate::base::Marker;
use crate::base::clock::EpochMs;
use crate::base::exit::Failure;
use crate::base::identity::{Identity, Intelligence, Personality, Runtime};
use crate::canary::record::LastDeath;
use crate::people::Inbox;
use crate::runtime::{Kind, Manifest};
use crate::store::registry::{PeerRecord, Registry};
use crate::store::session_record::SessionRecord;
use crate::world::World;
use crate::world::peer::Peer;
use serde::Serialize;
use std::path::PathBuf;

/// How a peer stands on one runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Its session lives.
    Live,
    /// It sleeps: a message wakes it.
    Asleep,
    /// The operator stopped it.
    Stopped,
    /// The host would not say.
    Unknown,
}

impl Status {
    fn glyph(self) -> char {
        match self {
            Status::Live => '●',
            Status::Asleep => '○',
            Status::Stopped => '✕',
            Status::Unknown => '?',
        }
    }
}

/// A peer on one runtime.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OnRuntime {
    /// The runtime.
    pub runtime: Runtime,
    /// How it stands.
    pub status: Status,
    /// How it died last, until it is healthy again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_death: Option<LastDeath>,
}

/// One peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Its name.
    pub personality: Personality,
    /// Its default runtime.
    pub default_runtime: Runtime,
    /// Its nature.
    pub intelligence: Intelligence,
    /// What it is for.
    pub description: String,
    /// Its working folder.
    pub cwd: PathBuf,
    /// How it stands on each runtime.
    pub runtimes: Vec<OnRuntime>,
    /// The runtime it was last active on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_active_runtime: Option<Runtime>,
    /// Messages that wait or are in flight.
    pub waiting: usize,
    /// Dead letters.
    pub dead: usize,
    /// Messages that a person has not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unread: Option<usize>,
    /// Why a queue of it can't be read and is not counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
}

impl Listed {
    /// The line for people.
    pub fn line(&self) -> String {
        let mut line = format!("{}  [{}]  {}", self.personality, self.default_runtime, self.intelligence);
        for on in &self.runtimes {
            let glyph = if self.unread.is_some() { '✉' } else { on.status.glyph() };
            line.push_str(&format!("  {glyph} {}", on.runtime));
            if let Some(death) = &on.last_death {
                line.push_str(&format!(" died:{}", death.cause));
            }
        }
        if let Some(runtime) = &self.last_active_runtime {
            line.push_str(&format!("  last-active:{runtime}"));
        }
        if let Some(unread) = self.unread.filter(|unread| *unread > 0) {
            line.push_str(&format!("  unread:{unread}"));
        }
        if self.waiting > 0 {
            line.push_str(&format!("  waiting:{}", self.waiting));
        }
        if self.dead > 0 {
            line.push_str(&format!("  dead:{}", self.dead));
        }
        if let Some(why) = &self.unreadable {
            line.push_str(&format!("  queue:? ({why})"));
        }
        line
    }
}

/// Every registered peer, by name.
pub fn peers(world: &World<'_>) -> Result<Vec<Listed>, Failure> {
    Ok(Registry::read(world.paths)?.peers().iter().map(|record| listed(world, record)).collect())
}

fn listed(world: &World<'_>, record: &PeerRecord) -> Listed {
    let identities =
        || record.runtimes.iter().map(|runtime| Identity::new(runtime.clone(), record.personality.clone()));
    let (mut waiting, mut dead, mut unreadable) = (0, 0, None);
    for id in identities() {
        match world.queue(&id).counts() {
            Ok([waits, inflight, given_up, _]) => {
                waiting += waits + inflight;
                dead += given_up;
            }
            Err(error) => unreadable = Some(error.to_string()),
        }
    }
    Listed {
        personality: record.personality.clone(),
        default_runtime: record.default_runtime.clone(),
        intelligence: record.intelligence,
        description: record.description.clone(),
        cwd: record.cwd.clone(),
        runtimes: identities()
            .map(|id| OnRuntime {
                runtime: id.runtime().clone(),
                status: status(world, &id),
                last_death: LastDeath::of(world, &id),
            })
            .collect(),
        last_active_runtime: last_active(world, record),
        waiting,
        dead,
        unread: unread(world, record),
        unreadable,
    }
}

/// How many messages a person has not read. `None`: the peer is none.
fn unread(world: &World<'_>, record: &PeerRecord) -> Option<usize> {
    // Of an agent no manifest is read for this.
    let natural = record.intelligence == Intelligence::Natural;
    let manifest = natural.then(|| Manifest::load(world.paths, &record.default_runtime).ok()).flatten()?;
    (manifest.kind == Kind::Mailbox).then(|| Inbox::of(&record.cwd).unread().unwrap_or(0))
}

/// How `identity` stands. One look; nothing is changed by it.
pub fn status(world: &World<'_>, identity: &Identity) -> Status {
    let record = SessionRecord::peek(world.paths, identity);
    match world.host.liveness(identity, record.as_ref()) {
        Liveness::Alive => Status::Live,
        Liveness::Unknown => Status::Unknown,
        Liveness::Gone if world.markers(identity).has(Marker::Stopped) => Status::Stopped,
        Liveness::Gone => Status::Asleep,
    }
}

/// The declared runtime with the newest sign of activity; the first one wins a tie.
pub fn last_active(world: &World<'_>, record: &PeerRecord) -> Option<Runtime> {
    let mut newest: Option<(EpochMs, Runtime)> = None;
    for runtime in &record.runtimes {
        let identity = Identity::new(runtime.clone(), record.personality.clone());
        let Ok(peer) = Peer::of(world.paths, &identity) else { continue };
        let woke = SessionRecord::peek(world.paths, &identity).map(|session| session.woke_at);
        let Some(at) = world.host.transcript_times(&peer, None).last.max(woke) else { continue };
        if newest.as_ref().is_none_or(|(best, _)| at > *best) {
            newest = Some((at, runtime.clone()));
        }
    }
    newest.map(|(_, runtime)| runtime)
}
