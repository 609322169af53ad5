//! Checks of queues, sessions, and the state of peers that no longer exist.

use super::finding::{Finding, MendError, to_see};
use super::holders;
use crate::base::Liveness;
use crate::base::identity::{Identity, Personality};
use crate::base::shell;
use crate::base::span::said;
use crate::base::{Marker, StateFile};
use crate::canary::arm;
use crate::host::tmux;
use crate::session::settle;
use crate::store::durable::{self, StoreError};
use crate::store::lock::is_seen_held;
use crate::store::queue::Place;
use crate::store::registry::Registry;
use crate::store::session_record::{Phase, SessionRecord};
use crate::store::state_files::{identities_among, identities_with};
use crate::world::World;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A message that waits for longer has not been delivered by several ticks.
const STUCK: Duration = Duration::from_secs(600);

/// Dead letters, messages that are not delivered, and files in queues that are no messages.
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
                // One error is enough: nearly always all of these folders can't be listed for the same reason.
                let error = [waiting, inflight, dead, corrupt].into_iter().find_map(Result::err);
                let finding = |error: StoreError| {
                    Finding::error("queue", error.exit(), identity, error.to_string()).todo(to_see(&error))
                };
                return error.into_iter().map(finding).collect();
            }
        };
    let see = format!("`iapeer-drain --list {identity}` shows them");
    let aside = queue.folder(Place::Corrupt);
    if dead > 0 {
        let what = format!("{dead} dead letter(s)");
        findings.push(
            Finding::warn("queue", identity, what)
                .todo(format!("{see}; `iapeer-drain --requeue ID` or `iapeer-drain --drop ID`")),
        );
    }
    if corrupt > 0 {
        let what = format!("{corrupt} file(s) in its queue can't be read as messages");
        findings.push(Finding::warn("queue", identity, what).todo(format!(
            "`ls -l {}` shows them, each with the reason; look into them, then remove them",
            shell::path(&aside)
        )));
    }
    if inflight == 0 {
        findings.extend(history_gone(world, identity));
    }
    if waiting + inflight == 0 {
        return findings;
    }
    if !registry.declares(identity) {
        let what = format!("{} message(s) for a peer that is not registered", waiting + inflight);
        findings.push(Finding::warn("queue", identity, what).todo(format!(
            "`iapeer create {} --runtime {}` brings it back, and has them delivered",
            identity.personality(),
            identity.runtime()
        )));
        return findings;
    }
    let stopped = world.markers(identity).has(Marker::Stopped).unwrap_or_else(|error| {
        findings.push(Finding::error("state", error.exit(), identity, error.to_string()).todo(to_see(&error)));
        true
    });
    for (place, how) in [(Place::Waiting, "waits"), (Place::Inflight, "has been handed over without evidence")] {
        let head = queue.list(place).ok().and_then(|items| queue.peek(place, *items.first()?));
        let age = head.as_ref().map(|item| world.now().since(item.accepted)).filter(|age| *age > STUCK);
        if let Some(age) = age.filter(|_| !stopped) {
            let reason = head.and_then(|item| item.reason).map(|why| format!(" ({why})")).unwrap_or_default();
            let what = format!("its oldest message {how} for {}{reason}", said(age));
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

/// A history that is missing although the agent has taken a message: the outcomes of earlier messages are not known.
fn history_gone<'a>(world: &'a World<'a>, identity: &Identity) -> Option<Finding<'a>> {
    let path = world.paths.history(identity);
    world.markers(identity).turn()?.id?;
    if path.exists() || path.with_extension("jsonl.1").exists() {
        return None;
    }
    let what = "has taken a message, and its history is gone: the outcomes of earlier messages are not known";
    let begin = match path.parent().filter(|dir| !dir.exists()) {
        Some(dir) => format!("mkdir -m 700 {} && touch {}", shell::path(dir), shell::path(&path)),
        None => format!("touch {}", shell::path(&path)),
    };
    let todo = format!("restore {} from a backup, or `{begin}` to begin a new history, as --fix does", path.display());
    Some(Finding::warn("queue", identity, what).todo(todo).mend(move || Ok(durable::publish(&path, b"").map(drop)?)))
}

/// Sessions, their records and canaries; not those of peers that the service manager holds.
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
    if is_seen_held(&world.paths.state(&identity, StateFile::Lock)) {
        return holders::identity(world, &identity).into_iter().collect();
    }
    let record = SessionRecord::peek(world.paths, &identity);
    let has = |file| world.paths.state(&identity, file).exists();
    let settle = |what: &str| {
        let mended = identity.clone();
        Finding::warn("session", &identity, what)
            .todo("`iapeer-superviser` removes it, as the next tick would, or --fix does")
            .mend(move || settle(world, &mended))
    };
    match world.liveness(&identity, record.as_ref()) {
        Liveness::Unknown => {
            let what = "tmux does not say whether the session is alive: it is left as it is";
            vec![Finding::warn("session", &identity, what).todo(format!(
                "`tmux -S {} ls` may say more; it is probed again by the next tick",
                shell::path(&world.paths.socket(&identity))
            ))]
        }
        Liveness::Gone if has(StateFile::Teardown) => vec![settle("its deliberate end was interrupted")],
        Liveness::Gone if record.is_some() => vec![settle("its record names a session that is gone")],
        Liveness::Gone if has(StateFile::ClaimedDeath) => vec![settle("the recording of its death was interrupted")],
        Liveness::Gone => vec![],
        Liveness::Alive if !registry.declares(&identity) => {
            let what = "a session is alive for a peer that is not registered";
            let cwd = record.map_or_else(|| world.paths.peer_dir(identity.personality()), |record| record.cwd);
            vec![
                Finding::warn("session", &identity, what)
                    .todo(format!("`iapeer init {}` registers it", shell::path(&cwd))),
            ]
        }
        Liveness::Alive => match &record {
            _ if has(StateFile::Teardown) => vec![settle("its deliberate end was interrupted")],
            None => vec![settle("its session is alive without a record, so that no tick supervises it")],
            Some(record) if record.phase == Phase::Booting && world.now().since(record.woke_at) > launch_takes => {
                vec![settle("its launch was cut short")]
            }
            Some(record) => {
                let record = record.clone();
                unreachable(world, &identity, &record).into_iter().chain(unwatched(world, identity)).collect()
            }
        },
    }
}

pub(super) fn settle(world: &World<'_>, identity: &Identity) -> Result<(), MendError> {
    let _held = world.lock(identity, Duration::ZERO)?;
    settle::settle(world, identity)?;
    Ok(())
}

/// A live tmux server without its socket, which tmux creates again on SIGUSR1.
fn unreachable<'a>(world: &'a World<'a>, identity: &Identity, record: &SessionRecord) -> Option<Finding<'a>> {
    let server = record.server.filter(|_| !world.host.has_trace(identity))?;
    let what = "its tmux server has no socket: its session can't be reached";
    let todo = format!("`kill -USR1 {}` makes tmux create it again, or --fix does", server.pid);
    Some(Finding::warn("session", identity, what).todo(todo).mend(move || {
        tmux::recreate_socket(&server);
        Ok(())
    }))
}

fn unwatched<'a>(world: &'a World<'a>, identity: Identity) -> Option<Finding<'a>> {
    if !world.host.has_canaries() || is_seen_held(&world.paths.state(&identity, StateFile::CanaryLock)) {
        return None;
    }
    let what = "no canary watches its server: the cause of a death would not be recorded";
    let finding = Finding::warn("session", &identity, what)
        .todo(format!("`iapeer-canary --ensure {identity}` starts one, or --fix does"));
    Some(finding.mend(move || match arm::reason(&arm::ensure(world, &identity)) {
        Some(why) => Err(MendError::Stands(why.to_owned())),
        None => Ok(()),
    }))
}

/// Whether a kind of state file is kept when a peer is gone: locks are never removed, and a queue contains messages.
fn is_kept(kind: &str) -> bool {
    kind == "queue" || kind.split('.').next_back() == Some("lock")
}

/// State files of identities that no registered peer declares.
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
        // A file that was set aside has a finding of its own.
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
            let what = format!("is not registered, but has state: {}", kinds.join(", "));
            let about = identity.clone();
            let todo = format!("`iapeer remove {}` removes the files, or --fix does", identity.personality());
            Finding::warn("state", about, what).todo(todo).mend(move || {
                let _lock = world.lock(&identity, Duration::ZERO)?;
                for kind in &kinds {
                    durable::remove(&world.paths.state_dir().join(format!("{identity}.{kind}")))?;
                }
                Ok(())
            })
        })
        .collect()
}
