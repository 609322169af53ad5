//! Filing what comes for a person: no session, no wake, no tries. What is filed has landed.

use crate::base::evidence::{Evidence, Landed};
use crate::base::exit::Failure;
use crate::delivery::warm::WarmRound;
use crate::mailbox::ledger::{Entry, Ledger, TryOutcome};
use crate::people::Inbox;
use crate::people::asks::Asks;
use crate::people::notify;
use crate::store::queue::Place;

/// One round, under the lock. What can't be filed stays, and with it what waits behind it: a full disk costs no try.
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
            // Whoever asked takes it.
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
    // Awaited by whoever asked, or filed and not to be recorded: this drain must not go round for it.
    Ok(if ledger.queue.has_waiting()? { WarmRound::Stuck } else { WarmRound::Emptied })
}
