//! The log of one pane: the bytes that its program wrote to the terminal, bounded in size.

use crate::store::cap::keep_tail;
use crate::store::event_log;
use crate::store::open::NO_WAIT_NO_LINK;
use anstyle_parse::{DefaultCharAccumulator, Params, Parser, Perform};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A log of more bytes than this is cut to its last [`KEEP`] bytes.
pub(crate) const CAP: u64 = 32 << 20;
/// How many bytes of a log that is cut are kept.
pub(crate) const KEEP: u64 = 8 << 20;

/// How many bytes of the log's end are read for a program's last words.
const WORDS: u64 = 16 * 1024;
/// How many lines, and how many characters, last words may have.
const TOLD: (usize, usize) = (3, 300);

/// The writer of a pane's log.
#[derive(Debug)]
pub struct PaneLog {
    path: PathBuf,
    file: Option<File>,
}

impl PaneLog {
    /// The writer of the log at `path`.
    pub fn at(path: &Path) -> PaneLog {
        PaneLog { path: path.to_owned(), file: None }
    }

    /// Appends all of `stream` until its end. What can't be written (a full disk, a folder that is gone) is dropped, so
    /// that the program at the other end never waits for us.
    pub fn keep(&mut self, mut stream: impl Read) -> io::Result<()> {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(read) => {
                    if self.append(&buffer[..read]).is_err() {
                        self.file = None;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.open()?.write_all(bytes)?;
        // The writer cuts the log itself, between two writes, so that the cut loses nothing.
        keep_tail(&self.path, CAP, KEEP).map(drop)
    }

    /// The log, opened anew where somebody has moved or removed it (logrotate, a cleaner).
    fn open(&mut self) -> io::Result<&mut File> {
        let ours = |file: &File| {
            let (open, named) = (file.metadata(), std::fs::symlink_metadata(&self.path));
            open.is_ok_and(|open| named.is_ok_and(|named| (open.dev(), open.ino()) == (named.dev(), named.ino())))
        };
        if !self.file.as_ref().is_some_and(ours) {
            // A link or a FIFO that somebody has put there must neither be written to nor block the writer.
            let file = OpenOptions::new()
                .append(true)
                .create(true)
                .mode(0o600)
                .custom_flags(NO_WAIT_NO_LINK)
                .open(&self.path)?;
            if !file.metadata()?.is_file() {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
            }
            self.file = Some(file);
        }
        self.file.as_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// What a program printed last, as its pane's log has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LastOutput {
    /// Nothing, or nothing yet: the log's writer may be behind.
    Nothing,
    /// A full screen, whose bytes in the log make no readable lines.
    Screen,
    /// Its last lines, joined to one line.
    Words(String),
}

/// What a program printed last; only the log's content from byte `from` on counts.
pub fn last_output(path: &Path, from: u64) -> LastOutput {
    let Some(bytes) = end_of(path, from) else { return LastOutput::Nothing };
    let raw = String::from_utf8_lossy(&bytes);
    if raw.contains("\u{1b}[?1049h") || raw.contains("\u{1b}[H") {
        return LastOutput::Screen;
    }
    let plain = plain(&raw);
    let lines: Vec<String> = plain
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ").replace('"', "'"))
        .filter(|line| !line.is_empty())
        .collect();
    let told = lines[lines.len().saturating_sub(TOLD.0)..].join(" ⏎ ");
    if told.is_empty() { LastOutput::Nothing } else { LastOutput::Words(told.chars().take(TOLD.1).collect()) }
}

/// The last bytes of the log at `path`, from byte `from` on.
fn end_of(path: &Path, from: u64) -> Option<Vec<u8>> {
    let mut file = OpenOptions::new().read(true).custom_flags(NO_WAIT_NO_LINK).open(path).ok()?;
    let len = file.metadata().ok().filter(|meta| meta.is_file())?.len();
    // A log shorter than `from` was cut or moved away since: its end is of this session.
    let from = if from > len { 0 } else { from }.max(len.saturating_sub(WORDS));
    file.seek(SeekFrom::Start(from)).ok()?;
    let mut bytes = Vec::new();
    file.take(WORDS).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// The end of the log at `path` as plain text, at most 50 lines.
pub(crate) fn last_lines(path: &Path) -> String {
    let raw = event_log::tail(path, WORDS).unwrap_or_default();
    let plain = plain(&raw);
    let lines: Vec<&str> = plain.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(50)..].join("\n")
}

/// `text` without escape sequences and control characters.
fn plain(text: &str) -> String {
    let mut out = PlainText::default();
    let mut parser = Parser::<DefaultCharAccumulator>::new();
    text.bytes().for_each(|byte| parser.advance(&mut out, byte));
    out.0
}

/// Collects the printable text of a terminal's stream, with its line ends.
#[derive(Default)]
struct PlainText(String);

impl Perform for PlainText {
    fn print(&mut self, c: char) {
        if !c.is_control() {
            self.0.push(c);
        }
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            b'\r' | b'\n' => self.0.push('\n'),
            b'\t' => self.0.push('\t'),
            _ => {}
        }
    }

    fn csi_dispatch(&mut self, _params: &Params, _intermediates: &[u8], _ignore: bool, action: u8) {
        // A sequence that moves the cursor to another line ends the line.
        if matches!(action, b'A' | b'B' | b'E' | b'F' | b'H' | b'd' | b'f') {
            self.0.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pane_stream_becomes_plain_text() {
        assert_eq!(plain("a\u{1b}[31mb\u{1b}[0m\r\n\u{1b}]0;title\u{7}c\u{8}d"), "ab\n\ncd");
        assert_eq!(plain("one\u{1b}[2;1Htwo\u{1b}["), "one\ntwo");
    }

    #[test]
    fn a_log_that_was_moved_away_comes_back_and_none_grows_without_bound() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pane.log");
        let mut log = PaneLog::at(&path);
        log.keep(&b"one"[..]).unwrap();
        std::fs::rename(&path, dir.path().join("pane.log.1")).unwrap();
        log.keep(&b"two"[..]).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "new").unwrap();
        log.keep(&b"three"[..]).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"newthree");
        log.keep(io::repeat(b'x').take(CAP + 1)).unwrap();
        assert!(std::fs::metadata(&path).unwrap().len() <= CAP);
    }

    #[test]
    fn a_log_that_is_no_file_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pane.log");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        PaneLog::at(&path).keep(&b"x"[..]).unwrap();
        assert_eq!(last_output(&path, 0), LastOutput::Nothing);
    }

    #[test]
    fn last_words_are_of_this_session_and_no_screens() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pane.log");
        std::fs::write(&path, "old\r\na\r\nb\r\n\u{1b}[31merror: \"c\"\u{1b}[0m\r\n\r\nsee d\r\n").unwrap();
        let words = LastOutput::Words("b ⏎ error: 'c' ⏎ see d".into());
        assert_eq!((last_output(&path, 5), last_output(&path, 999)), (words.clone(), words));
        assert_eq!(last_output(&path, std::fs::metadata(&path).unwrap().len()), LastOutput::Nothing);
        std::fs::write(&path, "\u{1b}[?1049h\u{1b}[Hhello").unwrap();
        assert_eq!(last_output(&path, 0), LastOutput::Screen);
    }
}
