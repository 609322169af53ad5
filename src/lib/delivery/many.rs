//! One message to several recipients: it is accepted for each recipient separately, and for all of them before the
//! first one is watched.

use crate::base::exit::Failure;
use crate::delivery::accept::{self, Acceptance, Accepted, Message, SendReport};
use crate::world::World;

/// Sends `message` to each of `recipients` and calls `tell` with the outcome for each. The recipient's name is given
/// where there are several.
pub fn send(
    world: &World<'_>,
    message: &Message,
    recipients: &[String],
    mut tell: impl FnMut(Option<&str>, Result<SendReport, Failure>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let addressed = |to: &String| Message { to: to.clone(), ..message.clone() };
    if let [to] = recipients {
        return tell(None, accept::send(world, addressed(to)));
    }
    let mut accepted = Vec::new();
    for to in recipients {
        match accept::accept(world, addressed(to)) {
            Ok(Acceptance::Accepted(mut one)) => {
                let not_started = one.deliver(world);
                accepted.push((to, one, not_started));
            }
            Ok(Acceptance::NotKept(report)) => tell(Some(to), Ok(report))?,
            Err(failure) => tell(Some(to), Err(failure))?,
        }
    }
    let report = |(to, one, not_started): (&String, Box<Accepted<'_>>, _)| {
        tell(Some(to.as_str()), Ok(one.report(world, message.wait, not_started)))
    };
    accepted.into_iter().try_for_each(report)
}
