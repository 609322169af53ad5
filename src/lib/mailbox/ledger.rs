//! The tries of one peer's messages: hand one to its session, give it back to the queue, or bury it. Shared by the
//! drains of peers and of workers; whoever calls holds the identity's lock.

use crate::base::exit::Failure;
use crate::base::message_id::MessageId;
use crate::delivery::drain::Acted;
use crate::mailbox::notice;
use crate::message::envelope::{Envelope, Instruction};
use crate::runtime::manifest::Evidence;
use crate::session::bring_up::{self, Call, Up};
use crate::session::rule::Mode;
use crate::store::event_log::Event;
use crate::store::queue::{Item, Place, Queue, Seq};
use crate::store::session_record::SessionRecord;
use crate::world::peer::Peer;
use crate::world::{Delivery, Landing, World};

/// An item, and where it lies.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub place: Place,
    pub seq: Seq,
    pub item: Item,
}

/// Whose messages are tried, and what became of them.
pub(crate) struct Tries<'a> {
    pub world: &'a World<'a>,
    pub peer: &'a Peer,
    pub queue: &'a Queue,
    pub acted: &'a mut Vec<Acted>,
}

/// A message that was handed to a live session.
#[derive(Debug)]
pub(crate) struct Tried {
    /// In `inflight/`.
    pub held: Held,
    pub record: SessionRecord,
    /// How the session was woken for it, if it was.
    pub woke: Option<(Mode, &'static str)>,
    /// An earlier try may have typed it.
    pub again: bool,
    pub landing: Landing,
}

/// What became of handing a message over.
#[derive(Debug)]
pub(crate) enum HandedOver {
    Tried(Box<Tried>),
    /// There is no session for it; it waits at the head.
    Waits,
    /// It is a dead letter now, or somebody removed it by hand.
    Settled,
}

impl Tries<'_> {
    /// The first item that waits. Burials that were cut short are finished on the way.
    pub fn head(&mut self) -> Result<Option<Held>, Failure> {
        while let Some((seq, item)) = self.queue.head(Place::Waiting)? {
            let held = Held { place: Place::Waiting, seq, item };
            if !self.finish_burial(&held)? {
                return Ok(Some(held));
            }
        }
        Ok(None)
    }

    /// Hands the head to the peer's session, and wakes it for that where it sleeps.
    pub fn hand_over(&mut self, held: Held) -> Result<HandedOver, Failure> {
        let call = Call { topic: held.item.topic.as_ref(), ..Call::default() };
        let up = match bring_up::bring_up(self.world, self.peer, call) {
            Ok(up) => up,
            Err(not_up) if not_up.tried => {
                let buried = self.give_back(held, &not_up.failure.to_string())?;
                return Ok(if buried { HandedOver::Settled } else { HandedOver::Waits });
            }
            Err(not_up) => {
                self.put_off(held, None, "queued", &not_up.failure.to_string())?;
                return Ok(HandedOver::Waits);
            }
        };
        if !self.queue.shift(held.seq, Place::Waiting, Place::Inflight)? {
            return Ok(HandedOver::Settled);
        }
        let held = Held { place: Place::Inflight, ..held };
        let text = first_text(self.peer, &held.item, &up);
        let landing = self.deliver(&held.item, &text, &up.record, up.woke.is_some(), false);
        Ok(HandedOver::Tried(Box::new(Tried { held, record: up.record, woke: up.woke, again: false, landing })))
    }

    /// Types `text` into the session. `resumed`: it may stand in the composer already.
    pub fn deliver(&self, item: &Item, text: &str, record: &SessionRecord, boot: bool, resumed: bool) -> Landing {
        self.world.host.deliver(&Delivery {
            peer: self.peer,
            text,
            id: item.id,
            launch: record.launch.as_deref(),
            boot,
            urgent: item.urgent,
            accepted: item.accepted,
            resumed,
        })
    }

    /// Leaves an item where it lies, with the reason; no try is counted.
    pub fn put_off(
        &mut self,
        mut held: Held,
        woke: Option<(Mode, &'static str)>,
        word: &'static str,
        reason: &str,
    ) -> Result<(), Failure> {
        self.log(&held.item, &Outcome { woke, ..Outcome::not_landed(word, reason) });
        held.item.reason = Some(reason.to_owned());
        self.queue.update(held.place, held.seq, &held.item)?;
        self.note(&held, word, Some(reason.to_owned()));
        Ok(())
    }

    /// Puts an item whose try failed back to its place at the head, or to the dead letters when it had enough tries.
    /// Says whether it was buried.
    pub fn give_back(&mut self, held: Held, reason: &str) -> Result<bool, Failure> {
        self.give_back_within(held, reason, self.world.settings.queue_max_attempts)
    }

    /// The same, with a number of tries of its own.
    pub fn give_back_within(&mut self, mut held: Held, reason: &str, tries: u64) -> Result<bool, Failure> {
        held.item.attempts += 1;
        if u64::from(held.item.attempts) >= tries {
            self.bury(held, reason)?;
            return Ok(true);
        }
        let (seq, place) = (held.seq, held.place);
        self.put_off(held, None, "queued", reason)?;
        if place != Place::Waiting {
            self.queue.shift(seq, place, Place::Waiting)?;
        }
        Ok(false)
    }

    /// Makes an item a dead letter and tells its sender once: first the item names the notice, then that is sent,
    /// then the item goes. A burial that was cut short is finished by the next drain.
    pub fn bury(&mut self, mut held: Held, reason: &str) -> Result<(), Failure> {
        let again = held.item.notice.is_some();
        if !again {
            held.item.notice = Some(MessageId::generate(self.world.now()));
            held.item.reason = Some(reason.to_owned());
            self.queue.update(held.place, held.seq, &held.item)?;
        }
        notice::dead_letter(self.world, self.peer, &held.item, reason, again);
        self.queue.shift(held.seq, held.place, Place::Dead)?;
        self.log(&held.item, &Outcome::not_landed("dead", reason));
        self.note(&held, "dead", Some(reason.to_owned()));
        Ok(())
    }

    /// Finishes a burial that was cut short. Says whether there was one.
    pub fn finish_burial(&mut self, held: &Held) -> Result<bool, Failure> {
        if held.item.notice.is_none() {
            return Ok(false);
        }
        let reason = held.item.reason.clone().unwrap_or_default();
        self.bury(held.clone(), &reason)?;
        Ok(true)
    }

    /// Remembers what became of an item, for whoever asked for the drain.
    pub fn note(&mut self, held: &Held, outcome: &'static str, reason: Option<String>) {
        self.acted.push(Acted {
            identity: self.peer.identity.clone(),
            seq: held.seq,
            id: held.item.id.to_string(),
            outcome,
            attempts: held.item.attempts,
            reason,
        });
    }

    /// One line in `delivery.log`. The body is never in it.
    pub fn log(&self, item: &Item, outcome: &Outcome<'_>) {
        let evidence = outcome.via.map(|via| format!("{via:?}").to_lowercase());
        let event = Event::new("delivery")
            .field("id", item.id)
            .field("caller", &item.from)
            .field("to", self.peer.identity.personality())
            .field("rt", self.peer.identity.runtime())
            .field("outcome", outcome.word)
            .field("ok", outcome.ok)
            .maybe("via", evidence)
            .field("woke", outcome.woke.is_some())
            .maybe("mode", outcome.woke.map(|(mode, _)| mode))
            .maybe("cause", outcome.woke.map(|(_, cause)| cause))
            .maybe("forced", outcome.forced.then_some(true))
            .maybe("attempts", (item.attempts > 0).then_some(item.attempts))
            .maybe("redelivered", (item.redelivered > 0).then_some(item.redelivered))
            .field("ms", self.world.now().since(item.accepted).as_millis())
            .field("len", item.task.chars().count())
            .maybe("att", (!item.attachments.is_empty()).then_some(item.attachments.len()))
            .maybe("topic", item.topic.as_ref())
            .maybe("err", outcome.error);
        self.world.delivery(&event);
    }
}

/// The text of a delivery: the envelope, behind the seed where the session is fresh and the profile has one.
fn first_text(peer: &Peer, item: &Item, up: &Up) -> String {
    let text = envelope(peer, item);
    match (up.woke, peer.initial_prompt()) {
        // The seed may have been queued by itself: then it is not said twice.
        (Some((Mode::Fresh, _)), Some(seed)) if item.task != seed => {
            format!("{}\n\n{text}", notice::seed(peer, &seed, item.accepted))
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
        redelivered: (item.redelivered > 0).then_some(item.redelivered),
        attachments: item.attachments.clone(),
        body: item.task.clone(),
    };
    envelope.encode(if peer.manifest.mcp { Instruction::Mcp } else { Instruction::Send })
}

/// What the delivery log says of a try.
#[derive(Debug, Clone)]
pub(crate) struct Outcome<'a> {
    word: &'static str,
    ok: bool,
    woke: Option<(Mode, &'static str)>,
    via: Option<Evidence>,
    forced: bool,
    error: Option<&'a str>,
}

impl<'a> Outcome<'a> {
    /// It landed with this evidence.
    pub fn landed(woke: Option<(Mode, &'static str)>, via: Evidence, forced: bool) -> Self {
        Outcome { word: "delivered", ok: true, woke, via: Some(via), forced, error: None }
    }

    fn not_landed(word: &'static str, reason: &'a str) -> Self {
        Outcome { word, ok: false, woke: None, via: None, forced: false, error: Some(reason) }
    }
}
