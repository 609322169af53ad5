//! One message to several recipients: each is accepted by itself, all of them before the first is watched.

use crate::base::exit::Failure;
use crate::delivery::accept::{self, Accepted, Message, SendReport};
use crate::world::World;

/// Sends `message` to each of `recipients`, and gives to `tell` what became of each; its name is given where there are
/// several.
pub fn send(
    world: &World<'_>,
    message: &Message,
    recipients: &[String],
    mut tell: impl FnMut(Option<&str>, Result<SendReport, Failure>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let addressed = |to: &String| Message { to: to.clone(), ..message.clone() };
    let waits = |message: &Message| if message.no_pile { accept::waits_already(world, message) } else { Ok(None) };
    if let [to] = recipients {
        let message = addressed(to);
        let sent = waits(&message).and_then(|earlier| earlier.map_or_else(|| accept::send(world, message), Ok));
        return tell(None, sent);
    }
    let mut accepted = Vec::new();
    for to in recipients {
        let message = addressed(to);
        if let Ok(Some(earlier)) = waits(&message) {
            tell(Some(to), Ok(earlier))?;
            continue;
        }
        match accept::accept(world, message) {
            Ok(one) => {
                let not_started = one.deliver(world);
                accepted.push((to, one, not_started));
            }
            Err(failure) => tell(Some(to), Err(failure))?,
        }
    }
    let report = |(to, one, not_started): (&String, Accepted, _)| {
        tell(Some(to.as_str()), Ok(one.report(world, message.wait, not_started)))
    };
    accepted.into_iter().try_for_each(report)
}
