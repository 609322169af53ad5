//! Checks of queues, sessions, and the state of peers that no longer exist.

use super::finding::{Finding, MendError};
use crate::base::Liveness;
use crate::base::identity::{Identity, Personality};
use crate::base::{Marker, StateFile};
use crate::canary::arm;
use crate::session::settle;
use crate::store::durable;
use crate::store::lock::{self, is_held};
use crate::store::queue::Place;
use crate::store::registry::Registry;
use crate::store::session_record::{Phase, SessionRecord};
use crate::store::state_files::{identities_among, identities_with};
use crate::world::World;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A message that waits for longer has been passed over by several ticks.
const STUCK: Duration = Duration::from_secs(600);

/// Dead letters, messages that nobody takes up, items that are none.
pub(crate) fn queues<'a>(
    world: &'a World<'a>,
    registry: &Registry,
    half_done: &BTreeSet<Personality>,
) -> Vec<Finding<'a>> {
    let identities = match identities_with(world.paths, StateFile::Queue) {
        Ok(identities) => identities,
        Err(error) => return vec![Finding::unseen("queue", &error)],
    };
    identities
        .iter()
        .filter(|identity| !half_done.contains(identity.personality()))
        .flat_map(|identity| queue(world, registry, identity))
        .collect()
}

fn queue<'a>(world: &'a World<'a>, registry: &Registry, identity: &Identity) -> Vec<Finding<'a>> {
    let queue = world.queue(identity);
    let mut findings = Vec::new();
    let count = |place| queue.list(place).map(|items| items.len());
    let (waiting, inflight, dead, corrupt) =
        match (count(Place::Waiting), count(Place::Inflight), count(Place::Dead), count(Place::Corrupt)) {
            (Ok(waiting), Ok(inflight), Ok(dead), Ok(corrupt)) => (waiting, inflight, dead, corrupt),
            (waiting, inflight, dead, corrupt) => {
                let errors = [waiting, inflight, dead, corrupt].into_iter().filter_map(Result::err);
                return errors.map(|e| Finding::error("queue", e.exit(), identity, e.to_string())).collect();
            }
        };
    let see = format!("`iapeer-drain --list {identity}` shows them");
    if dead > 0 {
        let what = format!("{dead} message(s) were given up");
        findings.push(Finding::warn("queue", identity, what).todo(format!("{see}; --requeue ID or --drop ID")));
    }
    if corrupt > 0 {
        let what = format!("{corrupt} file(s) in its queue are no messages");
        findings.push(Finding::warn("queue", identity, what).todo(format!("look into {}", queue.dir().display())));
    }
    if waiting + inflight == 0 {
        return findings;
    }
    if !registry.declares(identity) {
        let what = format!("{} message(s) for a peer that is not registered", waiting + inflight);
        findings.push(
            Finding::warn("queue", identity, what)
                .todo(format!("`iapeer create {}` brings it back, and has them delivered", identity.personality())),
        );
        return findings;
    }
    let stopped = world.markers(identity).has(Marker::Stopped).unwrap_or_else(|error| {
        findings.push(Finding::error("state", error.exit(), identity, error.to_string()));
        true
    });
    for (place, how) in [(Place::Waiting, "waits"), (Place::Inflight, "has been handed over without evidence")] {
        let head = queue.list(place).ok().and_then(|items| queue.peek(place, *items.first()?));
        let age = head.as_ref().map(|item| world.now().since(item.accepted)).filter(|age| *age > STUCK);
        if let Some(age) = age.filter(|_| !stopped) {
            let reason = head.and_then(|item| item.reason).map(|why| format!(" ({why})")).unwrap_or_default();
            let what = format!("its oldest message {how} for {}s{reason}", age.as_secs());
            findings.push(
                Finding::warn("queue", identity, what)
                    .todo(format!("`iapeer-drain {identity}` tries now and says why not")),
            );
        }
    }
    if stopped && waiting > 0 {
        let what = format!("{waiting} message(s) wait for a stopped peer");
        findings
            .push(Finding::warn("queue", identity, what).todo(format!("`iapeer start {}`", identity.personality())));
    }
    findings
}

/// Sessions, their records, and who watches them.
pub(crate) fn sessions<'a>(world: &'a World<'a>, registry: &Registry) -> Vec<Finding<'a>> {
    let mut unseen = Vec::new();
    let mut all = BTreeSet::new();
    match world.host.sockets() {
        Ok(identities) => all.extend(identities),
        Err(error) => unseen.push(Finding::unseen("session", &error)),
    }
    match durable::names_of(&world.paths.state_dir()) {
        Ok(names) => {
            let files = [StateFile::Session, StateFile::ClaimedDeath, StateFile::Teardown, StateFile::Lock];
            all.extend(files.iter().flat_map(|file| identities_among(&names, *file)));
        }
        Err(error) => unseen.push(Finding::unseen("session", &error)),
    }
    let seen = all
        .into_iter()
        .filter(|identity| world.host.managed_by(identity).is_none())
        .flat_map(|identity| session(world, registry, identity));
    unseen.into_iter().chain(seen).collect()
}

fn session<'a>(world: &'a World<'a>, registry: &Registry, identity: Identity) -> Vec<Finding<'a>> {
    let launch_takes = world.settings.boot_deadline + world.settings.ready_gate;
    let lock_file = world.paths.state(&identity, StateFile::Lock);
    if is_held(&lock_file) {
        let since = std::fs::metadata(&lock_file).and_then(|meta| meta.modified()).ok();
        let held = since.and_then(|at| at.elapsed().ok()).unwrap_or_default();
        if held <= launch_takes.max(world.settings.midturn_wait) {
            return vec![];
        }
        let holder = lock::holder(&lock_file);
        let what = format!("its lock is held by {holder} for {}s: nobody else can reach it", held.as_secs());
        return vec![
            Finding::warn("state", &identity, what).todo("look what that process waits for; end it if it hangs"),
        ];
    }
    let record = SessionRecord::peek(world.paths, &identity);
    let has = |file| world.paths.state(&identity, file).exists();
    let settle = |what: &str| {
        let mended = identity.clone();
        Finding::warn("session", &identity, what)
            .todo("the next tick clears it away, or --fix does")
            .mend(move || settle(world, &mended))
    };
    match world.liveness(&identity, record.as_ref()) {
        Liveness::Unknown => {
            let what = "tmux does not say whether it lives: it is left alone";
            vec![
                Finding::warn("session", &identity, what)
                    .todo(format!("tmux -S {} ls", world.paths.socket(&identity).display())),
            ]
        }
        Liveness::Gone if has(StateFile::Teardown) => vec![settle("its deliberate end was cut short")],
        Liveness::Gone if record.is_some() => vec![settle("its record names a session that is gone")],
        Liveness::Gone if has(StateFile::ClaimedDeath) => vec![settle("the record of its death was cut short")],
        Liveness::Gone => vec![],
        Liveness::Alive if !registry.declares(&identity) => {
            let what = "a session lives for a peer that is not registered";
            vec![Finding::warn("session", &identity, what).todo(format!("`iapeer-reap {identity}` ends it"))]
        }
        Liveness::Alive => match &record {
            _ if has(StateFile::Teardown) => vec![settle("its deliberate end was cut short")],
            None => vec![settle("it lives without a record, so nobody supervises it")],
            Some(record) if record.phase == Phase::Booting && world.now().since(record.woke_at) > launch_takes => {
                vec![settle("its launch was cut short")]
            }
            Some(_) => unwatched(world, identity).into_iter().collect(),
        },
    }
}

fn settle(world: &World<'_>, identity: &Identity) -> Result<(), MendError> {
    let _held = world.lock(identity, Duration::ZERO)?;
    settle::settle(world, identity)?;
    Ok(())
}

fn unwatched<'a>(world: &'a World<'a>, identity: Identity) -> Option<Finding<'a>> {
    if !world.host.has_canaries() || is_held(&world.paths.state(&identity, StateFile::CanaryLock)) {
        return None;
    }
    let what = "no canary watches its server: the cause of a death would be lost";
    let finding = Finding::warn("session", &identity, what).todo("the next tick sets one, or --fix does");
    Some(finding.mend(move || match arm::reason(&arm::ensure(world, &identity)) {
        Some(why) => Err(MendError::Stands(why.to_owned())),
        None => Ok(()),
    }))
}

/// Whether a kind of state file stays when a peer goes: locks are never removed, and a queue holds somebody's words.
fn is_kept(kind: &str) -> bool {
    kind == "queue" || kind.split('.').next_back() == Some("lock")
}

/// State files of identities that nobody declares any more.
pub(crate) fn leftovers<'a>(
    world: &'a World<'a>,
    registry: &Registry,
    half_done: &BTreeSet<Personality>,
) -> Vec<Finding<'a>> {
    let mut left: BTreeMap<Identity, Vec<String>> = BTreeMap::new();
    let names = match durable::names_of(&world.paths.state_dir()) {
        Ok(names) => names,
        Err(error) => return vec![Finding::unseen("state", &error)],
    };
    for name in names {
        let Some((identity, kind)) = name.split_once('.') else { continue };
        let Ok(identity) = identity.parse::<Identity>() else { continue };
        if half_done.contains(identity.personality()) {
            continue;
        }
        // What was set aside has a finding of its own.
        if !is_kept(kind) && !kind.contains(".corrupt-") && !registry.declares(&identity) {
            left.entry(identity).or_default().push(kind.to_owned());
        }
    }
    left.into_iter()
        .filter(|(identity, _)| {
            let record = SessionRecord::peek(world.paths, identity);
            world.liveness(identity, record.as_ref()) == Liveness::Gone
        })
        .map(|(identity, mut kinds)| {
            kinds.sort();
            let what = format!("is not registered, and has state: {}", kinds.join(", "));
            let about = identity.clone();
            Finding::warn("state", about, what).todo("remove the files, or let --fix do it").mend(move || {
                let _lock = world.lock(&identity, Duration::ZERO)?;
                for kind in &kinds {
                    durable::remove(&world.paths.state_dir().join(format!("{identity}.{kind}")))?;
                }
                Ok(())
            })
        })
        .collect()
}
