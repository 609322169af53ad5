//! The part of a manifest that says where transcripts are and how to read them.

use super::account_rule::TokenRule;
use super::keys::one_or_more;
use super::needle::RecordRule;
use crate::runtime::attention::RecordState;
use serde::Deserialize;

/// Where transcripts are and what is in their records. All pointers are JSON pointers (RFC 6901) into a line.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TranscriptRules {
    /// The folder; `{home}`, `{slug}` and `{env:NAME:DEFAULT}` are filled in.
    pub dir: String,
    /// How many folders deep the files are below it.
    #[serde(default)]
    pub depth: u32,
    /// The cwd that a file states about itself in one of its first records. Without it the folder is the peer's own.
    #[serde(default)]
    pub cwd: Option<String>,
    /// A file, from the transcript's folder, that holds the peer's working folder and nothing else: whose transcript it
    /// is where no record says so.
    #[serde(default)]
    pub owner: Option<String>,
    /// The conversation is called as the transcript's folder, not as its file.
    #[serde(default)]
    pub session_is_folder: bool,
    /// What else that record must say, by one of these rules: a program may keep other threads' files in the same place.
    #[serde(default, deserialize_with = "one_or_more")]
    pub only: Vec<RecordRule>,
    /// The time of a record: an ISO string, or a number of milliseconds.
    #[serde(default = "timestamp")]
    pub timestamp: String,
    /// A record that matches one of these says only that a message stands in the program's own queue: it proves nothing.
    #[serde(default)]
    pub queued: Vec<RecordRule>,
    /// A record that matches one of these begins a turn, unless one runs.
    #[serde(default)]
    pub turn_start: Vec<RecordRule>,
    /// A record that matches one of these ends a turn that no hook ended (an interruption).
    #[serde(default)]
    pub turn_end: Vec<RecordRule>,
    /// A record that matches one of these says that a compaction is done.
    #[serde(default)]
    pub compacted: Vec<RecordRule>,
    /// Which records say how many tokens were used: the first rule that any record of a file matches.
    #[serde(default)]
    pub tokens: Vec<TokenRule>,
    /// The name of the model, in whatever record; it holds for the records behind it.
    #[serde(default)]
    pub model: Option<String>,
    /// Records that tell of a failed turn; the first rule that holds counts.
    #[serde(default)]
    pub errors: Vec<RecordState>,
    /// Records that tell of a usage or rate limit.
    #[serde(default)]
    pub limits: Vec<RecordState>,
}

fn timestamp() -> String {
    "/timestamp".into()
}
