//! Persons on Telegram without a bot, and bots through which no messages can be received.

use super::Finding;
use crate::attention::report::age;
use crate::base::exit::Exit;
use crate::people::bots;
use crate::world::World;
use crate::world::peer::Peer;

/// One finding for each such bot, and for each person without bots or whose bots can't be read.
pub(crate) fn telegram<'a>(world: &'a World<'a>) -> Vec<Finding<'a>> {
    let peers = Peer::all(world.paths).unwrap_or_default();
    let mut found = Vec::new();
    for peer in peers.iter().filter(|peer| peer.manifest.takes_messages_itself()) {
        let name = peer.identity.personality();
        match bots::bots(peer) {
            Err(failure) => found.push(
                Finding::error("telegram", failure.exit, &peer.identity, failure.message)
                    .todo(format!("`iapeer connect telegram {name}` writes it again")),
            ),
            Ok(bots) if bots.is_empty() => found.push(
                Finding::warn("telegram", &peer.identity, "no bot is connected: messages to it wait")
                    .todo(format!("`iapeer connect telegram {name} --token-file FILE` connects one")),
            ),
            Ok(bots) => found.extend(bots.iter().filter_map(|bot| {
                let trouble = bot.trouble()?;
                let what = format!("for {}: {}", age(world.now(), trouble.since), trouble.why);
                let about = format!("{} {}", peer.identity, bot.handle());
                let todo = "the bridge tries again by itself; where the token is refused, give `iapeer connect telegram` a new one";
                Some(Finding::error("telegram", Exit::Refused, about, what).todo(todo))
            })),
        }
    }
    found
}
