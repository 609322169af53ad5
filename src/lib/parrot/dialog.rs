//! The screens that want an answer before there is a composer.

use super::keys::Key;

/// Which screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DialogKind {
    /// The default is to leave, as in Claude Code.
    Trust,
    Update,
    /// The default gives the conversation up for a summary, which nobody wants.
    Picker,
    /// Nothing answers it.
    Login,
}

impl DialogKind {
    /// The screen called `word` in `PARROT_DIALOG`.
    pub(crate) fn named(word: &str) -> Option<DialogKind> {
        match word {
            "trust" => Some(DialogKind::Trust),
            "update" => Some(DialogKind::Update),
            "picker" => Some(DialogKind::Picker),
            "login" => Some(DialogKind::Login),
            _ => None,
        }
    }
}

/// What a key did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The screen stays.
    Stay,
    /// Answered: go on.
    Next,
    /// Answered: go on from a summary.
    Summary,
    /// The folder is not trusted: leave.
    Untrusted,
    /// Ctrl-C or Ctrl-D: leave.
    Leave,
}

/// A screen and the row its cursor is on.
#[derive(Debug)]
pub(crate) struct Dialog {
    kind: DialogKind,
    row: usize,
}

impl Dialog {
    pub(crate) fn new(kind: DialogKind) -> Self {
        Dialog { kind, row: 0 }
    }

    fn choices(&self) -> &'static [&'static str] {
        match self.kind {
            DialogKind::Trust => &["No, exit", "Yes, I trust this folder"],
            DialogKind::Update => &[],
            DialogKind::Picker => &["1. Resume from summary", "2. Resume full session"],
            DialogKind::Login => &["1. Parrot account with subscription", "2. Parrot console account"],
        }
    }

    /// Takes a key. Text and pastes are lost, as they are in real ones.
    pub(crate) fn key(&mut self, key: &Key) -> Answer {
        match key {
            Key::Up | Key::Char('k') => self.row = self.row.saturating_sub(1),
            Key::Down | Key::Char('j') => self.row = (self.row + 1).min(self.choices().len().saturating_sub(1)),
            Key::Ctrl('c' | 'd') => return Answer::Leave,
            Key::Enter => {
                return match (self.kind, self.row) {
                    (DialogKind::Trust, 0) => Answer::Untrusted,
                    (DialogKind::Picker, 0) => Answer::Summary,
                    (DialogKind::Login, _) => Answer::Stay,
                    _ => Answer::Next,
                };
            }
            _ => {}
        }
        Answer::Stay
    }

    /// The screen's rows, from the top.
    pub(crate) fn rows(&self, cwd: &str) -> Vec<String> {
        let mut rows = match self.kind {
            DialogKind::Trust => {
                vec![String::new(), " Do you trust the files in this folder?".into(), format!(" {cwd}"), String::new()]
            }
            DialogKind::Update => {
                vec![String::new(), " Update available! Parrot has learned new words.".into(), String::new()]
            }
            DialogKind::Picker => vec![
                String::new(),
                " This session is old and large.".into(),
                " Resuming the full session costs many crackers.".into(),
                String::new(),
            ],
            DialogKind::Login => vec![String::new(), " Select login method:".into(), String::new()],
        };
        rows.extend(
            self.choices()
                .iter()
                .enumerate()
                .map(|(row, choice)| format!(" {} {choice}", if row == self.row { '❯' } else { ' ' })),
        );
        rows.push(String::new());
        rows.push(match self.kind {
            DialogKind::Update => " Press Enter to continue".into(),
            _ => " Enter to confirm · Ctrl-C to exit".into(),
        });
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_of_answers() {
        use Answer::*;
        let rows: &[(DialogKind, &[Key], Answer)] = &[
            (DialogKind::Trust, &[Key::Enter], Untrusted),
            (DialogKind::Trust, &[Key::Down, Key::Enter], Next),
            (DialogKind::Trust, &[Key::Down, Key::Down, Key::Enter], Next),
            (DialogKind::Trust, &[Key::Down, Key::Up, Key::Up, Key::Enter], Untrusted),
            (DialogKind::Trust, &[Key::Char('j'), Key::Enter], Next),
            (DialogKind::Trust, &[Key::Char('2'), Key::Enter], Untrusted),
            (DialogKind::Trust, &[Key::Paste(b"j\n".to_vec()), Key::Escape, Key::Newline], Stay),
            (DialogKind::Update, &[Key::Down], Stay),
            (DialogKind::Update, &[Key::Enter], Next),
            (DialogKind::Picker, &[Key::Enter], Summary),
            (DialogKind::Picker, &[Key::Down, Key::Enter], Next),
            (DialogKind::Picker, &[Key::Down, Key::Char('k'), Key::Enter], Summary),
            (DialogKind::Login, &[Key::Enter], Stay),
            (DialogKind::Login, &[Key::Down, Key::Enter], Stay),
            (DialogKind::Login, &[Key::Ctrl('c')], Leave),
        ];
        for (kind, keys, expected) in rows {
            let mut dialog = Dialog::new(*kind);
            let answers: Vec<_> = keys.iter().map(|key| dialog.key(key)).collect();
            assert_eq!(answers.last(), Some(expected), "{kind:?} {keys:?}");
            assert!(answers[..answers.len() - 1].iter().all(|answer| *answer == Stay));
        }
    }

    #[test]
    fn the_glyph_is_never_at_column_0() {
        let mut dialog = Dialog::new(DialogKind::Trust);
        assert!(dialog.rows("/x").contains(&" ❯ No, exit".to_owned()));
        assert!(dialog.rows("/x").contains(&"   Yes, I trust this folder".to_owned()));
        dialog.key(&Key::Down);
        assert!(dialog.rows("/x").contains(&" ❯ Yes, I trust this folder".to_owned()));
        for kind in [DialogKind::Trust, DialogKind::Update, DialogKind::Picker, DialogKind::Login] {
            assert!(Dialog::new(kind).rows("/x").iter().all(|row| !row.starts_with(['»', '❯', '›'])));
        }
    }
}
