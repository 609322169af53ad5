//! The state of the simulated machine: its clocks, its peers, the programs that run or wait to run. Time passes here, and
//! what agents do meanwhile happens.

use super::laws::Entry;
use super::program::{Act, Program};
use super::truth::{Truth, Turn};
use iapeer::base::clock::EpochMs;
use iapeer::base::identity::Identity;
use iapeer::base::message_id::MessageId;
use iapeer::base::step::Point;
use iapeer::store::queue::Seq;
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex};

/// A program that runs.
pub struct Running {
    pub id: usize,
    pub program: Program,
    pub wake: u64,
    /// The steps that it has come to, while every order is tried.
    pub passed: Vec<Point>,
    /// Told when it is this one's turn.
    pub turn: Arc<Condvar>,
}

/// Who may go on.
#[derive(Debug, Clone, Copy)]
pub enum Next {
    Running(usize),
    /// One that waits to be started, by its place.
    Pending(usize),
}

/// One order of all there are: what was chosen, of how many, at each choice.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// What is to be chosen, as far as that is laid down; then always the first.
    pub laid_down: Vec<usize>,
    /// What was chosen, and of how many.
    pub made: Vec<(usize, usize)>,
    /// How often a program that could go on may still be made to wait for another.
    pub switches: u32,
    /// How many may still be killed.
    pub kills: u32,
    /// From here on it is known: nothing is to be chosen any more.
    pub known: bool,
    /// The states that this search has come to.
    pub seen: Arc<Mutex<HashSet<u64>>>,
}

/// Everything that changes.
pub struct State {
    pub wall: i64,
    pub mono: u64,
    pub peers: BTreeMap<Identity, Truth>,
    pub next_serial: i32,
    pub pending: VecDeque<Program>,
    pub detach_fails: u32,
    pub violation: Option<String>,
    pub trace: Vec<String>,
    /// A program was killed in this step.
    pub killed: bool,
    /// One was killed in this history.
    pub ever_killed: bool,
    pub kill_in: Option<u32>,
    /// Every order is tried: what is chosen where there is a choice.
    pub plan: Option<Plan>,
    /// 0: programs run one after the other; up to 16: how eagerly they alternate.
    pub mix: u32,
    pub refused: BTreeSet<String>,
    pub accepted: BTreeMap<MessageId, Identity>,
    /// Every message ever seen in a queue.
    pub ledger: BTreeMap<MessageId, Entry>,
    pub places: BTreeMap<(Identity, Seq), MessageId>,
    pub removals: u32,
    /// The wall clock was set back in this history.
    pub set_back: bool,
    /// A prompt's hook was slower than its whole turn.
    pub slow_hook: bool,
    pub ever_stopped: BTreeSet<Identity>,
    /// Peers whose removal was killed or could not be finished, and whether it may drop what waits: they may be gone.
    pub unborn: BTreeMap<Identity, bool>,
    /// Messages of which nobody needs to be told: a queue that might hold the notice was removed.
    pub told_less: BTreeSet<MessageId>,
    pub rng: u64,
    pub running: Vec<Running>,
    pub turn: Option<usize>,
    pub next_id: usize,
    pub points: u32,
    pub doomed: bool,
}

impl State {
    pub fn at_the_beginning() -> State {
        State {
            wall: 1_795_000_000_000,
            mono: 0,
            peers: super::fleet::peers().map(|identity| (identity, Truth::default())).collect(),
            next_serial: 5_000_000,
            pending: VecDeque::new(),
            detach_fails: 0,
            violation: None,
            trace: Vec::new(),
            killed: false,
            ever_killed: false,
            kill_in: None,
            plan: None,
            mix: 0,
            refused: BTreeSet::new(),
            accepted: BTreeMap::new(),
            ledger: BTreeMap::new(),
            places: BTreeMap::new(),
            removals: 0,
            set_back: false,
            slow_hook: false,
            ever_stopped: BTreeSet::new(),
            unborn: BTreeMap::new(),
            told_less: BTreeSet::new(),
            rng: 1,
            running: Vec::new(),
            turn: None,
            next_id: 0,
            points: 0,
            doomed: false,
        }
    }

    pub fn random(&mut self, below: u32) -> u32 {
        // xorshift64*: the history's seed decides.
        self.rng ^= self.rng >> 12;
        self.rng ^= self.rng << 25;
        self.rng ^= self.rng >> 27;
        ((self.rng.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % u64::from(below.max(1))) as u32
    }

    pub fn now(&self) -> EpochMs {
        EpochMs(self.wall as u64)
    }

    pub fn truth(&mut self, identity: &Identity) -> &mut Truth {
        self.peers.get_mut(identity).expect("only the fleet's identities are used")
    }

    pub fn violate(&mut self, why: impl Into<String>) {
        let why = why.into();
        self.note(format!("VIOLATION {why}"));
        self.violation.get_or_insert(why);
    }

    pub fn note(&mut self, line: impl Into<String>) {
        let line = format!("{:>9} [{}] {}", self.mono, self.turn.map_or("-".into(), |n| n.to_string()), line.into());
        self.trace.push(line);
    }

    /// Whether the program whose turn it is was told to pass the crash-loop guard.
    pub fn running_act_is_new(&self) -> bool {
        let own = self.running.iter().find(|running| Some(running.id) == self.turn);
        own.is_some_and(|running| matches!(running.program.act, Act::New(_)))
    }

    /// Whoever may go on now, but this one.
    pub fn next(&self, but: Option<usize>) -> Vec<Next> {
        let ready = self.running.iter().filter(|running| Some(running.id) != but && running.wake <= self.mono);
        let mut next: Vec<Next> = ready.map(|running| Next::Running(running.id)).collect();
        let out = |identity| self.running.iter().any(|running| running.program.hook_of() == Some(identity));
        let may_start = |at: &usize| !self.pending[*at].hook_of().is_some_and(out);
        next.extend((0..self.pending.len()).filter(may_start).map(Next::Pending));
        next
    }

    pub fn choose(&mut self, options: usize) -> usize {
        let Some(plan) = self.plan.as_mut() else { return 0 };
        let chosen = plan.laid_down.get(plan.made.len()).copied().unwrap_or(0);
        plan.made.push((chosen, if plan.known { chosen + 1 } else { options }));
        chosen
    }

    /// Who runs, how far each has come, and who waits to be started.
    pub fn positions(&self) -> String {
        let mut running: Vec<String> = self
            .running
            .iter()
            .map(|one| {
                let passed: Vec<&str> = one.passed.iter().map(|point| point.name()).collect();
                format!("{} {:?} {}", one.program.act, Some(one.id) == self.turn, passed.join(","))
            })
            .collect();
        running.sort();
        let mut pending: Vec<String> = self.pending.iter().map(|program| program.act.to_string()).collect();
        pending.sort();
        format!("{running:?} {pending:?}")
    }

    /// Has every program die at its next point.
    pub fn end_here(&mut self) {
        self.doomed = true;
    }

    pub fn ledger_ids(&self) -> Vec<MessageId> {
        self.ledger.keys().copied().collect()
    }

    /// Whether no agent's turn is about to end in its death.
    pub fn turns_are_calm(&self) -> bool {
        self.peers.values().all(|truth| {
            truth.session.as_ref().is_none_or(|s| s.dies_at.is_none() && s.turn.as_ref().is_none_or(|t| !t.dies))
        })
    }

    /// Someone types at the keyboard of `identity`, and its agent works on that. Says whether there is one.
    pub fn typing(&mut self, identity: &Identity, ms: u64) -> bool {
        let (mono, now) = (self.mono, self.now());
        let Some(session) = self.truth(identity).live().filter(|s| s.ready_at.is_some_and(|at| at <= mono)) else {
            return false;
        };
        let ends_at = mono + ms;
        session.last_move = now;
        match &mut session.turn {
            Some(turn) => turn.ends_at = turn.ends_at.max(ends_at),
            None => {
                let answer_to = iapeer::store::queue::nobody();
                session.turn = Some(Turn { answers_at: None, ends_at, dies: false, answer_to });
            }
        }
        true
    }

    /// Whether a hook of this agent has not returned yet: it waits for that before it takes a prompt.
    pub fn hook_is_out(&self, identity: &Identity) -> bool {
        let is_it = |program: &Program| program.hook_of() == Some(identity) && !self.owner_is_dead(program);
        self.pending.iter().any(is_it) || self.running.iter().any(|running| is_it(&running.program))
    }

    /// The hooks of this agent that wait to run; it is not running any.
    pub fn take_hooks(&mut self, identity: &Identity) -> Vec<Program> {
        let (hooks, others) = self.pending.drain(..).partition(|program| program.hook_of() == Some(identity));
        self.pending = others;
        Vec::from_iter::<VecDeque<Program>>(hooks).into_iter().filter(|hook| !self.owner_is_dead(hook)).collect()
    }

    /// Which of the programs that wait may start: an agent calls its hooks one after the other.
    pub fn next_pending(&self) -> Option<usize> {
        let out = |identity| self.running.iter().any(|running| running.program.hook_of() == Some(identity));
        self.pending.iter().position(|program| !program.hook_of().is_some_and(out))
    }

    pub fn owner_is_dead(&self, program: &Program) -> bool {
        program.owner.as_ref().is_some_and(|(identity, serial)| {
            !self.peers[identity].session.as_ref().is_some_and(|session| session.alive && session.serial == *serial)
        })
    }

    /// Lets time pass to `to`; what agents do meanwhile happens in its order.
    pub fn advance(&mut self, to: u64) {
        loop {
            let due = self
                .peers
                .values()
                .filter_map(|truth| truth.session.as_ref().filter(|session| session.alive))
                .flat_map(|session| {
                    let turn = session.turn.as_ref();
                    [
                        session.dies_at,
                        session.late_prompt.as_ref().map(|(at, _)| *at),
                        turn.and_then(|t| t.answers_at),
                        turn.map(|t| t.ends_at),
                    ]
                })
                .flatten()
                .min()
                .filter(|at| *at <= to);
            let next = due.unwrap_or(to).max(self.mono);
            self.wall += (next - self.mono) as i64;
            self.mono = next;
            if due.is_none() {
                return;
            }
            let identities: Vec<Identity> = self.peers.keys().cloned().collect();
            for identity in identities {
                self.fire(&identity);
            }
        }
    }

    fn fire(&mut self, identity: &Identity) {
        let (mono, now) = (self.mono, self.now());
        let hooks = super::fleet::has_hooks(identity);
        let truth = self.truth(identity);
        let Some(session) = truth.session.as_mut().filter(|session| session.alive) else { return };
        if session.dies_at.is_some_and(|at| at <= mono) {
            truth.die();
            self.note(format!("{identity} dies"));
            return;
        }
        let serial = session.serial;
        let launch = session.launch.clone();
        if let Some(text) = session.late_prompt.take_if(|(at, _)| *at <= mono).filter(|_| hooks) {
            let act = Act::Hook { identity: identity.clone(), launch, prompt: Some(text.1) };
            self.pending.push_back(Program { act, owner: Some((identity.clone(), serial)) });
            return;
        }
        let Some(turn) = session.turn.as_mut() else { return };
        let mut acts = Vec::new();
        if turn.answers_at.is_some_and(|at| at <= mono) {
            turn.answers_at = None;
            acts.push(Act::Answer { identity: identity.clone(), to: turn.answer_to.clone() });
            truth.answered.extend(session.tasks.iter().copied());
        }
        if session.turn.as_ref().is_some_and(|turn| turn.ends_at <= mono) {
            let dies = session.turn.take().is_some_and(|turn| turn.dies);
            session.last_move = now;
            truth.last = Some(now);
            truth.turn_end = Some((now, truth.records));
            truth.records += 1;
            if dies {
                truth.die();
            } else if hooks {
                acts.push(Act::Hook { identity: identity.clone(), launch, prompt: None });
            }
            self.note(format!("{identity} ends its turn, dies={dies}"));
        }
        for act in acts {
            self.pending.push_back(Program { act, owner: Some((identity.clone(), serial)) });
        }
    }
}
