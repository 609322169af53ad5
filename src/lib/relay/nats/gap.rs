//! A message that comes without the one before it, or without its files: the server keeps these back, or has lost them. To
//! keep the order, the message and all that follow it are dropped, and their host is asked to publish again what has no
//! receipt yet.

use crate::base::HostName;
use crate::base::exit::Failure;
use crate::base::message_id::MessageId;
use crate::mailbox::{again, receipt};
use crate::world::World;
use std::collections::BTreeMap;

/// For one message a host is asked this often. After that the later messages are accepted without it: they can't wait for
/// a message that never comes.
const REQUESTS: u32 = 3;

/// The gaps in what came from each host.
pub(crate) type Gaps = BTreeMap<HostName, Gap>;

/// The last gap in what came from one host.
#[derive(Debug, Default)]
pub(crate) struct Gap {
    missing: Option<MessageId>,
    /// The series in which the host was asked last.
    series: Option<MessageId>,
    requests: u32,
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
        match self.verdict(series, missing) {
            Verdict::Drop => Ok(true),
            // The history may have lost what was settled here.
            Verdict::Ask if receipt::waits(world, from, missing)? => Ok(false),
            Verdict::Ask => {
                again::ask(world, from)?;
                tracing::warn!("{from}: {missing} has not come, and later ones have: {from} is asked for all of them");
                self.asked(series, missing);
                Ok(true)
            }
            Verdict::GiveUp => {
                tracing::warn!("{from}: {missing} did not come, though {from} was asked for it {REQUESTS} times");
                Ok(false)
            }
        }
    }

    fn verdict(&self, series: MessageId, missing: MessageId) -> Verdict {
        if self.series == Some(series) {
            Verdict::Drop
        } else if self.requests >= REQUESTS && self.missing == Some(missing) {
            Verdict::GiveUp
        } else {
            Verdict::Ask
        }
    }

    fn asked(&mut self, series: MessageId, missing: MessageId) {
        self.requests = if self.missing == Some(missing) { self.requests + 1 } else { 1 };
        self.missing = Some(missing);
        self.series = Some(series);
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
        for (message, series, verdict) in [
            (1, 100, Verdict::Ask),
            // What follows the dropped message was published in the same series.
            (2, 100, Verdict::Drop),
            (1, 100, Verdict::Drop),
            (1, 101, Verdict::Ask),
            // Another one is missing: this one has arrived.
            (2, 102, Verdict::Ask),
            (2, 103, Verdict::Ask),
            (2, 104, Verdict::Ask),
            (3, 104, Verdict::Drop),
            (2, 105, Verdict::GiveUp),
            (3, 105, Verdict::Ask),
        ] {
            let (missing, of) = (id(message), id(series));
            assert_eq!(gap.verdict(of, missing), verdict, "{message} in {series}");
            if verdict == Verdict::Ask {
                gap.asked(of, missing);
            }
        }
    }
}
