//! Running the bridge: one thread sends, and one thread for each bot listens.

use crate::base::exit::{Exit, Failure};
use crate::base::identity::Identity;
use crate::base::paths;
use crate::people::bots::{self, Bot};
use crate::store::lock::FileLock;
use crate::telegram::bridge::Bridge;
use crate::telegram::{inbound, outbound};
use crate::world::World;
use crate::world::peer::Peer;
use std::collections::BTreeMap;
use std::thread::ScopedJoinHandle;
use std::time::Duration;

/// How long a bridge that is ending may take to release its lock.
const TAKEOVER: Duration = Duration::from_secs(10);

/// Runs the bridge of `identity` until the program is killed. A failure at the start is returned, a later one ends the
/// process. `say` gets a line for each bot.
pub fn run(world: &World<'_>, identity: &Identity, mut say: impl FnMut(&str)) -> Result<Exit, Failure> {
    let peer = Peer::of(world.paths, identity)?;
    if !peer.manifest.takes_messages_itself() {
        let why = format!(
            "{identity} is not on a runtime whose program takes messages itself: its manifest needs evidence [\"api\"]"
        );
        return Err(Failure::new(Exit::Refused, why));
    }
    let folder = bots::folder(peer.cwd());
    paths::create_dirs(&folder)?;
    let _alone = FileLock::acquire(&folder.join("lock"), world.program, TAKEOVER, world.clock)?;
    let bridge = Bridge::new(world, peer, &folder)?;
    let bridge = &bridge;
    say(&format!("{identity}: the bridge to Telegram"));
    let failed = std::thread::scope(|scope| {
        let mut listening: BTreeMap<i64, ScopedJoinHandle<'_, ()>> = BTreeMap::new();
        let mut keep_listening = |bots: &[Bot]| {
            for bot in bots {
                let id = bot.facts.id;
                if listening.get(&id).is_some_and(|thread| !thread.is_finished()) {
                    continue;
                }
                if let Some(ended) = listening.remove(&id).map(ScopedJoinHandle::join) {
                    ended.map_err(|_| Failure::new(Exit::Internal, "a thread of the bridge has failed"))?;
                }
                say(&format!(
                    "{} speaks for {}",
                    bot.handle(),
                    if bot.facts.all { "all agents" } else { "its agents" }
                ));
                listening.insert(id, scope.spawn(move || inbound::listen(bridge, id)));
            }
            Ok(())
        };
        let failure = outbound::go_on(bridge, &mut keep_listening);
        // The other threads listen for ever: the process ends as a whole, and the service manager starts it again.
        crate::base::output::complain(&format!("{}: {failure}", world.program));
        std::process::exit(failure.exit as i32);
        #[allow(unreachable_code)]
        failure
    });
    Err(failed)
}
