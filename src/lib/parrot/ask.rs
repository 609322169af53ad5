//! A turn that needs a person: it shows a question, or it ends in an error (`PARROT_ATTENTION`).

use super::keys::TypedKey;

/// What the first turn of a message runs into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// A tool waits for yes or no; the dialog shows while the hook waits, as in Claude Code.
    Approval,
    /// A tool waits for yes or no; the dialog shows only when the hook has not answered, as in Codex.
    HiddenApproval,
    /// The agent asks a question.
    Question,
    /// A menu: stop and wait, or buy.
    LimitMenu,
    /// A dialog that no rule of the manifest matches.
    Dialog,
    /// A screen that no rule of the manifest matches.
    Strange,
    /// The turn ends in an error.
    Failing,
    /// The turn ends at a limit.
    Limited,
    /// The turn ends because nobody is logged in.
    Login,
}

impl Trouble {
    /// The trouble called `word` in `PARROT_ATTENTION`.
    pub(crate) fn named(word: &str) -> Option<Trouble> {
        Some(match word {
            "approval" => Trouble::Approval,
            "approval-hidden" => Trouble::HiddenApproval,
            "question" => Trouble::Question,
            "limit-menu" => Trouble::LimitMenu,
            "dialog" => Trouble::Dialog,
            "strange" => Trouble::Strange,
            "failing" => Trouble::Failing,
            "limited" => Trouble::Limited,
            "login" => Trouble::Login,
            _ => return None,
        })
    }

    /// Whether this trouble ends the turn without asking anything.
    pub(crate) fn ends_turn(self) -> bool {
        matches!(self, Trouble::Failing | Trouble::Limited | Trouble::Login)
    }

    /// Whether the permission hook is called.
    pub(crate) fn asks_hook(self) -> bool {
        matches!(self, Trouble::Approval | Trouble::HiddenApproval)
    }
}

/// The tool that waits in an approval, and what it would do.
pub(crate) const TOOL: (&str, &str) = ("Shell", "touch approved");
/// The text of the question.
pub(crate) const QUESTION: &str = "What is for dinner?";

/// A screen with a question, and the row its cursor is on.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) trouble: Trouble,
    row: usize,
    /// When the limit ends, in the menu's words.
    pub(crate) until: String,
}

/// What a key chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chosen {
    Nothing,
    Row(&'static str),
}

impl Ask {
    pub(crate) fn new(trouble: Trouble, until: String) -> Ask {
        Ask { trouble, row: 0, until }
    }

    fn choices(&self) -> &'static [&'static str] {
        match self.trouble {
            Trouble::Approval | Trouble::HiddenApproval => &["Yes", "Yes, and never ask again", "No"],
            Trouble::Question => &["Crackers", "Seeds"],
            Trouble::LimitMenu => &["Buy crackers", "Stop and wait"],
            Trouble::Dialog => &["Low", "High"],
            Trouble::Strange | Trouble::Failing | Trouble::Limited | Trouble::Login => &[""],
        }
    }

    pub(crate) fn key(&mut self, key: &TypedKey) -> Chosen {
        match key {
            TypedKey::Up => self.row = self.row.saturating_sub(1),
            TypedKey::Down => self.row = (self.row + 1).min(self.choices().len() - 1),
            TypedKey::Enter => return Chosen::Row(self.choices()[self.row]),
            _ => {}
        }
        Chosen::Nothing
    }

    /// The rows of the screen.
    pub(crate) fn rows(&self) -> Vec<String> {
        if self.trouble == Trouble::Strange {
            return vec![String::new(), " @@@ squawk @@@".into(), " @@@ squawk @@@".into()];
        }
        let mut rows = match self.trouble {
            Trouble::Question => vec![String::new(), format!(" The parrot asks: {QUESTION}"), String::new()],
            Trouble::LimitMenu => {
                vec![String::new(), format!(" Out of crackers. What now?{}", self.until), String::new()]
            }
            Trouble::Dialog => vec![String::new(), " Choose a perch".into(), String::new()],
            _ => vec![
                String::new(),
                format!(" {}", TOOL.0),
                format!(" $ {}", TOOL.1),
                String::new(),
                " Do you want to run this?".into(),
            ],
        };
        rows.extend(self.choices().iter().enumerate().map(|(at, choice)| {
            let cursor = if at == self.row { '❯' } else { ' ' };
            format!(" {cursor} {}. {choice}", at + 1)
        }));
        rows.push(String::new());
        rows.push(match self.trouble {
            Trouble::Dialog => " Enter to perch".into(),
            _ => " Enter to confirm".into(),
        });
        rows
    }
}
