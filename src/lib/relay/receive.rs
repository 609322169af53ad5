//! The receiving end of a push: takes the messages that come on standard input, then gives the messages that wait here
//! for the host that connected.

use crate::base::HostName;
use crate::base::exit::{Exit, Failure};
use crate::relay::error::RelayError;
use crate::relay::give::Giver;
use crate::relay::here;
use crate::relay::take::Taker;
use crate::relay::talk::{self, Talk};
use crate::relay::wire::{PROTOCOL, WireLine};
use crate::store::hosts::{self, HostFile};
use crate::store::lock::FileLock;
use crate::store::outbox::Outbox;
use crate::world::World;
use std::io::{Read, Write};
use std::time::Duration;

/// How long the caller may be silent. Where its machine or the link is gone, nothing ends the input, and the caller's next
/// connection has to wait for the lock of this one.
const SILENCE: Duration = Duration::from_secs(30);

/// Serves the host `caller`, which is at the other end of `input` and `output`, until the connection ends.
pub fn receive(
    world: &World<'_>,
    caller: &HostName,
    input: impl Read + Send + 'static,
    output: impl Write,
) -> Result<Exit, Failure> {
    let mut talk = Talk::new(input, output, SILENCE);
    let served = serve(world, caller, &mut talk);
    if let Err(RelayError::Here(Failure { message, .. }) | RelayError::Refused(message)) = &served {
        // The caller reports the error on its own host.
        let _ = talk.say(&WireLine::Bye(message.clone())).and_then(|()| talk.flush());
    }
    served.map(|()| Exit::Ok).map_err(Failure::from)
}

fn serve<W: Write>(world: &World<'_>, caller: &HostName, talk: &mut Talk<W>) -> Result<(), RelayError> {
    let own = hosts::own_name(world.paths)?;
    let Some(file) = HostFile::read(world.paths, caller)? else {
        let why = format!("{own} does not know the host {caller}: `iapeer host add {caller}` there makes it known");
        return Err(RelayError::Refused(why));
    };
    talk.say(&WireLine::Hello(talk::own_hello(world, &file)?))?;
    let hello = talk.greeted()?;
    hello.common(PROTOCOL).map_err(RelayError::Refused)?;
    if hello.host != *caller {
        let why =
            format!("this way into {own} is for {caller}, and {} came: `hostname` in its root says so", hello.host);
        return Err(RelayError::Refused(why));
    }
    let busy = |failure: Failure| RelayError::Refused(format!("{own}: {failure}"));
    let mut taker = Taker::of(world, caller).map_err(busy)?;
    exchange(world, &world.outbox(caller), talk, &mut taker)
}

fn exchange<W: Write>(
    world: &World<'_>,
    outbox: &Outbox,
    talk: &mut Talk<W>,
    taker: &mut Taker<'_>,
) -> Result<(), RelayError> {
    loop {
        let line = match talk.heard()? {
            Some(line) => line,
            None => {
                talk.flush()?;
                taker.start_drains();
                match talk.hear()? {
                    Some(line) => line,
                    None => return Ok(()),
                }
            }
        };
        match line {
            WireLine::Part(part) => taker.part(&part),
            WireLine::Message(parcel) => talk.say(&WireLine::Ack(taker.message(*parcel)))?,
            WireLine::AskPeers => talk.say(&WireLine::Peers(here::peers(world)?))?,
            WireLine::Done => {
                taker.start_drains();
                // Another program that has the lock is handing over to that host already.
                if let Ok(_lock) = FileLock::acquire(&outbox.lock(), world.program, Duration::ZERO, world.clock) {
                    Giver::new(world, outbox, talk).give()?;
                    outbox.note_back();
                }
                talk.say(&WireLine::Done)?;
            }
            WireLine::Hello(_) | WireLine::Ack(_) | WireLine::Peers(_) | WireLine::Bye(_) => {
                return Err(RelayError::Refused("that was not expected now".into()));
            }
        }
    }
}
