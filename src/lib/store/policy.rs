//! The policy for a peer's sessions from its profile: whether the peer is a worker, when it resumes, how often a task
//! is tried, limits, the first text; and the peer's groups. The registry keeps a copy, for a peer whose profile is
//! missing or unreadable.

use crate::base::harmless::without_controls;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The keys of a profile that a policy is made of.
pub(crate) const KEYS: [&str; 19] = [
    "wake_policy",
    "resume",
    "max_attempts",
    "limits",
    "initial_prompt",
    "approvals",
    "after_limit",
    "delivery",
    "limit_text",
    "imports",
    "args",
    "env",
    "env_file",
    "fleet",
    "worktree",
    "native_memory",
    "memory_plugin",
    "enable",
    "tags",
];

/// When a parked peer resumes (D1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// Whenever there is something to resume.
    Always,
    /// Only for a known topic.
    Topic,
    /// Never.
    Never,
}

/// Limits of a session's unit (D31): values as systemd takes them, such as `2G`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// `MemoryMax`.
    pub memory_max: Option<String>,
    /// `MemoryHigh`.
    pub memory_high: Option<String>,
    /// `TasksMax`.
    pub tasks_max: Option<String>,
}

/// The policy as its keys stand in a profile or in a record of the registry.
#[derive(Debug, Clone, Copy)]
pub struct Policy<'a>(pub(crate) &'a Map<String, Value>);

impl Policy<'_> {
    /// Whether the peer is a stateless worker.
    pub fn ephemeral(&self) -> bool {
        self.text("wake_policy") == Some("ephemeral")
    }

    /// When the peer resumes. An unknown word counts as absent.
    pub fn resume(&self) -> Option<Resume> {
        match self.text("resume")? {
            "always" => Some(Resume::Always),
            "topic" => Some(Resume::Topic),
            "never" => Some(Resume::Never),
            _ => None,
        }
    }

    /// Whether the peer's program asks before it uses a tool (`approvals: ask`). An unknown word counts as `ask`, which
    /// does no harm.
    pub fn asks(&self) -> bool {
        self.0.get("approvals").is_some_and(|value| !value.is_null() && value.as_str() != Some("bypass"))
    }

    /// Whether messages are typed even where the peer's program offers a better way (`delivery: type`).
    pub fn types(&self) -> bool {
        self.text("delivery") == Some("type")
    }

    /// The text that the peer gets when its usage limit is over (`after_limit: continue`): `limit_text`, or a default
    /// text. `None`: it gets none.
    pub(crate) fn after_limit(&self) -> Option<String> {
        let text = self.text("limit_text").filter(|text| !text.trim().is_empty());
        let text = text.unwrap_or("Your usage limit is over: go on with what you were doing.");
        (self.text("after_limit") == Some("continue")).then(|| text.to_owned())
    }

    /// The word under `key`, by which a manifest lets a dialog be answered. A value that is no text counts as `ask`.
    pub(crate) fn dialog_word(&self, key: &str) -> Option<String> {
        let said = self.0.get(key).filter(|said| !said.is_null())?;
        Some(said.as_str().unwrap_or("ask").to_owned())
    }

    /// How often a worker's task may be tried.
    pub fn max_attempts(&self) -> Option<u32> {
        self.0.get("max_attempts").and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0)
    }

    /// Limits of the peer's sessions.
    pub fn limits(&self) -> Limits {
        let text = |key: &str| match self.0.get("limits")?.get(key)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        Limits { memory_max: text("memory_max"), memory_high: text("memory_high"), tasks_max: text("tasks_max") }
    }

    /// The first text that a fresh session gets.
    pub fn initial_prompt(&self) -> Option<String> {
        let text = self.text("initial_prompt").filter(|text| !text.is_empty())?.replace("\r\n", "\n");
        // The text is typed like a message, so it must not hold control characters either.
        Some(without_controls(&text))
    }

    /// Further arguments for the agent program.
    pub fn args(&self) -> Vec<String> {
        let words = self.0.get("args").and_then(Value::as_array).into_iter().flatten();
        words.filter_map(Value::as_str).filter(|word| !word.contains('\0')).map(str::to_owned).collect()
    }

    /// Environment variables for the peer's sessions that are no secrets.
    pub(crate) fn env(&self) -> BTreeMap<String, String> {
        let vars = self.0.get("env").and_then(Value::as_object).into_iter().flatten();
        let vars = vars.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
        // The kernel refuses a NUL: a variable with one would keep the session from starting at all.
        vars.filter(|(name, value)| !name.contains(['\0', '=']) && !value.contains('\0')).collect()
    }

    /// The absolute path of the file with further variables, the sessions' secrets.
    pub(crate) fn env_file(&self) -> Option<PathBuf> {
        self.text("env_file").map(PathBuf::from)
    }

    /// Whether the peer's program keeps a memory of its own; `None`: as is the program's default.
    pub(crate) fn native_memory(&self) -> Option<bool> {
        self.switch("native_memory")
    }

    /// Whether the memory slot of the peer's system prompt is filled; `None`: the profile does not say.
    pub(crate) fn memory_plugin(&self) -> Option<bool> {
        self.switch("memory_plugin")
    }

    /// `on` or `off`; any other word counts as absent.
    fn switch(&self, key: &str) -> Option<bool> {
        match self.text(key)? {
            "on" => Some(true),
            "off" => Some(false),
            _ => None,
        }
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(Value::as_str)
    }
}

impl<'a> Policy<'a> {
    /// The user's MCP servers and plugins with which the peer's sessions are started.
    pub(crate) fn enabled(self) -> Vec<&'a str> {
        self.0.get("enable").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// The fleet whose file describes the peer.
    pub fn fleet(self) -> Option<&'a str> {
        self.0.get("fleet")?.as_str()
    }

    /// The repository of which the peer's folder is a worktree, where `iapeer up` made that worktree.
    pub(crate) fn worktree_of(self) -> Option<&'a Path> {
        self.0.get("worktree")?.get("repo")?.as_str().map(Path::new)
    }
}

/// The entries of `raw` that belong to a policy, unchanged.
pub(crate) fn of(raw: &Map<String, Value>) -> Map<String, Value> {
    KEYS.iter().filter_map(|key| Some(((*key).to_owned(), raw.get(*key)?.clone()))).collect()
}
