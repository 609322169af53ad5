//! Telling the owner that a peer waits for a person: once for each occurrence, with reminders while the state lasts.
//!
//! The owner is the peer that `<root>/owner` names; it gets a message from iapeer. `<root>/notify`, where it is
//! executable, gets the event as JSON on its standard input. The message's id is written to `<identity>.attention`
//! before the message is sent: a program that finds the id after a crash completes the notification, and sends no
//! second message.

use crate::attention::look;
use crate::attention::report::Row;
use crate::base::exit::Failure;
use crate::base::identity::{Identity, Intelligence, Topic};
use crate::base::message_id::MessageId;
use crate::base::{Liveness, StateFile};
use crate::store::attention::{self, Attention};
use crate::store::event_log::Event;
use crate::store::lock::FileLock;
use crate::store::open;
use crate::store::queue::{Item, nobody};
use crate::store::session_record::SessionRecord;
use crate::store::state_files::identities_with;
use crate::world::World;
use crate::world::peer::Peer;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

/// Tells the owner what `identity` waits for, where the state has lasted long enough and the owner was not told yet.
pub(crate) fn if_due(world: &World<'_>, identity: &Identity) {
    if let Err(failure) = tell(world, identity) {
        tracing::warn!("{identity}: the owner was not told: {failure}; the next tick tries again");
    }
}

/// How long until the owner is to be told; `None` where there is nothing to tell (any more).
pub(crate) fn due_in(world: &World<'_>, now: &Attention) -> Option<Duration> {
    if !now.state.is_trouble() {
        return None;
    }
    let at = match now.told {
        None => now.since.plus(world.settings.tell_after),
        Some(told) => told.plus(world.settings.remind),
    };
    Some(at.since(world.now()))
}

fn tell(world: &World<'_>, identity: &Identity) -> Result<(), Failure> {
    let is_due = |now: &Attention| due_in(world, now) == Some(Duration::ZERO);
    if !attention::peek(world.paths, identity).is_some_and(|now| is_due(&now)) {
        return Ok(());
    }
    // The program that holds the lock is telling the owner of this very occurrence.
    let lock = world.paths.state(identity, StateFile::TellLock);
    let Ok(_lock) = FileLock::acquire(&lock, world.program, Duration::ZERO, world.clock) else { return Ok(()) };
    let name = |before: Option<Attention>| {
        before.map(|now| match is_due(&now) && now.notice.is_none() {
            true => Attention { notice: Some(MessageId::generate(world.now())), ..now },
            false => now,
        })
    };
    let (_, named) = attention::change(world.paths, identity, world.program, world.clock, name)?;
    let Some(now) = named.filter(is_due) else { return Ok(()) };
    let Some(id) = now.notice else { return Ok(()) };
    let owner = owner(world)?;
    if let Some(owner) = owner.as_ref().filter(|owner| owner.identity != *identity) {
        send(world, owner, identity, &now, id)?;
    }
    let notified = run_hook(world, identity, &now);
    let done = |before: Option<Attention>| {
        before.map(|before| match before.notice == Some(id) {
            true => Attention { notice: None, told: Some(world.now()), ..before },
            false => before,
        })
    };
    attention::change(world.paths, identity, world.program, world.clock, done)?;
    let event = Event::new("told")
        .field("identity", identity)
        .field("state", now.state)
        .field("id", id)
        .maybe("owner", owner.as_ref().map(|owner| &owner.identity))
        .maybe("notify", notified);
    world.lifecycle(&event);
    Ok(())
}

/// The peer that is told. `None`: the file is missing or empty.
fn owner(world: &World<'_>) -> Result<Option<Peer>, Failure> {
    let text = open::text(&world.paths.owner()).unwrap_or_default();
    match text.trim() {
        "" => Ok(None),
        name => Peer::named(world.paths, name, None).map(Some),
    }
}

fn send(world: &World<'_>, owner: &Peer, about: &Identity, now: &Attention, id: MessageId) -> Result<(), Failure> {
    let queue = world.queue(&owner.identity);
    let sent = || queue.find(id).is_ok_and(|found| found.is_some());
    let was_settled = || world.history(&owner.identity).find(id, now.since).is_ok_and(|line| line.is_some());
    if sent() || was_settled() {
        return Ok(());
    }
    let topic = Topic::parse("attention").ok().flatten();
    let item = Item { id, topic, ..Item::new(nobody(), Intelligence::Absent, body(about, now), world.now()) };
    queue.accept(&item, world.clock)?;
    world.kick(&owner.identity);
    Ok(())
}

/// The text of the message to the owner.
fn body(about: &Identity, now: &Attention) -> String {
    let name = about.personality();
    let what = match (&now.tool, now.text.as_str()) {
        (Some(tool), text) => format!("{}: {tool} {text}", now.state),
        (None, "") => now.state.to_string(),
        (None, text) => format!("{}: {text}", now.state),
    };
    let mut said = format!("{name} ({about}) — {what}");
    if let Some(until) = now.until {
        said.push_str(&format!("\nIt ends by itself at {}.", until.utc_seconds()));
    }
    if !now.answers.is_empty() {
        let id = now.id.as_ref().map(|id| format!(" {id}")).unwrap_or_default();
        said.push_str(&format!("\n`iapeer answer {name}{id} {}` answers it.", now.answers.join("|")));
    }
    said.push_str(&format!("\n`iapeer peek {name}` shows its screen."));
    said
}

/// The peer that the message `text`, sent by [`tell`], is about, and what it waits for. `None` where that state is over
/// or has changed.
pub(crate) fn told_of(world: &World<'_>, text: &str) -> Result<Option<(Identity, Attention)>, Failure> {
    let waiting = identities_with(world.paths, StateFile::Attention)?.into_iter();
    Ok(waiting
        .filter_map(|identity| attention::peek(world.paths, &identity).map(|now| (identity, now)))
        .find(|(identity, now)| body(identity, now) == text))
}

/// Runs `<root>/notify`. Returns the result where there is such a program.
fn run_hook(world: &World<'_>, identity: &Identity, now: &Attention) -> Option<String> {
    let program = world.paths.notify();
    let meta = std::fs::metadata(&program).ok()?;
    if !meta.is_file() || meta.permissions().mode() & 0o100 == 0 {
        return None;
    }
    let event = serde_json::to_string(&Row::of(identity, now)).unwrap_or_default();
    Some(match world.host.notify(&program, &format!("{event}\n")) {
        Ok(()) => "started".to_owned(),
        Err(why) => why.to_string(),
    })
}

/// Waits until the owner is to be told what `identity` waits for, then tells the owner. A hook starts this, because it
/// can't wait itself.
pub(crate) fn wait_and_tell(world: &World<'_>, identity: &Identity) -> Result<(), Failure> {
    let Some(began) = attention::peek(world.paths, identity).map(|now| now.since) else { return Ok(()) };
    let Some(left) = attention::peek(world.paths, identity).and_then(|now| due_in(world, &now)) else { return Ok(()) };
    // Reminders are sent by the tick.
    if left > world.settings.tell_after {
        return Ok(());
    }
    world.clock.sleep(left);
    answerable(world, identity)?;
    if attention::peek(world.paths, identity).is_some_and(|now| now.since == began) {
        tell(world, identity)?;
    }
    Ok(())
}

/// Reads the screen of `identity` where a hook has reported the state, but not the possible answers.
fn answerable(world: &World<'_>, identity: &Identity) -> Result<(), Failure> {
    let unknown = |now: &Attention| now.answers.is_empty() && now.hook.is_none();
    if !attention::peek(world.paths, identity).is_some_and(|now| unknown(&now)) {
        return Ok(());
    }
    let Some(record) = SessionRecord::peek(world.paths, identity) else { return Ok(()) };
    if world.host.liveness(identity, Some(&record)) == Liveness::Alive {
        look::attend(world, &Peer::of(world.paths, identity)?, &record)?;
    }
    Ok(())
}
