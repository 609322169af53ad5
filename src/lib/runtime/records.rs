//! Records of a transcript: JSON lines, read forwards from a byte, or backwards from the end.

use crate::base::clock::EpochMs;
use crate::runtime::needle::RecordRule;
use crate::store::open::{self, Rule};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

/// The first window in bytes when reading from the end.
pub(super) const WINDOW: u64 = 64 * 1024;
/// The largest record in bytes, and about how far back from the end a record is searched.
pub(super) const RECORD_MAX: u64 = 64 * 1024 * 1024;
/// The requirements for transcripts: links are followed, since a user may have moved the files, and any size is
/// accepted, since they are read in parts.
pub(super) const TRANSCRIPT: Rule = Rule { max: u64::MAX, ..Rule::DOCUMENT };

pub(super) fn matches_any(record: &Value, rules: &[RecordRule]) -> bool {
    rules.iter().any(|rule| rule.holds(record))
}

pub(super) fn record_time(record: &Value, pointer: &str) -> Option<EpochMs> {
    match record.pointer(pointer)? {
        Value::String(text) => EpochMs::parse(text),
        Value::Number(number) => number.as_f64().filter(|ms| ms.is_finite() && *ms >= 0.0).map(|ms| EpochMs(ms as u64)),
        _ => None,
    }
}

/// The complete lines of `path` from byte `from` on, and how many bytes each took. A line longer than a record can be
/// is skipped: its text is empty.
pub(crate) fn lines_from(path: &Path, from: u64) -> impl Iterator<Item = (Vec<u8>, u64)> {
    let mut reader = open::open(path, TRANSCRIPT).ok().flatten().and_then(|(mut file, _)| {
        file.seek(SeekFrom::Start(from)).ok()?;
        Some(BufReader::new(file))
    });
    std::iter::from_fn(move || {
        let reader = reader.as_mut()?;
        let mut line = Vec::new();
        let mut taken = reader.take(RECORD_MAX).read_until(b'\n', &mut line).ok()? as u64;
        if line.ends_with(b"\n") {
            return Some((line, taken));
        }
        // A last line without LF may still be being written: it is left out. A line that is too long is skipped to its
        // LF.
        while taken >= RECORD_MAX {
            let block = reader.fill_buf().ok()?;
            let end = block.iter().position(|byte| *byte == b'\n');
            let used = end.map_or(block.len(), |at| at + 1);
            reader.consume(used);
            taken += used as u64;
            match end {
                Some(_) => return Some((Vec::new(), taken)),
                None if used == 0 => return None,
                None => {}
            }
        }
        None
    })
}

/// The result of `pick` for the last complete record for which it has one, and the byte at which that record begins.
/// The window from the end grows until such a record is found: a record can be larger than any fixed window (368 KB was
/// seen).
pub(super) fn last_matching<T>(path: &Path, pick: impl Fn(&Value) -> Option<T>) -> Option<(T, u64)> {
    let (mut file, meta) = open::open(path, TRANSCRIPT).ok()??;
    let len = meta.len();
    let mut window = WINDOW;
    loop {
        let from = len.saturating_sub(window);
        file.seek(SeekFrom::Start(from)).ok()?;
        let mut bytes = Vec::new();
        (&mut file).take(len - from).read_to_end(&mut bytes).ok()?;
        let mut lines: Vec<(&[u8], u64)> = Vec::new();
        let mut at = from;
        for line in bytes.split(|b| *b == b'\n') {
            lines.push((line, at));
            at += line.len() as u64 + 1;
        }
        // The text after the last LF is not complete yet; the text before the first LF has its start cut off.
        lines.pop();
        if from > 0 && !lines.is_empty() {
            lines.remove(0);
        }
        let found = lines.iter().rev().find_map(|(line, at)| Some((pick(&serde_json::from_slice(line).ok()?)?, *at)));
        if found.is_some() || from == 0 || window >= RECORD_MAX {
            return found;
        }
        window *= 2;
    }
}
