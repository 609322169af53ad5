//! Agent programs of another version than the one with which their screen rules were measured: such a program may show a
//! screen that no rule matches.

use super::finding::Finding;
use crate::base::exit::Failure;
use crate::base::identity::{Identity, Runtime};
use crate::session::drift::{self, Effort};
use crate::store::registry::Registry;
use crate::world::World;
use crate::world::peer::Peer;

/// One finding for each declared runtime whose program has such a version.
pub(crate) fn versions<'a>(world: &'a World<'a>, registry: &Registry) -> Vec<Finding<'a>> {
    let finding = |(runtime, what): (Runtime, String)| {
        let todo = format!(
            "`iapeer doctor --runtime {runtime}` tests the rules; if they hold, that version is accepted from then on"
        );
        Finding::warn("runtime", runtime, format!("{what}: its screens may not be recognised, and messages then wait"))
            .todo(todo)
    };
    drift::drifts(world.paths, registry, Effort::Run).into_iter().map(finding).collect()
}

/// A registered peer that declares `runtime`.
fn one_on(world: &World<'_>, registry: &Registry, runtime: &Runtime) -> Option<Peer> {
    let record = registry.peers().iter().find(|record| record.runtimes.contains(runtime))?;
    Peer::of_in(world.paths, registry, &Identity::new(runtime.clone(), record.personality.clone())).ok()
}

/// Records that the rules for `runtime` match the installed version, after they have just been tested.
pub(crate) fn note_tried(world: &World<'_>, runtime: &Runtime) -> Result<(), Failure> {
    let peer = one_on(world, &Registry::read(world.paths)?, runtime);
    peer.map_or(Ok(()), |peer| drift::note_tried(world.paths, &peer))
}
