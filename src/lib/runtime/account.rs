//! Usage according to transcripts: tokens by model, and turns. Each reading continues where the last one ended.

use crate::base::clock::EpochMs;
use crate::runtime::account_rule::Tokens;
use crate::runtime::records::{lines_from, matches_any, record_time};
use crate::runtime::transcript::Transcripts;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

/// One answer of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ModelAnswer {
    /// When it was recorded.
    pub at: EpochMs,
    /// The model; absent where no record names one.
    pub model: Option<String>,
    /// What it used.
    pub tokens: Tokens,
}

/// Usage according to the transcripts of one peer, as far as they have been read.
#[derive(Debug, Default)]
pub(crate) struct Account {
    files: BTreeMap<PathBuf, FileAccount>,
}

/// Usage according to one transcript.
#[derive(Debug, Default)]
struct FileAccount {
    /// Up to which byte it has been read.
    read: u64,
    model: Option<String>,
    /// For each rule: the answers, and the index of each by its id.
    answers: Vec<(Vec<ModelAnswer>, HashMap<String, usize>)>,
    turns: Vec<(EpochMs, EpochMs)>,
    running: Option<EpochMs>,
    last: Option<EpochMs>,
}

impl Account {
    /// Reads the new records of the transcripts. Transcripts that were not written since `since` are left out.
    pub(crate) fn read(&mut self, transcripts: &Transcripts<'_>, since: EpochMs) {
        for path in transcripts.written_since(since) {
            let file = self.files.entry(path.clone()).or_default();
            for (line, taken) in lines_from(&path, file.read) {
                file.read += taken;
                let Ok(record) = serde_json::from_slice::<Value>(&line) else { continue };
                file.take(transcripts, &record);
            }
        }
    }

    /// All answers. Where several rules hold for a file's records, the first one counts.
    pub(crate) fn answers(&self) -> impl Iterator<Item = &ModelAnswer> {
        let first = |file: &'_ FileAccount| file.answers.iter().position(|(found, _)| !found.is_empty());
        self.files.values().flat_map(move |file| first(file).map(|rule| &file.answers[rule].0)).flatten()
    }

    /// When turns began and ended, the oldest first. A running turn ends with the last record.
    pub(crate) fn turns(&self) -> Vec<(EpochMs, EpochMs)> {
        let open = |file: &FileAccount| Some((file.running?, file.last?));
        let all = self.files.values().flat_map(|file| file.turns.iter().copied().chain(open(file)));
        let mut turns: Vec<(EpochMs, EpochMs)> = all.collect();
        turns.sort();
        turns
    }
}

impl FileAccount {
    fn take(&mut self, transcripts: &Transcripts<'_>, record: &Value) {
        let rules = transcripts.rules();
        if let Some(model) = rules.model.as_ref().and_then(|at| record.pointer(at)?.as_str()) {
            self.model = Some(model.to_owned());
        }
        let Some(at) = record_time(record, &rules.timestamp) else { return };
        self.last = self.last.max(Some(at));
        if matches_any(record, &rules.turn_start) {
            // Records that are written while a turn runs belong to that turn.
            self.running.get_or_insert(at);
        } else if matches_any(record, &rules.turn_end)
            && let Some(began) = self.running.take()
        {
            // The clock may have been set back, or a record may be wrong: no turn ends before it began.
            self.turns.push((began, at.max(began)));
        }
        self.answers.resize_with(rules.tokens.len(), Default::default);
        for (rule, (answers, places)) in rules.tokens.iter().zip(&mut self.answers) {
            if !rule.when.iter().all(|when| when.holds(record)) {
                continue;
            }
            let answer = ModelAnswer { at, model: self.model.clone(), tokens: rule.tokens(record) };
            let id = rule.id.as_ref().and_then(|at| record.pointer(at)?.as_str());
            match id.and_then(|id| places.get(id)) {
                Some(place) => answers[*place] = answer,
                None if answer.tokens.any() => {
                    id.map(|id| places.insert(id.to_owned(), answers.len()));
                    answers.push(answer);
                }
                None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::paths::Paths;
    use crate::runtime::Manifest;
    use std::fs::{self, OpenOptions};
    use std::io::Write;

    fn account(runtime: &str, lines: &[&str]) -> (Vec<(Option<String>, Tokens)>, Vec<u64>) {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().to_owned();
        let paths = Paths::read(|name| (name == "HOME").then(|| home.clone())).unwrap();
        let manifest = Manifest::load(&paths, &runtime.parse().unwrap()).unwrap();
        let cwd = dir.path().join("w");
        fs::create_dir(&cwd).unwrap();
        let transcripts = Transcripts::of(manifest.transcript.as_ref().unwrap(), &paths, &cwd, |_| None);
        fs::create_dir_all(transcripts.dir()).unwrap();
        let path = transcripts.dir().join("a.jsonl");
        let mut account = Account::default();
        // Reading line by line in several calls gives the same as reading all in one call.
        for line in lines {
            let mut file = OpenOptions::new().create(true).append(true).open(&path).unwrap();
            writeln!(file, "{}", line.replace("CWD", cwd.to_str().unwrap())).unwrap();
            account.read(&transcripts, EpochMs(0));
        }
        let answers = account.answers().map(|answer| (answer.model.clone(), answer.tokens)).collect();
        (answers, account.turns().iter().map(|(from, to)| to.since(*from).as_millis() as u64).collect())
    }

    // Records as Claude Code 2.1.332 and Codex 0.171.0 wrote them, without what does not matter here.
    const CLAUDE: [&str; 6] = [
        r#"{"type":"user","message":{"role":"user","content":"hello"},"promptSource":"typed","timestamp":"2026-11-26T20:37:39.806Z"}"#,
        r#"{"message":{"id":"msg_1","role":"assistant","model":"claude-opus-5-5","usage":{"input_tokens":10,"output_tokens":1,"cache_creation_input_tokens":7,"cache_read_input_tokens":100}},"type":"assistant","timestamp":"2026-11-26T20:37:40.000Z"}"#,
        r#"{"message":{"id":"msg_1","role":"assistant","model":"claude-opus-5-5","usage":{"input_tokens":10,"output_tokens":5,"cache_creation_input_tokens":7,"cache_read_input_tokens":100}},"type":"assistant","timestamp":"2026-11-26T20:37:40.022Z"}"#,
        r#"{"type":"user","message":{"role":"user","content":"and"},"promptSource":"queued","timestamp":"2026-11-26T20:37:40.040Z"}"#,
        r#"{"type":"system","subtype":"turn_duration","durationMs":272,"timestamp":"2026-11-26T20:37:40.078Z"}"#,
        r#"{"type":"assistant","timestamp":"2026-11-26T20:37:43.799Z","message":{"id":"a79e","model":"<synthetic>","role":"assistant","usage":{"input_tokens":0,"output_tokens":0}}}"#,
    ];
    const CODEX: [&str; 6] = [
        r#"{"timestamp":"2026-11-26T20:39:31.392Z","type":"session_meta","payload":{"cwd":"CWD","source":"cli"}}"#,
        r#"{"timestamp":"2026-11-26T20:39:31.393Z","type":"event_msg","payload":{"type":"task_started"}}"#,
        r#"{"timestamp":"2026-11-26T20:39:31.400Z","type":"turn_context","payload":{"cwd":"CWD","model":"stub-model"}}"#,
        r#"{"timestamp":"2026-11-26T20:39:31.458Z","type":"token_usage_record","payload":{"response_id":"resp_7d","usage":{"input_tokens":100,"cached_input_tokens":60,"cache_write_input_tokens":0,"output_tokens":5,"total_tokens":105}}}"#,
        r#"{"timestamp":"2026-11-26T20:39:31.459Z","type":"event_msg","payload":{"type":"token_count","info":{"total_token_usage":{"input_tokens":100,"cached_input_tokens":60,"output_tokens":5},"last_token_usage":{"input_tokens":100,"cached_input_tokens":60,"output_tokens":5}}}}"#,
        r#"{"timestamp":"2026-11-26T20:39:31.466Z","type":"event_msg","payload":{"type":"task_complete","duration_ms":75}}"#,
    ];

    #[test]
    fn claude_and_codex_say_what_they_used_and_no_answer_counts_twice() {
        let (answers, turns) = account("claude", &CLAUDE);
        let tokens = Tokens { input: 10, cached: 100, written: 7, output: 5 };
        assert_eq!(answers, [(Some("claude-opus-5-5".to_owned()), tokens)]);
        assert_eq!(turns, [272], "what is said in a turn begins no other");
        let tokens = Tokens { input: 40, cached: 60, written: 0, output: 5 };
        let (answers, turns) = account("codex", &CODEX);
        assert_eq!((answers, turns), (vec![(Some("stub-model".to_owned()), tokens)], vec![73]));
        // An earlier Codex has no records of their own for it.
        let earlier: Vec<&str> = CODEX.into_iter().filter(|line| !line.contains("token_usage_record")).collect();
        assert_eq!(account("codex", &earlier).0, [(Some("stub-model".to_owned()), tokens)]);
    }

    #[test]
    fn a_turn_that_runs_ends_with_the_last_record() {
        assert_eq!(account("claude", &CLAUDE[..3]).1, [216]);
        assert_eq!(account("claude", &CLAUDE[1..3]).1, [] as [u64; 0]);
    }
}
