//! Giving another host the messages that wait for it, in the order of acceptance. Up to [`WINDOW`] messages are sent
//! ahead of their acknowledgements; a message stops waiting when its acknowledgement has come.

use crate::base::exit::Failure;
use crate::mailbox::afar::{self, Outgoing};
use crate::mailbox::again;
use crate::relay::error::RelayError;
use crate::relay::files;
use crate::relay::talk::Talk;
use crate::relay::wire::{Ack, AckOutcome, Parcel, WINDOW, WireLine};
use crate::store::outbox::Outbox;
use crate::store::queue::{Item, Place, Seq};
use crate::world::World;
use std::collections::VecDeque;
use std::io::Write;

/// The messages that were sent over one connection and are not acknowledged yet.
pub(crate) struct Giver<'a, W: Write> {
    pub(crate) world: &'a World<'a>,
    pub(crate) outbox: &'a Outbox,
    pub(crate) talk: &'a mut Talk<W>,
    on_the_way: VecDeque<(Seq, Item)>,
    /// The number of items that the other host has accepted.
    pub(crate) given: usize,
}

impl<'a, W: Write> Giver<'a, W> {
    pub(crate) fn new(world: &'a World<'a>, outbox: &'a Outbox, talk: &'a mut Talk<W>) -> Giver<'a, W> {
        Giver { world, outbox, talk, on_the_way: VecDeque::new(), given: 0 }
    }

    /// Sends the items that wait, and those that are accepted meanwhile. The caller has the outbox's lock.
    pub(crate) fn give(&mut self) -> Result<(), RelayError> {
        self.take_back()?;
        loop {
            let waiting = self.outbox.queue.list(Place::Waiting).map_err(|error| RelayError::Here(error.into()))?;
            if waiting.is_empty() {
                return Ok(());
            }
            for seq in waiting {
                self.send(seq)?;
                while self.on_the_way.len() >= WINDOW {
                    self.settle_next()?;
                }
                while let Some(line) = self.talk.heard()? {
                    self.settle(line)?;
                }
            }
            while !self.on_the_way.is_empty() {
                self.settle_next()?;
            }
        }
    }

    /// Has what was handed over wait again, where it is to be sent again: what another way has taken may be lost.
    fn take_back(&self) -> Result<(), Failure> {
        let Some(request) = again::wanted(self.world, self.outbox)? else { return Ok(()) };
        afar::take_back(self.world, self.outbox)?;
        again::done(self.world, self.outbox, request)
    }

    fn send(&mut self, seq: Seq) -> Result<(), RelayError> {
        let here = |failure: Failure| RelayError::Here(failure);
        let queue = &self.outbox.queue;
        let Some(item) = queue.read(Place::Waiting, seq).map_err(|error| here(error.into()))? else { return Ok(()) };
        // An interrupted move to dead/ is completed.
        if let Some(reason) = item.reason.clone().filter(|_| item.notice.is_some()) {
            return self.come_back(seq, item, &reason);
        }
        let talk = &mut *self.talk;
        match files::read(&item, |part| talk.say(&WireLine::Part(part)))? {
            Ok(heads) => {
                let parcel = Parcel { files: heads, ..parcel(seq, &item) };
                self.talk.say(&WireLine::Message(Box::new(parcel)))?;
                self.on_the_way.push_back((seq, item));
                Ok(())
            }
            Err(why) => self.come_back(seq, item, &why),
        }
    }

    fn come_back(&self, seq: Seq, item: Item, reason: &str) -> Result<(), RelayError> {
        Ok(afar::bury(self.world, self.outbox, Outgoing { place: Place::Waiting, seq, item }, reason)?)
    }

    fn settle_next(&mut self) -> Result<(), RelayError> {
        let line = self.talk.expect()?;
        self.settle(line)
    }

    fn settle(&mut self, line: WireLine) -> Result<(), RelayError> {
        let WireLine::Ack(ack) = line else {
            return Err(RelayError::Refused("it does not acknowledge what it is given".into()));
        };
        match self.on_the_way.pop_front() {
            Some((seq, item)) if item.id == ack.id => {
                self.given += usize::from(conclude(self.world, self.outbox, seq, item, ack)?)
            }
            _ => return Err(RelayError::Refused(format!("it acknowledges {}, out of turn", ack.id))),
        }
        Ok(())
    }
}

/// Carries out what `ack` says about the item numbered `seq`. Returns whether the other host has the item.
pub(crate) fn conclude(world: &World<'_>, outbox: &Outbox, seq: Seq, item: Item, ack: Ack) -> Result<bool, RelayError> {
    match ack.outcome {
        AckOutcome::Accepted | AckOutcome::Known => {
            afar::handed_over(world, outbox, seq, &item)?;
            Ok(true)
        }
        AckOutcome::Refused => {
            let reason = format!("{}: {}", outbox.host, ack.reason.unwrap_or_default());
            afar::bury(world, outbox, Outgoing { place: Place::Waiting, seq, item }, &reason)?;
            Ok(false)
        }
        AckOutcome::Later => {
            Err(RelayError::Away(format!("{} can't take it now: {}", outbox.host, ack.reason.unwrap_or_default())))
        }
    }
}

/// The recipient of `item` on the other host; empty for an errand.
pub(crate) fn recipient(item: &Item) -> String {
    item.to.as_ref().map(|to| to.name().to_owned()).unwrap_or_default()
}

/// `item` in the form of the protocol, without its files.
pub(crate) fn parcel(seq: Seq, item: &Item) -> Parcel {
    Parcel {
        id: item.id,
        seq,
        to: recipient(item),
        from: item.from.identity().clone(),
        from_intelligence: item.from_intelligence,
        sent: item.accepted,
        topic: item.topic.clone(),
        re: item.re,
        urgent: item.urgent,
        files: Vec::new(),
        errand: item.errand.clone(),
        series: None,
        after: None,
        body: item.task.clone(),
    }
}
