//! The simulated machine: whose turn it is. One program runs at a time; at each point the history's choices decide who goes
//! on.

use super::program::Program;
use super::state::{Next, Running, State};
use super::thread;
use iapeer::base::clock::{Clock, EpochMs};
use iapeer::base::step::Point;
use iapeer::base::step::failpoints;
use iapeer::base::{Paths, Settings};
use std::cell::Cell;
use std::collections::BTreeMap;
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

/// The simulated machine.
pub struct Sim {
    pub paths: Paths,
    pub settings: Settings,
    state: Mutex<State>,
    changed: Condvar,
}

impl Sim {
    pub fn new(paths: Paths, settings: Settings) -> Arc<Sim> {
        Arc::new(Sim { paths, settings, state: Mutex::new(State::at_the_beginning()), changed: Condvar::new() })
    }

    /// Frees what is known of a history that is over: killed programs hold on to this value for good.
    pub fn forget(&self) {
        *self.state() = State::at_the_beginning();
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
        let dismissed = state.plan.as_ref().is_some_and(|plan| plan.known);
        drop(state);
        // Nothing more is asked of a run that has come to a known state, of which a search has tens of thousands: here
        // destructors run, or what its programs own would fill the memory.
        if dismissed {
            std::panic::resume_unwind(Box::new(thread::Killed));
        }
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
        // Destructors of a program that dies by a panic are no steps of it.
        let Some(me) = ME.get().filter(|_| !ATOMIC.get() && !std::thread::panicking()) else { return };
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
