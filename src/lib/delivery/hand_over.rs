//! Handing a message to its peer's session: wakes the peer where it is asleep, then has the host hand the message over.

use crate::base::exit::Failure;
use crate::base::hold::Hold;
use crate::base::wake::{Mode, Woken};
use crate::mailbox::ledger::{Entry, GivenBack, Ledger, TryOutcome};
use crate::message::envelope::{Envelope, Instruction};
use crate::session::bring_up::{self, Call, Up};
use crate::session::seed;
use crate::store::queue::{Item, Place};
use crate::store::session_record::SessionRecord;
use crate::world::peer::Peer;
use crate::world::{Delivery, Landing};

/// A message that was handed to a live session.
#[derive(Debug)]
pub(crate) struct Tried {
    /// The item, which is in `inflight/`.
    pub(crate) entry: Entry,
    pub(crate) record: SessionRecord,
    /// How the session was woken for the message; `None`: the session was alive.
    pub(crate) woke: Option<Woken>,
    pub(crate) landing: Landing,
}

/// The result of [`hand_over`].
#[derive(Debug)]
pub(crate) enum HandedOver {
    Tried(Box<Tried>),
    /// No session could be brought up; the message waits at the head of the queue.
    Waits,
    /// The message left the queue: it is a dead letter now, or somebody removed its file.
    Settled,
}

/// Whether an interrupted delivery may have left the text of the message in the composer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ComposerState {
    /// Nothing of the message was typed.
    Untouched,
    /// The message may have been typed.
    MayHoldIt,
}

/// Separates the crash-loop guard's reason from the reason for which the tries before it failed.
const BELOW: &str = "; before that: ";

/// Hands `entry`, the head of the queue, to the peer's session. Wakes the peer where it is asleep.
pub(crate) fn hand_over(ledger: &mut Ledger<'_>, entry: Entry) -> Result<HandedOver, Failure> {
    let call = Call { topic: entry.item.topic.as_ref(), ..Call::default() };
    let up = match bring_up::bring_up(ledger.world, ledger.peer, call) {
        Ok(up) => up,
        Err(not_up) => {
            let why = not_up.failure.to_string();
            let reason = match (not_up.hold, &entry.item.reason) {
                // The guard's reason does not say why the sessions died: keep the reason of the last try too.
                (Some(Hold::CrashLoop), Some(below)) => {
                    let below = below.rsplit_once(BELOW).map_or(below.as_str(), |(_, below)| below);
                    format!("{why}{BELOW}{below}")
                }
                _ => why,
            };
            let given_back = match not_up.hold {
                Some(hold) => ledger.hold(entry, None, TryOutcome::Queued, hold, &reason)?,
                None if not_up.tried => ledger.give_back(entry, &reason)?,
                None => {
                    ledger.put_off(entry, None, TryOutcome::Queued, &reason)?;
                    GivenBack::Waits
                }
            };
            return Ok(match given_back {
                GivenBack::Buried => HandedOver::Settled,
                GivenBack::Waits => HandedOver::Waits,
            });
        }
    };
    if !ledger.queue.shift(entry.seq, Place::Waiting, Place::Inflight)? {
        return Ok(HandedOver::Settled);
    }
    let entry = Entry { place: Place::Inflight, ..entry };
    let text = first_text(ledger.peer, &entry.item, &up);
    let landing = deliver(ledger, &entry.item, &text, &up, ComposerState::Untouched);
    Ok(HandedOver::Tried(Box::new(Tried { entry, record: up.record, woke: up.woke, landing })))
}

/// Has the host hand `text` to the session, in the best way that the session has, and waits for evidence.
pub(crate) fn deliver(ledger: &Ledger<'_>, item: &Item, text: &str, up: &Up, composer: ComposerState) -> Landing {
    ledger.world.host.deliver(&Delivery {
        peer: ledger.peer,
        text,
        id: item.id,
        launch: up.record.launch.as_deref(),
        boot: up.woke.is_some(),
        urgent: item.urgent,
        accepted: item.accepted,
        resumed: composer == ComposerState::MayHoldIt,
    })
}

/// The text to hand over: the envelope, after the seed where the session is fresh and the profile has a seed.
fn first_text(peer: &Peer, item: &Item, up: &Up) -> String {
    let text = envelope(peer, item);
    match (up.woke, peer.initial_prompt()) {
        // The item may be the seed itself: the session must not get the seed twice.
        (Some(Woken { mode: Mode::Fresh, .. }), Some(seed)) if item.task != seed => {
            format!("{}\n\n{text}", seed::envelope(peer, &seed, item.accepted))
        }
        _ => text,
    }
}

/// The envelope of an item.
pub(crate) fn envelope(peer: &Peer, item: &Item) -> String {
    let envelope = Envelope {
        from: item.from.clone(),
        intelligence: item.from_intelligence,
        ts: item.accepted.local(),
        topic: item.topic.clone(),
        id: Some(item.id),
        re: item.re,
        redelivered: (item.redelivered > 0).then_some(item.redelivered),
        attachments: item.attachments.clone(),
        body: item.task.clone(),
    };
    envelope.encode(if peer.manifest.mcp { Instruction::Mcp } else { Instruction::Send })
}
