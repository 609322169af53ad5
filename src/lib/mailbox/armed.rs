//! The mark that a worker has answered its task (`.ephemeral-armed`): who sets it.

use crate::base::Marker;
use crate::base::clock::EpochMs;
use crate::base::identity::Identity;
use crate::store::StoreError;
use crate::store::profile::Profile;
use crate::store::queue::{Item, Place, Seq};
use crate::store::registry::PeerRecord;
use crate::store::session_record::SessionRecord;
use crate::world::World;

/// Whether this process was started by an earlier session of `identity` than the one that runs now: such a process
/// outlived its session, and does not speak for this one.
pub(crate) fn is_of_an_earlier_session(world: &World<'_>, identity: &Identity) -> bool {
    is_another(SessionRecord::launch_of(world.paths, identity).as_deref())
}

/// Whether this process was started by another launch than `current`.
fn is_another(current: Option<&str>) -> bool {
    current.zip(std::env::var("PEER_LAUNCH").ok()).is_some_and(|(current, own)| own != current)
}

/// What a message of a worker is that answers its task.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The launch of the session whose task it is.
    pub(crate) launch: Option<String>,
}

/// The answer that a message of `caller` is to a worker's task: the peer of `record` is a worker, and this process belongs
/// to its session. The record of the session is read once: between two readings another session could have begun.
pub(crate) fn answer(world: &World<'_>, caller: &Identity, record: &PeerRecord) -> Option<Answer> {
    let launch = SessionRecord::launch_of(world.paths, caller);
    if is_another(launch.as_deref()) {
        return None;
    }
    let profile = Profile::read(&record.cwd).ok().flatten();
    let is_worker = profile.as_ref().map_or_else(|| record.policy(), Profile::policy).ephemeral();
    is_worker.then_some(Answer { launch })
}

/// [`arm`] for the worker that sent `item`, whose program may have died between the acceptance of its answer and the mark.
/// A message that an earlier session of the worker sent answers no task of the present one: its launch tells, since no
/// clock that is set back can make it another one.
pub(crate) fn arm_sender(world: &World<'_>, item: &Item) {
    let Some(worker) = item.from.here().filter(|_| item.answers_task) else { return };
    let markers = world.markers(worker);
    let is_of_this_session = item.launch.is_some() && item.launch == SessionRecord::launch_of(world.paths, worker);
    if !is_of_this_session || markers.has(Marker::EphemeralArmed).unwrap_or(true) {
        return;
    }
    let queue = world.queue(worker);
    let taken = |seq: &Seq| queue.peek(Place::Inflight, *seq).and_then(|task| task.landed);
    let is_answer = |landed: EpochMs| landed <= item.accepted;
    if queue.list(Place::Inflight).unwrap_or_default().iter().filter_map(taken).any(is_answer) {
        arm(world, worker);
    }
}

/// Sets the mark that a worker has answered (`.ephemeral-armed`), and starts a drain. Called where [`answer`] gives one.
pub(crate) fn arm(world: &World<'_>, caller: &Identity) {
    if let Err(error) = try_arm(world, caller) {
        tracing::warn!("cannot arm {caller}: {error}; its session ends by the unarmed bound");
    }
}

/// [`arm`], with the reason where the mark can't be set.
pub(crate) fn try_arm(world: &World<'_>, caller: &Identity) -> Result<(), StoreError> {
    world.markers(caller).set(Marker::EphemeralArmed, world.now())?;
    world.kick(caller);
    Ok(())
}
