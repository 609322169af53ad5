//! Popups over the screen: questions, lists to choose from, texts to write and to read.

use crate::base::identity::Identity;
use crate::top::errand::KeyErrand;
use crate::top::keys::help_lines;

/// A popup over the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Popup {
    /// The help, and the first line of it that is shown.
    Help(usize),
    /// What a peer waits for, and the answers to choose from.
    Answers { wait: TopWait, chosen: usize },
    /// A text that is being written.
    Writing { purpose: Purpose, text: String },
    /// A question whether the errand is really to be run.
    Sure { question: String, errand: KeyErrand },
    /// The unread messages to choose from.
    Inbox { person: Option<Identity>, letters: Vec<InboxLine>, chosen: usize },
    /// A message, and the first line that is shown.
    Letter { id: String, text: String, from_line: usize },
}

/// What a text is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The filter of the list of peers.
    Filter,
    /// A message to this peer.
    Message(Identity),
    /// The answer to the message with this id.
    Reply(String),
    /// The reason of a denial, for the model.
    Why { wait: TopWait, word: String },
}

/// What a peer waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopWait {
    pub of: Identity,
    /// The request's id, if it has one.
    pub request: Option<String>,
    pub what: String,
    pub answers: Vec<String>,
}

/// An unread message in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InboxLine {
    pub id: String,
    pub line: String,
}

impl Popup {
    /// The title, all lines, and the index of the line that is chosen.
    pub(crate) fn content(&self) -> (String, Vec<String>, Option<usize>) {
        let numbered = |lines: &mut dyn Iterator<Item = &str>| -> Vec<String> {
            lines.enumerate().map(|(at, line)| format!("{} {line}", at + 1)).collect()
        };
        match self {
            Popup::Help(_) => ("iapeer top: the keys (Down: more, q: back)".to_owned(), help_lines(), None),
            Popup::Answers { wait, chosen } => {
                let mut lines = vec![wait.what.clone(), String::new()];
                lines.extend(numbered(&mut wait.answers.iter().map(String::as_str)));
                (format!("{} waits for an answer", wait.of.personality()), lines, Some(chosen + 2))
            }
            Popup::Writing { purpose, text } => {
                let title = match purpose {
                    Purpose::Filter => "Show only peers with these letters".to_owned(),
                    Purpose::Message(to) => format!("Message to {}: Enter sends it, Esc gives it up", to.personality()),
                    Purpose::Reply(_) => "Answer: Enter sends it, Esc gives it up".to_owned(),
                    Purpose::Why { wait, word } => {
                        format!("{word}: what {} is told, or nothing; Enter answers", wait.of.personality())
                    }
                };
                (title, text.split('\n').map(str::to_owned).collect(), None)
            }
            Popup::Sure { question, .. } => {
                ("Sure?".to_owned(), vec![question.clone(), "y yes   n no".to_owned()], None)
            }
            Popup::Inbox { letters, chosen, .. } => {
                let lines = numbered(&mut letters.iter().map(|letter| letter.line.as_str()));
                (format!("{} unread: Enter reads", letters.len()), lines, Some(*chosen))
            }
            Popup::Letter { text, .. } => {
                let lines = text.lines().map(str::to_owned).collect();
                ("r answers, n next unread, Esc closes".to_owned(), lines, None)
            }
        }
    }

    /// The index of the first line that is shown, which scrolling changes.
    pub(crate) fn first_line(&self) -> usize {
        match self {
            Popup::Help(from) | Popup::Letter { from_line: from, .. } => *from,
            _ => 0,
        }
    }
}
