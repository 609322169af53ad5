//! The seed: the text that a fresh session gets first, where the profile has an `initial_prompt`.

use crate::base::clock::EpochMs;
use crate::base::exit::Failure;
use crate::base::identity::{Intelligence, Topic};
use crate::base::wake::{Mode, Woken};
use crate::message::envelope::{Envelope, Instruction};
use crate::store::queue::{Item, nobody};
use crate::world::World;
use crate::world::peer::Peer;

/// The seed as an envelope: no other text may be the first that is typed into a composer (D33).
pub(crate) fn envelope(peer: &Peer, text: &str, at: EpochMs) -> String {
    let envelope = Envelope {
        from: nobody().into(),
        intelligence: Intelligence::Absent,
        ts: at.local(),
        topic: Topic::parse("initial-prompt").ok().flatten(),
        id: None,
        re: None,
        redelivered: None,
        attachments: Vec::new(),
        body: text.to_owned(),
    };
    envelope.encode(if peer.manifest.mcp { Instruction::Mcp } else { Instruction::Send })
}

/// Queues the seed for a session that was woken fresh without a message, where the profile has one. The message that
/// wakes a session brings the seed along instead.
pub(crate) fn queue(world: &World<'_>, peer: &Peer, woke: Option<Woken>) -> Result<(), Failure> {
    let Some(text) = peer.initial_prompt() else { return Ok(()) };
    if woke.is_none_or(|woken| woken.mode != Mode::Fresh) || world.queue(&peer.identity).has_waiting()? {
        return Ok(());
    }
    let item = Item::new(nobody(), Intelligence::Absent, text, world.now());
    world.queue(&peer.identity).accept(&item, world.clock)?;
    Ok(())
}
