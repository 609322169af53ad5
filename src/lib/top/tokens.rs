//! The tokens of each peer in the last 24 hours, from its transcripts. Each reading of a transcript continues where the
//! last one ended.

use crate::base::clock::EpochMs;
use crate::base::identity::Identity;
use crate::runtime::account::Account;
use crate::session::transcripts;
use crate::store::registry::Registry;
use crate::world::World;
use crate::world::peer::Peer;
use std::collections::HashMap;
use std::time::Duration;

/// The time over which tokens are counted.
const DAY: Duration = Duration::from_secs(86_400);

/// What was read from the transcripts so far.
#[derive(Debug, Default)]
pub(crate) struct TokenCounts {
    accounts: HashMap<Identity, Account>,
}

impl TokenCounts {
    /// The tokens of each of these peers, in and out, without those read from a cache. A peer whose transcripts name none
    /// is missing. `go_on` is called before each peer; `false` ends the reading.
    pub(crate) fn read(
        &mut self,
        world: &World<'_>,
        of: &[Identity],
        go_on: impl Fn() -> bool,
    ) -> HashMap<Identity, u64> {
        let Ok(registry) = Registry::read(world.paths) else { return HashMap::new() };
        let since = world.now().0.saturating_sub(DAY.as_millis() as u64);
        let mut counts = HashMap::new();
        for identity in of {
            if !go_on() {
                break;
            }
            let Ok(peer) = Peer::of_in(world.paths, &registry, identity) else { continue };
            let Some(transcripts) = transcripts::of(world.paths, &peer) else { continue };
            let account = self.accounts.entry(identity.clone()).or_default();
            account.read(&transcripts, EpochMs(since));
            let recent = account.answers().filter(|answer| answer.at.0 >= since);
            let sum: u64 =
                recent.map(|answer| answer.tokens.input + answer.tokens.written + answer.tokens.output).sum();
            if sum > 0 {
                counts.insert(identity.clone(), sum);
            }
        }
        counts
    }
}
