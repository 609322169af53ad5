//! An agent's own transcript: a file of JSON lines to which the agent appends. It is read from the end or from a
//! baseline on, and whole only where that can't be avoided, with windows that grow to the size of the records.

use crate::base::AttentionState;
use crate::base::clock::EpochMs;
use crate::base::message_id::MessageId;
use crate::base::paths::Paths;
use crate::runtime::attention::{RecordState, Told};
use crate::runtime::login::fill_env;
use crate::runtime::manifest::TranscriptRules;
use crate::runtime::records::{TRANSCRIPT, WINDOW, last_matching, lines_from, matches_any, record_time};
use crate::store::markers::Turn;
use crate::store::open;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How far the clock may have been set back since a message was made.
const CLOCK_SLACK: Duration = Duration::from_secs(86_400);
/// How many of a file's first records may state its cwd.
const HEAD_RECORDS: usize = 8;
/// How many bytes these may have. The first records of known agents are much shorter.
const HEAD_BYTES: u64 = 8 * 1024 * 1024;

/// Where the transcripts of one peer are.
#[derive(Debug, Clone)]
pub struct Transcripts<'m> {
    rules: &'m TranscriptRules,
    dir: PathBuf,
    cwd: PathBuf,
}

/// A record that ends a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TurnEnd {
    /// When it was written.
    pub at: EpochMs,
    /// The byte at which it begins in the transcript that the running turn's hook named; unknown in another file.
    pub position: Option<u64>,
    /// Whether it follows, in that file, the message with which the turn began.
    pub follows_prompt: bool,
}

/// The size of each file in bytes at some moment: content beyond it is new.
pub(crate) type Baseline = BTreeMap<PathBuf, u64>;

impl<'m> Transcripts<'m> {
    /// The transcripts that the program keeps for a peer working in `cwd`. `get` looks up a variable of the session.
    pub fn of(rules: &'m TranscriptRules, paths: &Paths, cwd: &Path, get: impl Fn(&str) -> Option<String>) -> Self {
        let cwd = fs::canonicalize(cwd).unwrap_or_else(|_| cwd.to_owned());
        // The agents' own encoding: every character outside A-Z a-z 0-9 becomes a dash.
        let slug: String =
            cwd.to_string_lossy().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        // The session's own home, which its launch.env may have set (one account for each agent).
        let home = get("HOME").filter(|home| !home.is_empty()).map_or_else(|| paths.home().to_owned(), PathBuf::from);
        let dir = rules.dir.replace("{home}", &home.to_string_lossy()).replace("{slug}", &slug);
        let dir = fill_env(&dir, get);
        Transcripts { rules, dir: PathBuf::from(dir), cwd }
    }

    /// The transcripts of this peer and when they were written last, newest first.
    fn ours(&self) -> impl Iterator<Item = (SystemTime, PathBuf)> {
        let mut found = Vec::new();
        collect(&self.dir, self.rules.depth, &mut found);
        found.sort_by(|a, b| b.cmp(a));
        found.into_iter().filter(|(_, path)| self.is_ours(path))
    }

    /// The transcripts of this peer that were written to since `since`.
    pub(crate) fn written_since(&self, since: EpochMs) -> Vec<PathBuf> {
        let recent = |(written, _): &(SystemTime, PathBuf)| EpochMs::from(*written) >= since;
        self.ours().take_while(recent).map(|(_, path)| path).collect()
    }

    pub(crate) fn rules(&self) -> &TranscriptRules {
        self.rules
    }

    /// The folder that they are in.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The newest transcript of this peer.
    pub fn newest(&self) -> Option<PathBuf> {
        self.ours().next().map(|(_, path)| path)
    }

    fn is_ours(&self, path: &Path) -> bool {
        if let Some(owner) = &self.rules.owner {
            let stated = path.parent().and_then(|folder| open::read(&folder.join(owner), open::Rule::DOCUMENT).ok()?);
            let stated = stated.and_then(|bytes| String::from_utf8(bytes).ok());
            return stated.is_some_and(|stated| self.is_cwd(Path::new(stated.trim())));
        }
        let Some(pointer) = &self.rules.cwd else { return true };
        let Ok(Some((file, _))) = open::open(path, TRANSCRIPT) else { return false };
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
                return self.is_cwd(Path::new(stated))
                    && (self.rules.only.is_empty() || self.rules.only.iter().any(|rule| rule.holds(&record)));
            }
        }
        false
    }

    fn is_cwd(&self, stated: &Path) -> bool {
        stated == self.cwd || fs::canonicalize(stated).is_ok_and(|stated| stated == self.cwd)
    }

    /// The program's name of the conversation in `transcript`.
    pub(crate) fn session(&self, transcript: &Path) -> Option<String> {
        let name = match self.rules.session_is_folder {
            true => transcript.parent()?.file_name(),
            false => transcript.file_stem(),
        };
        name.map(|name| name.to_string_lossy().into_owned())
    }

    /// The current size of every file in the folder, whatever its peer: a file's peer is determined only when the file
    /// has grown.
    pub(crate) fn baseline(&self) -> Baseline {
        let mut found = Vec::new();
        collect(&self.dir, self.rules.depth, &mut found);
        found.into_iter().map(|(_, path)| (path.clone(), fs::metadata(&path).map_or(0, |m| m.len()))).collect()
    }

    /// Our files that have grown since `baseline`, and the byte from which on they are new.
    fn grown<'b>(&'b self, baseline: &'b Baseline) -> impl Iterator<Item = (PathBuf, u64)> + 'b {
        let mut found = Vec::new();
        collect(&self.dir, self.rules.depth, &mut found);
        found.into_iter().filter_map(|(_, path)| {
            let from = baseline.get(&path).copied().unwrap_or(0);
            let grown = fs::metadata(&path).is_ok_and(|meta| meta.len() > from);
            (grown && self.is_ours(&path)).then_some((path, from))
        })
    }

    /// Whether a record written since `baseline` carries the envelope of message `id`.
    pub fn carries_since(&self, baseline: &Baseline, id: MessageId) -> bool {
        self.grown(baseline).any(|(path, from)| self.taken_in(&path, from, id).is_some())
    }

    /// Whether any transcript carries the envelope of message `id`.
    pub fn carries(&self, id: MessageId) -> bool {
        self.taken(id).is_some()
    }

    /// When a turn took message `id`, by the first record that carries its envelope; 1970 where that record has no time.
    pub(crate) fn taken_at(&self, id: MessageId) -> Option<EpochMs> {
        self.taken(id).map(|record| record_time(&record, &self.rules.timestamp).unwrap_or_default())
    }

    fn taken(&self, id: MessageId) -> Option<Value> {
        let made = id.made().minus(CLOCK_SLACK);
        self.ours()
            .take_while(|(written, _)| EpochMs::from(*written) >= made)
            .find_map(|(_, path)| self.taken_in(&path, 0, id))
    }

    /// The first record of `path`, from byte `from` on, that proves that a turn took message `id`.
    fn taken_in(&self, path: &Path, from: u64, id: MessageId) -> Option<Value> {
        carrying(path, from, u64::MAX, id).find_map(|line| {
            // A line that is no JSON proves nothing: a power cut may have torn the record that says the message is queued,
            // and the next record then stands on the same line.
            let record = serde_json::from_slice(&line).ok()?;
            (!matches_any(&record, &self.rules.queued)).then_some(record)
        })
    }

    /// The time of the newest record that has one.
    pub fn last_activity(&self) -> Option<EpochMs> {
        last_matching(&self.newest()?, |record| record_time(record, &self.rules.timestamp)).map(|(at, _)| at)
    }

    /// The newest record that ends a turn without a hook, and its relation to the turn that runs according to the
    /// hooks.
    pub(crate) fn last_turn_end(&self, running: &Turn) -> Option<TurnEnd> {
        if self.rules.turn_end.is_empty() {
            return None;
        }
        let newest = self.newest()?;
        let (at, position) = last_matching(&newest, |record| {
            matches_any(record, &self.rules.turn_end).then(|| record_time(record, &self.rules.timestamp))?
        })?;
        let position = Some(position).filter(|_| running.transcript.as_deref() == Some(&newest));
        let follows_prompt = match (running.id, running.written, position) {
            // Some programs write the prompt before they call its hook: the search begins a little before that place.
            (Some(id), Some(written), Some(position)) if position >= written => {
                carries_between(&newest, written.saturating_sub(WINDOW), position, id)
            }
            _ => false,
        };
        Some(TurnEnd { at, position, follows_prompt })
    }

    /// The state from the newest record about an error or a limit, and when that record was written. `None` where the
    /// program has worked since: a later record has a time and is about neither.
    pub fn trouble(&self) -> Option<(EpochMs, Told)> {
        let tells = |record: &Value| {
            let by = |rules: &[RecordState], state| rules.iter().find_map(|rule| rule.tells(record, state));
            by(&self.rules.limits, AttentionState::Limited).or_else(|| by(&self.rules.errors, AttentionState::Failing))
        };
        if self.rules.errors.is_empty() && self.rules.limits.is_empty() {
            return None;
        }
        last_matching(&self.newest()?, |record| {
            let at = record_time(record, &self.rules.timestamp)?;
            match tells(record) {
                Some(told) => Some(Some((at, told))),
                // The record of a turn's end may follow the error that ended the turn: it is skipped.
                None if matches_any(record, &self.rules.turn_end) => None,
                None => Some(None),
            }
        })?
        .0
    }

    /// Whether a record written since `baseline` says that a compaction is done.
    pub fn compacted_since(&self, baseline: &Baseline) -> bool {
        self.grown(baseline).any(|(path, from)| {
            lines_from(&path, from).any(|(line, _)| {
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

/// Whether a line that begins at `from` or later, and before `to`, carries the envelope of message `id`.
fn carries_between(path: &Path, from: u64, to: u64, id: MessageId) -> bool {
    carrying(path, from, to, id).next().is_some()
}

/// The lines that begin at `from` or later, and before `to`, and carry the envelope of message `id`: its attribute
/// `id`, as JSON has it. The bare id proves nothing: an agent that reads its queue or its logs has it in its
/// transcript.
fn carrying(path: &Path, from: u64, to: u64, id: MessageId) -> impl Iterator<Item = Vec<u8>> {
    let needle = format!(r#"id=\"{id}\""#).into_bytes();
    let mut at = from;
    lines_from(path, from)
        .take_while(move |(_, taken)| {
            let before = at < to;
            at += taken;
            before
        })
        .map(|(line, _)| line)
        .filter(move |line| line.windows(needle.len()).any(|window| *window == needle))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::message_id::MessageId;
    use crate::runtime::manifest::RecordRule;
    use crate::store::markers::TurnState;
    use std::io::Write;

    fn rules(cwd: Option<&str>) -> TranscriptRules {
        TranscriptRules {
            dir: "{home}/t".into(),
            depth: 1,
            cwd: cwd.map(Into::into),
            owner: None,
            session_is_folder: false,
            only: Vec::new(),
            timestamp: "/timestamp".into(),
            queued: vec![RecordRule { at: "/type".into(), is: Some("queued".into()), ..Default::default() }],
            turn_start: vec![],
            tokens: vec![],
            model: None,
            turn_end: vec![RecordRule { at: "/type".into(), is: Some("end".into()), ..Default::default() }],
            compacted: vec![RecordRule { at: "/compact".into(), ..Default::default() }],
            errors: vec![],
            limits: vec![],
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
        let t = Transcripts::of(&rules, &home(dir.path()), &work, |_| None);
        assert_eq!(t.ours().map(|(_, path)| path).collect::<Vec<_>>(), [dir.path().join("t/2026/a.jsonl")]);
    }

    #[test]
    fn the_last_time_is_found_behind_a_giant_record_and_a_torn_tail() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("t")).unwrap();
        let path = dir.path().join("t/a.jsonl");
        let mut file = fs::File::create(&path).unwrap();
        writeln!(file, r#"{{"timestamp":"2026-01-01T00:00:01.500Z"}}"#).unwrap();
        writeln!(file, r#"{{"blob":"{}"}}"#, "y".repeat(400_000)).unwrap();
        writeln!(file, "not json").unwrap();
        write!(file, r#"{{"timestamp":"2027-01-01T00:00:00Z""#).unwrap();
        let rules = rules(None);
        let t = Transcripts::of(&rules, &home(dir.path()), dir.path(), |_| None);
        assert_eq!(t.last_activity(), Some(EpochMs(1_767_225_601_500)));
        assert_eq!(t.last_turn_end(&turn(None, &path, 0)), None);
    }

    fn turn(id: Option<MessageId>, transcript: &Path, written: u64) -> Turn {
        Turn {
            state: TurnState::Busy,
            failed: false,
            at: EpochMs(5),
            id,
            taken: vec![],
            queued: vec![],
            launch: None,
            session: None,
            transcript: Some(transcript.to_owned()),
            written: Some(written),
        }
    }

    #[test]
    fn a_turns_end_has_a_place_and_follows_its_prompt_or_not() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("t")).unwrap();
        let path = dir.path().join("t/a.jsonl");
        let rules = rules(None);
        let t = Transcripts::of(&rules, &home(dir.path()), dir.path(), |_| None);
        let id: MessageId = "01M7Q5CQG0BYHCDT2D4AREQYBQ".parse().unwrap();
        let prompt = format!("{{\"type\":\"user\",\"text\":\"<iap id=\\\"{id}\\\">\"}}\n");
        let end = "{\"type\":\"end\",\"timestamp\":7}\n";
        let len = |text: &str| text.len() as u64;
        let found = |text: String, id, file: &Path, written| {
            fs::write(&path, text).unwrap();
            t.last_turn_end(&turn(id, file, written)).map(|end| (end.at, end.position, end.follows_prompt))
        };
        let at = EpochMs(7);
        assert_eq!(found(prompt.clone(), Some(id), &path, 0), None);
        let ended = format!("{end}{prompt}{end}");
        let last = len(end) + len(&prompt);
        assert_eq!(found(ended.clone(), Some(id), &path, len(end)), Some((at, Some(last), true)));
        assert_eq!(
            found(ended.clone(), Some(id), &path, last),
            Some((at, Some(last), true)),
            "prompt first, then hook"
        );
        assert_eq!(found(ended.clone(), None, &path, len(end)), Some((at, Some(last), false)), "no message");
        assert_eq!(found(ended, Some(id), Path::new("/other"), 0), Some((at, None, false)));
        assert_eq!(found(format!("{end}{prompt}"), Some(id), &path, 0), Some((at, Some(0), false)), "written late");
        assert_eq!(found(format!("{end}{prompt}"), Some(id), &path, len(end)), Some((at, Some(0), false)));
    }

    #[test]
    fn what_ends_a_turn_of_claude_without_a_hook() {
        let dir = tempfile::tempdir().unwrap();
        let p = home(dir.path());
        let manifest = crate::runtime::Manifest::load(&p, &"claude".parse().unwrap()).unwrap();
        let t = Transcripts::of(manifest.transcript.as_ref().unwrap(), &p, dir.path(), |_| None);
        fs::create_dir_all(&t.dir).unwrap();
        let path = t.dir.join("a.jsonl");
        #[rustfmt::skip]
        let rows = [
            ("a person's prompt", r#"{"type":"user","message":{"content":"[Request interrupted by user] ?"},"timestamp":"2026-01-01T00:00:01Z"}"#, false),
            ("its end", r#"{"type":"system","subtype":"turn_duration","timestamp":"2026-01-01T00:00:01Z"}"#, true),
            ("Escape", r#"{"type":"user","message":{"content":[{"type":"text","text":"[Request interrupted by user]"}]},"timestamp":"2026-01-01T00:00:01Z"}"#, true),
            ("Escape during a tool", r#"{"type":"user","message":{"content":[{"type":"text","text":"[Request interrupted by user for tool use]"}]},"timestamp":"2026-01-01T00:00:01Z"}"#, true),
        ];
        for (name, record, ends) in rows {
            fs::write(&path, format!("{record}\n")).unwrap();
            assert_eq!(t.last_turn_end(&turn(None, &path, 0)).is_some(), ends, "{name}");
        }
    }

    #[test]
    fn only_what_stands_beyond_the_baseline_counts_as_new() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("t")).unwrap();
        let path = dir.path().join("t/a.jsonl");
        let [one, two, three, four] = [1, 2, 3, 4].map(|at| MessageId::of(EpochMs::from(SystemTime::now()), &at));
        let record = |id| serde_json::json!({ "m": format!("<iap id=\"{id}\">") }).to_string();
        let bare = serde_json::json!({ "m": format!("waiting  000001  {two}  did you get {{\"id\":\"{two}\"}}?") });
        fs::write(&path, format!("{}\n{bare}\n{{\"compact\":{{}}}}\n", record(one))).unwrap();
        let rules = rules(None);
        let t = Transcripts::of(&rules, &home(dir.path()), dir.path(), |_| None);
        let baseline = t.baseline();
        assert!(t.carries(one) && !t.carries_since(&baseline, one) && !t.compacted_since(&baseline));
        assert!(!t.carries(two), "it is spoken of, not delivered");
        let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        write!(file, "{}", record(two)).unwrap();
        assert!(!t.carries_since(&baseline, two), "a torn record is no evidence");
        writeln!(file).unwrap();
        assert!(t.carries_since(&baseline, two));
        fs::write(dir.path().join("t/b.jsonl"), record(three) + "\n").unwrap();
        assert!(t.carries_since(&baseline, three), "a new file is new from its start");
        // A record that a power cut tore, and the next one behind it on the same line.
        let torn = format!(r#"{{"type":"queued","m":"<iap id=\"{four}\"{}"#, r#"{"type":"user"}"#);
        fs::write(dir.path().join("t/c.jsonl"), torn + "\n").unwrap();
        assert!(!t.carries_since(&baseline, four), "a line that is no record is no evidence");
        let old = SystemTime::now() - 2 * CLOCK_SLACK;
        fs::File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
        assert!(!t.carries(two), "written before there was such a message");
    }
}
