//! The programs of a simulation: the library's functions, called as the binaries call them.

use super::fleet;
use super::laws;
use super::sim::{Machine, Sim};
use super::state::State;
use iapeer::base::exit::Exit;
use iapeer::base::identity::{Identity, Topic};
use iapeer::delivery::{accept, drain};
use iapeer::operator::control;
use iapeer::roster::journal::{self, RosterAct};
use iapeer::roster::{remove, unfinished};
use iapeer::session::end::Park;
use iapeer::session::hook::{self, Hook};
use iapeer::session::rule::WakeRequest;
use iapeer::store::FileLock;
use iapeer::store::registry::Registry;
use iapeer::supervision::reap;
use iapeer::supervision::tick::{self, TickOptions};
use iapeer::world::World;
use iapeer::world::peer::Peer;
use std::sync::Arc;
use std::time::Duration;

/// What a program does.
#[derive(Debug, Clone)]
pub enum Act {
    Send {
        from: Identity,
        to: Identity,
        topic: Option<u8>,
        body: String,
        wait: u64,
    },
    Answer {
        identity: Identity,
        to: Identity,
    },
    /// The agent's hook: it took this prompt, or its turn is over.
    Hook {
        identity: Identity,
        launch: Option<String>,
        prompt: Option<String>,
    },
    SelfDone(Identity),
    SelfFresh(Identity),
    Drain(Identity),
    Tick(Vec<Identity>),
    Stop(Identity),
    Start(Identity),
    New(Identity),
    Wake(Identity, bool),
    Refresh(Identity),
    Reap(Identity, bool),
    ReapIdle(u64),
    Plan,
    Remove(Identity, bool),
}

impl std::fmt::Display for Act {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Act::Send { from, to, topic, body, wait } => write!(f, "send {from} → {to} {topic:?} {body:?} {wait}"),
            Act::Answer { identity, to } => write!(f, "answer {identity} → {to}"),
            Act::Hook { identity, prompt: None, .. } => write!(f, "turn of {identity} ends"),
            Act::Hook { identity, .. } => write!(f, "turn of {identity} begins"),
            Act::SelfDone(identity) => write!(f, "self-done {identity}"),
            Act::SelfFresh(identity) => write!(f, "self-fresh {identity}"),
            Act::Drain(identity) => write!(f, "drain {identity}"),
            Act::Tick(only) => write!(f, "tick {}", only.iter().map(ToString::to_string).collect::<String>()),
            Act::Stop(identity) => write!(f, "stop {identity}"),
            Act::Start(identity) => write!(f, "start {identity}"),
            Act::New(identity) => write!(f, "new {identity}"),
            Act::Wake(identity, fresh) => write!(f, "wake {identity} fresh={fresh}"),
            Act::Refresh(identity) => write!(f, "refresh {identity}"),
            Act::Reap(identity, park) => write!(f, "reap {identity} park={park}"),
            Act::ReapIdle(secs) => write!(f, "reap idle {secs}"),
            Act::Plan => write!(f, "plan"),
            Act::Remove(identity, force) => write!(f, "remove {identity} force={force}"),
        }
    }
}

/// A program, and the session it belongs to: it ends with that.
#[derive(Debug, Clone)]
pub struct Program {
    pub act: Act,
    pub owner: Option<(Identity, i32)>,
}

impl Program {
    /// Whose hook it is.
    pub fn hook_of(&self) -> Option<&Identity> {
        if let Act::Hook { identity, .. } = &self.act { Some(identity) } else { None }
    }
}

impl From<Act> for Program {
    fn from(act: Act) -> Self {
        Program { act, owner: None }
    }
}

/// Queues a program that another one started.
pub fn detached(state: &mut State, program: &str, arguments: &[&str]) {
    let identity = |text: &&str| text.parse::<Identity>().unwrap();
    let act = match (program, arguments) {
        ("iapeer-drain", [one]) => Act::Drain(identity(one)),
        ("iapeer-superviser", ["--only", one]) => Act::Tick(vec![identity(one)]),
        other => return state.violate(format!("an unknown program is started: {other:?}")),
    };
    state.pending.push_back(act.into());
}

/// A hook of an agent.
pub fn hook(sim: &Arc<Sim>, identity: &Identity, launch: Option<&str>, which: Hook, prompt: &str) {
    let machine = Machine(Arc::clone(sim));
    let world = World::new(&sim.paths, &sim.settings, &machine, &machine, "iapeer-turn");
    let input = serde_json::json!({ "prompt": prompt, "session_id": "s", "transcript_path": identity }).to_string();
    // A hook never fails its agent.
    let _ = hook::record(&world, identity, launch, which, input.as_bytes());
}

impl Program {
    /// It was killed. A peer that it had removed by then is made anew when nobody is at work any more ([`reborn`]).
    pub fn is_dead(&self, sim: &Arc<Sim>) {
        sim.state().note("killed");
        let Act::Remove(identity, force) = &self.act else { return };
        if *force {
            laws::at_dropped(sim, identity);
        }
        sim.state().unborn.insert(identity.clone(), *force);
    }

    /// Runs it to its end.
    pub fn run(&self, sim: &Arc<Sim>) {
        let machine = Machine(Arc::clone(sim));
        let name = match &self.act {
            Act::Send { .. } | Act::Answer { .. } => "iapeer-send",
            Act::Hook { .. } => "iapeer-turn",
            Act::Drain(_) => "iapeer-drain",
            Act::Tick(_) | Act::Plan => "iapeer-superviser",
            Act::Reap(..) | Act::ReapIdle(_) => "iapeer-reap",
            _ => "iapeer",
        };
        let world = World::new(&sim.paths, &sim.settings, &machine, &machine, name);
        if !matches!(self.act, Act::Hook { .. }) {
            finish_verbs(sim, &world);
        }
        let peer = |identity: &Identity| Peer::of(&sim.paths, identity);
        let outcome = match &self.act {
            Act::Send { from, to, topic, body, wait } => {
                let removals = sim.state().removals;
                let report = accept::send(&world, message(from, to, *topic, body, *wait));
                // A removal takes what waits along, whatever its sender was told before.
                if removals == sim.state().removals {
                    laws::at_report(sim, to, body, &report);
                }
                report.map(|report| format!("{} {:?}", report.outcome, report.reason))
            }
            Act::Answer { identity, to } if to.personality().as_str() == "iapeer" => {
                control::self_done(&world, identity).map(|armed| format!("armed={armed}"))
            }
            Act::Answer { identity, to } => {
                let body = format!("answer of {identity}");
                accept::send(&world, message(identity, to, None, &body, 0)).map(|report| report.outcome.to_string())
            }
            Act::Hook { identity, launch, prompt } => {
                let which = if prompt.is_some() { Hook::Prompt } else { Hook::Stop };
                hook(sim, identity, launch.as_deref(), which, prompt.as_deref().unwrap_or_default());
                Ok(String::new())
            }
            Act::SelfDone(identity) => control::self_done(&world, identity).map(|armed| format!("armed={armed}")),
            Act::SelfFresh(identity) => control::self_fresh(&world, identity, || ()).map(|()| String::new()),
            Act::Drain(identity) => drain::drain(&world, identity).map(|drained| format!("{drained:?}")),
            Act::Tick(only) => {
                let lock = only
                    .is_empty()
                    .then(|| FileLock::acquire(&sim.paths.superviser_lock(), name, Duration::ZERO, &machine));
                match lock {
                    Some(Err(_)) => Ok("held".into()),
                    _lock => {
                        let options = TickOptions { dry_run: false, only: only.clone(), verbose: false };
                        let mut said = String::new();
                        let ticked = tick::tick(&world, &options, |judged| {
                            said.push_str(&format!(" {} {:?} {:?}", judged.identity, judged.action, judged.reason));
                        });
                        ticked.map(|_| said)
                    }
                }
            }
            Act::Stop(identity) => peer(identity).and_then(|peer| control::stop(&world, &peer)).map(|done| {
                // Where the session may live on until the next tick, the report says so.
                if done.exit == Exit::Ok && done.reason.is_none() {
                    laws::at_stopped(sim, identity);
                }
                done.line()
            }),
            Act::Start(identity) => {
                sim.state().truth(identity).stopped = false;
                peer(identity).and_then(|peer| control::start(&world, &peer)).map(|done| done.line())
            }
            Act::New(identity) => {
                sim.state().truth(identity).stopped = false;
                peer(identity).and_then(|peer| control::new(&world, &peer)).map(|woken| format!("{woken:?}"))
            }
            Act::Wake(identity, fresh) => {
                let request = if *fresh { WakeRequest::Fresh } else { WakeRequest::Default };
                peer(identity)
                    .and_then(|peer| control::wake(&world, &peer, request, None))
                    .map(|woken| format!("{woken:?}"))
            }
            Act::Refresh(identity) => {
                peer(identity).and_then(|peer| control::refresh(&world, &peer)).map(|done| done.line())
            }
            Act::Reap(identity, park) => {
                let park = if *park { Park::Yes } else { Park::No };
                Ok(format!("{:?}", reap::by_name(&world, identity, park, "by name")))
            }
            Act::ReapIdle(secs) => {
                let mut said = String::new();
                reap::idle(&world, Duration::from_secs(*secs), false, |reaped| said.push_str(&format!("{reaped:?}")))
                    .map(|()| said)
            }
            Act::Plan => {
                let mut lines = Vec::new();
                let options = TickOptions { dry_run: true, ..TickOptions::default() };
                let ticked = tick::tick(&world, &options, |judged| lines.push(judged.clone()));
                let said: Vec<_> = lines.iter().map(|line| reap::planned(&world, line)).collect();
                ticked.map(|_| format!("{said:?}"))
            }
            Act::Remove(identity, force) => {
                let removed = remove::remove(&world, identity.personality(), *force);
                // What a forced removal is told to drop may be gone, however far it comes.
                if *force {
                    laws::at_dropped(sim, identity);
                }
                if removed.as_ref().is_ok_and(|removed| removed.registered) {
                    laws::at_removed(sim, identity);
                    fleet::create_when_free(&world, identity);
                } else if is_begun(sim, identity) {
                    // Whoever comes next goes on with it.
                    sim.state().unborn.insert(identity.clone(), *force);
                }
                removed.map(|removed| format!("{removed:?}"))
            }
        };
        sim.state().note(format!("  → {outcome:?}"));
    }
}

/// What every program does first: a removal that was killed is finished. One that is told to drop what waits drops also
/// what somebody who was at work by then has put in since.
fn finish_verbs(sim: &Arc<Sim>, world: &World<'_>) {
    let dropped: Vec<_> = sim.state().unborn.iter().filter(|(_, force)| **force).map(|(who, _)| who.clone()).collect();
    unfinished::finish_all(world);
    dropped.iter().for_each(|identity| laws::at_dropped(sim, identity));
}

/// Whether a removal of this peer is begun and not finished.
fn is_begun(sim: &Sim, identity: &Identity) -> bool {
    let is_its = |act: &RosterAct| matches!(act, RosterAct::Remove(removal) if removal.name == *identity.personality());
    journal::pending(&sim.paths).into_iter().any(|intent| is_its(&intent.unwrap().act))
}

/// Makes the peers anew that a removal which was killed, or could not be finished, takes out of the registry.
pub fn reborn(sim: &Arc<Sim>) {
    if !sim.state().unborn.is_empty() {
        let machine = Machine(Arc::clone(sim));
        finish_verbs(sim, &World::new(&sim.paths, &sim.settings, &machine, &machine, "test"));
    }
    let removed = std::mem::take(&mut sim.state().unborn);
    for (identity, force) in removed {
        if is_begun(sim, &identity) {
            sim.state().unborn.insert(identity, force);
            continue;
        }
        let registry = Registry::read(&sim.paths).expect("the registry can be read after any kill");
        if registry.get(identity.personality()).is_none() {
            laws::at_removed(sim, &identity);
            // It could not be told of anything meanwhile.
            sim.state().ever_stopped.insert(identity.clone());
            let machine = Machine(Arc::clone(sim));
            fleet::create(&World::new(&sim.paths, &sim.settings, &machine, &machine, "test"), &identity);
        }
    }
}

fn message(from: &Identity, to: &Identity, topic: Option<u8>, body: &str, wait: u64) -> accept::Message {
    accept::Message {
        to: to.to_string(),
        runtime: None,
        from: Some(from.to_string()),
        body: body.to_owned(),
        topic: topic.and_then(|n| Topic::parse(&format!("topic-{n}")).unwrap()),
        re: None,
        ask: None,
        attachments: Vec::new(),
        urgent: false,
        no_pile: false,
        wait: Duration::from_millis(wait),
    }
}
