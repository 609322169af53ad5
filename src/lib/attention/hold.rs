//! Messages for a peer that waits for a person are held: nothing is typed, no try is counted, and the item has the
//! reason.

use crate::attention::look;
use crate::base::clock::EpochMs;
use crate::base::exit::Failure;
use crate::base::hold::Hold;
use crate::base::{AttentionState, Liveness};
use crate::session::activity::{Activity, Quiet};
use crate::store::attention::{self, Attention};
use crate::store::session_record::{Phase, SessionRecord};
use crate::world::World;
use crate::world::peer::Peer;

/// Why messages for `peer` are held; `None`: they may be delivered. The caller holds the identity's lock.
pub fn reason(world: &World<'_>, peer: &Peer) -> Result<Option<(Hold, String)>, Failure> {
    let Some(known) = attention::peek(world.paths, &peer.identity) else { return Ok(None) };
    // The file may be older than the peer's state.
    let now = match live(world, peer) {
        Some(record) if record.phase == Phase::Ready => look::refresh(world, peer, &record)?,
        Some(_) => return Ok(None),
        None => look::without_session(world, &peer.identity)?,
    };
    let Some(now) = now.filter(|now| now.state.holds_messages()) else { return Ok(None) };
    if may_try(world, peer, &now.clone().after(Some(&known)))? {
        return Ok(None);
    }
    let hold = match now.state {
        AttentionState::Login => Hold::Login,
        AttentionState::Dialog => Hold::Dialog,
        AttentionState::Strange => Hold::Screen,
        _ => Hold::Attention,
    };
    Ok(Some((hold, words(&now))))
}

/// Why a message is held, for its sender and for `iapeer-drain --list`. The reason quotes nothing of the screen, which
/// may show the text of messages.
pub fn words(now: &Attention) -> String {
    let tool = now.tool.as_ref().map(|tool| format!(" for {tool}")).unwrap_or_default();
    let until = now.until.map(|at| format!(" until {}", at.utc_seconds())).unwrap_or_default();
    let what = match now.state {
        AttentionState::Approval => "it waits for an approval",
        AttentionState::Question => "it waits for an answer to its question",
        AttentionState::Limited => "it has reached its limit",
        AttentionState::Login => "it is not logged in",
        AttentionState::Dialog => "a dialog of its own stands where the composer was",
        _ => "its screen is none that its manifest knows",
    };
    format!("held ({}): {what}{tool}{until}; `iapeer attention` shows it", now.state)
}

/// Whether it is time for a try to deliver although a limit or a missing login without a known end may not be over yet.
/// If so, the time of this try is noted.
fn may_try(world: &World<'_>, peer: &Peer, now: &Attention) -> Result<bool, Failure> {
    if !matches!(now.state, AttentionState::Limited | AttentionState::Login) || now.until.is_some() {
        return Ok(false);
    }
    let at = world.now();
    if at.since(now.tried.unwrap_or(now.since)) < world.settings.limit_look {
        return Ok(false);
    }
    let note = |before: Option<Attention>| before.map(|before| Attention { tried: Some(at), ..before });
    attention::change(world.paths, &peer.identity, world.program, world.clock, note)?;
    Ok(true)
}

/// What ended the last turn of a live worker that has not answered: an error, a limit, a lost login.
pub(crate) fn failed_turn(
    world: &World<'_>,
    peer: &Peer,
    record: &SessionRecord,
) -> Result<Option<Attention>, Failure> {
    let known = look::attend(world, peer, record)?;
    let known = known.filter(|known| known.state.ends_a_turn() && known.launch == record.launch);
    // A turn that began later is another turn.
    Ok(known.filter(|_| Activity::from_files(world, peer, record).quiet() != Quiet::Working))
}

/// Whether the session waits for a person, or will go on by itself: then it must not be put to sleep.
pub(crate) fn keeps_awake(world: &World<'_>, record: &SessionRecord, now: EpochMs) -> bool {
    attention::peek(world.paths, &record.identity).is_some_and(|known| {
        let goes_on = known.state == AttentionState::Limited && known.until.is_some_and(|until| now < until);
        known.launch == record.launch && (known.state.keeps_awake() || goes_on)
    })
}

fn live(world: &World<'_>, peer: &Peer) -> Option<SessionRecord> {
    let record = SessionRecord::peek(world.paths, &peer.identity)?;
    (world.host.liveness(&peer.identity, Some(&record)) == Liveness::Alive).then_some(record)
}
