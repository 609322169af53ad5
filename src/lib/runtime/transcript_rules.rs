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
    /// How many folders deep the files may be below it.
    #[serde(default)]
    pub depth: u32,
    /// The pointer to the cwd that a file states in one of its first records. Without it the folder is the peer's own.
    #[serde(default)]
    pub cwd: Option<String>,
    /// A file, relative to the transcript's folder, with the peer's working folder as its only content: it tells whose
    /// transcript it is where no record does.
    #[serde(default)]
    pub owner: Option<String>,
    /// Whether the conversation has the name of the transcript's folder, not of its file.
    #[serde(default)]
    pub session_is_folder: bool,
    /// Rules, one of which the record with the cwd must match: a program may keep other threads' files in the same
    /// place.
    #[serde(default, deserialize_with = "one_or_more")]
    pub only: Vec<RecordRule>,
    /// The pointer to the time of a record: an ISO string, or a number of milliseconds since 1970.
    #[serde(default = "timestamp")]
    pub timestamp: String,
    /// A record that matches one of these says only that a message is in the program's own queue: it is no evidence.
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
    /// The pointer to the name of the model, in any record; the name holds for the records after it too.
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
