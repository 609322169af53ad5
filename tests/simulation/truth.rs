//! What is true of each peer, whatever the state files say: its session, its turn, the messages it has taken, and how
//! its next boots, deliveries and turns will go.

use iapeer::base::clock::EpochMs;
use iapeer::base::identity::Identity;
use iapeer::base::message_id::MessageId;
use iapeer::host::ProcessId;
use std::collections::{BTreeSet, VecDeque};

/// How a boot goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Boot {
    /// Ready after this long.
    Ready(u64),
    /// Never ready.
    Hang,
    /// Dead after this long.
    Dies(u64),
    /// The server does not start.
    NoStart,
}

/// How a delivery goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Something forbids it.
    Held,
    /// Something is wrong, nothing is typed.
    Failed,
    /// Typed, swallowed.
    Lost,
    /// Typed, and it stays in the composer.
    Stuck,
    /// Taken, but the evidence comes late.
    Late,
    /// The session dies before it takes it.
    DiesBefore,
    /// The session takes it and dies.
    DiesAfter,
}

/// How an agent's turn goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnKind {
    /// It works this long, then answers.
    Plain(u64),
    /// It works this long and never answers.
    Mute(u64),
    /// It answers at once and works on for this long.
    EarlyAnswer(u64),
    /// It dies in the middle.
    Dies(u64),
}

/// A message as it was typed.
#[derive(Debug, Clone)]
pub struct Typed {
    pub id: MessageId,
    pub redelivered: u32,
    pub from: Identity,
    pub body: String,
}

/// A running turn.
#[derive(Debug, Clone)]
pub struct Turn {
    pub answers_at: Option<u64>,
    pub ends_at: u64,
    pub dies: bool,
    pub answer_to: Identity,
}

/// A session.
#[derive(Debug, Clone)]
pub struct Session {
    pub serial: i32,
    pub server: ProcessId,
    pub alive: bool,
    pub ready_at: Option<u64>,
    pub dies_at: Option<u64>,
    pub launch: Option<String>,
    pub composer: Option<Typed>,
    /// A prompt hook that comes late.
    pub late_prompt: Option<(u64, String)>,
    pub turn: Option<Turn>,
    pub tasks: Vec<MessageId>,
    pub last_move: EpochMs,
}

/// What is true of one peer.
#[derive(Debug, Default)]
pub struct Truth {
    pub session: Option<Session>,
    pub traced: bool,
    pub transcript: Vec<MessageId>,
    pub late: Vec<(u64, MessageId)>,
    pub last: Option<EpochMs>,
    /// Records of the transcript so far, where its prompts stand, and its last turn's end.
    pub records: u64,
    pub prompts: Vec<(MessageId, u64)>,
    pub turn_end: Option<(EpochMs, u64)>,
    pub taken: Vec<Typed>,
    pub answered: BTreeSet<MessageId>,
    /// Sessions that ended by a fault, and launches that failed without one.
    pub dead_serials: BTreeSet<i32>,
    pub failed_starts: usize,
    pub deaths_seen: usize,
    pub ring: Vec<EpochMs>,
    /// A stop has returned, and no start since.
    pub stopped: bool,
    /// A deliberate end was interrupted: whoever finishes it need not judge anew.
    pub leftover: bool,
    pub boots: VecDeque<Boot>,
    pub fates: VecDeque<Fate>,
    pub turns: VecDeque<TurnKind>,
    pub unknown: u32,
    pub end_fails: u32,
}

impl Truth {
    pub fn live(&mut self) -> Option<&mut Session> {
        self.session.as_mut().filter(|session| session.alive)
    }

    /// The session dies of itself.
    pub fn die(&mut self) -> bool {
        let Some(session) = self.live() else { return false };
        session.alive = false;
        session.turn = None;
        let serial = session.serial;
        self.dead_serials.insert(serial);
        true
    }
}
