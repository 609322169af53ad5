//! Histories: what may happen, how it is run, and how it ends.

use super::fleet::{self, NAMES, peer, peers};
use super::laws;
use super::program::{Act, Program, hook};
use super::sim::{Machine, Sim, kills};
use super::state::State;
use super::truth::{Boot, Fate, TurnKind};
use iapeer::base::{Marker, StateFile};
use iapeer::session::hook::Hook;
use iapeer::world::World;
use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, RngSeed, TestCaseError, TestError, TestRunner};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Histories of all tests together, unless `PROPTEST_CASES` says otherwise.
const HISTORIES: u32 = 10_000;
/// How many tests share them.
const TESTS: u32 = 8;
/// Ticks within which a healed world comes to rest.
const TICKS_TO_REST: usize = 60;

/// What a test's histories contain.
#[derive(Debug, Clone, Copy)]
pub struct Mix {
    pub kills: bool,
    pub pairs: bool,
    pub workers: bool,
}

/// One thing that happens.
#[derive(Debug, Clone)]
pub enum Op {
    Run(Call),
    Wait(u64),
    Jump(i64),
    Die(usize),
    Boot(usize, Boot),
    Fate(usize, Fate),
    Turn(usize, TurnKind),
    Unknown(usize, u32),
    EndFails(usize),
    DetachFails(u32),
    /// Someone types at the peer's keyboard.
    Typing(usize, u64),
}

/// A program that somebody starts.
#[derive(Debug, Clone)]
pub enum Call {
    Send { from: usize, to: usize, topic: Option<u8>, wait: u64 },
    Tick,
    Drain(usize),
    Stop(usize),
    Start(usize),
    New(usize),
    Wake(usize, bool),
    Refresh(usize),
    SelfFresh(usize),
    SelfDone(usize),
    Reap(usize, bool),
    ReapIdle(u64),
    Plan,
    Remove(usize, bool),
}

/// One step of a history.
#[derive(Debug, Clone)]
pub struct Step {
    pub op: Op,
    /// What runs at the same time.
    pub with: Option<Call>,
    /// How eagerly programs alternate.
    pub mix: u32,
    pub seed: u64,
    pub kill_in: Option<u32>,
}

fn call(mix: Mix) -> impl Strategy<Value = Call> {
    let to = if mix.workers { prop_oneof![1 => 0..3usize, 4 => 3..5usize].boxed() } else { (0..5usize).boxed() };
    let who = 0..NAMES.len();
    prop_oneof![
        14 => (0..3usize, to, prop::option::weighted(0.4, 0..3u8), prop_oneof![4 => Just(0u64), 1 => Just(1500u64)])
            .prop_map(|(from, to, topic, wait)| Call::Send { from, to, topic, wait }),
        6 => Just(Call::Tick),
        1 => who.clone().prop_map(Call::Drain),
        2 => who.clone().prop_map(Call::Stop),
        2 => who.clone().prop_map(Call::Start),
        1 => who.clone().prop_map(Call::New),
        1 => (who.clone(), any::<bool>()).prop_map(|(n, fresh)| Call::Wake(n, fresh)),
        1 => who.clone().prop_map(Call::Refresh),
        2 => who.clone().prop_map(Call::SelfFresh),
        1 => who.clone().prop_map(Call::SelfDone),
        1 => (who.clone(), any::<bool>()).prop_map(|(n, park)| Call::Reap(n, park)),
        1 => (0..200u64).prop_map(Call::ReapIdle),
        1 => Just(Call::Plan),
        1 => (who, any::<bool>()).prop_map(|(n, force)| Call::Remove(n, force)),
    ]
}

fn op(mix: Mix) -> impl Strategy<Value = Op> {
    let who = 0..NAMES.len();
    let boot = prop_oneof![
        Just(Boot::NoStart),
        Just(Boot::Hang),
        (1..3000u64).prop_map(Boot::Dies),
        (1000..19_000u64).prop_map(Boot::Ready)
    ];
    let fate = prop_oneof![
        Just(Fate::Held),
        Just(Fate::Failed),
        Just(Fate::Lost),
        Just(Fate::Stuck),
        Just(Fate::Late),
        Just(Fate::DiesBefore),
        Just(Fate::DiesAfter)
    ];
    let turn = prop_oneof![
        (10..3000u64).prop_map(TurnKind::Plain),
        (100_000..900_000u64).prop_map(TurnKind::Plain),
        (10..2000u64).prop_map(TurnKind::Mute),
        (10..3000u64).prop_map(TurnKind::EarlyAnswer),
        (10..3000u64).prop_map(TurnKind::Dies)
    ];
    prop_oneof![
        24 => call(mix).prop_map(Op::Run),
        4 => prop_oneof![1..2000u64, 50_000..70_000u64, 290_000..400_000u64].prop_map(Op::Wait),
        1 => prop_oneof![-400_000..-1i64, 1..400_000i64, Just(90_000_000i64)].prop_map(Op::Jump),
        3 => who.clone().prop_map(Op::Die),
        3 => (who.clone(), boot).prop_map(|(n, boot)| Op::Boot(n, boot)),
        4 => (who.clone(), fate).prop_map(|(n, fate)| Op::Fate(n, fate)),
        3 => (who.clone(), turn).prop_map(|(n, turn)| Op::Turn(n, turn)),
        1 => (who.clone(), 1..6u32).prop_map(|(n, times)| Op::Unknown(n, times)),
        1 => who.clone().prop_map(Op::EndFails),
        1 => (1..4u32).prop_map(Op::DetachFails),
        1 => (who, 10..100_000u64).prop_map(|(n, ms)| Op::Typing(n, ms)),
    ]
}

fn step(mix: Mix) -> impl Strategy<Value = Step> {
    let with = if mix.pairs { prop::option::weighted(0.4, call(mix)).boxed() } else { Just(None).boxed() };
    let eager = if mix.pairs { prop_oneof![1 => Just(0u32), 3 => 1..10u32].boxed() } else { Just(0u32).boxed() };
    let kill = if mix.kills {
        prop::option::weighted(0.25, prop_oneof![0..30u32, 0..120u32, 0..400u32]).boxed()
    } else {
        Just(None).boxed()
    };
    (op(mix), with, eager, any::<u64>(), kill).prop_map(|(op, with, mix, seed, kill_in)| Step {
        op,
        with,
        mix,
        seed,
        kill_in,
    })
}

/// Runs this test's share of the histories; a failing one is shrunk, kept and told.
pub fn check(name: &str, mix: Mix) {
    let asked: Option<u32> = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    let total = asked.unwrap_or(HISTORIES);
    let file: &'static str = Box::leak(
        format!("{}/tests/simulation/{name}.proptest-regressions", env!("CARGO_MANIFEST_DIR")).into_boxed_str(),
    );
    let config = Config {
        cases: total.div_ceil(TESTS),
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(file))),
        max_shrink_iters: 4000,
        // Without a number asked for, the same histories each time: what a random run finds is kept as a seed.
        rng_seed: if asked.is_some() { RngSeed::Random } else { RngSeed::Fixed(20_261_121) },
        ..Config::default()
    };
    let root = fleet::root();
    let paths = fleet::paths(root.path());
    // Before the first history: what fails here is no history's fault.
    let sim = Sim::new(paths.clone(), fleet::settings());
    let machine = Machine(Arc::clone(&sim));
    fleet::build(&World::new(&paths, &sim.settings, &machine, &machine, "test"));
    let history = prop::collection::vec(step(mix), 1..22);
    let outcome = TestRunner::new(config).run(&history, |steps| {
        let sim = Sim::new(paths.clone(), fleet::settings());
        let outcome = run(&sim, root.path(), &steps);
        sim.forget();
        outcome.map_err(|(why, _)| TestCaseError::fail(why))
    });
    println!("{name}: {} histories, {}", total.div_ceil(TESTS), kills());
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(why, steps)) => {
            // Once more, for the story of it.
            let sim = Sim::new(paths.clone(), fleet::settings());
            let story = run(&sim, root.path(), &steps).err().map(|(_, trace)| trace.join("\n")).unwrap_or_default();
            panic!("{why}\n{story}");
        }
        Err(error) => panic!("{error}"),
    }
}

pub type Broken = (String, Vec<String>);

fn run(sim: &Arc<Sim>, root: &Path, steps: &[Step]) -> Result<(), Broken> {
    for dir in ["r/state", "r/logs", "r/cache", "r/history"] {
        let _ = std::fs::remove_dir_all(root.join(dir));
    }
    sim.paths.ensure().map_err(|failure| (failure.message, Vec::new()))?;
    for (n, step) in steps.iter().enumerate() {
        sim.state().note(format!("== {step:?}"));
        perform(sim, n, step);
        laws::after_step(sim);
        verdict(sim)?;
    }
    heal(sim)?;
    laws::at_rest(sim);
    verdict(sim)
}

pub fn verdict(sim: &Sim) -> Result<(), Broken> {
    let state = sim.state();
    match &state.violation {
        Some(why) => Err((why.clone(), state.trace.clone())),
        None => Ok(()),
    }
}

fn perform(sim: &Arc<Sim>, n: usize, step: &Step) {
    let mut programs = Vec::new();
    let mut typing = None;
    {
        let mut state = sim.state();
        match &step.op {
            Op::Run(call) => programs.extend(program(&mut state, call, &format!("message {n}"))),
            Op::Wait(ms) => {
                let to = state.mono + ms;
                state.advance(to);
            }
            Op::Jump(ms) => {
                state.wall += ms;
                state.set_back |= *ms < 0;
            }
            Op::Die(n) => drop(state.truth(&peer(*n)).die()),
            Op::Boot(n, boot) => state.truth(&peer(*n)).boots.push_back(*boot),
            Op::Fate(n, fate) => state.truth(&peer(*n)).fates.push_back(*fate),
            Op::Turn(n, kind) => state.truth(&peer(*n)).turns.push_back(*kind),
            Op::Unknown(n, times) => state.truth(&peer(*n)).unknown += times,
            Op::EndFails(n) => state.truth(&peer(*n)).end_fails += 1,
            Op::DetachFails(times) => state.detach_fails += times,
            Op::Typing(n, ms) => typing = Some((peer(*n), *ms)),
        }
        if let Some(with) = &step.with {
            programs.extend(program(&mut state, with, &format!("message {n} too")));
        }
    }
    if let Some((identity, ms)) = typing {
        // What its agent still has to tell of the last turn comes first.
        let hooks = sim.state().take_hooks(&identity);
        hooks.iter().for_each(|hook| hook.run(sim));
        if sim.state().typing(&identity, ms) && fleet::has_hooks(&identity) {
            let launch = sim.state().truth(&identity).live().and_then(|session| session.launch.clone());
            hook(sim, &identity, launch.as_deref(), Hook::Prompt, "what a person types");
        }
    }
    let undisturbed = matches!(step.op, Op::Run(Call::Tick)) && step.with.is_none();
    let healthy = undisturbed && {
        let state = sim.state();
        state.turns_are_calm()
            && state.pending.is_empty()
            && state.peers.values().all(|t| {
                t.turns.is_empty() && t.unknown == 0 && t.end_fails == 0 && t.boots.is_empty() && t.fates.is_empty()
            })
    };
    sim.run(programs, step.mix, step.seed, step.kill_in);
    let mut state = sim.state();
    if state.killed {
        // What was begun may be left for others to finish.
        for identity in peers() {
            state.truth(&identity).leftover |= sim.paths.state(&identity, StateFile::Teardown).exists();
        }
    }
    for identity in peers() {
        if !sim.paths.state(&identity, StateFile::Teardown).exists() {
            state.truth(&identity).leftover = false;
        }
    }
    if healthy && !state.killed && state.turns_are_calm() {
        laws::supervised(sim, &mut state);
    }
}

fn program(state: &mut State, call: &Call, body: &str) -> Option<Program> {
    let act = match call {
        Call::Send { from, to, topic, wait } if from == to => {
            let (from, to) = (peer(*from), peer(*to + 1));
            Act::Send { from, to, topic: *topic, body: body.to_owned(), wait: *wait }
        }
        Call::Send { from, to, topic, wait } => {
            Act::Send { from: peer(*from), to: peer(*to), topic: *topic, body: body.to_owned(), wait: *wait }
        }
        Call::Tick => Act::Tick(Vec::new()),
        Call::Drain(n) => Act::Drain(peer(*n)),
        Call::Stop(n) => Act::Stop(peer(*n)),
        Call::Start(n) => Act::Start(peer(*n)),
        Call::New(n) => Act::New(peer(*n)),
        Call::Wake(n, fresh) => Act::Wake(peer(*n), *fresh),
        Call::Refresh(n) => Act::Refresh(peer(*n)),
        // Only a live agent asks for itself, and what it starts ends with it.
        Call::SelfFresh(n) | Call::SelfDone(n) => {
            let identity = peer(*n);
            let truth = state.truth(&identity);
            let session = truth.session.as_ref().filter(|session| session.alive)?;
            let serial = session.serial;
            let done = matches!(call, Call::SelfDone(_));
            if done {
                let tasks = session.tasks.clone();
                truth.answered.extend(tasks);
            }
            let act = if done { Act::SelfDone(identity.clone()) } else { Act::SelfFresh(identity.clone()) };
            return Some(Program { act, owner: Some((identity, serial)) });
        }
        Call::Reap(n, park) => Act::Reap(peer(*n), *park),
        Call::ReapIdle(secs) => Act::ReapIdle(*secs),
        Call::Plan => Act::Plan,
        Call::Remove(n, force) => Act::Remove(peer(*n), *force),
    };
    Some(act.into())
}

/// Takes every fault away, starts who was stopped, and lets time and ticks go by until nothing moves.
pub fn heal(sim: &Arc<Sim>) -> Result<(), Broken> {
    {
        let mut state = sim.state();
        state.note("== healing");
        state.detach_fails = 0;
        let mono = state.mono;
        for truth in state.peers.values_mut() {
            truth.boots.clear();
            truth.fates.clear();
            truth.turns.clear();
            (truth.unknown, truth.end_fails) = (0, 0);
            if let Some(session) = truth.session.as_mut() {
                session.ready_at.get_or_insert(mono);
                session.dies_at = None;
                if let Some(turn) = session.turn.as_mut() {
                    turn.dies = false;
                }
            }
        }
    }
    let stopped = |identity: &iapeer::base::Identity| sim.paths.state(identity, Marker::Stopped.into()).exists();
    sim.run(peers().filter(stopped).map(|identity| Act::Start(identity).into()).collect(), 0, 0, None);
    for round in 0..TICKS_TO_REST {
        laws::after_step(sim);
        verdict(sim)?;
        if round > 0 && laws::is_quiet(sim) {
            return Ok(());
        }
        let to = sim.state().mono + Duration::from_secs(61).as_millis() as u64;
        sim.state().advance(to);
        sim.run(vec![Act::Tick(Vec::new()).into()], 0, 0, None);
    }
    Ok(())
}
