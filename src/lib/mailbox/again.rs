//! Requests to send messages again: what lies between two hosts may lose a message that it has taken, or give it late. The
//! host that finds this out asks the other one for everything that has no receipt yet.

use crate::base::address::HostName;
use crate::base::exit::Failure;
use crate::base::identity::Intelligence;
use crate::base::message_id::MessageId;
use crate::mailbox::receipt;
use crate::store::durable;
use crate::store::outbox::Outbox;
use crate::store::queue::{Errand, Item, nobody};
use crate::world::World;

/// Asks `host` to send again what has no receipt yet. The request follows the receipts that wait for that host, so that
/// what they settle is not sent again.
pub(crate) fn ask(world: &World<'_>, host: &HostName) -> Result<(), Failure> {
    let text = "send again what has no receipt yet".to_owned();
    let item = Item { errand: Some(Errand::Again), ..Item::new(nobody(), Intelligence::Absent, text, world.now()) };
    receipt::send(world, host, &item)
}

/// Notes that what was handed over to the host of `outbox` and has no receipt yet is to be sent again. Returns the id of
/// this request.
pub(crate) fn want(world: &World<'_>, outbox: &Outbox) -> Result<MessageId, Failure> {
    let request = MessageId::generate(world.now());
    durable::write_atomic(&outbox.again(), request.to_string().as_bytes())?;
    Ok(request)
}

/// The newest request to send again that is not done. A file that can't be understood is a request.
pub(crate) fn wanted(world: &World<'_>, outbox: &Outbox) -> Result<Option<MessageId>, Failure> {
    let Some(text) = durable::read_optional(&outbox.again())? else { return Ok(None) };
    let request = std::str::from_utf8(&text).ok().and_then(|text| text.trim().parse().ok());
    request.map_or_else(|| want(world, outbox), Ok).map(Some)
}

/// Notes that everything is sent again for `request`, if there is no newer one.
pub(crate) fn done(world: &World<'_>, outbox: &Outbox, request: MessageId) -> Result<(), Failure> {
    if wanted(world, outbox)? == Some(request) {
        durable::remove(&outbox.again())?;
    }
    Ok(())
}
