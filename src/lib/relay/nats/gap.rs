//! A message that comes without the one before it, or without its files: the server keeps these back, or has lost them. To
//! keep the order, the message and all that follow it are dropped, and their host is asked to publish again what has no
//! receipt yet.

use crate::base::HostName;
use crate::base::exit::Failure;
use crate::base::message_id::MessageId;
use crate::mailbox::{again, receipt};
use crate::world::World;
use std::collections::BTreeMap;
use std::time::Duration;

/// For one message a host is asked this often. After that the later messages are accepted without it, or the message is
/// refused without its files: nothing waits for what never comes.
const REQUESTS: u32 = 3;
/// A request that nothing came of is repeated after this time: the request itself may be lost.
const REPEATED: Duration = Duration::from_secs(60);

/// The gaps in what came from each host.
pub(crate) type Gaps = BTreeMap<HostName, Gap>;

/// The gap in what came from one host.
#[derive(Debug, Default)]
pub(crate) struct Gap(Option<Request>);

/// The last request to publish again.
#[derive(Debug)]
struct Request {
    missing: MessageId,
    /// The series that the host published in then.
    series: MessageId,
    /// When, by the monotonic clock.
    at: Duration,
    /// How often the host was asked for this message.
    times: u32,
}

/// What is done with a message that comes without another one, or without its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It is dropped, and its host is asked to publish again.
    Ask,
    /// It is dropped: its host was asked in this series, and publishes all of it again in the next one.
    Drop,
    /// The host was asked often enough.
    GiveUp,
}

impl Gap {
    /// Whether a message from `from` is to be dropped that comes in `series` and without `missing`, another message or the
    /// files of this one. Its host was asked to publish again what has no receipt yet.
    pub(crate) fn drops(
        &mut self,
        world: &World<'_>,
        from: &HostName,
        series: MessageId,
        missing: MessageId,
    ) -> Result<bool, Failure> {
        let now = world.clock.monotonic();
        match self.verdict(series, missing, now) {
            Verdict::Drop => Ok(true),
            // The history may have lost what was settled here.
            Verdict::Ask if receipt::waits(world, from, missing)? => Ok(false),
            Verdict::Ask => {
                again::ask(world, from)?;
                tracing::warn!("{from}: {missing} has not come: {from} is asked to publish again what has no receipt");
                self.asked(series, missing, now);
                Ok(true)
            }
            Verdict::GiveUp => {
                tracing::warn!("{from}: {missing} did not come, though {from} was asked for it {REQUESTS} times");
                self.0 = None;
                Ok(false)
            }
        }
    }

    /// Notes that `message` has come.
    pub(crate) fn came(&mut self, message: MessageId) {
        self.0.take_if(|last| last.missing == message);
    }

    fn verdict(&self, series: MessageId, missing: MessageId, now: Duration) -> Verdict {
        match &self.0 {
            Some(last) if last.series == series && now.saturating_sub(last.at) < REPEATED => Verdict::Drop,
            // A request that is repeated in one series is no further one.
            Some(last) if last.series != series && last.missing == missing && last.times >= REQUESTS => Verdict::GiveUp,
            _ => Verdict::Ask,
        }
    }

    fn asked(&mut self, series: MessageId, missing: MessageId, at: Duration) {
        let times = match &self.0 {
            Some(last) if last.series == series => last.times,
            Some(last) if last.missing == missing => last.times + 1,
            _ => 1,
        };
        self.0 = Some(Request { missing, series, at, times });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::EpochMs;

    #[test]
    fn a_host_is_asked_once_in_a_series_and_three_times_for_one_message() {
        let id = |n: u64| MessageId::of(EpochMs(n), &n);
        let mut gap = Gap::default();
        for (message, series, at, verdict) in [
            (1, 100, 0, Verdict::Ask),
            // What follows the dropped message was published in the same series.
            (2, 100, 1, Verdict::Drop),
            (1, 100, 59, Verdict::Drop),
            (1, 100, 60, Verdict::Ask),
            (2, 100, 119, Verdict::Drop),
            (1, 101, 120, Verdict::Ask),
            // Another one is missing: this one has arrived.
            (2, 102, 120, Verdict::Ask),
            (2, 103, 120, Verdict::Ask),
            (2, 104, 120, Verdict::Ask),
            (3, 104, 120, Verdict::Drop),
            (2, 105, 120, Verdict::GiveUp),
            (3, 105, 120, Verdict::Ask),
        ] {
            let (missing, of, now) = (id(message), id(series), Duration::from_secs(at));
            assert_eq!(gap.verdict(of, missing, now), verdict, "{message} in {series} at {at}");
            if verdict == Verdict::Ask {
                gap.asked(of, missing, now);
            }
        }
        gap.came(id(2));
        assert_eq!(gap.verdict(id(105), id(4), Duration::from_secs(120)), Verdict::Drop);
        gap.came(id(3));
        assert_eq!(gap.verdict(id(105), id(4), Duration::from_secs(120)), Verdict::Ask);
    }
}
