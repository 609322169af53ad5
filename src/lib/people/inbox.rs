//! A person's inbox: `<cwd>/inbox/new/` and `<cwd>/inbox/read/`, a file for each message.
//!
//! A file is written durably before its message is settled, under a name that only this message has: after a crash in
//! between, the next drain finds the file and does not file the message twice.

use crate::base::exit::{Exit, Failure};
use crate::base::paths;
use crate::people::letter::Letter;
use crate::store::durable::{self, StoreError};
use crate::store::queue::Item;
use std::path::{Path, PathBuf};

/// The inbox of the person in a folder.
#[derive(Debug, Clone)]
pub(crate) struct Inbox {
    cwd: PathBuf,
}

/// A letter, and the path of its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FiledLetter {
    /// The letter.
    pub letter: Letter,
    path: PathBuf,
}

impl Inbox {
    /// The inbox of the person in `cwd`.
    pub(crate) fn of(cwd: &Path) -> Inbox {
        Inbox { cwd: cwd.to_owned() }
    }

    /// The folder of all letters.
    pub(crate) fn dir(&self) -> PathBuf {
        self.cwd.join("inbox")
    }

    fn folder(&self, unread: bool) -> PathBuf {
        self.dir().join(if unread { "new" } else { "read" })
    }

    /// The folder, created durably if it is missing.
    fn make(&self, unread: bool) -> Result<PathBuf, Failure> {
        let dir = self.folder(unread);
        if !dir.is_dir() {
            paths::create_dirs(&dir)?;
            for parent in [self.dir(), self.cwd.clone()] {
                durable::sync_dir(&parent)?;
            }
        }
        Ok(dir)
    }

    /// Files `item` durably as unread; a letter that was filed before stays as it is.
    pub(crate) fn file(&self, item: &Item) -> Result<(), Failure> {
        self.put(item, true)
    }

    /// Files `item` durably as read: for a person who has seen the message already.
    pub(crate) fn file_read(&self, item: &Item) -> Result<(), Failure> {
        self.put(item, false)
    }

    fn put(&self, item: &Item, unread: bool) -> Result<(), Failure> {
        let letter = Letter::of(item);
        let name = letter.file_name();
        if self.folder(!unread).join(&name).exists() {
            return Ok(());
        }
        // Where the name is taken, this message was filed before.
        durable::publish(&self.make(unread)?.join(&name), letter.encode().as_bytes())?;
        Ok(())
    }

    /// The unread letters and then, with `all`, the read ones, each from the oldest to the newest. Files that are no letters
    /// are skipped.
    pub(crate) fn letters(&self, all: bool) -> Result<Vec<FiledLetter>, StoreError> {
        let mut letters = self.in_folder(true)?;
        if all {
            letters.extend(self.in_folder(false)?);
        }
        Ok(letters)
    }

    /// The number of unread letters.
    pub(crate) fn unread(&self) -> Result<usize, StoreError> {
        Ok(letter_names(&self.folder(true))?.len())
    }

    fn in_folder(&self, unread: bool) -> Result<Vec<FiledLetter>, StoreError> {
        let dir = self.folder(unread);
        let mut found = Vec::new();
        for name in letter_names(&dir)? {
            let path = dir.join(name);
            // The file has been moved to the read letters, or deleted, meanwhile.
            let Some(bytes) = durable::read_optional(&path)? else { continue };
            match Letter::decode(&String::from_utf8_lossy(&bytes), unread) {
                Some(letter) => found.push(FiledLetter { letter, path }),
                None => tracing::warn!("{} is not a message: it is left out", path.display()),
            }
        }
        Ok(found)
    }

    /// The letter whose id is `text` or ends with it; without `text` the oldest unread one, if there is one. An error where
    /// no letter, or more than one, matches.
    pub(crate) fn find(&self, text: Option<&str>) -> Result<Option<FiledLetter>, Failure> {
        let Some(text) = text else { return Ok(self.in_folder(true)?.into_iter().next()) };
        let end = text.to_ascii_uppercase();
        let mut found = self.letters(true)?;
        found.retain(|filed| filed.letter.id.to_string().ends_with(&end));
        match found.len() {
            0 => Err(Failure::new(Exit::NoInput, format!("no message {text:?} here: `iapeer inbox --all` shows them"))),
            1 => Ok(found.pop()),
            n => Err(Failure::new(Exit::Usage, format!("{n} messages end with {text:?}: give more of the id"))),
        }
    }

    /// Marks a letter as read.
    pub(crate) fn mark_read(&self, filed: &FiledLetter) -> Result<(), Failure> {
        if filed.letter.unread {
            let name = filed.path.file_name().unwrap_or_default();
            durable::move_file(&filed.path, &self.make(false)?.join(name))?;
        }
        Ok(())
    }
}

/// The names of letters in `dir`, oldest first.
fn letter_names(dir: &Path) -> Result<Vec<String>, StoreError> {
    let mut names = durable::names_of(dir)?;
    names.retain(|name| name.ends_with(".md") && !durable::is_temp(name));
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::EpochMs;
    use crate::base::identity::Intelligence;
    use crate::store::queue::nobody;

    fn item(n: u64) -> Item {
        Item::new(nobody(), Intelligence::Absent, format!("message {n}"), EpochMs(n))
    }

    #[test]
    fn a_message_is_filed_once_wherever_it_is_by_now() {
        let dir = tempfile::tempdir().unwrap();
        let inbox = Inbox::of(dir.path());
        let first = item(1);
        inbox.file(&first).unwrap();
        inbox.file(&first).unwrap();
        assert_eq!(inbox.unread().unwrap(), 1);
        let filed = inbox.find(None).unwrap().unwrap();
        inbox.mark_read(&filed).unwrap();
        inbox.file(&first).unwrap();
        assert_eq!((inbox.unread().unwrap(), inbox.letters(true).unwrap().len()), (0, 1));
        assert_eq!(inbox.find(Some(&first.id.to_string())).unwrap().unwrap().letter.id, first.id);
        assert_eq!(inbox.find(Some(&item(2).id.to_string())).unwrap_err().exit, Exit::NoInput);
    }

    #[test]
    fn letters_are_found_by_the_end_of_their_ids_and_what_is_none_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let inbox = Inbox::of(dir.path());
        assert!(inbox.find(None).unwrap().is_none());
        let items: Vec<Item> = (1..4).rev().map(item).collect();
        items.iter().for_each(|item| inbox.file(item).unwrap());
        std::fs::write(dir.path().join("inbox/new/note.md"), "mine").unwrap();
        let order: Vec<String> = inbox.letters(false).unwrap().into_iter().map(|filed| filed.letter.body).collect();
        assert_eq!(order, ["message 1", "message 2", "message 3"]);
        let id = items[0].id.to_string();
        let found = inbox.find(Some(&id[16..].to_lowercase())).unwrap().unwrap();
        assert_eq!(found.letter.body, "message 3");
        assert_eq!(inbox.find(Some("")).unwrap_err().exit, Exit::Usage);
        assert_eq!(inbox.find(Some("nothing")).unwrap_err().exit, Exit::NoInput);
    }
}
