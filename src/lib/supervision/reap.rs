//! Ending sessions deliberately: by name, by policy, or from a plan.

use crate::base::Liveness;
use crate::base::exit::{Exit, Failure};
use crate::base::identity::Identity;
use crate::base::span::said;
use crate::base::words::words;
use crate::base::{Action, Marker, StateFile};
use crate::runtime::Kind;
use crate::session::activity::{Activity, Quiet};
use crate::session::end::{self, End, Park};
use crate::session::settle::{self, Standing};
use crate::store::event_log::Event;
use crate::store::session_record::SessionRecord;
use crate::store::state_files::identities_with;
use crate::supervision::tick::Judged;
use crate::world::World;
use crate::world::peer::Peer;
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;

words! {
    /// What was done about one session.
    pub enum ReapAction {
        /// The session was ended; in a dry run: it would be.
        Reaped = "reaped",
        /// There was no session.
        Absent = "absent",
        /// The session was left alone.
        Skipped = "skipped",
        /// The session could not be ended.
        Failed = "failed",
    }
}

/// What was done about one session, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reaped {
    /// The session's identity.
    pub identity: Identity,
    /// The action.
    pub action: ReapAction,
    /// The reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Reaped {
    fn new(identity: &Identity, action: ReapAction, reason: impl Into<Option<String>>) -> Reaped {
        Reaped { identity: identity.clone(), action, reason: reason.into() }
    }
}

/// Ends the session of `identity`, whatever the session is doing.
pub fn by_name(world: &World<'_>, identity: &Identity, park: Park, why: &str) -> Reaped {
    guarded(world, identity, |world| match settle::settle(world, identity)?.0 {
        Standing::Live(record) => end(world, identity, &record, park, why),
        Standing::Asleep => {
            if park == Park::No {
                world.markers(identity).clear(Marker::IdleReaped)?;
            }
            Ok(Reaped::new(identity, ReapAction::Absent, None))
        }
        Standing::Unknown => {
            Ok(Reaped::new(identity, ReapAction::Failed, "tmux does not say whether it lives".to_owned()))
        }
    })
}

/// Ends every session that has been quiet for longer than `older_than`. With `dry_run` only reports which sessions
/// these are.
pub fn idle(
    world: &World<'_>,
    older_than: Duration,
    dry_run: bool,
    mut tell: impl FnMut(Reaped),
) -> Result<(), Failure> {
    for identity in identities_with(world.paths, StateFile::Session)? {
        let reaped = guarded_unless(dry_run, world, &identity, |world| {
            let Some(record) = SessionRecord::peek(world.paths, &identity) else {
                return Ok(Reaped::new(&identity, ReapAction::Absent, None));
            };
            if world.liveness(&identity, Some(&record)) != Liveness::Alive {
                return Ok(Reaped::new(&identity, ReapAction::Absent, None));
            }
            if Peer::of(world.paths, &identity)?.manifest.kind == Kind::Router {
                return Ok(Reaped::new(&identity, ReapAction::Skipped, "a bridge is never idle".to_owned()));
            }
            let age = quiet_for(world, &identity, &record)?;
            let words = format!("idle {}", said(age));
            if age <= older_than {
                return Ok(Reaped::new(&identity, ReapAction::Skipped, format!("not idle for long enough: {words}")));
            }
            if dry_run {
                Ok(Reaped::new(&identity, ReapAction::Reaped, words))
            } else {
                end(world, &identity, &record, Park::Yes, &words)
            }
        });
        tell(reaped);
    }
    Ok(())
}

/// Parses a plan, in the form that `iapeer-superviser --dry-run --json` prints. One torn or foreign line makes the
/// whole plan invalid, since the missing part is not known.
pub fn read_plan(bytes: &[u8]) -> Result<Vec<Judged>, Failure> {
    let mut plan = Vec::new();
    for (n, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let bad = |error: serde_json::Error| {
            let why = format!("line {} of the plan is invalid ({error}): no session was ended; make a new plan", n + 1);
            Failure::new(Exit::DataErr, why)
        };
        let value: Value = serde_json::from_slice(line).map_err(bad)?;
        // The line with the tick's summary is no part of the plan.
        if value.as_object().is_some_and(|map| map.len() == 1 && map.contains_key("tick")) {
            continue;
        }
        plan.push(serde_json::from_value(value).map_err(bad)?);
    }
    Ok(plan)
}

/// Carries out one line of a plan if the session is still in the state for which the line was made.
pub fn planned(world: &World<'_>, line: &Judged) -> Reaped {
    let identity = &line.identity;
    let park = match line.action {
        Action::ReapedIdle => Park::Yes,
        Action::ReapedEphemeral => Park::No,
        other => {
            return Reaped::new(
                identity,
                ReapAction::Skipped,
                format!("the plan says {}, which ends nothing", other.as_str()),
            );
        }
    };
    guarded(world, identity, |world| {
        let Standing::Live(record) = settle::settle(world, identity)?.0 else {
            return Ok(Reaped::new(identity, ReapAction::Absent, None));
        };
        let skip = |why: &str| Ok(Reaped::new(identity, ReapAction::Skipped, why.to_owned()));
        if line.server_pid != record.server.map(|server| server.pid) {
            return skip("the session is another one than the plan's");
        }
        if world.queue(identity).has_waiting()? {
            return skip("a message waits for it");
        }
        let stopped = world.markers(identity).has(Marker::Stopped)?;
        let age = quiet_for(world, identity, &record)?;
        if !stopped && line.age_secs.is_some_and(|planned| age.as_secs() < planned) {
            return skip("it has been active since the plan was made");
        }
        end(world, identity, &record, park, line.outcome.map_or("planned", |outcome| outcome.as_str()))
    })
}

/// How long a session has been quiet. Asks tmux about the terminal too; an error where tmux gives no answer.
fn quiet_for(world: &World<'_>, identity: &Identity, record: &SessionRecord) -> Result<Duration, Failure> {
    let peer = Peer::of(world.paths, identity)?;
    let mut activity = Activity::for_reaping(world, &peer, record, world.clock_set_at());
    if activity.quiet() != Quiet::Working {
        activity.ask_terminal(world, identity)?;
    }
    Ok(activity.quiet().age(world.now()))
}

fn end(
    world: &World<'_>,
    identity: &Identity,
    record: &SessionRecord,
    park: Park,
    why: &str,
) -> Result<Reaped, Failure> {
    let event = Event::new("reap")
        .field("identity", identity)
        .field("park", park == Park::Yes)
        .field("reason", why)
        .field("by", world.program);
    world.lifecycle(&event);
    end::end(world, identity, Some(record), &End::new(why).park(park))?;
    Ok(Reaped::new(identity, ReapAction::Reaped, (!why.is_empty()).then(|| why.to_owned())))
}

fn guarded(world: &World<'_>, identity: &Identity, act: impl FnOnce(&World<'_>) -> Result<Reaped, Failure>) -> Reaped {
    guarded_unless(false, world, identity, act)
}

/// Runs `act` under the identity's lock (without the lock where `dry`), skips peers that the service manager runs, and
/// turns an error into a [`Reaped`].
fn guarded_unless(
    dry: bool,
    world: &World<'_>,
    identity: &Identity,
    act: impl FnOnce(&World<'_>) -> Result<Reaped, Failure>,
) -> Reaped {
    if let Some(by) = world.host.managed_by(identity) {
        return Reaped::new(identity, ReapAction::Skipped, format!("launchd-managed (by {by})"));
    }
    let lock = match dry {
        true => None,
        false => match world.lock(identity, world.settings.lock_wait) {
            Ok(lock) => Some(lock),
            Err(error) => return Reaped::new(identity, ReapAction::Failed, error.to_string()),
        },
    };
    let reaped = act(world).unwrap_or_else(|failure| Reaped::new(identity, ReapAction::Failed, failure.to_string()));
    drop(lock);
    reaped
}
