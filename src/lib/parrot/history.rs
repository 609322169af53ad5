//! The conversation so far, as rows for the upper part of the screen.

use super::text::{cut, printable};
use std::collections::VecDeque;

/// How many rows of one message are shown.
const ROWS: usize = 6;
/// How many characters of one row are kept; no terminal is wider.
const COLUMNS: usize = 1000;
/// How many entries are kept.
const ENTRIES: usize = 300;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EntryKind {
    User {
        queued: bool,
    },
    Assistant,
    /// A row of the program itself, shown as it is.
    Plain,
}

#[derive(Debug)]
struct ConversationEntry {
    kind: EntryKind,
    rows: Vec<String>,
    /// How many rows of the text are not kept.
    more: usize,
}

/// The newest part of the conversation.
#[derive(Debug, Default)]
pub(crate) struct Conversation {
    entries: VecDeque<ConversationEntry>,
}

impl Conversation {
    fn push(&mut self, kind: EntryKind, text: &str) {
        let text = text.strip_suffix('\n').unwrap_or(text);
        let mut lines = text.split('\n');
        let rows =
            lines.by_ref().take(ROWS).map(|line| printable(&line.chars().take(COLUMNS).collect::<String>())).collect();
        self.entries.push_back(ConversationEntry { kind, rows, more: lines.count() });
        if self.entries.len() > ENTRIES {
            self.entries.pop_front();
        }
    }

    /// A message of the user.
    pub(crate) fn user(&mut self, text: &str) {
        self.push(EntryKind::User { queued: false }, text);
    }

    /// A message of the user that waits for the end of the turn.
    pub(crate) fn queued(&mut self, text: &str) {
        self.push(EntryKind::User { queued: true }, text);
    }

    /// Marks the first queued message as no longer queued.
    pub(crate) fn dequeue(&mut self) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.kind == EntryKind::User { queued: true }) {
            entry.kind = EntryKind::User { queued: false };
        }
    }

    /// An answer of the parrot.
    pub(crate) fn assistant(&mut self, text: &str) {
        self.push(EntryKind::Assistant, text);
    }

    /// A row of the program itself.
    pub(crate) fn plain(&mut self, text: &str) {
        self.push(EntryKind::Plain, text);
    }

    /// The last `most` rows, none wider than `columns`. Only the first row of a user's message starts with `›`,
    /// only that of an answer with `•`; no row starts with the composer's `»`.
    pub(crate) fn rows(&self, columns: usize, most: usize) -> Vec<String> {
        let mut blocks = Vec::new();
        let mut count = 0;
        for entry in self.entries.iter().rev() {
            if count >= most {
                break;
            }
            let block = entry.shown(columns);
            count += block.len();
            blocks.push(block);
        }
        let mut rows: Vec<String> = blocks.into_iter().rev().flatten().collect();
        rows.drain(..rows.len().saturating_sub(most));
        rows
    }
}

impl ConversationEntry {
    fn shown(&self, columns: usize) -> Vec<String> {
        let (first, next) = match self.kind {
            EntryKind::User { .. } => ("› ", "  "),
            EntryKind::Assistant => ("• ", "  "),
            EntryKind::Plain => ("", "  "),
        };
        let mut rows: Vec<String> = (self.rows.iter().enumerate())
            .map(|(index, row)| cut(&format!("{}{row}", if index == 0 { first } else { next }), columns))
            .collect();
        if self.more > 0 {
            rows.push(cut(&format!("  … +{} lines", self.more), columns));
        }
        if self.kind == (EntryKind::User { queued: true }) {
            rows.push(cut("  ⎿ Queued", columns));
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_become_rows() {
        let mut history = Conversation::default();
        history.plain("Parrot 1");
        history.user("a\n» b\nc");
        history.assistant("x\n".repeat(8).as_str());
        history.queued("q1");
        history.queued("q2");
        let rows = history.rows(40, 100);
        assert_eq!(rows[..5], ["Parrot 1", "› a", "  » b", "  c", "• x"]);
        assert_eq!(rows[10..], ["  … +2 lines", "› q1", "  ⎿ Queued", "› q2", "  ⎿ Queued"]);
        history.dequeue();
        assert_eq!(history.rows(40, 4), ["  … +2 lines", "› q1", "› q2", "  ⎿ Queued"]);
    }

    #[test]
    fn it_keeps_a_bounded_part() {
        let mut history = Conversation::default();
        (0..1000).for_each(|n| history.assistant(&format!("{n}")));
        assert_eq!(history.rows(40, 10_000).len(), ENTRIES);
        assert_eq!(history.rows(40, 1), ["• 999"]);
        assert_eq!(history.rows(40, 0), Vec::<String>::new());
    }
}
