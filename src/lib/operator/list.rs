//! `iapeer list`: the peers, what each is doing or waits for, and their queues. Everything is read from files and
//! processes; no screen is read, and nothing is changed.

use crate::base::clock::EpochMs;
use crate::base::exit::Failure;
use crate::base::identity::{Identity, Intelligence, Personality, Runtime};
use crate::base::{AttentionState, Liveness, Marker, StateFile};
use crate::canary::record::LastDeath;
use crate::host::usage::Usage;
use crate::people::Inbox;
use crate::runtime::{Kind, Manifest};
use crate::session::activity::{Activity, Quiet, turn_of};
use crate::session::drift::{self, Effort};
use crate::store::attention;
use crate::store::durable;
use crate::store::markers::TurnState;
use crate::store::registry::{PeerRecord, Registry};
use crate::store::session_record::{Phase, SessionRecord};
use crate::world::World;
use crate::world::peer::Peer;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::panic::resume_unwind;
use std::path::PathBuf;

/// A line for each runtime of `registry` whose program has another version than the one that its rules were measured with.
pub(crate) fn drifts(world: &World<'_>, registry: &Registry) -> Vec<String> {
    let drifts = drift::drifts(world.paths, registry, Effort::Look);
    drifts.into_iter().map(|(runtime, what)| format!("{runtime} {what}")).collect()
}

/// Whether a peer has a session on one runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Its session is alive.
    Live,
    /// It has no session: a message wakes it.
    Asleep,
    /// An operator stopped it, and it has no session.
    Stopped,
    /// tmux does not say whether the session is alive.
    Unknown,
}

/// A peer on one runtime. Times are UTC, `2026-11-26T10:44:46Z`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OnRuntime {
    /// The runtime.
    pub runtime: Runtime,
    /// Whether it has a session.
    pub status: Status,
    /// What it is doing, or waits for.
    pub state: AttentionState,
    /// When the state began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// What it waits for, on one line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// When the wait ends by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Resident memory of its session's processes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Its last death, until it is healthy again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_death: Option<LastDeath>,
    #[serde(skip)]
    began: Option<EpochMs>,
    /// When the running turn began, as the agent's hooks reported.
    #[serde(skip)]
    pub(crate) turn: Option<EpochMs>,
    #[serde(skip)]
    pane: Option<i32>,
    /// The memory and CPU time of its session's processes.
    #[serde(skip)]
    pub(crate) usage: Option<Usage>,
}

/// One peer. `state`, `since`, `text` and `until` are those of the runtime that needs a person most; the numbers are sums
/// over all runtimes.
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
    /// What it is doing, or waits for.
    pub state: AttentionState,
    /// When the state began.
    pub since: Option<String>,
    /// What it waits for, on one line.
    pub text: Option<String>,
    /// When the wait ends by itself.
    pub until: Option<String>,
    /// Messages that wait or are in flight.
    pub queue: usize,
    /// When a message to it was settled last.
    pub last_message: Option<String>,
    /// Resident memory of its sessions' processes.
    pub memory_bytes: Option<u64>,
    /// Its state on each runtime.
    pub runtimes: Vec<OnRuntime>,
    /// Of several runtimes, the one that it was last active on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_active_runtime: Option<Runtime>,
    /// Messages that wait or are in flight.
    pub waiting: usize,
    /// Dead letters.
    pub dead: usize,
    /// Messages that a person has not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unread: Option<usize>,
    /// Why one of its queues can't be read and is not counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
    #[serde(skip)]
    last_settled: Option<EpochMs>,
}

impl Listed {
    /// The runtime that needs a person most; of several in the same state the first, which is the default one.
    pub(crate) fn foremost(&self) -> Option<&OnRuntime> {
        self.runtimes.iter().min_by_key(|on| on.state.rank())
    }

    /// When its state began.
    pub fn began(&self) -> Option<EpochMs> {
        self.foremost()?.began
    }

    /// When a message to it was settled last.
    pub(crate) fn last_settled(&self) -> Option<EpochMs> {
        self.last_settled
    }
}

/// The names of all state files and histories, read once: the folder may have thousands.
struct Files {
    kinds: HashMap<String, HashSet<String>>,
    histories: HashSet<String>,
}

impl Files {
    fn read(world: &World<'_>) -> Result<Files, Failure> {
        let mut kinds: HashMap<String, HashSet<String>> = HashMap::new();
        for name in durable::names_of(&world.paths.state_dir())? {
            if let Some((identity, kind)) = name.split_once('.') {
                kinds.entry(identity.to_owned()).or_default().insert(kind.to_owned());
            }
        }
        let histories = durable::names_of(&world.paths.history_dir())?.into_iter().collect();
        Ok(Files { kinds, histories })
    }

    fn has(&self, identity: &Identity, file: StateFile) -> bool {
        self.kinds.get(identity.as_str()).is_some_and(|kinds| kinds.contains(file.suffix()))
    }
}

/// The number of peers that are worth a thread of their own: reading them takes some milliseconds.
const WORTH_A_THREAD: usize = 200;

/// Every registered peer, by name.
pub fn peers(world: &World<'_>) -> Result<Vec<Listed>, Failure> {
    peers_of(world, &Registry::read(world.paths)?)
}

/// Every peer of `registry`, by name.
pub(crate) fn peers_of(world: &World<'_>, registry: &Registry) -> Result<Vec<Listed>, Failure> {
    let files = Files::read(world)?;
    let mut listed = all_listed(world, registry, &files);
    let panes: Vec<i32> = listed.iter().flat_map(|peer| &peer.runtimes).filter_map(|on| on.pane).collect();
    let usage = world.host.usage(&panes);
    for peer in &mut listed {
        for on in &mut peer.runtimes {
            on.usage = on.pane.and_then(|pane| usage.get(&pane)).copied();
            on.memory_bytes = on.usage.map(|usage| usage.memory);
        }
        let each = peer.runtimes.iter().filter_map(|on| on.memory_bytes);
        peer.memory_bytes = each.reduce(|sum, more| sum + more);
    }
    Ok(listed)
}

/// Each peer of the registry, in its order. Many peers are read by several threads, since for each some folders are opened.
fn all_listed(world: &World<'_>, registry: &Registry, files: &Files) -> Vec<Listed> {
    let peers = registry.peers();
    // Keeps one folder open meanwhile: otherwise musl maps memory anew for each folder that is opened.
    let _open = std::fs::read_dir(world.paths.state_dir());
    let look = |part: &[PeerRecord]| -> Vec<Listed> {
        part.iter().map(|record| listed(world, registry, files, record)).collect()
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(peers.len() / WORTH_A_THREAD);
    if workers < 2 {
        return look(peers);
    }
    let parts: Vec<&[PeerRecord]> = peers.chunks(peers.len().div_ceil(workers)).collect();
    std::thread::scope(|scope| {
        let running: Vec<_> = parts.iter().map(|part| scope.spawn(|| look(part))).collect();
        let joined = running.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        joined.flatten().collect()
    })
}

fn listed(world: &World<'_>, registry: &Registry, files: &Files, record: &PeerRecord) -> Listed {
    let identities: Vec<Identity> =
        record.runtimes.iter().map(|runtime| Identity::new(runtime.clone(), record.personality.clone())).collect();
    let (mut waiting, mut dead, mut unreadable) = (0, 0, None);
    for id in identities.iter().filter(|id| files.has(id, StateFile::Queue)) {
        match world.queue(id).counts() {
            Ok([waits, inflight, given_up, _]) => {
                waiting += waits + inflight;
                dead += given_up;
            }
            Err(error) => unreadable = Some(error.to_string()),
        }
    }
    let settled = identities.iter().filter(|id| files.histories.contains(&format!("{id}.jsonl")));
    let settled = settled.filter_map(|id| std::fs::metadata(world.paths.history(id)).and_then(|m| m.modified()).ok());
    let last_settled = settled.max().map(EpochMs::from);
    let runtimes: Vec<OnRuntime> = identities.iter().map(|id| on_runtime(world, registry, files, id)).collect();
    let several = record.runtimes.len() > 1;
    let mut peer = Listed {
        personality: record.personality.clone(),
        default_runtime: record.default_runtime.clone(),
        intelligence: record.intelligence,
        description: record.description.clone(),
        cwd: record.cwd.clone(),
        state: AttentionState::Asleep,
        since: None,
        text: None,
        until: None,
        queue: waiting,
        last_message: last_settled.map(EpochMs::utc_seconds),
        memory_bytes: None,
        runtimes,
        last_active_runtime: several.then(|| last_active(world, record)).flatten(),
        waiting,
        dead,
        unread: unread(world, record),
        unreadable,
        last_settled,
    };
    if let Some(on) = peer.foremost().cloned() {
        (peer.state, peer.since, peer.text, peer.until) = (on.state, on.since, on.text, on.until);
    }
    peer
}

fn on_runtime(world: &World<'_>, registry: &Registry, files: &Files, identity: &Identity) -> OnRuntime {
    let record = files.has(identity, StateFile::Session).then(|| SessionRecord::peek(world.paths, identity)).flatten();
    let stopped = files.has(identity, StateFile::Marker(Marker::Stopped));
    let last_death = files.has(identity, StateFile::LastDeath).then(|| LastDeath::of(world, identity)).flatten();
    let liveness = world.host.liveness(identity, record.as_ref());
    let status = match liveness {
        Liveness::Alive => Status::Live,
        Liveness::Unknown => Status::Unknown,
        Liveness::Gone if stopped => Status::Stopped,
        Liveness::Gone => Status::Asleep,
    };
    let launch = record.as_ref().and_then(|record| record.launch.as_ref());
    let known = files.has(identity, StateFile::Attention).then(|| attention::peek(world.paths, identity)).flatten();
    // A wait of an earlier session ended with that session; a login, a limit and a crash loop did not.
    let known = known.filter(|known| match liveness {
        Liveness::Alive => known.launch.as_ref() == launch,
        _ => matches!(known.state, AttentionState::Login | AttentionState::Limited | AttentionState::CrashLoop),
    });
    let known = known.filter(|known| status != Status::Stopped && known.until.is_none_or(|at| world.now() < at));
    let (state, began) = match (&known, status) {
        (Some(known), _) => (known.state, Some(known.since)),
        (None, Status::Unknown) => (AttentionState::Unknown, None),
        (None, Status::Stopped) => {
            (AttentionState::Stopped, world.markers(identity).set_at(Marker::Stopped).ok().flatten())
        }
        (None, Status::Live) => match &record {
            Some(record) => at_work(world, registry, record),
            None => (AttentionState::Idle, None),
        },
        (None, Status::Asleep) => match &last_death {
            Some(death) => (AttentionState::Dead, Some(death.at)),
            None if files.has(identity, StateFile::Marker(Marker::IdleReaped)) => {
                (AttentionState::Asleep, world.markers(identity).set_at(Marker::IdleReaped).ok().flatten())
            }
            None => (AttentionState::Asleep, None),
        },
    };
    let text = known.as_ref().map(|known| match &known.tool {
        Some(tool) => format!("{tool}: {}", known.text),
        None => known.text.clone(),
    });
    let died = last_death.as_ref().filter(|_| state == AttentionState::Dead).map(|death| death.cause.to_string());
    OnRuntime {
        runtime: identity.runtime().clone(),
        status,
        state,
        since: began.map(EpochMs::utc_seconds),
        text: text.or(died).filter(|text| !text.is_empty()),
        until: known.and_then(|known| known.until).map(EpochMs::utc_seconds),
        memory_bytes: None,
        last_death,
        began,
        turn: record.as_ref().filter(|_| status == Status::Live).and_then(|record| turn_began(world, record, state)),
        usage: None,
        pane: record.filter(|_| status == Status::Live).and_then(|record| record.pane).map(|pane| pane.pid),
    }
}

/// How many messages a person has not read. `None`: the peer is no person with an inbox.
fn unread(world: &World<'_>, record: &PeerRecord) -> Option<usize> {
    // Checked first, so that no manifest is read for an agent.
    let natural = record.intelligence == Intelligence::Natural;
    let manifest = natural.then(|| Manifest::load(world.paths, &record.default_runtime).ok()).flatten()?;
    (manifest.kind == Kind::Mailbox).then(|| Inbox::of(&record.cwd).unread().unwrap_or(0))
}

/// Whether a live session works or is idle, and since when.
fn at_work(world: &World<'_>, registry: &Registry, record: &SessionRecord) -> (AttentionState, Option<EpochMs>) {
    if record.phase == Phase::Booting {
        return (AttentionState::Working, Some(record.woke_at));
    }
    let turn = world.markers(&record.identity).turn().filter(|turn| turn.launch == record.launch);
    // If a hook has reported the end of the turn, the transcript need not be read.
    if let Some(turn) = turn.as_ref().filter(|turn| turn.state != TurnState::Busy) {
        return (AttentionState::Idle, Some(turn.at));
    }
    let Ok(peer) = Peer::of_in(world.paths, registry, &record.identity) else { return (AttentionState::Idle, None) };
    match Activity::from_files(world, &peer, record).quiet() {
        Quiet::Working => (AttentionState::Working, turn.map(|turn| turn.at)),
        Quiet::Since(at) => (AttentionState::Idle, Some(at)),
    }
}

/// When the running turn began, as the agent's hooks reported. An idle session has none, whatever its last hook reported.
fn turn_began(world: &World<'_>, record: &SessionRecord, state: AttentionState) -> Option<EpochMs> {
    let turn = (state != AttentionState::Idle).then(|| turn_of(world, &record.identity, record.launch.as_deref()));
    turn.flatten().filter(|turn| turn.state == TurnState::Busy).map(|turn| turn.at)
}

/// How many peers are in each state.
pub(crate) fn totals(peers: &[Listed]) -> BTreeMap<&'static str, usize> {
    let mut totals = BTreeMap::new();
    for peer in peers {
        *totals.entry(peer.state.as_str()).or_insert(0) += 1;
    }
    totals
}

/// The declared runtime with the newest sign of activity; the first one wins a tie.
pub(crate) fn last_active(world: &World<'_>, record: &PeerRecord) -> Option<Runtime> {
    let registry = Registry::read(world.paths).ok()?;
    let mut newest: Option<(EpochMs, Runtime)> = None;
    for runtime in &record.runtimes {
        let identity = Identity::new(runtime.clone(), record.personality.clone());
        let Ok(peer) = Peer::of_in(world.paths, &registry, &identity) else { continue };
        let woke = SessionRecord::peek(world.paths, &identity).map(|session| session.woke_at);
        let Some(at) = world.host.transcript_times(&peer, None).last.max(woke) else { continue };
        if newest.as_ref().is_none_or(|(best, _)| at > *best) {
            newest = Some((at, runtime.clone()));
        }
    }
    newest.map(|(_, runtime)| runtime)
}
