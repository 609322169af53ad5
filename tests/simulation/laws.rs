//! What must hold, whatever happens.

use super::fleet::{is_worker, peers};
use super::sim::{Machine, Sim};
use super::state::State;
use super::truth::Typed;
use iapeer::base::exit::Failure;
use iapeer::base::identity::Identity;
use iapeer::base::message_id::MessageId;
use iapeer::base::{Marker, StateFile};
use iapeer::delivery::accept::{SendOutcome, SendReport};
use iapeer::session::activity::{Activity, Quiet};
use iapeer::session::crash_loop;
use iapeer::store::due::Due;
use iapeer::store::queue::{Place, Queue, nobody};
use iapeer::store::{Markers, Phase, SessionRecord};
use iapeer::world::World;
use iapeer::world::peer::Peer;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A session starts: it is the only one, the guard allows it, the peer is not stopped, and nothing of an earlier
/// session is left to speak for it.
pub fn at_start(sim: &Sim, state: &mut State, identity: &Identity) {
    let markers = Markers::of(&sim.paths, identity);
    if state.truth(identity).live().is_some() {
        state.violate(format!("a second session of {identity} is started"));
    }
    // A new that was under way may have taken the mark away since.
    if state.truth(identity).stopped && markers.has(Marker::Stopped).unwrap() {
        state.violate(format!("{identity} is started although a stop has returned"));
    }
    let (max, window) = (sim.settings.crashloop_max, sim.settings.crashloop_window);
    if crash_loop::guard(&markers.deaths(), state.now(), max, window).is_err() && !state.running_act_is_new() {
        state.violate(format!("{identity} is started against the crash-loop guard"));
    }
    if markers.turn().is_some()
        || markers.has(Marker::EphemeralArmed).unwrap()
        || markers.has(Marker::NewEager).unwrap()
    {
        state.violate(format!("{identity} starts with marks of an earlier session"));
    }
}

/// A session is ended: a policy ends none that works or that the host does not speak of.
pub fn at_end(sim: &Sim, state: &mut State, identity: &Identity) {
    let Ok(Some(intent)) = Markers::of(&sim.paths, identity).intent() else {
        return state.violate(format!("{identity} is ended without an intent"));
    };
    let idle = intent.why.starts_with("idle ");
    let policy =
        idle || matches!(intent.why.as_str(), "resume-eligible" | "ephemeral-done" | "ephemeral-unarmed-bound");
    let truth = state.truth(identity);
    if policy && !truth.leftover {
        let working = truth.live().is_some_and(|session| session.turn.is_some());
        let unknown = truth.unknown > 0;
        if working {
            state.violate(format!("{identity} is reaped ({}) while it works", intent.why));
        }
        if unknown {
            state.violate(format!("{identity} is reaped ({}) while the host does not speak of it", intent.why));
        }
    }
}

/// Notes what counts as a death though nothing died: a boot that nobody will call ready any more.
pub fn note_failed_boot(sim: &Sim, state: &mut State, identity: &Identity) {
    let booting = SessionRecord::peek(&sim.paths, identity).is_some_and(|record| record.phase == Phase::Booting);
    let truth = state.truth(identity);
    if booting && let Some(serial) = truth.live().map(|session| session.serial) {
        truth.dead_serials.insert(serial);
    }
}

/// A message is taken: in the order of its sender, marked if it was taken before, never by a stopped peer.
pub fn at_taking(sim: &Sim, state: &mut State, identity: &Identity, typed: &Typed) {
    if state.truth(identity).stopped && Markers::of(&sim.paths, identity).has(Marker::Stopped).unwrap() {
        state.violate(format!("{identity} takes a message although a stop has returned"));
    }
    let truth = state.truth(identity);
    let again = truth.taken.iter().any(|taken| taken.id == typed.id);
    if again {
        if typed.redelivered == 0 {
            state.violate(format!("{} is taken twice and not marked", typed.id));
        }
        return;
    }
    let taken: BTreeSet<MessageId> = truth.taken.iter().map(|taken| taken.id).collect();
    let queue = Queue::of(&sim.paths, identity);
    let mut own = None;
    let mut before = Vec::new();
    for place in [Place::Waiting, Place::Inflight] {
        for seq in queue.list(place).unwrap_or_default() {
            let Some(item) = queue.peek(place, seq) else { continue };
            if item.id == typed.id {
                own = Some(seq);
            } else if item.from == typed.from && !taken.contains(&item.id) {
                before.push((seq, item.id));
            }
        }
    }
    match own {
        None => state.violate(format!("{} is taken and not in the queue", typed.id)),
        Some(own) => {
            if let Some((seq, id)) = before.iter().find(|(seq, _)| *seq < own) {
                state.violate(format!("{} ({own}) overtakes {id} ({seq}) of the same sender", typed.id));
            }
        }
    }
}

/// A send has returned.
pub fn at_report(sim: &Sim, to: &Identity, body: &str, report: &Result<SendReport, Failure>) {
    let mut state = sim.state();
    match report {
        Ok(report) => {
            let Ok(id) = report.id.parse() else { return state.violate("a report without an id") };
            state.accepted.insert(id, to.clone());
            if report.outcome == SendOutcome::Delivered && !state.truth(to).taken.iter().any(|taken| taken.id == id) {
                state.violate(format!("{id} was called delivered and is not"));
            }
        }
        Err(_) => drop(state.refused.insert(body.to_owned())),
    }
}

/// A stop has returned: nothing lives.
pub fn at_stopped(sim: &Sim, identity: &Identity) {
    let stopped = Markers::of(&sim.paths, identity).has(Marker::Stopped).unwrap();
    let mut state = sim.state();
    // A start may have come in between.
    if !stopped {
        return;
    }
    state.truth(identity).stopped = true;
    if state.truth(identity).live().is_some() {
        state.violate(format!("{identity} lives after its stop"));
    }
}

/// A peer was removed: what waited for it went with it.
pub fn at_removed(sim: &Sim, identity: &Identity) {
    at_dropped(sim, identity);
    let mut state = sim.state();
    state.removals += 1;
    let truth = state.truth(identity);
    truth.stopped = false;
    truth.ring.clear();
}

/// What waits for a peer may be dropped.
pub fn at_dropped(sim: &Sim, identity: &Identity) {
    let mut state = sim.state();
    state.accepted.retain(|_, to| to != identity);
    state.ledger.retain(|_, entry| entry.to != *identity);
    state.places.retain(|(of, _), _| of != identity);
    let all = state.ledger_ids();
    state.told_less.extend(all);
}

/// What is known of a message.
#[derive(Debug, Clone)]
pub struct Entry {
    pub to: Identity,
    pub from: Identity,
    pub body: String,
}

/// After each step: no message is lost, none is kept that was refused, no death is counted twice.
pub fn after_step(sim: &Arc<Sim>) {
    at_any_time(sim);
    let mut state = sim.state();
    for identity in peers() {
        due(sim, &mut state, &identity);
        let stopped = Markers::of(&sim.paths, &identity).has(Marker::Stopped).unwrap();
        if stopped {
            state.ever_stopped.insert(identity.clone());
        }
        count_deaths(sim, &mut state, &identity);
    }
}

/// Between any two steps: no message is lost or there twice, none is kept that was refused, nobody is told twice.
pub fn at_any_time(sim: &Arc<Sim>) {
    let mut state = sim.state();
    let mut places: BTreeMap<MessageId, Vec<Place>> = BTreeMap::new();
    for identity in peers() {
        let queue = Queue::of(&sim.paths, &identity);
        for place in [Place::Waiting, Place::Inflight, Place::Dead, Place::Corrupt] {
            for seq in queue.list(place).unwrap_or_default() {
                let key = (identity.clone(), seq);
                if !state.places.contains_key(&key) {
                    let Some(item) = queue.peek(place, seq) else {
                        return state.violate(format!("an unreadable item {seq} of {identity}"));
                    };
                    state.places.insert(key.clone(), item.id);
                    if state.refused.contains(&item.task) {
                        state.violate(format!("{} was refused and is kept", item.task));
                    }
                    state.ledger.insert(
                        item.id,
                        Entry { to: identity.clone(), from: item.from.identity().clone(), body: item.task },
                    );
                }
                let id = state.places[&key];
                places.entry(id).or_default().push(place);
            }
        }
    }
    let known: Vec<(MessageId, Identity)> = state
        .accepted
        .iter()
        .map(|(id, to)| (*id, to.clone()))
        .chain(state.ledger.iter().map(|(id, entry)| (*id, entry.to.clone())))
        .collect();
    for (id, to) in known {
        let there = places.get(&id).map_or(&[][..], Vec::as_slice);
        if there.len() > 1 {
            state.violate(format!("{id} is in the queue twice: {there:?}"));
        }
        let truth = state.truth(&to);
        let taken = truth.taken.iter().any(|taken| taken.id == id);
        let settled = if is_worker(&to) { truth.answered.contains(&id) } else { taken };
        if there.is_empty() && !settled {
            state.violate(format!("{id} for {to} is lost (taken={taken})"));
        }
    }
    let notices = notices(&state);
    for (id, times) in notices {
        if times > 1 {
            state.violate(format!("the sender of {id} was told {times} times"));
        }
    }
}

/// Whatever a tick has to look at is marked.
fn due(sim: &Sim, state: &mut State, identity: &Identity) {
    let queue = Queue::of(&sim.paths, identity);
    let file = |file: &StateFile| sim.paths.state(identity, *file).exists();
    let is_due = queue.is_at_rest().is_ok_and(|at_rest| !at_rest)
        || [StateFile::Session, StateFile::ClaimedDeath, StateFile::Teardown, Marker::NewEager.into()].iter().any(file);
    if is_due && !Due::of(&sim.paths).is_marked(identity) {
        state.violate(format!("no tick would look at {identity}"));
    }
}

/// How often the sender of each dead letter was told.
fn notices(state: &State) -> BTreeMap<MessageId, usize> {
    let mut told = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let taken = state.peers.values().flat_map(|truth| &truth.taken).map(|typed| (typed.id, &typed.from, &typed.body));
    let kept = state.ledger.iter().map(|(id, entry)| (*id, &entry.from, &entry.body));
    for (id, from, body) in kept.chain(taken) {
        if *from == nobody() && seen.insert(id) {
            let of = body.split_whitespace().find_map(|word| word.parse::<MessageId>().ok());
            if let Some(of) = of {
                *told.entry(of).or_insert(0) += 1;
            }
        }
    }
    told
}

fn count_deaths(sim: &Sim, state: &mut State, identity: &Identity) {
    let ring = Markers::of(&sim.paths, identity).deaths();
    let truth = state.truth(identity);
    let mut before = truth.ring.clone();
    let mut added = 0;
    for at in &ring {
        match before.iter().position(|known| known == at) {
            Some(found) => drop(before.swap_remove(found)),
            None => added += 1,
        }
    }
    truth.ring = ring;
    truth.deaths_seen += added;
    let (seen, allowed) = (truth.deaths_seen, truth.dead_serials.len() + truth.failed_starts);
    // A launch that failed is counted before it is ended: until its intent is carried out the count is ahead by it.
    let under_way = Markers::of(&sim.paths, identity).intent().is_ok_and(|intent| intent.is_some());
    if seen > allowed + usize::from(under_way) {
        state.violate(format!("{identity}: {seen} deaths counted, {allowed} happened"));
    }
}

/// After a tick that nothing disturbed: every session that lives has its record.
pub fn supervised(sim: &Sim, state: &mut State) {
    for identity in peers() {
        let record = SessionRecord::peek(&sim.paths, &identity);
        let live = state.truth(&identity).live().map(|session| session.server);
        match (live, record) {
            (Some(_), None) => state.violate(format!("{identity} lives without a record after a tick")),
            (Some(server), Some(record)) if record.server != Some(server) => {
                state.violate(format!("the record of {identity} speaks of another session"));
            }
            (None, Some(_)) => state.violate(format!("the record of {identity} speaks of no session")),
            _ => {}
        }
    }
}

/// When the world is healed and quiet: nothing is stuck, and every death of a message was told.
pub fn at_rest(sim: &Arc<Sim>) {
    at_rest_all_may_sleep(sim);
    let mut state = sim.state();
    supervised(sim, &mut state);
    for identity in peers() {
        let queue = Queue::of(&sim.paths, &identity);
        for place in [Place::Waiting, Place::Inflight] {
            let left = queue.list(place).unwrap_or_default();
            if !left.is_empty() {
                let reasons: Vec<_> = left.iter().filter_map(|seq| queue.peek(place, *seq)?.reason).collect();
                state.violate(format!("{identity}: {left:?} stuck {} {reasons:?}", place.as_str()));
            }
        }
        for kind in [StateFile::Teardown, StateFile::ClaimedDeath, Marker::NewEager.into()] {
            if sim.paths.state(&identity, kind).exists() {
                state.violate(format!("{identity}.{kind} is left for ever"));
            }
        }
    }
    let told = notices(&state);
    let mut dead = Vec::new();
    for identity in peers() {
        let queue = Queue::of(&sim.paths, &identity);
        for seq in queue.list(Place::Dead).unwrap_or_default() {
            dead.extend(queue.peek(Place::Dead, seq).map(|item| (item.id, item.from.identity().clone())));
        }
    }
    for (id, from) in dead {
        let exempt = from == nobody() || state.ever_stopped.contains(&from) || state.told_less.contains(&id);
        if !exempt && !told.contains_key(&id) {
            state.violate(format!("the sender {from} of the dead letter {id} was never told"));
        }
    }
}

/// No session is taken for a working one for ever: it would never be put to sleep.
fn at_rest_all_may_sleep(sim: &Arc<Sim>) {
    let machine = Machine(Arc::clone(sim));
    let world = World::new(&sim.paths, &sim.settings, &machine, &machine, "test");
    // Known limit: what a person typed has no id, so a turn that began with it and whose hook was killed is known
    // to be over by wall time only.
    let state = sim.state();
    // Likewise, where a prompt's hook comes after the end of its turn and the hook of that end is killed: no agent that
    // was measured goes on before its prompt hook has returned.
    if state.set_back || state.slow_hook && state.ever_killed {
        return;
    }
    drop(state);
    for identity in peers() {
        let Some(record) = SessionRecord::peek(&sim.paths, &identity) else { continue };
        let Ok(peer) = Peer::of(&sim.paths, &identity) else { continue };
        let idle = sim.state().truth(&identity).live().is_some_and(|session| session.turn.is_none());
        if idle && Activity::from_files(&world, &peer, &record).quiet() == Quiet::Working {
            sim.state().violate(format!("{identity} is idle and would never be put to sleep"));
        }
    }
}

/// Whether everything has come to an end.
pub fn is_quiet(sim: &Sim) -> bool {
    let state = sim.state();
    peers().all(|identity| {
        let queue = Queue::of(&sim.paths, &identity);
        let empty = |place| queue.list(place).is_ok_and(|list| list.is_empty());
        empty(Place::Waiting)
            && empty(Place::Inflight)
            && !sim.paths.state(&identity, StateFile::Teardown).exists()
            && !state.peers[&identity].session.as_ref().is_some_and(|s| s.alive && s.turn.is_some())
    })
}
