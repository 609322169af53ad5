//! The event logs: one logfmt line for each decision; files are rotated under a lock.
//!
//! A plain append is one `write` on an `O_APPEND` descriptor, which the kernel keeps whole; only rotation takes
//! the log's lock. A value never breaks its line: LF and control characters are escaped.

use crate::base::clock::{Clock, EpochMs};
use crate::base::paths::Paths;
use crate::base::settings::Settings;
use crate::base::step::{self, Point};
use crate::store::lock::FileLock;
use crate::store::open::{self, NO_WAIT_NO_LINK, Rule};
use std::fmt::{Display, Write as _};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Which log a line belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Log {
    /// `lifecycle.log`: wakes, ticks, canaries, topics.
    Lifecycle,
    /// `delivery.log`: what became of each message.
    Delivery,
    /// `exits.log`: ends of sessions and servers, with their causes.
    Exits,
}

impl Log {
    /// Its file name.
    pub fn file_name(self) -> &'static str {
        match self {
            Log::Lifecycle => "lifecycle.log",
            Log::Delivery => "delivery.log",
            Log::Exits => "exits.log",
        }
    }
}

/// One event: `ev=NAME` and its fields, in the order they are given.
#[derive(Debug, Clone)]
pub struct Event {
    line: String,
}

impl Event {
    /// An event named `ev`.
    pub fn new(ev: &str) -> Event {
        Event { line: format!("ev={ev}") }
    }

    /// Adds `key=value`.
    pub fn field(mut self, key: &str, value: impl Display) -> Event {
        // Writing to a String can't fail.
        let _ = write!(self.line, " {key}={}", quoted(&value.to_string()));
        self
    }

    /// Adds `key=value` where there is a value.
    pub fn maybe(self, key: &str, value: Option<impl Display>) -> Event {
        match value {
            Some(value) => self.field(key, value),
            None => self,
        }
    }

    /// The line without its timestamp.
    pub fn as_str(&self) -> &str {
        &self.line
    }
}

/// A logfmt value: bare where that is unambiguous, else quoted; control characters are always escaped.
pub fn quoted(value: &str) -> String {
    let needs = value.is_empty() || value.chars().any(|c| c.is_whitespace() || c.is_control() || c == '"' || c == '=');
    if !needs {
        return value.to_owned();
    }
    let mut out = String::with_capacity(value.len() + 2);
    out.push('"');
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Reads a logfmt line back into its pairs. Never fails: a rest without `=` is skipped, and text before a pair becomes
/// part of its key.
pub fn parse(line: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut rest = line.trim_end();
    while let Some((key, after)) = rest.split_once('=') {
        let key = key.trim_start().to_owned();
        if let Some(body) = after.strip_prefix('"') {
            let mut value = String::new();
            let mut chars = body.char_indices();
            let mut end = body.len();
            while let Some((at, c)) = chars.next() {
                match c {
                    '"' => {
                        end = at + 1;
                        break;
                    }
                    '\\' => match chars.next().map(|(_, c)| c) {
                        Some('n') => value.push('\n'),
                        Some('r') => value.push('\r'),
                        Some('t') => value.push('\t'),
                        Some('u') => {
                            let hex: String = chars.by_ref().take(4).map(|(_, c)| c).collect();
                            value.extend(u32::from_str_radix(&hex, 16).ok().and_then(char::from_u32));
                        }
                        Some(c) => value.push(c),
                        None => {}
                    },
                    c => value.push(c),
                }
            }
            pairs.push((key, value));
            rest = body[end..].trim_start();
        } else {
            let (value, after) = after.split_once(' ').unwrap_or((after, ""));
            pairs.push((key, value.to_owned()));
            rest = after;
        }
    }
    pairs
}

/// The writer of the event logs. Where a log can't be written, this is reported on stderr, and the program goes on.
#[derive(Debug, Clone)]
pub struct EventLog {
    dir: PathBuf,
    lifecycle: (u64, u64),
    delivery: (u64, u64),
}

impl EventLog {
    /// The logs below `paths`, with the sizes of `settings`.
    pub fn new(paths: &Paths, settings: &Settings) -> EventLog {
        EventLog {
            dir: paths.event_log_dir(),
            lifecycle: (settings.lifecycle_log_max, settings.lifecycle_log_keep),
            delivery: (settings.delivery_log_max, settings.delivery_log_keep),
        }
    }

    /// Appends `event` with the time of `clock` (milliseconds; seconds in `exits.log`).
    pub fn append(&self, log: Log, clock: &dyn Clock, event: &Event) {
        let ts = if log == Log::Exits { clock.now().utc_seconds() } else { clock.now().utc() };
        let (max, keep) = if log == Log::Delivery { self.delivery } else { self.lifecycle };
        let path = self.dir.join(log.file_name());
        let line = format!("ts={ts} {}\n", event.as_str());
        let written = append_line(&path, line.as_bytes(), max, keep, clock).and_then(|file| match log {
            // The death of a session is often followed by a crash of the machine. The folder is synced too, since the
            // file may be new.
            Log::Exits => {
                step::sync(Point::ExitsSync, &file, &path).and_then(|()| step::sync_dir(Point::ExitsSyncDir, &self.dir))
            }
            Log::Lifecycle | Log::Delivery => Ok(()),
        });
        if let Err(error) = written {
            tracing::warn!("cannot write {}: {error} (the event was: {})", path.display(), event.as_str());
        }
    }
}

fn open_append(path: &Path) -> std::io::Result<File> {
    // With these flags, opening a FIFO that nobody reads fails instead of waiting for a reader.
    let mut options = OpenOptions::new();
    options.append(true).create(true).custom_flags(NO_WAIT_NO_LINK);
    step::open(Point::LogOpen, path, &mut options)
}

fn append_line(path: &Path, line: &[u8], max: u64, keep: u64, clock: &dyn Clock) -> std::io::Result<File> {
    let full = |file: &File| Ok::<_, std::io::Error>(file.metadata()?.len() + line.len() as u64 > max);
    let mut file = open_append(path)?;
    if full(&file)? {
        let lock = path.with_extension("log.lock");
        // A rotation takes milliseconds. Where the lock stays held for longer, the line is appended to the full file.
        if let Ok(_held) = FileLock::acquire(&lock, "rotation", Duration::from_secs(1), clock) {
            // Another appender may have rotated the log while we waited: open the file that has the name now.
            file = open_append(path)?;
            if full(&file)? && file.metadata()?.len() > 0 {
                for n in (1..keep).rev() {
                    let _ = step::rename(Point::LogShift, &numbered(path, n), &numbered(path, n + 1));
                }
                step::rename(Point::LogRotate, path, &numbered(path, 1))?;
                file = open_append(path)?;
            }
        }
    }
    step::append(Point::LogAppend, &file, path, line)?;
    Ok(file)
}

fn numbered(path: &Path, n: u64) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{n}"));
    PathBuf::from(name)
}

/// The last `bytes` of a file as text, from the first whole line on.
pub fn tail(path: &Path, bytes: u64) -> Option<String> {
    use std::io::{Read, Seek, SeekFrom};
    let (mut file, meta) = open::open(path, Rule::LOG).ok()??;
    let len = meta.len();
    let from = len.saturating_sub(bytes);
    file.seek(SeekFrom::Start(from)).ok()?;
    let mut raw = Vec::new();
    file.take(bytes).read_to_end(&mut raw).ok()?;
    let text = String::from_utf8_lossy(&raw).into_owned();
    if from == 0 {
        Some(text)
    } else {
        Some(text.split_once('\n').map(|(_, rest)| rest.to_owned()).unwrap_or_default())
    }
}

/// The time of a parsed line.
pub(crate) fn time_of(pairs: &[(String, String)]) -> Option<EpochMs> {
    EpochMs::parse(&pairs.iter().find(|(key, _)| key == "ts")?.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::SystemClock;
    use std::fs;

    #[test]
    fn a_value_never_breaks_its_line_and_reads_back() {
        for value in [
            "plain",
            "",
            "two words",
            "a=b",
            "q\"uote",
            "line\nbreak\ttab",
            "esc\u{1b}[31m",
            "\\",
            "back\\slash x",
            "é\u{85}",
        ] {
            let event = Event::new("x").field("v", value).field("after", 1);
            assert!(!event.as_str().contains(['\n', '\u{1b}']), "{event:?}");
            let pairs = parse(event.as_str());
            assert_eq!(pairs[1], ("v".into(), value.to_owned()), "{event:?}");
            assert_eq!(pairs[2], ("after".into(), "1".into()));
        }
    }

    #[test]
    fn rotation_keeps_every_line_of_concurrent_appenders() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lifecycle.log");
        let clock = SystemClock::default();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (path, clock) = (&path, &clock);
                scope.spawn(move || {
                    for n in 0..50 {
                        append_line(path, format!("{thread}:{n:04}\n").as_bytes(), 100, 50, clock).unwrap();
                    }
                });
            }
        });
        let mut lines = Vec::new();
        for entry in fs::read_dir(dir.path()).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name().to_str().unwrap().ends_with(".lock") {
                continue;
            }
            lines.extend(fs::read_to_string(entry.path()).unwrap().lines().map(str::to_owned));
        }
        lines.sort();
        lines.dedup();
        assert_eq!(lines.len(), 200);
    }

    #[test]
    fn a_file_may_reach_its_maximum_but_not_pass_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("l.log");
        let clock = SystemClock::default();
        for _ in 0..3 {
            append_line(&path, b"12345\n", 12, 2, &clock).unwrap();
        }
        assert_eq!(fs::read(&path).unwrap(), b"12345\n");
        assert_eq!(fs::read(numbered(&path, 1)).unwrap(), b"12345\n12345\n");
    }
}
