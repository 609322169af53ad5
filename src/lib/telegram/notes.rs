//! `sent.jsonl`: which Telegram message belongs to which of iapeer's messages. By this a reply is matched to the
//! message that it answers and a button to its question, and a message that was sent in part is continued.

use crate::base::address::Contact;
use crate::base::clock::EpochMs;
use crate::base::exit::{Exit, Failure};
use crate::base::identity::Identity;
use crate::base::message_id::MessageId;
use crate::base::step::{self, Point};
use crate::store::durable;
use crate::store::open::{self, Rule};
use serde::{Deserialize, Serialize};
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// How many of the newest notes are kept; the older ones are dropped when there are twice as many.
const KEPT: usize = 2000;

/// A question with buttons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Asked {
    /// The peer that waits for the answer.
    pub(crate) identity: Identity,
    /// The id of the request, if it has one.
    pub(crate) request: Option<String>,
    /// Since when the peer waits, which tells this question from a later one.
    pub(crate) since: EpochMs,
    /// The possible answers, in the order of the buttons.
    pub(crate) answers: Vec<String>,
}

/// What is known about one Telegram message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note {
    /// The number of the bot.
    pub(crate) bot: i64,
    /// The number of the Telegram message in the chat.
    pub(crate) message: i64,
    /// The id of iapeer's message.
    pub(crate) id: MessageId,
    /// The peer on the other side.
    pub(crate) peer: Contact,
    /// Which part of iapeer's message this is, from 0; absent for a message that the person wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) part: Option<usize>,
    /// The question that its buttons answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) asked: Option<Asked>,
}

/// All notes.
pub(crate) struct Notes {
    path: PathBuf,
    notes: Vec<Note>,
}

impl Notes {
    /// Reads the notes in `folder`. A line that a crash left incomplete is dropped.
    pub(crate) fn read(folder: &Path) -> Result<Notes, Failure> {
        let path = folder.join("sent.jsonl");
        let bytes = open::read(&path, Rule { max: open::LOG_MAX, ..Rule::OF_A_PEER })?.unwrap_or_default();
        let lines = bytes.split(|byte| *byte == b'\n');
        let notes: Vec<Note> = lines.filter_map(|line| serde_json::from_slice(line).ok()).collect();
        let notes = Notes { path, notes };
        if bytes.last().is_some_and(|last| *last != b'\n') {
            notes.rewrite()?;
        }
        Ok(notes)
    }

    /// Adds a note durably.
    pub(crate) fn add(&mut self, note: Note) -> Result<(), Failure> {
        let failed = |error| Failure::io("write", &self.path, &error);
        let mut line = encode(&note)?;
        line.push(b'\n');
        let new = !self.path.exists();
        let mut options = OpenOptions::new();
        options.append(true).create(true).custom_flags(open::NO_WAIT_NO_LINK);
        let file = step::open(Point::NoteOpen, &self.path, &mut options).map_err(failed)?;
        step::append(Point::NoteAppend, &file, &self.path, &line).map_err(failed)?;
        step::sync(Point::NoteSync, &file, &self.path).map_err(failed)?;
        if new && let Some(folder) = self.path.parent() {
            durable::sync_dir(folder)?;
        }
        self.notes.push(note);
        if self.notes.len() >= 2 * KEPT {
            self.notes.drain(..self.notes.len() - KEPT);
            self.rewrite()?;
        }
        Ok(())
    }

    fn rewrite(&self) -> Result<(), Failure> {
        let mut text = Vec::new();
        for note in &self.notes {
            text.extend(encode(note)?);
            text.push(b'\n');
        }
        Ok(durable::write_atomic(&self.path, &text)?)
    }

    /// How many parts of iapeer's message `id` have been sent.
    pub(crate) fn parts_sent(&self, id: MessageId) -> usize {
        let parts = self.notes.iter().rev().filter(|note| note.id == id).filter_map(|note| note.part);
        parts.max().map_or(0, |last| last + 1)
    }

    /// The note of Telegram's message `message` of `bot`.
    pub(crate) fn of_message(&self, bot: i64, message: i64) -> Option<&Note> {
        self.notes.iter().rev().find(|note| note.bot == bot && note.message == message)
    }

    /// The number of the Telegram message that the person wrote to `bot` and that became iapeer's message `id`.
    pub(crate) fn written(&self, bot: i64, id: MessageId) -> Option<i64> {
        let mut notes = self.notes.iter().rev();
        notes.find(|note| note.bot == bot && note.id == id && note.part.is_none()).map(|note| note.message)
    }
}

fn encode(note: &Note) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(note).map_err(|error| Failure::new(Exit::Internal, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn note(message: i64, id: u64, part: Option<usize>) -> Note {
        let id = MessageId::of(EpochMs(id), &id);
        Note { bot: 1, message, id, peer: "bob".parse().unwrap(), part, asked: None }
    }

    #[test]
    fn what_was_sent_is_known_after_a_crash_and_a_torn_line_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let mut notes = Notes::read(dir.path()).unwrap();
        for new in [note(10, 1, Some(0)), note(11, 1, Some(1)), note(12, 2, None)] {
            notes.add(new).unwrap();
        }
        let mut file = OpenOptions::new().append(true).open(dir.path().join("sent.jsonl")).unwrap();
        file.write_all(b"{\"bot\":1,\"mess").unwrap();
        let mut notes = Notes::read(dir.path()).unwrap();
        notes.add(note(13, 3, None)).unwrap();
        let notes = Notes::read(dir.path()).unwrap();
        assert_eq!(notes.parts_sent(note(0, 1, None).id), 2);
        assert_eq!(notes.of_message(1, 11), Some(&note(11, 1, Some(1))));
        assert_eq!(notes.of_message(2, 11), None);
        assert_eq!((notes.written(1, note(0, 2, None).id), notes.written(1, note(0, 1, None).id)), (Some(12), None));
        assert_eq!(notes.notes.len(), 4);
    }
}
