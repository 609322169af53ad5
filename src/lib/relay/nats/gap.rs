//! A message that comes without the one before it: the server keeps that one back, or has lost it. To keep the order, the
//! message and all that follow it are dropped, and their host is asked to publish again what has no receipt yet.

use crate::base::HostName;
use crate::base::exit::Failure;
use crate::mailbox::{again, receipt};
use crate::relay::wire::Predecessor;
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
    last: Option<Predecessor>,
    requests: u32,
}

/// What is done with a message that comes without its predecessor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It is dropped, and its host is asked to publish again.
    Ask,
    /// It is dropped: its host was asked in this series, and publishes all of it again in the next one.
    Drop,
    /// It is accepted.
    Accept,
}

impl Gap {
    /// Whether a message from `from` that comes without `missing` is to be dropped. Its host was asked to publish again
    /// what has no receipt yet.
    pub(crate) fn drops(&mut self, world: &World<'_>, from: &HostName, missing: &Predecessor) -> Result<bool, Failure> {
        match self.verdict(missing) {
            Verdict::Drop => Ok(true),
            // The history may have lost what was settled here.
            Verdict::Ask if receipt::waits(world, from, missing.id)? => Ok(false),
            Verdict::Ask => {
                again::ask(world, from)?;
                tracing::warn!(
                    "{from}: {} has not come, and later ones have: {from} is asked for all of them",
                    missing.id
                );
                self.asked(missing.clone());
                Ok(true)
            }
            Verdict::Accept => {
                tracing::warn!(
                    "{from}: {} did not come, {REQUESTS} times: later ones are accepted without it",
                    missing.id
                );
                Ok(false)
            }
        }
    }

    /// What is done with a message that comes without `missing`.
    fn verdict(&self, missing: &Predecessor) -> Verdict {
        match &self.last {
            Some(last) if last.series == missing.series => Verdict::Drop,
            Some(last) if last.id == missing.id && self.requests >= REQUESTS => Verdict::Accept,
            _ => Verdict::Ask,
        }
    }

    /// Notes that the host was asked because of `missing`.
    fn asked(&mut self, missing: Predecessor) {
        let again = self.last.as_ref().is_some_and(|last| last.id == missing.id);
        self.requests = if again { self.requests + 1 } else { 1 };
        self.last = Some(missing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::EpochMs;
    use crate::base::message_id::MessageId;

    #[test]
    fn a_host_is_asked_once_in_a_series_and_three_times_for_one_message() {
        let id = |n: u64| MessageId::of(EpochMs(n), &n);
        let missing = |message, series| Predecessor { id: id(message), to: "bob".into(), series: id(series) };
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
            (2, 105, Verdict::Accept),
            (3, 105, Verdict::Ask),
        ] {
            let missing = missing(message, series);
            assert_eq!(gap.verdict(&missing), verdict, "{message} in {series}");
            if verdict == Verdict::Ask {
                gap.asked(missing);
            }
        }
    }
}
