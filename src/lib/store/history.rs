//! `history/<identity>.jsonl`: the outcome of each settled message. One JSON object a line, appended before the item
//! leaves the queue. Reports to senders are made from the history, and a message whose id it has as delivered or
//! dropped is not delivered again.
//!
//! A line is one `write` on O_APPEND and is not synced: a power cut may lose lines of the history, never a message. A
//! file over the size limit is renamed to `.jsonl.1`, which replaces the earlier `.jsonl.1`. A full tick (one that
//! examines every identity) drops lines older than `IAPEER_HISTORY_DAYS`.

use crate::base::address::{Address, HostName, Origin};
use crate::base::clock::EpochMs;
use crate::base::evidence::{Landed, Outcome};
use crate::base::identity::{Identity, Intelligence, Topic};
use crate::base::message_id::MessageId;
use crate::base::paths::{self, Paths};
use crate::base::settings::Settings;
use crate::base::step::{self, Point};
use crate::store::durable::{self, StoreError};
use crate::store::open::{self, NO_WAIT_NO_LINK, Rule};
use crate::store::queue::{Item, Seq};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The size of the blocks in which the file is read from its end. For a new message's id only the last block is read.
const BLOCK: u64 = 64 * 1024;

/// The history of one identity.
#[derive(Debug, Clone)]
pub struct History {
    pub(super) path: PathBuf,
    max: u64,
    bodies: bool,
}

/// One line of the history: a message and its outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settlement {
    /// Version of the format.
    pub v: u32,
    /// The message's id. Its place in the line is fixed: searches compare the beginning of each line.
    pub id: MessageId,
    /// The message's outcome.
    pub outcome: Outcome,
    /// When the message was settled.
    pub settled: EpochMs,
    /// The item's number in the queue.
    pub seq: u64,
    /// How the message landed; `None`: it did not land.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub landed: Option<Landed>,
    /// Why the message did not land.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The number of failed tries.
    #[serde(default)]
    pub attempts: u32,
    /// How often the recipient may have seen the message before.
    #[serde(default)]
    pub redelivered: u32,
    /// The sender.
    pub from: Origin,
    /// The recipient on another host; set only in the history of an outbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Address>,
    /// The sender's nature.
    pub from_intelligence: Intelligence,
    /// When the message was accepted.
    pub accepted: EpochMs,
    /// The message's topic.
    #[serde(default, deserialize_with = "Topic::lenient", skip_serializing_if = "Option::is_none")]
    pub topic: Option<Topic>,
    /// The message that this one answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub re: Option<MessageId>,
    /// Absolute paths of attached files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<String>,
    /// The message's body; absent where bodies are not kept (`IAPEER_HISTORY_DAYS=0`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
}

impl Settlement {
    /// The line for `item`, which has the number `seq` in its queue.
    pub fn of(item: &Item, seq: Seq, outcome: Outcome, landed: Option<Landed>, settled: EpochMs) -> Settlement {
        Settlement {
            v: 1,
            id: item.id,
            outcome,
            settled,
            seq: seq.0,
            landed,
            reason: item.reason.clone().filter(|_| outcome != Outcome::Delivered),
            attempts: item.attempts,
            redelivered: item.redelivered,
            from: item.from.clone(),
            to: item.to.clone(),
            from_intelligence: item.from_intelligence,
            accepted: item.accepted,
            topic: item.topic.clone(),
            re: item.re,
            attachments: item.attachments.clone(),
            task: Some(item.task.clone()),
        }
    }
}

impl History {
    /// The history of `identity`.
    pub fn of(paths: &Paths, settings: &Settings, identity: &Identity) -> History {
        History::at(paths.history(identity), settings)
    }

    /// The history of the messages to `host`.
    pub(crate) fn of_outbox(paths: &Paths, settings: &Settings, host: &HostName) -> History {
        History::at(paths.outbox_history(host), settings)
    }

    fn at(path: PathBuf, settings: &Settings) -> History {
        History { path, max: settings.history_max, bodies: settings.history_days > 0 }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn older(&self) -> PathBuf {
        older(&self.path)
    }

    /// Appends a line. The caller does this before the item leaves the queue.
    pub fn append(&self, line: &Settlement) -> Result<(), StoreError> {
        let mut line = line.clone();
        if !self.bodies {
            line.task = None;
        }
        let mut text = serde_json::to_vec(&line)
            .map_err(|error| StoreError::Corrupt { path: self.path.clone(), why: error.to_string() })?;
        text.push(b'\n');
        self.write(&text).map_err(|error| StoreError::io("write", &self.path, error))
    }

    fn write(&self, line: &[u8]) -> io::Result<()> {
        let mut file = match self.open() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let dir = self.path.parent().unwrap_or(Path::new("."));
                paths::create_dirs(dir).map_err(|failure| io::Error::other(failure.message))?;
                self.open()?
            }
            opened => opened?,
        };
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(io::Error::other("it is not a regular file: move it away"));
        }
        let mut len = meta.len();
        if len > 0 && len + line.len() as u64 > self.max {
            step::rename(Point::HistoryRotate, &self.path, &self.older())?;
            file = self.open()?;
            len = file.metadata()?.len();
        }
        // After a line that a crash cut short the new line must begin on a line of its own.
        if len > 0 {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                return step::append(Point::HistoryAppend, &file, &self.path, &[b"\n", line].concat());
            }
        }
        step::append(Point::HistoryAppend, &file, &self.path, line)
    }

    fn open(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).custom_flags(NO_WAIT_NO_LINK);
        step::open(Point::HistoryOpen, &self.path, &mut options)
    }

    /// The newest line about the message `id`. No line about the message is older than its acceptance, so the search
    /// runs from the end of the file back to the time `accepted`.
    pub fn find(&self, id: MessageId, accepted: EpochMs) -> Result<Option<Settlement>, StoreError> {
        let wanted = format!("{{\"v\":1,\"id\":\"{id}\"");
        for path in [&self.path, &self.older()] {
            let failed = |error| StoreError::io("read", path, error);
            match search(path, wanted.as_bytes(), accepted).map_err(failed)? {
                Search::Found(line) => return Ok(Some(line)),
                Search::Before => return Ok(None),
                Search::Missing => {}
            }
        }
        Ok(None)
    }

    /// Whether the message must not be delivered again: it was delivered, or an operator dropped it. A dead letter may
    /// be.
    pub fn forbids(&self, item: &Item) -> Result<bool, StoreError> {
        let line = self.find(item.id, item.accepted)?;
        Ok(line.is_some_and(|line| line.outcome != Outcome::Dead))
    }

    /// Every readable line, oldest first.
    pub fn lines(&self) -> Result<Vec<Settlement>, StoreError> {
        let mut all = Vec::new();
        for path in [self.older(), self.path.clone()] {
            let failed = |error| StoreError::io("read", &path, error);
            let Some((file, _)) = open::open(&path, Rule::LOG).map_err(|error| failed(error.into()))? else { continue };
            for line in BufReader::new(file).split(b'\n') {
                all.extend(serde_json::from_slice::<Settlement>(&line.map_err(failed)?).ok());
            }
        }
        Ok(all)
    }

    /// Whether the history has lines about messages that were settled before `cut`. Only the oldest line of each file
    /// is read.
    pub(crate) fn has_older_than(&self, cut: EpochMs) -> bool {
        [self.older(), self.path.clone()].iter().any(|path| oldest(path).is_some_and(|at| at < cut))
    }

    /// Drops the lines about messages that were settled before `cut`. The caller holds the identity's lock, so that no
    /// line is appended meanwhile.
    pub(crate) fn prune(&self, cut: EpochMs) -> Result<(), StoreError> {
        for path in [self.older(), self.path.clone()] {
            if oldest(&path).is_none_or(|at| at >= cut) {
                continue;
            }
            let bytes = open::read(&path, Rule { max: self.max.max(open::LOG_MAX), ..Rule::LOG })?.unwrap_or_default();
            let young = |line: &&[u8]| serde_json::from_slice::<Settlement>(line).is_ok_and(|line| line.settled >= cut);
            let kept: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').filter(young).collect();
            if kept.is_empty() {
                durable::remove(&path)?;
            } else {
                durable::write_volatile(&path, &kept.concat())?;
            }
        }
        Ok(())
    }

    /// Moves the history to another identity's name: appends it to the history that is there already. A missing history
    /// is fine.
    pub fn rename(&self, to: &History) -> Result<(), StoreError> {
        for (from, to) in [(self.older(), to.older()), (self.path.clone(), to.path.clone())] {
            if !to.exists() {
                durable::move_file(&from, &to)?;
            } else if let Some(lines) = open::read(&from, Rule::LOG)? {
                // A repetition after a crash may append the same lines once more, which does no harm.
                let there = open::read(&to, Rule::LOG)?.unwrap_or_default();
                durable::write_atomic(&to, &[there, lines].concat())?;
                durable::remove(&from)?;
            }
        }
        Ok(())
    }

    /// Removes the history.
    pub fn remove(&self) -> Result<(), StoreError> {
        durable::remove(&self.older())?;
        durable::remove(&self.path).map(drop)
    }
}

/// How long a line is kept. `IAPEER_HISTORY_DAYS=0` keeps outcomes without bodies, for as long as the default.
pub(crate) fn age_bound(settings: &Settings) -> Duration {
    let days = if settings.history_days == 0 { 30 } else { settings.history_days };
    Duration::from_secs(days.saturating_mul(24 * 3600))
}

fn older(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    PathBuf::from(name)
}

fn oldest(path: &Path) -> Option<EpochMs> {
    let mut line = Vec::new();
    let (file, _) = open::open(path, Rule::LOG).ok()??;
    BufReader::new(file.take(open::STATE_MAX)).read_until(b'\n', &mut line).ok()?;
    // A first line that can't be read counts as older than anything: pruning drops it.
    Some(serde_json::from_slice::<Settlement>(&line).map_or(EpochMs(0), |line| line.settled))
}

#[expect(clippy::large_enum_variant, reason = "one value at a time, never stored")]
enum Search {
    Found(Settlement),
    /// The search reached lines that are older than the message.
    Before,
    /// The whole file was searched.
    Missing,
}

/// Searches `path` from its end for the newest line that begins with `wanted`.
fn search(path: &Path, wanted: &[u8], accepted: EpochMs) -> io::Result<Search> {
    let Some((mut file, meta)) = open::open(path, Rule::LOG)? else { return Ok(Search::Missing) };
    let mut end = meta.len();
    // Bytes that were read and whose line begins in an older block.
    let mut tail: Vec<u8> = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        file.seek(SeekFrom::Start(start))?;
        let mut block = vec![0; (end - start) as usize];
        file.read_exact(&mut block)?;
        block.append(&mut tail);
        // In a block that is not the file's first, the first line is incomplete.
        let first = match start {
            0 => 0,
            _ => block.iter().position(|byte| *byte == b'\n').map_or(block.len(), |at| at + 1),
        };
        let lines = &block[first..];
        for line in lines.split(|byte| *byte == b'\n').rev() {
            if line.starts_with(wanted)
                && let Ok(found) = serde_json::from_slice(line)
            {
                return Ok(Search::Found(found));
            }
        }
        // The oldest line of the block says whether older blocks can hold the message, since lines are in the order of
        // writing. A clock that was set back in between only makes the search longer; one block more is read as a
        // margin.
        let oldest = lines.split(|byte| *byte == b'\n').find(|line| !line.is_empty());
        if oldest.and_then(settled_at).is_some_and(|at| at < accepted) {
            return Ok(Search::Before);
        }
        // No line of ours is that long: the line is skipped instead of being gathered block by block.
        block.truncate(if first as u64 > open::STATE_MAX { 0 } else { first });
        tail = block;
        end = start;
    }
    Ok(Search::Missing)
}

fn settled_at(line: &[u8]) -> Option<EpochMs> {
    #[derive(Deserialize)]
    struct At {
        settled: EpochMs,
    }
    serde_json::from_slice::<At>(line).ok().map(|at| at.settled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::queue::nobody;
    use std::fs;

    fn history(dir: &Path, max: u64) -> History {
        History { path: dir.join("history/claude-bob.jsonl"), max, bodies: true }
    }

    fn settled(n: u64, body: &str) -> Settlement {
        let item = Item { accepted: EpochMs(n), ..Item::new(nobody(), Intelligence::Absent, body.into(), EpochMs(n)) };
        Settlement::of(&item, Seq(n), Outcome::Delivered, None, EpochMs(n + 1))
    }

    #[test]
    fn a_file_without_lines_is_searched_in_one_pass() {
        let dir = tempfile::tempdir().unwrap();
        let history = history(dir.path(), u64::MAX);
        history.append(&settled(1, "x")).unwrap();
        fs::OpenOptions::new().append(true).open(history.path()).unwrap().set_len(100 << 20).unwrap();
        let line = settled(2, "y");
        let started = std::time::Instant::now();
        assert_eq!(history.find(line.id, line.accepted).unwrap(), None);
        // When each new block caused a search of all bytes gathered so far, this took minutes.
        assert!(started.elapsed() < std::time::Duration::from_secs(20), "{:?}", started.elapsed());
        history.append(&line).unwrap();
        assert_eq!(history.find(line.id, line.accepted).unwrap().as_ref(), Some(&line));
    }

    #[test]
    fn what_was_settled_is_found_however_far_back_it_stands() {
        let dir = tempfile::tempdir().unwrap();
        let history = history(dir.path(), u64::MAX);
        let body = "x\"\n".repeat(2000);
        let lines: Vec<Settlement> = (1..200).map(|n| settled(n, &body)).collect();
        lines.iter().for_each(|line| history.append(line).unwrap());
        assert!(fs::metadata(history.path()).unwrap().len() > 3 * BLOCK);
        for line in &lines {
            assert_eq!(history.find(line.id, line.accepted).unwrap().as_ref(), Some(line));
        }
        let other = settled(77, "y");
        assert_eq!(history.find(other.id, other.accepted).unwrap(), None);
        assert_eq!(history.lines().unwrap(), lines);
    }

    #[test]
    fn the_newest_line_of_a_message_counts() {
        let dir = tempfile::tempdir().unwrap();
        let history = history(dir.path(), u64::MAX);
        let dead = Settlement { outcome: Outcome::Dead, ..settled(1, "x") };
        let item = Item {
            id: dead.id,
            accepted: EpochMs(1),
            ..Item::new(nobody(), Intelligence::Absent, "x".into(), EpochMs(1))
        };
        history.append(&dead).unwrap();
        assert!(!history.forbids(&item).unwrap(), "a dead letter may be requeued");
        history.append(&Settlement { outcome: Outcome::Delivered, ..dead.clone() }).unwrap();
        assert!(history.forbids(&item).unwrap());
    }

    #[test]
    fn a_line_that_was_cut_short_swallows_no_other_and_a_body_forges_no_line() {
        let dir = tempfile::tempdir().unwrap();
        let history = history(dir.path(), u64::MAX);
        let (first, second) = (settled(1, "a"), settled(2, "b"));
        history.append(&first).unwrap();
        let text = fs::read(history.path()).unwrap();
        fs::write(history.path(), [text.as_slice(), &text[..text.len() / 2]].concat()).unwrap();
        let forged = settled(3, "x");
        let body = format!("\n{}", serde_json::to_string(&forged).unwrap());
        let second = Settlement { task: Some(body), ..second };
        history.append(&second).unwrap();
        assert_eq!(history.lines().unwrap(), [first, second]);
        assert_eq!(history.find(forged.id, forged.accepted).unwrap(), None);
    }

    #[test]
    fn the_size_is_bounded_and_the_older_half_is_still_found() {
        let dir = tempfile::tempdir().unwrap();
        let history = history(dir.path(), 2000);
        let lines: Vec<Settlement> = (1..50).map(|n| settled(n, "some words")).collect();
        lines.iter().for_each(|line| history.append(line).unwrap());
        let kept = history.lines().unwrap();
        assert!(kept.len() >= 5 && lines.ends_with(&kept), "{}", kept.len());
        assert!(fs::metadata(history.path()).unwrap().len() <= 2000);
        assert_eq!(history.find(kept[0].id, kept[0].accepted).unwrap().as_ref(), Some(&kept[0]));
    }

    #[test]
    fn pruning_drops_what_is_too_old_and_what_can_not_be_read() {
        let dir = tempfile::tempdir().unwrap();
        let history = history(dir.path(), u64::MAX);
        (1..6).for_each(|n| history.append(&settled(n * 10, "x")).unwrap());
        history.prune(EpochMs(31)).unwrap();
        let seqs = |history: &History| history.lines().unwrap().iter().map(|line| line.seq).collect::<Vec<_>>();
        assert_eq!(seqs(&history), [30, 40, 50]);
        history.prune(EpochMs(1000)).unwrap();
        assert!(!history.path().exists());
    }
}
