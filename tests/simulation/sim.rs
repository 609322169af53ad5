//! The simulated machine: time, sessions, programs. One program runs at a time; at each point the history's choices
//! decide who goes on.

use super::laws::Entry;
use super::program::{Act, Program};
use super::thread;
use iapeer::base::clock::{Clock, EpochMs};
use iapeer::base::identity::Identity;
use iapeer::base::message_id::MessageId;
use iapeer::base::step::Point;
use iapeer::base::step::failpoints;
use iapeer::base::{Paths, Settings};
use iapeer::host::ProcessId;
use iapeer::store::queue::Seq;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::rc::Rc;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// Programs that run at once, at most, unless every order of them is tried.
const SLOTS: usize = 3;
/// A step that passes more points than this does not end.
const MAX_POINTS: u32 = 200_000;

thread_local! {
    /// The program that this thread runs.
    static ME: Cell<Option<usize>> = const { Cell::new(None) };
    /// Within something that can't be interrupted.
    static ATOMIC: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f` as one indivisible act: what an agent waits for before it goes on.
pub fn atomically<T>(f: impl FnOnce() -> T) -> T {
    let before = ATOMIC.replace(true);
    let value = f();
    ATOMIC.set(before);
    value
}

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

/// A program that runs.
struct Running {
    id: usize,
    program: Program,
    wake: u64,
    /// The steps that it has come to, while every order is tried.
    passed: Vec<Point>,
    /// Told when it is this one's turn.
    turn: Arc<Condvar>,
}

/// Who may go on.
#[derive(Debug, Clone, Copy)]
enum Next {
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
    rng: u64,
    running: Vec<Running>,
    turn: Option<usize>,
    next_id: usize,
    points: u32,
    doomed: bool,
}

impl State {
    fn random(&mut self, below: u32) -> u32 {
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
    fn next(&self, but: Option<usize>) -> Vec<Next> {
        let ready = self.running.iter().filter(|running| Some(running.id) != but && running.wake <= self.mono);
        let mut next: Vec<Next> = ready.map(|running| Next::Running(running.id)).collect();
        let out = |identity| self.running.iter().any(|running| running.program.hook_of() == Some(identity));
        let may_start = |at: &usize| !self.pending[*at].hook_of().is_some_and(out);
        next.extend((0..self.pending.len()).filter(may_start).map(Next::Pending));
        next
    }

    fn choose(&mut self, options: usize) -> usize {
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
    fn next_pending(&self) -> Option<usize> {
        let out = |identity| self.running.iter().any(|running| running.program.hook_of() == Some(identity));
        self.pending.iter().position(|program| !program.hook_of().is_some_and(out))
    }

    fn owner_is_dead(&self, program: &Program) -> bool {
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

/// The simulated machine.
pub struct Sim {
    pub paths: Paths,
    pub settings: Settings,
    state: Mutex<State>,
    changed: Condvar,
}

impl Sim {
    pub fn new(paths: Paths, settings: Settings) -> Arc<Sim> {
        let state = State {
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
        };
        Arc::new(Sim { paths, settings, state: Mutex::new(state), changed: Condvar::new() })
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Runs `programs` and all that they start, until none is left.
    pub fn run(self: &Arc<Self>, programs: Vec<Program>, mix: u32, seed: u64, kill_in: Option<u32>) {
        let mut state = self.state();
        state.mix = mix;
        state.rng = seed | 1;
        state.kill_in = kill_in;
        state.killed = false;
        state.points = 0;
        for program in programs.into_iter().rev() {
            state.pending.push_front(program);
        }
        self.go_on(&mut state);
        while state.turn.is_some() || !state.running.is_empty() {
            state = self.changed.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        state.kill_in = None;
        state.mix = 0;
        drop(state);
        super::program::reborn(self);
    }

    /// Hands the turn to whoever can go on; to the driver when nobody is left.
    fn go_on(self: &Arc<Self>, state: &mut State) {
        let mono = state.mono;
        if state.plan.is_some() {
            let next = state.next(None);
            if !next.is_empty() {
                let chosen = state.choose(next.len());
                self.hand_over(state, next[chosen]);
                return;
            }
        }
        let ready = state.running.iter().position(|program| program.wake <= mono);
        if let Some(at) = ready {
            state.turn = Some(state.running[at].id);
        } else if state.running.len() < SLOTS && state.next_pending().is_some() {
            self.admit(state);
        } else if let Some((id, wake)) = state.running.iter().map(|p| (p.id, p.wake)).min_by_key(|(_, wake)| *wake) {
            state.advance(wake);
            state.turn = Some(id);
        } else {
            state.turn = None;
        }
        self.call(state);
    }

    /// Wakes whoever has the turn.
    fn call(&self, state: &State) {
        match state.running.iter().find(|running| Some(running.id) == state.turn) {
            Some(running) => running.turn.notify_all(),
            None => self.changed.notify_all(),
        }
    }

    fn hand_over(self: &Arc<Self>, state: &mut State, to: Next) {
        match to {
            Next::Running(id) => state.turn = Some(id),
            Next::Pending(at) => self.admit_this(state, at),
        }
        self.call(state);
    }

    /// Before a step of a program while every order is tried: it goes on, another one does, or it is killed.
    fn planned(self: &Arc<Self>, mut state: MutexGuard<'_, State>, me: usize, step: Point) {
        let others = state.next(Some(me));
        let Some(plan) = state.plan.as_ref() else { return };
        let others = if plan.switches > 0 { others } else { Vec::new() };
        let options = 1 + others.len() + usize::from(plan.kills > 0);
        let chosen = state.choose(options);
        if chosen == 0 {
            return;
        }
        let Some(plan) = state.plan.as_mut() else { return };
        match others.get(chosen - 1) {
            Some(other) => {
                plan.switches -= 1;
                self.hand_over(&mut state, *other);
                self.wait_for_turn(state, me);
            }
            None => {
                plan.kills -= 1;
                (state.killed, state.ever_killed) = (true, true);
                count_kill(Some(step));
                self.die(state, me);
            }
        }
    }

    /// Starts the next program that waits to run.
    fn admit(self: &Arc<Self>, state: &mut State) {
        if let Some(at) = state.next_pending() {
            self.admit_this(state, at);
        }
    }

    fn admit_this(self: &Arc<Self>, state: &mut State, at: usize) {
        let Some(program) = state.pending.remove(at) else { return };
        let id = state.next_id;
        state.next_id += 1;
        state.note(format!("program {id}: {}", program.act));
        state.running.push(Running { id, program: program.clone(), wake: 0, passed: Vec::new(), turn: Arc::default() });
        state.turn = Some(id);
        let sim = Arc::clone(self);
        thread::on_a_thread(Box::new(move || {
            ME.set(Some(id));
            let watched = Arc::clone(&sim);
            failpoints::watch(Some(Rc::new(move |point, _| watched.pass(Some(point)))));
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| program.run(&sim)));
            failpoints::watch(None);
            let mut state = sim.state();
            if let Err(payload) = ended {
                #[cfg(not(target_os = "linux"))]
                if payload.is::<thread::Killed>() {
                    drop(state);
                    program.is_dead(&sim);
                    sim.leave(sim.state(), id);
                    return;
                }
                let text = payload.downcast_ref::<String>().cloned();
                let text = text.or_else(|| payload.downcast_ref::<&str>().map(ToString::to_string));
                state.violate(format!("a program panics: {}", text.unwrap_or_default()));
            }
            sim.leave(state, id);
        }));
    }

    fn leave(self: &Arc<Self>, mut state: MutexGuard<'_, State>, id: usize) {
        state.running.retain(|running| running.id != id);
        self.go_on(&mut state);
    }

    /// The program with the number `me` dies, in the middle of what it does.
    #[cfg(target_os = "linux")]
    fn die(self: &Arc<Self>, state: MutexGuard<'_, State>, me: usize) -> ! {
        let program = state.running.iter().find(|running| running.id == me).map(|own| own.program.clone());
        drop(state);
        thread::drop_descriptors();
        if let Some(program) = program {
            program.is_dead(self);
        }
        self.leave(self.state(), me);
        thread::vanish()
    }

    #[cfg(not(target_os = "linux"))]
    fn die(self: &Arc<Self>, state: MutexGuard<'_, State>, _: usize) -> ! {
        drop(state);
        std::panic::resume_unwind(Box::new(thread::Killed))
    }

    /// A point at which another program may go on, or this one be killed.
    pub fn point(self: &Arc<Self>) {
        self.pass(None);
    }

    /// Such a point: before the `step` that changes a file, or at a look at the clock or a call of the host.
    fn pass(self: &Arc<Self>, step: Option<Point>) {
        let Some(me) = ME.get().filter(|_| !ATOMIC.get()) else { return };
        let mut state = self.state();
        state.points += 1;
        if state.points > MAX_POINTS && !state.doomed {
            state.doomed = true;
            state.violate("a program does not end");
        }
        let own = state.running.iter().find(|running| running.id == me);
        let mut kill = state.doomed || own.is_some_and(|running| state.owner_is_dead(&running.program));
        if let Some(left) = state.kill_in {
            state.kill_in = left.checked_sub(1);
            if left == 0 {
                (state.killed, state.ever_killed, kill) = (true, true, true);
                count_kill(step);
            }
        }
        if kill {
            self.die(state, me);
        }
        if state.plan.is_some() {
            if let Some(step) = step.filter(|step| super::orders::is_seen_by_others(*step)) {
                if let Some(own) = state.running.iter_mut().find(|running| running.id == me) {
                    own.passed.push(step);
                }
                drop(state);
                super::orders::at_a_state(self);
                self.planned(self.state(), me, step);
            }
            return;
        }
        if state.mix == 0 || state.random(16) >= state.mix {
            return;
        }
        let mono = state.mono;
        let others: Vec<usize> = state.running.iter().filter(|p| p.id != me && p.wake <= mono).map(|p| p.id).collect();
        let can_admit = state.running.len() < SLOTS && state.next_pending().is_some();
        let pick = state.random(others.len() as u32 + u32::from(can_admit)) as usize;
        match others.get(pick) {
            Some(other) => state.turn = Some(*other),
            None if can_admit => self.admit(&mut state),
            None => return,
        }
        self.call(&state);
        self.wait_for_turn(state, me);
    }

    fn wait_for_turn(&self, mut state: MutexGuard<'_, State>, me: usize) {
        let Some(turn) = state.running.iter().find(|running| running.id == me).map(|own| Arc::clone(&own.turn)) else {
            return;
        };
        while state.turn != Some(me) {
            state = turn.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }

    fn pause(self: &Arc<Self>, duration: Duration) {
        let ms = (duration.as_micros() as u64).div_ceil(1000).max(1);
        let Some(me) = ME.get().filter(|_| !ATOMIC.get()) else {
            let mut state = self.state();
            let to = state.mono + ms;
            state.advance(to);
            return;
        };
        self.point();
        let mut state = self.state();
        let wake = state.mono + ms;
        if let Some(own) = state.running.iter_mut().find(|running| running.id == me) {
            own.wake = wake;
        }
        self.go_on(&mut state);
        self.wait_for_turn(state, me);
        self.point();
    }
}

/// How many programs were killed before each step of a file.
static KILLS: Mutex<BTreeMap<&str, u32>> = Mutex::new(BTreeMap::new());

fn count_kill(step: Option<Point>) {
    let at = step.map_or("(between steps)", Point::name);
    *KILLS.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).entry(at).or_default() += 1;
}

/// Says where programs were killed, and how often.
pub fn kills() -> String {
    let kills = KILLS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let each: Vec<String> = kills.iter().map(|(at, times)| format!("{at} {times}")).collect();
    format!("{} kills at {} points: {}", kills.values().sum::<u32>(), kills.len(), each.join(", "))
}

/// The simulated clock and host: a handle, so that programs can be started from it.
pub struct Machine(pub Arc<Sim>);

impl Clock for Machine {
    fn now(&self) -> EpochMs {
        self.0.point();
        self.0.state().now()
    }

    fn monotonic(&self) -> Duration {
        self.0.point();
        Duration::from_millis(self.0.state().mono)
    }

    fn sleep(&self, duration: Duration) {
        self.0.pause(duration);
    }
}
