//! A peer's own card, `<cwd>/.iapeer/peer-profile.json`: the source of truth about it.
//!
//! It belongs to its peer and to plugins too: what we don't know is kept as it is in every rewrite.

use crate::core::exit::{Exit, Failure};
use crate::core::identity::{Intelligence, Personality, Runtime};
use crate::core::normalize;
use crate::core::paths;
use crate::store::durable::{self, StoreError};
use serde::Serialize;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// A profile that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// A file operation failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A field is missing or wrong.
    #[error("{}: {why}", path.display())]
    Bad {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

impl From<ProfileError> for Failure {
    fn from(error: ProfileError) -> Self {
        match error {
            ProfileError::Store(error) => error.into(),
            bad => Failure::new(
                Exit::Config,
                format!("{bad}; correct the file, `iapeer verify` names what is wrong in all of them"),
            ),
        }
    }
}

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

/// A profile as it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    raw: Map<String, Value>,
    personality: Personality,
    default_runtime: Runtime,
    runtimes: Vec<Runtime>,
    intelligence: Intelligence,
}

/// What a write changes. Fields that are absent stay as they are.
#[derive(Debug, Clone)]
pub struct ProfileUpdate {
    /// The name.
    pub personality: Personality,
    /// The default runtime; it is declared too.
    pub default_runtime: Runtime,
    /// What the peer is for; blank counts as absent.
    pub description: Option<String>,
    /// Its nature.
    pub intelligence: Option<Intelligence>,
    /// Make it a stateless worker.
    pub ephemeral: Option<bool>,
}

impl Profile {
    /// The profile of the peer in `cwd`. Missing: `None`.
    pub fn read(cwd: &Path) -> Result<Option<Profile>, ProfileError> {
        let path = paths::profile_path(cwd);
        let Some(bytes) = durable::read_optional(&path)? else { return Ok(None) };
        let bad = |why: String| ProfileError::Bad { path: path.clone(), why };
        match serde_json::from_slice(&bytes) {
            Ok(Value::Object(raw)) => Profile::from_raw(raw).map(Some).map_err(bad),
            Ok(_) => Err(bad("not a JSON object".into())),
            Err(error) => Err(bad(format!("not valid JSON: {error}"))),
        }
    }

    fn from_raw(raw: Map<String, Value>) -> Result<Profile, String> {
        let text = |key: &str| raw.get(key).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
        let personality = normalize::personality_from(text("personality").ok_or("personality is required")?)
            .map_err(|error| format!("personality: {error}"))?;
        let default = text("default_runtime").or_else(|| text("runtime")).ok_or("default_runtime is required")?;
        let default_runtime: Runtime = default.parse().map_err(|error| format!("default_runtime: {error}"))?;
        let mut runtimes = vec![default_runtime.clone()];
        if let Some(Value::Array(list)) = raw.get("runtimes") {
            for item in list {
                let runtime: Runtime =
                    item.as_str().unwrap_or_default().parse().map_err(|error| format!("runtimes: {error}"))?;
                if !runtimes.contains(&runtime) {
                    runtimes.push(runtime);
                }
            }
        }
        let intelligence = match raw.get("intelligence") {
            None | Some(Value::Null) => Intelligence::default_for(&default_runtime),
            Some(value) => {
                let word = value.as_str().unwrap_or_default();
                match word {
                    "" => Intelligence::default_for(&default_runtime),
                    word => Intelligence::parse(word).ok_or_else(|| format!("intelligence: unknown word {word:?}"))?,
                }
            }
        };
        if raw.get("interfaces").is_some_and(|value| !value.is_object()) {
            return Err("interfaces is not an object".into());
        }
        Ok(Profile { raw, personality, default_runtime, runtimes, intelligence })
    }

    /// Writes the profile of the peer in `cwd`: what is there, with `update` merged in.
    pub fn write(cwd: &Path, update: &ProfileUpdate) -> Result<Profile, ProfileError> {
        let path = paths::profile_path(cwd);
        let existing = Profile::read(cwd)?;
        let mut raw = existing.as_ref().map(|profile| profile.raw.clone()).unwrap_or_default();
        let mut runtimes = vec![update.default_runtime.clone()];
        for runtime in existing.iter().flat_map(|profile| &profile.runtimes) {
            if !runtimes.contains(runtime) {
                runtimes.push(runtime.clone());
            }
        }
        raw.insert("personality".into(), update.personality.as_str().into());
        raw.insert("default_runtime".into(), update.default_runtime.as_str().into());
        raw.shift_remove("runtime");
        raw.insert("runtimes".into(), runtimes.iter().map(Runtime::as_str).collect::<Vec<_>>().into());
        let given = update.description.as_deref().map(str::trim).filter(|text| !text.is_empty());
        match given {
            Some(text) => drop(raw.insert("description".into(), text.into())),
            None => drop(raw.entry("description").or_insert_with(|| "".into())),
        }
        // The word on disk stays as somebody wrote it unless the nature really changes (pitfall 78).
        let nature = update.intelligence.unwrap_or_else(|| {
            existing
                .as_ref()
                .map_or_else(|| Intelligence::default_for(&update.default_runtime), |profile| profile.intelligence)
        });
        if existing.as_ref().is_none_or(|profile| profile.intelligence != nature) || !raw.contains_key("intelligence") {
            raw.insert("intelligence".into(), nature.as_str().into());
        }
        if update.ephemeral == Some(true) {
            raw.insert("wake_policy".into(), "ephemeral".into());
        }
        let bad = |why: String| ProfileError::Bad { path: path.clone(), why };
        let profile = Profile::from_raw(raw).map_err(bad)?;
        profile.save(cwd)?;
        Ok(profile)
    }

    /// Declares one more runtime in the profile in `cwd`; the default stays.
    pub fn add_runtime(cwd: &Path, runtime: &Runtime) -> Result<Profile, ProfileError> {
        let path = paths::profile_path(cwd);
        let bad = |why: String| ProfileError::Bad { path: path.clone(), why };
        let profile = Profile::read(cwd)?.ok_or_else(|| bad("there is no profile".into()))?;
        let mut words: Vec<&str> = profile.runtimes.iter().map(Runtime::as_str).collect();
        if !words.contains(&runtime.as_str()) {
            words.push(runtime.as_str());
        }
        let mut raw = profile.raw.clone();
        raw.insert("runtimes".into(), words.into());
        let profile = Profile::from_raw(raw).map_err(bad)?;
        profile.save(cwd)?;
        Ok(profile)
    }

    fn save(&self, cwd: &Path) -> Result<(), ProfileError> {
        let path = paths::profile_path(cwd);
        let mut text = serde_json::to_vec_pretty(&self.raw)
            .map_err(|error| ProfileError::Bad { path: path.clone(), why: error.to_string() })?;
        text.push(b'\n');
        Ok(durable::write_atomic(&path, &text)?)
    }

    /// The name.
    pub fn personality(&self) -> &Personality {
        &self.personality
    }

    /// The default runtime.
    pub fn default_runtime(&self) -> &Runtime {
        &self.default_runtime
    }

    /// The declared runtimes, the default first.
    pub fn runtimes(&self) -> &[Runtime] {
        &self.runtimes
    }

    /// The nature.
    pub fn intelligence(&self) -> Intelligence {
        self.intelligence
    }

    /// The word for the nature as it stands in the file.
    pub fn intelligence_word(&self) -> &str {
        self.text("intelligence").unwrap_or_else(|| self.intelligence.as_str())
    }

    /// What the peer is for, trimmed.
    pub fn description(&self) -> &str {
        self.text("description").unwrap_or_default().trim()
    }

    /// What a fresh session is told first.
    pub fn initial_prompt(&self) -> Option<&str> {
        self.text("initial_prompt").filter(|text| !text.is_empty())
    }

    /// Whether it is a stateless worker.
    pub fn ephemeral(&self) -> bool {
        self.text("wake_policy") == Some("ephemeral")
    }

    /// The `interfaces` section.
    pub fn interfaces(&self) -> Option<&Value> {
        self.raw.get("interfaces")
    }

    /// Whether it speaks for a person.
    pub fn is_human_conversational(&self) -> bool {
        self.interfaces().and_then(|value| value.get("telegram")).is_some_and(|value| !value.is_null())
    }

    /// When it resumes. An unknown word counts as not said.
    pub fn resume(&self) -> Option<Resume> {
        match self.text("resume")? {
            "always" => Some(Resume::Always),
            "topic" => Some(Resume::Topic),
            "never" => Some(Resume::Never),
            _ => None,
        }
    }

    /// How often a worker's task may be tried.
    pub fn max_attempts(&self) -> Option<u32> {
        self.raw.get("max_attempts").and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0)
    }

    /// Limits of its sessions.
    pub fn limits(&self) -> Limits {
        let text = |key: &str| match self.raw.get("limits")?.get(key)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        Limits { memory_max: text("memory_max"), memory_high: text("memory_high"), tasks_max: text("tasks_max") }
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.raw.get(key).and_then(Value::as_str)
    }
}

/// How bad something in a profile is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It can't be used like this.
    Error,
    /// It can, but somebody should look.
    Warn,
}

/// Something that is wrong in a profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Issue {
    /// How bad.
    pub severity: Severity,
    /// Which field; `<root>` for the whole.
    pub field: String,
    /// What.
    pub message: String,
}

/// Everything that is wrong in `raw`, the profile of a peer in a folder named `folder` (spec 04).
pub fn conformance(raw: &Value, folder: &str) -> Vec<Issue> {
    let mut issues = Vec::new();
    let mut add =
        |severity, field: &str, message: String| issues.push(Issue { severity, field: field.into(), message });
    let Value::Object(map) = raw else {
        add(Severity::Error, "<root>", "not an object".into());
        return issues;
    };
    let runtime = |value: &Value| value.as_str().is_some_and(|text| text.parse::<Runtime>().is_ok());
    match map.get("personality").and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty()) {
        None => add(Severity::Error, "personality", "personality is required".into()),
        Some(text) if normalize::personality_from(text).is_err() => {
            add(Severity::Error, "personality", format!("{text:?} gives no peer name"));
        }
        Some(text) if normalize::normalize(text) != normalize::normalize(folder) => {
            add(Severity::Warn, "personality", format!("{text:?} is not the name of its folder, {folder:?}"));
        }
        Some(_) => {}
    }
    match (map.get("default_runtime"), map.get("runtime")) {
        (Some(value), _) if !runtime(value) => {
            add(Severity::Error, "default_runtime", format!("{value} is no runtime"))
        }
        (Some(value), Some(mirror)) if value != mirror => {
            add(Severity::Warn, "runtime", format!("the legacy mirror says {mirror}, default_runtime {value}"));
        }
        (Some(_), _) => {}
        (None, Some(value)) if runtime(value) => {
            add(Severity::Warn, "default_runtime", "only the legacy name `runtime` is there".into());
        }
        (None, _) => add(Severity::Error, "default_runtime", "missing".into()),
    }
    match map.get("runtimes") {
        None => {}
        Some(Value::Array(list)) => {
            for bad in list.iter().filter(|item| !runtime(item)) {
                add(Severity::Error, "runtimes", format!("{bad} is no runtime"));
            }
            let default = map.get("default_runtime").or_else(|| map.get("runtime"));
            if default.is_some_and(|default| !list.contains(default)) {
                add(Severity::Error, "runtimes", "the default runtime is not in it".into());
            }
        }
        Some(_) => add(Severity::Error, "runtimes", "not an array".into()),
    }
    for field in ["description", "initial_prompt"] {
        if map.get(field).is_some_and(|value| !value.is_string()) {
            add(Severity::Error, field, "not a string".into());
        }
    }
    if map.get("wake_policy").is_some_and(|value| value != "ephemeral") {
        add(Severity::Warn, "wake_policy", "only \"ephemeral\" means something".into());
    }
    if let Some(value) = map.get("resume")
        && !["always", "topic", "never"].iter().any(|word| value == word)
    {
        add(Severity::Warn, "resume", "only \"always\", \"topic\" and \"never\" mean something".into());
    }
    if let Some(Value::String(word)) = map.get("intelligence")
        && !word.is_empty()
        && Intelligence::parse(word).is_none()
    {
        add(Severity::Error, "intelligence", format!("unknown word {word:?}"));
    }
    match map.get("interfaces") {
        Some(value) if !value.is_object() => add(Severity::Error, "interfaces", "not an object".into()),
        Some(value) if value.pointer("/telegram/aliases").is_some() => {
            add(Severity::Warn, "interfaces.telegram.aliases", "no longer read".into());
        }
        _ => {}
    }
    if map.contains_key("aliases") {
        add(Severity::Warn, "aliases", "no longer read".into());
    }
    issues
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn put(dir: &Path, value: &Value) {
        std::fs::create_dir_all(dir.join(".iapeer")).unwrap();
        std::fs::write(paths::profile_path(dir), value.to_string()).unwrap();
    }

    fn update() -> ProfileUpdate {
        ProfileUpdate {
            personality: "bob".parse().unwrap(),
            default_runtime: "codex".parse().unwrap(),
            description: None,
            intelligence: None,
            ephemeral: None,
        }
    }

    #[test]
    fn a_legacy_profile_is_read_and_a_rewrite_keeps_what_it_does_not_know() {
        let dir = tempfile::tempdir().unwrap();
        put(
            dir.path(),
            &json!({"zzz": {"a": [1]}, "personality": "Bob", "runtime": "claude", "intelligence": "human", "notifier": 7}),
        );
        let profile = Profile::read(dir.path()).unwrap().unwrap();
        assert_eq!((profile.personality().as_str(), profile.default_runtime().as_str()), ("bob", "claude"));
        assert_eq!(profile.intelligence(), Intelligence::Natural);
        Profile::write(dir.path(), &ProfileUpdate { intelligence: Some(Intelligence::Natural), ..update() }).unwrap();
        let text = std::fs::read_to_string(paths::profile_path(dir.path())).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["zzz"], json!({"a": [1]}));
        assert_eq!((&value["intelligence"], &value["notifier"]), (&json!("human"), &json!(7)));
        assert_eq!(
            (&value["default_runtime"], &value["runtimes"], value.get("runtime")),
            (&json!("codex"), &json!(["codex", "claude"]), None)
        );
        assert!(text.find("zzz") < text.find("personality"), "the order of keys is kept");
        Profile::write(dir.path(), &ProfileUpdate { intelligence: Some(Intelligence::Artificial), ..update() })
            .unwrap();
        assert_eq!(Profile::read(dir.path()).unwrap().unwrap().intelligence_word(), "artificial");
    }

    #[test]
    fn missing_is_none_and_bad_names_the_file_and_the_field() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Profile::read(dir.path()).unwrap().is_none());
        for (bad, field) in [
            (json!({"personality": " ", "runtime": "claude"}), "personality"),
            (json!({"personality": "bob"}), "default_runtime"),
            (json!({"personality": "bob", "runtime": "cl-x"}), "default_runtime"),
            (json!({"personality": "bob", "runtime": "x", "runtimes": [3]}), "runtimes"),
            (json!({"personality": "bob", "runtime": "x", "intelligence": "alien"}), "intelligence"),
            (json!({"personality": "bob", "runtime": "x", "interfaces": 3}), "interfaces"),
            (json!([]), "object"),
        ] {
            put(dir.path(), &bad);
            let message = Profile::read(dir.path()).unwrap_err().to_string();
            assert!(message.contains(field) && message.contains("peer-profile.json"), "{message}");
        }
    }

    #[test]
    fn policies_as_a_table() {
        let profile = |extra: Value| {
            let mut raw = json!({"personality": "bob", "default_runtime": "parrot"});
            raw.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            Profile::from_raw(raw.as_object().unwrap().clone()).unwrap()
        };
        assert!(profile(json!({"wake_policy": "ephemeral"})).ephemeral());
        assert!(!profile(json!({"wake_policy": "other"})).ephemeral());
        assert!(profile(json!({"interfaces": {"telegram": {}}})).is_human_conversational());
        assert!(!profile(json!({"interfaces": {"telegram": null}})).is_human_conversational());
        assert_eq!(profile(json!({"resume": "never"})).resume(), Some(Resume::Never));
        assert_eq!(profile(json!({"resume": "x"})).resume(), None);
        assert_eq!(profile(json!({"max_attempts": 3})).max_attempts(), Some(3));
        assert_eq!(profile(json!({"max_attempts": 0})).max_attempts(), None);
        assert_eq!(
            profile(json!({"limits": {"memory_max": "2G", "tasks_max": 9}})).limits().tasks_max.as_deref(),
            Some("9")
        );
        assert_eq!(profile(json!({"initial_prompt": ""})).initial_prompt(), None);
    }

    #[test]
    fn conformance_as_a_table() {
        use Severity::{Error, Warn};
        let ok = || json!({"personality": "bob", "default_runtime": "claude", "runtimes": ["claude"]});
        let with = |key: &str, value: Value| {
            let mut raw = ok();
            raw[key] = value;
            raw
        };
        let cases = [
            (ok(), vec![]),
            (json!([]), vec![(Error, "<root>")]),
            (with("personality", json!("other")), vec![(Warn, "personality")]),
            (with("default_runtime", json!("x y")), vec![(Error, "default_runtime"), (Error, "runtimes")]),
            (json!({"personality": "bob", "runtime": "claude"}), vec![(Warn, "default_runtime")]),
            (with("runtime", json!("codex")), vec![(Warn, "runtime")]),
            (with("runtimes", json!(7)), vec![(Error, "runtimes")]),
            (with("runtimes", json!(["codex"])), vec![(Error, "runtimes")]),
            (with("description", json!(7)), vec![(Error, "description")]),
            (with("wake_policy", json!("x")), vec![(Warn, "wake_policy")]),
            (with("intelligence", json!("alien")), vec![(Error, "intelligence")]),
            (with("interfaces", json!(1)), vec![(Error, "interfaces")]),
            (with("aliases", json!([])), vec![(Warn, "aliases")]),
        ];
        for (raw, expected) in cases {
            let found = conformance(&raw, "bob");
            let found: Vec<_> = found.iter().map(|issue| (issue.severity, issue.field.as_str())).collect();
            assert_eq!(found, expected, "{raw}");
        }
    }
}
