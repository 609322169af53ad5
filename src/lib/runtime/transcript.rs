//! An agent's own transcript: JSON lines that it appends to. Read from the end or past a baseline, never whole
//! where it can be helped, with windows that grow to the size of the records.

use crate::core::clock::EpochMs;
use crate::core::paths::Paths;
use crate::runtime::login::fill_env;
use crate::runtime::manifest::{RecordRule, TranscriptRules};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// First window when reading from the end.
const WINDOW: u64 = 64 * 1024;
/// How many of a file's first records may state its cwd.
const HEAD_RECORDS: usize = 8;
/// No record of a known agent comes near this; a longer first line is not a transcript's.
const HEAD_BYTES: u64 = 8 * 1024 * 1024;

/// Where the transcripts of one peer are.
#[derive(Debug, Clone)]
pub struct Transcripts<'m> {
    rules: &'m TranscriptRules,
    dir: PathBuf,
    cwd: PathBuf,
}

/// How far each file had been written at some moment: what stands beyond is new.
pub type Baseline = BTreeMap<PathBuf, u64>;

impl<'m> Transcripts<'m> {
    /// The transcripts that the program keeps for a peer working in `cwd`. `get` looks a variable up.
    pub fn of(rules: &'m TranscriptRules, paths: &Paths, cwd: &Path, get: impl Fn(&str) -> Option<String>) -> Self {
        let cwd = fs::canonicalize(cwd).unwrap_or_else(|_| cwd.to_owned());
        // The agents' own encoding: every character outside A-Z a-z 0-9 becomes a dash.
        let slug: String =
            cwd.to_string_lossy().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let dir = rules.dir.replace("{home}", &paths.home().to_string_lossy()).replace("{slug}", &slug);
        let dir = fill_env(&dir, get);
        Transcripts { rules, dir: PathBuf::from(dir), cwd }
    }

    /// Every transcript of this peer, newest first.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        collect(&self.dir, self.rules.depth, &mut found);
        found.sort_by(|a, b| b.cmp(a));
        found.into_iter().map(|(_, path)| path).filter(|path| self.is_ours(path)).collect()
    }

    /// The newest transcript of this peer.
    pub fn newest(&self) -> Option<PathBuf> {
        let mut found = Vec::new();
        collect(&self.dir, self.rules.depth, &mut found);
        found.sort_by(|a, b| b.cmp(a));
        found.into_iter().map(|(_, path)| path).find(|path| self.is_ours(path))
    }

    fn is_ours(&self, path: &Path) -> bool {
        let Some(pointer) = &self.rules.cwd else { return true };
        let Ok(file) = File::open(path) else { return false };
        let mut reader = BufReader::new(file.take(HEAD_BYTES));
        let mut line = Vec::new();
        for _ in 0..HEAD_RECORDS {
            line.clear();
            if reader.read_until(b'\n', &mut line).unwrap_or(0) == 0 {
                return false;
            }
            let stated = serde_json::from_slice::<Value>(&line).ok();
            let Some(record) = stated else { continue };
            if let Some(stated) = record.pointer(pointer).and_then(Value::as_str) {
                let ours =
                    Path::new(stated) == self.cwd || fs::canonicalize(stated).is_ok_and(|stated| stated == self.cwd);
                return ours && self.rules.only.as_ref().is_none_or(|rule| matches(&record, rule));
            }
        }
        false
    }

    /// How far every file in the folder has been written now, whoever's it is: what it states is read only when
    /// it has grown.
    pub fn baseline(&self) -> Baseline {
        let mut found = Vec::new();
        collect(&self.dir, self.rules.depth, &mut found);
        found.into_iter().map(|(_, path)| (path.clone(), fs::metadata(&path).map_or(0, |m| m.len()))).collect()
    }

    /// Our files that were written to since `baseline`, and from where on.
    fn grown<'b>(&'b self, baseline: &'b Baseline) -> impl Iterator<Item = (PathBuf, u64)> + 'b {
        let mut found = Vec::new();
        collect(&self.dir, self.rules.depth, &mut found);
        found.into_iter().filter_map(|(_, path)| {
            let from = baseline.get(&path).copied().unwrap_or(0);
            let grown = fs::metadata(&path).is_ok_and(|meta| meta.len() > from);
            (grown && self.is_ours(&path)).then_some((path, from))
        })
    }

    /// Whether a record written since `baseline` carries `needle`.
    pub fn carries_since(&self, baseline: &Baseline, needle: &str) -> bool {
        self.grown(baseline).any(|(path, from)| carries(&path, from, needle))
    }

    /// Whether any transcript carries `needle`.
    pub fn carries(&self, needle: &str) -> bool {
        self.files().iter().any(|path| carries(path, 0, needle))
    }

    /// The time of the newest record that has one.
    pub fn last_activity(&self) -> Option<EpochMs> {
        last_matching(&self.newest()?, |record| record_time(record, &self.rules.timestamp))
    }

    /// When the newest record that ends a turn without a hook was written.
    pub fn last_turn_end(&self) -> Option<EpochMs> {
        if self.rules.turn_end.is_empty() {
            return None;
        }
        last_matching(&self.newest()?, |record| {
            matches_any(record, &self.rules.turn_end).then(|| record_time(record, &self.rules.timestamp))?
        })
    }

    /// Whether a record written since `baseline` says that a compaction is done.
    pub fn compacted_since(&self, baseline: &Baseline) -> bool {
        self.grown(baseline).any(|(path, from)| {
            lines_from(&path, from).any(|line| {
                serde_json::from_slice(&line).is_ok_and(|record: Value| matches_any(&record, &self.rules.compacted))
            })
        })
    }
}

fn collect(dir: &Path, depth: u32, found: &mut Vec<(SystemTime, PathBuf)>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(meta) = fs::metadata(&path) else { continue };
        if meta.is_dir() && depth > 0 {
            collect(&path, depth - 1, found);
        } else if meta.is_file() && path.extension().is_some_and(|e| e == "jsonl") {
            found.push((meta.modified().unwrap_or(SystemTime::UNIX_EPOCH), path));
        }
    }
}

fn matches_any(record: &Value, rules: &[RecordRule]) -> bool {
    rules.iter().any(|rule| matches(record, rule))
}

fn matches(record: &Value, rule: &RecordRule) -> bool {
    match (record.pointer(&rule.at), &rule.is) {
        (Some(value), Some(wanted)) => value == wanted,
        (Some(value), None) => !value.is_null(),
        (None, _) => false,
    }
}

fn record_time(record: &Value, pointer: &str) -> Option<EpochMs> {
    match record.pointer(pointer)? {
        Value::String(text) => {
            let at: jiff::Timestamp = text.parse().ok()?;
            u64::try_from(at.as_millisecond()).ok().map(EpochMs)
        }
        Value::Number(number) => number.as_f64().filter(|ms| ms.is_finite() && *ms >= 0.0).map(|ms| EpochMs(ms as u64)),
        _ => None,
    }
}

/// The complete lines of `path` from byte `from` on.
fn lines_from(path: &Path, from: u64) -> impl Iterator<Item = Vec<u8>> {
    let reader = File::open(path).ok().and_then(|mut file| {
        file.seek(SeekFrom::Start(from)).ok()?;
        Some(BufReader::new(file))
    });
    let mut reader = reader;
    std::iter::from_fn(move || {
        let mut line = Vec::new();
        reader.as_mut()?.read_until(b'\n', &mut line).ok()?;
        line.ends_with(b"\n").then_some(line)
    })
}

fn carries(path: &Path, from: u64, needle: &str) -> bool {
    let needle = needle.as_bytes();
    lines_from(path, from).any(|line| line.windows(needle.len()).any(|window| window == needle))
}

/// What `pick` says of the last complete record for which it says anything. The window from the end grows until
/// one is found: a record can be larger than any fixed window (368 KB was seen).
fn last_matching<T>(path: &Path, pick: impl Fn(&Value) -> Option<T>) -> Option<T> {
    let mut file = File::open(path).ok()?;
    let len = file.metadata().ok()?.len();
    let mut window = WINDOW;
    loop {
        let from = len.saturating_sub(window);
        file.seek(SeekFrom::Start(from)).ok()?;
        let mut bytes = Vec::new();
        (&mut file).take(len - from).read_to_end(&mut bytes).ok()?;
        let mut lines: Vec<&[u8]> = bytes.split(|b| *b == b'\n').collect();
        // What follows the last LF is not complete yet; what precedes the first one has its start cut off.
        lines.pop();
        if from > 0 && !lines.is_empty() {
            lines.remove(0);
        }
        let found = lines.iter().rev().find_map(|line| pick(&serde_json::from_slice(line).ok()?));
        if found.is_some() || from == 0 {
            return found;
        }
        window *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn rules(cwd: Option<&str>) -> TranscriptRules {
        TranscriptRules {
            dir: "{home}/t".into(),
            depth: 1,
            cwd: cwd.map(Into::into),
            only: None,
            timestamp: "/timestamp".into(),
            turn_end: vec![RecordRule { at: "/type".into(), is: Some("end".into()) }],
            compacted: vec![RecordRule { at: "/compact".into(), is: None }],
        }
    }

    fn home(dir: &Path) -> Paths {
        let dir = dir.to_owned();
        Paths::read(move |name| (name == "HOME").then(|| dir.clone())).unwrap()
    }

    #[test]
    fn a_transcript_is_found_by_the_cwd_it_states() {
        let dir = tempfile::tempdir().unwrap();
        let (work, other) = (dir.path().join("w"), dir.path().join("o"));
        fs::create_dir_all(&work).unwrap();
        fs::create_dir_all(dir.path().join("t/2026")).unwrap();
        let long = "x".repeat(100_000);
        for (name, cwd) in [("a", &work), ("b", &other)] {
            let line = format!("{{\"long\":\"{long}\"}}\n{{\"p\":{{\"cwd\":{cwd:?}}}}}\n");
            fs::write(dir.path().join(format!("t/2026/{name}.jsonl")), line).unwrap();
        }
        let rules = rules(Some("/p/cwd"));
        let found = Transcripts::of(&rules, &home(dir.path()), &work, |_| None).files();
        assert_eq!(found, [dir.path().join("t/2026/a.jsonl")]);
    }

    #[test]
    fn the_last_time_is_found_behind_a_giant_record_and_a_torn_tail() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("t")).unwrap();
        let path = dir.path().join("t/a.jsonl");
        let mut file = File::create(&path).unwrap();
        writeln!(file, r#"{{"timestamp":"2026-01-01T00:00:01.500Z"}}"#).unwrap();
        writeln!(file, r#"{{"blob":"{}"}}"#, "y".repeat(400_000)).unwrap();
        writeln!(file, "not json").unwrap();
        write!(file, r#"{{"timestamp":"2027-01-01T00:00:00Z""#).unwrap();
        let rules = rules(None);
        let t = Transcripts::of(&rules, &home(dir.path()), dir.path(), |_| None);
        assert_eq!(t.last_activity(), Some(EpochMs(1_767_225_601_500)));
        assert_eq!(t.last_turn_end(), None);
    }

    #[test]
    fn only_what_stands_beyond_the_baseline_counts_as_new() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("t")).unwrap();
        let path = dir.path().join("t/a.jsonl");
        fs::write(&path, "{\"m\":\"ID1\"}\n{\"compact\":{}}\n").unwrap();
        let rules = rules(None);
        let t = Transcripts::of(&rules, &home(dir.path()), dir.path(), |_| None);
        let baseline = t.baseline();
        assert!(t.carries("ID1") && !t.carries_since(&baseline, "ID1") && !t.compacted_since(&baseline));
        let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        write!(file, "{{\"m\":\"ID2\"").unwrap();
        assert!(!t.carries_since(&baseline, "ID2"), "a torn record is no evidence");
        writeln!(file, "}}").unwrap();
        assert!(t.carries_since(&baseline, "ID2"));
        fs::write(dir.path().join("t/b.jsonl"), "{\"m\":\"ID3\"}\n").unwrap();
        assert!(t.carries_since(&baseline, "ID3"), "a new file is new from its start");
    }
}
