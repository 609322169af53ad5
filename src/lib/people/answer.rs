//! Which message counts as the answer to a question if the message itself does not say so (has no `re`).

use crate::base::clock::EpochMs;
use crate::base::message_id::MessageId;
use std::collections::BTreeSet;

/// What was said between two peers, as seen by the asker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    /// The asker wrote this message, which may be answered.
    Asked(MessageId),
    /// The other peer answered: this message, or one that the answer does not name.
    Answered(Option<MessageId>),
}

/// Whether a message besides `question` is still unanswered, after what the two peers `said`, in the order of time. An
/// answer that names no message counts for the oldest open one, so that a late answer never passes for the answer to a
/// later question.
pub(crate) fn is_anything_else_open(said: Vec<(EpochMs, Said)>, question: MessageId) -> bool {
    let mut open: Vec<MessageId> = Vec::new();
    let mut known = BTreeSet::new();
    for (_, what) in said {
        match what {
            // A message may be both in the history and in the queue.
            Said::Asked(id) if known.insert(id) => open.push(id),
            Said::Asked(_) => {}
            Said::Answered(Some(id)) => open.retain(|other| *other != id),
            Said::Answered(None) if open.is_empty() => {}
            Said::Answered(None) => drop(open.remove(0)),
        }
    }
    open.iter().any(|id| *id != question)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Said::{Answered, Asked};

    #[test]
    fn an_answer_that_names_nothing_counts_only_where_nothing_else_is_open() {
        let id = |n| MessageId::of(EpochMs(n), &n);
        let (a, b, question) = (id(1), id(2), id(3));
        let cases: &[(&[Said], bool)] = &[
            (&[Asked(question)], false),
            (&[Asked(a), Asked(question)], true),
            (&[Asked(a), Answered(None), Asked(question)], false),
            (&[Asked(a), Asked(b), Answered(None), Asked(question)], true),
            (&[Asked(a), Answered(Some(a)), Asked(question)], false),
            (&[Asked(a), Asked(a), Answered(Some(a)), Asked(question)], false),
            (&[Answered(None), Asked(question)], false),
            // The message that comes first may be the stale one.
            (&[Asked(a), Asked(question), Answered(Some(a))], false),
            (&[Asked(question), Asked(a)], true),
        ];
        for (said, open) in cases {
            let timed = said.iter().enumerate().map(|(n, what)| (EpochMs(n as u64), *what)).collect();
            assert_eq!(is_anything_else_open(timed, question), *open, "{said:?}");
        }
    }
}
