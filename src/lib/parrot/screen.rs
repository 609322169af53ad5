//! The rows of the screen, and the bytes that change the frame shown into the next frame.

use super::composer::ParrotComposer;
use super::history::Conversation;
use super::text::{cut, width};

/// The composer's glyph and the no-break space that keeps it apart from all other rows.
pub(crate) const PROMPT: &str = "»\u{a0}";
const GHOST: &str = "Type a message";
/// How many rows of the composer are shown.
const COMPOSER_ROWS: usize = 8;

/// All rows of the screen, and the position of the cursor if it is visible.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Frame {
    pub(crate) rows: Vec<String>,
    /// Row and column, from 0.
    pub(crate) cursor: Option<(usize, usize)>,
}

impl Frame {
    /// The rows of `top` from the first row down, then empty rows.
    pub(crate) fn of(top: &[String], (height, columns): (usize, usize)) -> Frame {
        let mut rows: Vec<String> = top.iter().map(|row| cut(row, columns)).collect();
        rows.resize(height, String::new());
        Frame { rows, cursor: None }
    }

    /// History, rule, composer, rule, footer, from the top; the footer is the last row.
    pub(crate) fn conversation(
        history: &Conversation,
        composer: &ParrotComposer,
        footer: &str,
        (height, columns): (usize, usize),
    ) -> Frame {
        // Two rules and the footer.
        let written = composer.rows(columns.saturating_sub(2), COMPOSER_ROWS.min(height.saturating_sub(3).max(1)));
        let mut rows = history.rows(columns, height.saturating_sub(written.len() + 3));
        rows.resize(height.saturating_sub(written.len() + 3), String::new());
        let rule = "─".repeat(columns);
        rows.push(rule.clone());
        for (index, row) in written.iter().enumerate() {
            rows.push(match index {
                0 if composer.is_empty() => {
                    format!("{PROMPT}\x1b[2m{}\x1b[22m", cut(GHOST, columns.saturating_sub(2)))
                }
                0 => format!("{PROMPT}{row}"),
                _ => format!("  {row}"),
            });
        }
        let cursor_row = rows.len() - 1;
        let cursor_column = 2 + written.last().map_or(0, |row| width(row));
        rows.push(rule);
        rows.push(cut(footer, columns));
        // A terminal with too few rows shows the lowest ones.
        let lost = rows.len().saturating_sub(height);
        rows.drain(..lost);
        Frame {
            rows,
            cursor: cursor_row.checked_sub(lost).map(|row| (row, cursor_column.min(columns.saturating_sub(1)))),
        }
    }

    /// The bytes that turn the frame `before` on the screen into this one; without `before` they draw all of it. Only
    /// changed rows are written, with wrapping off so that no row can spill into the next.
    pub(crate) fn draw(&self, before: Option<&Frame>) -> Vec<u8> {
        let mut out = String::from("\x1b[?25l\x1b[?7l");
        let before = before.filter(|frame| frame.rows.len() == self.rows.len());
        if before.is_none() {
            out.push_str("\x1b[H\x1b[2J");
        }
        for (index, row) in self.rows.iter().enumerate() {
            let same = before.map_or(row.is_empty(), |frame| frame.rows[index] == *row);
            if !same {
                out.push_str(&format!("\x1b[{};1H\x1b[2K{row}", index + 1));
            }
        }
        out.push_str("\x1b[?7h");
        if let Some((row, column)) = self.cursor {
            out.push_str(&format!("\x1b[{};{}H\x1b[?25h", row + 1, column + 1));
        }
        out.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conversation(composer: &ParrotComposer, size: (usize, usize)) -> Frame {
        let mut history = Conversation::default();
        history.plain("Parrot 1");
        Frame::conversation(&history, composer, "  parrot ready", size)
    }

    #[test]
    fn the_rows_stand_where_the_manifest_expects_them() {
        let frame = conversation(&ParrotComposer::default(), (8, 20));
        assert_eq!(frame.rows.len(), 8);
        assert_eq!(frame.rows[0], "Parrot 1");
        assert_eq!(frame.rows[4], "─".repeat(20));
        assert_eq!(frame.rows[5], "»\u{a0}\x1b[2mType a message\x1b[22m");
        assert_eq!(frame.rows[6], "─".repeat(20));
        assert_eq!(frame.rows[7], "  parrot ready");
        assert_eq!(frame.cursor, Some((5, 2)));
    }

    #[test]
    fn every_size_has_its_number_of_rows_and_one_prompt() {
        let mut composer = ParrotComposer::default();
        composer.insert("漢字 and more\n".repeat(9).as_bytes());
        for height in 1..20 {
            for columns in 1..30 {
                let frame = conversation(&composer, (height, columns));
                assert_eq!(frame.rows.len(), height);
                let prompts = frame.rows.iter().filter(|row| row.starts_with('»')).count();
                assert_eq!(prompts, usize::from(height >= 3), "{height}x{columns}");
                assert_eq!(Frame::of(&frame.rows, (height, columns)).rows.len(), height);
            }
        }
    }

    #[test]
    fn only_changes_are_drawn() {
        let (first, mut second) =
            (conversation(&ParrotComposer::default(), (8, 20)), conversation(&ParrotComposer::default(), (8, 20)));
        second.rows[7] = "  parrot ready · 1".into();
        let all = String::from_utf8(first.draw(None)).unwrap();
        let change = String::from_utf8(second.draw(Some(&first))).unwrap();
        assert!(all.contains("\x1b[2J") && all.contains("Parrot 1"));
        assert!(
            !change.contains("\x1b[2J")
                && !change.contains("Parrot 1")
                && change.contains("\x1b[8;1H\x1b[2K  parrot ready · 1")
        );
    }
}
