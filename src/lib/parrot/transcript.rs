//! The transcript of a session: `$HOME/.iapeer-parrot/sessions/<id>.jsonl`.
//!
//! The file is created by the first submitted message, as the agent programs create theirs. Every record is one line and
//! one write, so that a reader sees whole lines, or after a crash one incomplete line at the end.

use super::error::ParrotError;
use crate::base::clock::{Clock, SystemClock};
use serde_json::{Map, Value, json};
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A session's id and its file.
#[derive(Debug)]
pub(crate) struct Transcript {
    id: String,
    path: PathBuf,
    cwd: String,
    clock: SystemClock,
    file: Option<File>,
    messages: u64,
    /// The number of words in the user's messages since the last answer.
    heard: u64,
}

/// A message or an answer of an earlier conversation, to be shown again.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ParrotSaid {
    User(String),
    Assistant(String),
}

/// `$HOME/.iapeer-parrot/sessions`.
pub(crate) fn sessions_dir(home: Option<PathBuf>) -> Result<PathBuf, ParrotError> {
    let home = home.filter(|home| home.is_absolute()).ok_or(ParrotError::NoHome)?;
    Ok(home.join(".iapeer-parrot/sessions"))
}

/// Notes that the user has logged in: `PARROT_DIALOG=login` shows nothing from now on.
pub fn log_in() -> Result<(), ParrotError> {
    let dir = sessions_dir(std::env::home_dir())?;
    let path = login_of(&dir);
    let written = std::fs::create_dir_all(&dir).and_then(|()| std::fs::write(&path, ""));
    written.map_err(|source| ParrotError::File { what: "write", path, source })
}

/// The file that records the login, beside the sessions' folder `dir`.
pub(crate) fn login_of(dir: &Path) -> PathBuf {
    dir.with_file_name("logged-in")
}

impl Transcript {
    /// A new session in `cwd`; nothing is written yet.
    pub(crate) fn new(dir: &Path, cwd: &str) -> Transcript {
        Transcript::at(dir, ulid::Ulid::generate().to_string().to_lowercase(), cwd)
    }

    fn at(dir: &Path, id: String, cwd: &str) -> Transcript {
        let path = dir.join(format!("{id}.jsonl"));
        Transcript { id, path, cwd: cwd.to_owned(), clock: SystemClock::default(), file: None, messages: 0, heard: 0 }
    }

    /// The session `id`, or the newest one of `cwd`, with its newest `most` messages and answers. Nothing is written.
    pub(crate) fn resume(
        dir: &Path,
        id: Option<&str>,
        cwd: &str,
        most: usize,
    ) -> Option<(Transcript, Vec<ParrotSaid>)> {
        let id = match id {
            Some(id) => id.to_owned(),
            None => newest(dir, cwd)?,
        };
        // The id becomes a file name: it must not be able to name a file elsewhere.
        if id.is_empty() || !id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return None;
        }
        let mut transcript = Transcript::at(dir, id, cwd);
        let file = File::open(&transcript.path).ok()?;
        let mut said = Vec::new();
        let mut lines = BufReader::new(file);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            // An incomplete or foreign line is skipped.
            let record: Value = serde_json::from_slice(&line).unwrap_or_default();
            let text = || record["text"].as_str().unwrap_or_default().to_owned();
            match record["type"].as_str() {
                Some("user") => {
                    transcript.messages += 1;
                    said.push(ParrotSaid::User(text()));
                }
                Some("assistant") => said.push(ParrotSaid::Assistant(text())),
                _ => {}
            }
            line.clear();
        }
        said.drain(..said.len().saturating_sub(most));
        Some((transcript, said))
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn cwd(&self) -> &str {
        &self.cwd
    }

    /// Messages of the user that got a turn.
    pub(crate) fn messages(&self) -> u64 {
        self.messages
    }

    /// Appends a record of `kind`. Where there is no file, creates it with its first line.
    pub(crate) fn append(&mut self, kind: &str, text: Option<&str>) -> std::io::Result<()> {
        if kind == "user" {
            self.messages += 1;
        }
        let mut record = Map::new();
        record.insert("type".into(), kind.into());
        record.insert("timestamp".into(), self.clock.now().utc().into());
        if let Some(text) = text {
            record.insert("text".into(), text.into());
            let words = text.split_whitespace().count() as u64;
            match kind {
                "user" => self.heard += words,
                // Usage, which other agents count in tokens.
                "assistant" => {
                    let heard = std::mem::take(&mut self.heard);
                    record.insert("words".into(), json!({ "heard": heard, "said": words }));
                }
                _ => {}
            }
        }
        let mut line = serde_json::to_vec(&record)?;
        line.push(b'\n');
        self.open()?.write_all(&line)
    }

    /// Appends the record of a turn that failed.
    pub(crate) fn append_error(&mut self, error: &str, text: &str, until: Option<&str>) -> std::io::Result<()> {
        let record =
            json!({"type": "error", "timestamp": self.clock.now().utc(), "error": error, "text": text, "until": until});
        let mut line = serde_json::to_vec(&record)?;
        line.push(b'\n');
        self.open()?.write_all(&line)
    }

    fn open(&mut self) -> std::io::Result<&mut File> {
        let file = match self.file.take() {
            Some(file) => file,
            None => self.create()?,
        };
        Ok(self.file.insert(file))
    }

    fn create(&self) -> std::io::Result<File> {
        if let Some(dir) = self.path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        }
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&self.path)?;
        if file.seek(SeekFrom::End(0))? == 0 {
            let mut line = serde_json::to_vec(&json!({
                "type": "session",
                "id": self.id,
                "model": "parrot",
                "cwd": self.cwd,
                "version": env!("CARGO_PKG_VERSION"),
                "timestamp": self.clock.now().utc(),
            }))?;
            line.push(b'\n');
            file.write_all(&line)?;
        } else {
            // A crash may have left an incomplete last line: the next record must not be appended to it.
            file.seek(SeekFrom::End(-1))?;
            let mut last = [0];
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                file.write_all(b"\n")?;
            }
        }
        Ok(file)
    }
}

/// The id of the session of `cwd` that was written last.
fn newest(dir: &Path, cwd: &str) -> Option<String> {
    let mut found: Vec<_> = fs::read_dir(dir)
        .ok()?
        .flatten()
        .filter_map(|entry| {
            let id = entry.file_name().to_str()?.strip_suffix(".jsonl")?.to_owned();
            let changed = entry.metadata().ok()?.modified().ok()?;
            Some((changed, id))
        })
        .collect();
    // Ids are in the order of time: they decide between files changed at the same instant.
    found.sort();
    found.into_iter().rev().map(|(_, id)| id).find(|id| {
        let mut first = Vec::new();
        let Ok(file) = File::open(dir.join(format!("{id}.jsonl"))) else { return false };
        let read = BufReader::new(file).take(64 * 1024).read_until(b'\n', &mut first);
        let header: Value = read.ok().and_then(|_| serde_json::from_slice(&first).ok()).unwrap_or_default();
        header["type"] == "session" && header["cwd"] == cwd
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn it_appears_with_the_first_record_and_is_private() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = sessions_dir(Some(tmp.path().to_owned())).unwrap();
        let mut transcript = Transcript::new(&dir, "/w");
        assert!(!dir.exists());
        transcript.append("user", Some("hi\n\"there\"")).unwrap();
        transcript.append("turn_end", None).unwrap();
        assert_eq!(fs::metadata(&dir).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(transcript.path()).unwrap().mode() & 0o777, 0o600);
        let lines: Vec<Value> = fs::read_to_string(transcript.path())
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!((&lines[0]["type"], &lines[0]["cwd"]), (&json!("session"), &json!("/w")));
        assert_eq!((&lines[1]["type"], &lines[1]["text"]), (&json!("user"), &json!("hi\n\"there\"")));
        assert_eq!(lines[2].get("text"), None);
    }

    #[test]
    fn resume_finds_the_newest_of_this_folder_and_goes_on_in_it() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = tmp.path();
        assert!(Transcript::resume(dir, None, "/w", 9).is_none());
        for (cwd, text) in [("/w", "old"), ("/w", "new"), ("/other", "x")] {
            let mut transcript = Transcript::new(dir, cwd);
            transcript.append("user", Some(text)).unwrap();
            transcript.append("assistant", Some(text)).unwrap();
            // The order must not depend on the resolution of the clock.
            let at = std::time::SystemTime::now() - std::time::Duration::from_secs(if text == "old" { 60 } else { 0 });
            File::open(transcript.path()).unwrap().set_modified(at).unwrap();
        }
        fs::write(dir.join("junk.jsonl"), b"\x00{").unwrap();
        let (mut transcript, said) = Transcript::resume(dir, None, "/w", 9).unwrap();
        assert_eq!(said, [ParrotSaid::User("new".into()), ParrotSaid::Assistant("new".into())]);
        assert_eq!(transcript.messages(), 1);
        let before = fs::read(transcript.path()).unwrap();
        fs::write(transcript.path(), [before.as_slice(), b"{\"type\":\"us"].concat()).unwrap();
        transcript.append("user", Some("more")).unwrap();
        let (again, said) = Transcript::resume(dir, Some(transcript.id()), "/elsewhere", 1).unwrap();
        assert_eq!(
            (again.messages(), said),
            (2, vec![ParrotSaid::User("more".into())]),
            "a torn line costs itself only"
        );
        for id in ["", "../x", "nope", "a/b"] {
            assert!(Transcript::resume(dir, Some(id), "/w", 1).is_none(), "{id:?}");
        }
    }
}
