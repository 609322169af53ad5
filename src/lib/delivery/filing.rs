//! Filing the messages for a person in that person's inbox: there is no session, no wake and no counting of tries. A
//! message that is filed counts as delivered.

use crate::base::evidence::{Evidence, Landed};
use crate::base::exit::Failure;
use crate::delivery::warm::WarmRound;
use crate::mailbox::ledger::{Entry, Ledger, TryOutcome};
use crate::people::Inbox;
use crate::people::asks::Asks;
use crate::people::notify;
use crate::store::queue::Place;

/// One round, under the lock. A message that can't be filed stays in the queue, and so does every one behind it: a full
/// disk counts no try.
pub(crate) fn round(ledger: &mut Ledger<'_>) -> Result<WarmRound, Failure> {
    if ledger.world.markers(&ledger.peer.identity).is_stopped() {
        return Ok(WarmRound::Stuck);
    }
    let inbox = Inbox::of(ledger.peer.cwd());
    let asks = Asks::of(ledger.world, ledger.peer.identity.personality());
    let landed = Landed { evidence: Evidence::Mailbox, forced: false, mode: None, cause: None };
    for place in [Place::Inflight, Place::Waiting] {
        for seq in ledger.queue.list(place)? {
            let Some(item) = ledger.queue.read(place, seq)? else { continue };
            let entry = Entry { place, seq, item };
            if ledger.finish_burial(&entry)? || ledger.drop_duplicate(&entry)? || ledger.finish_settling(&entry)? {
                continue;
            }
            // The asker takes this answer itself.
            if asks.answered_by(&entry.item).is_some() {
                continue;
            }
            if let Err(failure) = inbox.file(&entry.item) {
                ledger.put_off(entry, None, TryOutcome::Queued, &failure.to_string())?;
                return Ok(WarmRound::Stuck);
            }
            let item = entry.item.clone();
            ledger.settle(entry, landed)?;
            notify::message(ledger.world, &ledger.peer.identity, &item);
        }
    }
    // An answer that an asker awaits, or a message that was filed and could not be recorded: neither is a reason for
    // another round.
    Ok(if ledger.queue.has_waiting()? { WarmRound::Stuck } else { WarmRound::Emptied })
}
