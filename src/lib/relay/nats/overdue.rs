//! Messages for which no receipt has come for long: whatever took them may have lost them, or their receipts, without anybody
//! noticing. They are published again; the host accepts each of them once, and repeats the receipts of the settled ones.

use crate::base::HostName;
use crate::base::exit::Failure;
use crate::mailbox::again;
use crate::relay::nats::streams;
use crate::store::hosts;
use crate::store::outbox::Outbox;
use crate::world::World;
use async_nats::jetstream::stream::Stream;
use futures_util::TryStreamExt;
use std::collections::BTreeMap;
use std::time::Duration;

/// Where the stream has more messages for a host than this, the host is away, and will take what was published.
const AWAY: usize = 64;

/// The longest time between two publications of the same messages, unless the setting is longer.
const LONGEST: Duration = Duration::from_secs(12 * 3600);

/// When the messages to each host are looked at next.
pub(crate) struct Overdue {
    /// Without regard to the host: when this program began, by the monotonic clock, and after how long it looks first.
    first: Look,
    hosts: BTreeMap<HostName, Look>,
    /// When the next of these looks is due.
    next: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Look {
    at: Duration,
    pause: Duration,
}

impl Overdue {
    /// Nothing is looked at before [`resend`](crate::base::settings::Settings::resend) is over: a program that is restarted
    /// again and again publishes nothing again.
    pub(crate) fn new(world: &World<'_>) -> Overdue {
        let pause = world.settings.resend;
        let first = Look { at: world.clock.monotonic() + pause, pause };
        Overdue { first, hosts: BTreeMap::new(), next: first.at }
    }

    /// Has the overdue messages published again.
    pub(crate) async fn look(&mut self, world: &World<'_>, own: &HostName, stream: &Stream) -> Result<(), Failure> {
        let now = world.clock.monotonic();
        if now < self.next {
            return Ok(());
        }
        self.next = now + world.settings.resend;
        for host in hosts::on_nats(world.paths)? {
            let look = self.hosts.entry(host.clone()).or_insert(self.first);
            if now < look.at {
                self.next = self.next.min(look.at);
                continue;
            }
            let (shortest, outbox) = (world.settings.resend, world.outbox(&host));
            let pause = match is_overdue(world, &outbox) {
                Ok(false) => shortest,
                Ok(true) if is_away(own, &host, stream).await => look.pause,
                Ok(true) => {
                    if let Err(failure) = again::want(world, &outbox) {
                        tracing::warn!("@{host}: {failure}");
                    }
                    look.pause.saturating_mul(2).min(LONGEST.max(shortest))
                }
                Err(failure) => {
                    tracing::warn!("@{host}: {failure}");
                    look.pause
                }
            };
            *look = Look { at: now + pause, pause };
        }
        Ok(())
    }
}

fn is_overdue(world: &World<'_>, outbox: &Outbox) -> Result<bool, Failure> {
    Ok(outbox.oldest_in_flight()?.is_some_and(|item| world.now().since(item.accepted) >= world.settings.resend))
}

/// Whether the stream has many messages from `own` to `host`, or does not say.
async fn is_away(own: &HostName, host: &HostName, stream: &Stream) -> bool {
    let Ok(subjects) = stream.info_with_subjects(streams::subject(own, host)).await else { return true };
    let counts: Result<Vec<(String, usize)>, _> = subjects.try_collect().await;
    counts.map_or(true, |counts| counts.iter().map(|(_, count)| count).sum::<usize>() > AWAY)
}
