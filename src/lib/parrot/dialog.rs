//! The dialogs that have to be answered before the composer appears.

use super::keys::TypedKey;

/// The kinds of dialogs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DialogKind {
    /// The row that is selected first leaves, as in Claude Code.
    Trust,
    Update,
    /// The row that is selected first replaces the conversation by a summary, which nobody wants.
    Picker,
    /// No key answers it; Ctrl-C and Ctrl-D leave.
    Login,
}

impl DialogKind {
    /// The dialog called `word` in `PARROT_DIALOG`.
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
pub(crate) enum DialogAnswer {
    /// The screen stays.
    Stay,
    /// Answered: continue.
    Next,
    /// Answered: continue from a summary.
    Summary,
    /// The folder is not trusted: leave.
    Untrusted,
    /// Ctrl-C or Ctrl-D: leave.
    Leave,
}

/// A dialog and the row its cursor is on.
#[derive(Debug)]
pub(crate) struct ParrotDialog {
    kind: DialogKind,
    row: usize,
}

impl ParrotDialog {
    pub(crate) fn new(kind: DialogKind) -> Self {
        ParrotDialog { kind, row: 0 }
    }

    fn choices(&self) -> &'static [&'static str] {
        match self.kind {
            DialogKind::Trust => &["No, exit", "Yes, I trust this folder"],
            DialogKind::Update => &[],
            DialogKind::Picker => &["1. Resume from summary", "2. Resume full session"],
            DialogKind::Login => &["1. Parrot account with subscription", "2. Parrot console account"],
        }
    }

    /// Takes a key. Text and pastes are lost, as they are in the dialogs of the agent programs.
    pub(crate) fn key(&mut self, key: &TypedKey) -> DialogAnswer {
        match key {
            TypedKey::Up | TypedKey::Char('k') => self.row = self.row.saturating_sub(1),
            TypedKey::Down | TypedKey::Char('j') => {
                self.row = (self.row + 1).min(self.choices().len().saturating_sub(1))
            }
            TypedKey::Ctrl('c' | 'd') => return DialogAnswer::Leave,
            TypedKey::Enter => {
                return match (self.kind, self.row) {
                    (DialogKind::Trust, 0) => DialogAnswer::Untrusted,
                    (DialogKind::Picker, 0) => DialogAnswer::Summary,
                    (DialogKind::Login, _) => DialogAnswer::Stay,
                    _ => DialogAnswer::Next,
                };
            }
            _ => {}
        }
        DialogAnswer::Stay
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
        use DialogAnswer::*;
        let rows: &[(DialogKind, &[TypedKey], DialogAnswer)] = &[
            (DialogKind::Trust, &[TypedKey::Enter], Untrusted),
            (DialogKind::Trust, &[TypedKey::Down, TypedKey::Enter], Next),
            (DialogKind::Trust, &[TypedKey::Down, TypedKey::Down, TypedKey::Enter], Next),
            (DialogKind::Trust, &[TypedKey::Down, TypedKey::Up, TypedKey::Up, TypedKey::Enter], Untrusted),
            (DialogKind::Trust, &[TypedKey::Char('j'), TypedKey::Enter], Next),
            (DialogKind::Trust, &[TypedKey::Char('2'), TypedKey::Enter], Untrusted),
            (DialogKind::Trust, &[TypedKey::Paste(b"j\n".to_vec()), TypedKey::Escape, TypedKey::Newline], Stay),
            (DialogKind::Update, &[TypedKey::Down], Stay),
            (DialogKind::Update, &[TypedKey::Enter], Next),
            (DialogKind::Picker, &[TypedKey::Enter], Summary),
            (DialogKind::Picker, &[TypedKey::Down, TypedKey::Enter], Next),
            (DialogKind::Picker, &[TypedKey::Down, TypedKey::Char('k'), TypedKey::Enter], Summary),
            (DialogKind::Login, &[TypedKey::Enter], Stay),
            (DialogKind::Login, &[TypedKey::Down, TypedKey::Enter], Stay),
            (DialogKind::Login, &[TypedKey::Ctrl('c')], Leave),
        ];
        for (kind, keys, expected) in rows {
            let mut dialog = ParrotDialog::new(*kind);
            let answers: Vec<_> = keys.iter().map(|key| dialog.key(key)).collect();
            assert_eq!(answers.last(), Some(expected), "{kind:?} {keys:?}");
            assert!(answers[..answers.len() - 1].iter().all(|answer| *answer == Stay));
        }
    }

    #[test]
    fn the_glyph_is_never_at_column_0() {
        let mut dialog = ParrotDialog::new(DialogKind::Trust);
        assert!(dialog.rows("/x").contains(&" ❯ No, exit".to_owned()));
        assert!(dialog.rows("/x").contains(&"   Yes, I trust this folder".to_owned()));
        dialog.key(&TypedKey::Down);
        assert!(dialog.rows("/x").contains(&" ❯ Yes, I trust this folder".to_owned()));
        for kind in [DialogKind::Trust, DialogKind::Update, DialogKind::Picker, DialogKind::Login] {
            assert!(ParrotDialog::new(kind).rows("/x").iter().all(|row| !row.starts_with(['»', '❯', '›'])));
        }
    }
}
