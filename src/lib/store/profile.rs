//! A peer's own profile, `<cwd>/.iapeer/peer-profile.json`: the source of truth about the peer.
//!
//! The peer and its plugins write to the file too: keys that iapeer does not know are kept in every rewrite.

use crate::base::exit::{Exit, Failure};
use crate::base::identity::{Intelligence, Personality, Runtime};
use crate::base::normalize;
use crate::base::paths;
use crate::store::durable::StoreError;
use crate::store::field_error::ProfileFault;
use crate::store::open::{self, Rule, without_bom};
use crate::store::policy::{self, Policy};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

pub use crate::store::policy::{Limits, Resume};

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
        why: ProfileFault,
    },
}

impl ProfileError {
    /// Whether the file holds no JSON object at all: then it was cut or emptied, and not written by somebody with a
    /// mistake.
    pub(crate) fn is_torn(&self) -> bool {
        matches!(self, ProfileError::Bad { why: ProfileFault::Json(_) | ProfileFault::NotAnObject, .. })
    }
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

/// A profile as it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    pub(crate) raw: Map<String, Value>,
    personality: Personality,
    default_runtime: Runtime,
    runtimes: Vec<Runtime>,
    intelligence: Intelligence,
}

impl Profile {
    /// The profile of the peer in `cwd`. `None`: it is missing.
    pub fn read(cwd: &Path) -> Result<Option<Profile>, ProfileError> {
        let bad = |why| ProfileError::Bad { path: paths::profile_path(cwd), why };
        match Profile::read_raw(cwd)? {
            None => Ok(None),
            Some(Value::Object(raw)) => Profile::from_raw(raw).map(Some).map_err(bad),
            Some(_) => Err(bad(ProfileFault::NotAnObject)),
        }
    }

    /// The profile in `cwd` as JSON, unchecked: for [`conformance`](crate::store::conformance). `None`: it is missing.
    pub(crate) fn read_raw(cwd: &Path) -> Result<Option<Value>, ProfileError> {
        let path = paths::profile_path(cwd);
        let Some(bytes) = open::read(&path, Rule::OF_A_PEER)? else { return Ok(None) };
        let bad = |error| ProfileError::Bad { path, why: ProfileFault::Json(error) };
        serde_json::from_slice(without_bom(&bytes)).map(Some).map_err(bad)
    }

    /// Checks the fields of a profile.
    pub(crate) fn from_raw(raw: Map<String, Value>) -> Result<Profile, ProfileFault> {
        let text = |key: &str| raw.get(key).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
        let name = |field| move |source| ProfileFault::Name { field, source };
        let personality = text("personality").ok_or(ProfileFault::Required("personality"))?;
        let personality = normalize::personality_from(personality).map_err(name("personality"))?;
        // The legacy key `runtime` counts only where `default_runtime` is absent: it must not hide a wrong
        // `default_runtime`.
        let default =
            ["default_runtime", "runtime"].iter().find_map(|key| raw.get(*key).filter(|value| !value.is_null()));
        let default = default.ok_or(ProfileFault::Required("default_runtime"))?.as_str().unwrap_or_default().trim();
        let default_runtime: Runtime = default.parse().map_err(name("default_runtime"))?;
        let mut runtimes = vec![default_runtime.clone()];
        if let Some(Value::Array(list)) = raw.get("runtimes") {
            for item in list {
                let runtime: Runtime = item.as_str().unwrap_or_default().parse().map_err(name("runtimes"))?;
                if !runtimes.contains(&runtime) {
                    runtimes.push(runtime);
                }
            }
        }
        let intelligence = match raw.get("intelligence") {
            None | Some(Value::Null) => Intelligence::default_for(&default_runtime),
            Some(Value::String(word)) if word.is_empty() => Intelligence::default_for(&default_runtime),
            Some(word) => {
                word.as_str().and_then(Intelligence::parse).ok_or_else(|| ProfileFault::Intelligence(word.clone()))?
            }
        };
        if raw.get("interfaces").is_some_and(|value| !value.is_object()) {
            return Err(ProfileFault::Interfaces);
        }
        Ok(Profile { raw, personality, default_runtime, runtimes, intelligence })
    }

    /// The profile with the fields `raw`, which is in no file yet. `None`: they make no valid profile.
    pub(crate) fn of(raw: Map<String, Value>) -> Option<Profile> {
        Profile::from_raw(raw).ok()
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
    pub(crate) fn intelligence_word(&self) -> &str {
        self.text("intelligence").unwrap_or_else(|| self.intelligence.as_str())
    }

    /// What the peer is for, trimmed.
    pub fn description(&self) -> &str {
        self.text("description").unwrap_or_default().trim()
    }

    /// The policy for the peer's sessions.
    pub fn policy(&self) -> Policy<'_> {
        Policy(&self.raw)
    }

    /// The entries of the policy, as they stand in the file.
    pub(crate) fn policy_keys(&self) -> Map<String, Value> {
        policy::of(&self.raw)
    }

    /// The groups that the peer is in.
    pub(crate) fn tags(&self) -> Vec<&str> {
        self.raw.get("tags").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// The `interfaces` section.
    pub fn interfaces(&self) -> Option<&Value> {
        self.raw.get("interfaces")
    }

    /// Whether the peer speaks for a person.
    pub(crate) fn is_human_conversational(&self) -> bool {
        is_human_conversational(self.interfaces())
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.raw.get(key).and_then(Value::as_str)
    }
}

/// Whether an `interfaces` section is that of a peer who speaks for a person.
pub(crate) fn is_human_conversational(interfaces: Option<&Value>) -> bool {
    interfaces.and_then(|value| value.get("telegram")).is_some_and(|value| !value.is_null())
}

/// The bot that an `interfaces` section names: `bot_username`, earlier `bot`. With a user id alone a peer can receive,
/// but not send.
pub(crate) fn telegram_bot(interfaces: Option<&Value>) -> Option<&str> {
    let telegram = interfaces?.get("telegram")?;
    let name = |key: &str| telegram.get(key).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
    name("bot_username").or_else(|| name("bot"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn put(dir: &Path, value: &Value) {
        std::fs::create_dir_all(dir.join(".iapeer")).unwrap();
        std::fs::write(paths::profile_path(dir), value.to_string()).unwrap();
    }

    #[test]
    fn missing_is_none_and_bad_names_the_file_and_the_field() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Profile::read(dir.path()).unwrap().is_none());
        for (bad, field) in [
            (json!({"personality": " ", "runtime": "claude"}), "personality"),
            (json!({"personality": "bob"}), "default_runtime"),
            (json!({"personality": "bob", "runtime": "cl-x"}), "default_runtime"),
            (json!({"personality": "bob", "default_runtime": 7, "runtime": "claude"}), "default_runtime"),
            (json!({"personality": "bob", "default_runtime": "", "runtime": "claude"}), "default_runtime"),
            (json!({"personality": "bob", "runtime": "x", "intelligence": 7}), "intelligence"),
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
        assert!(profile(json!({"wake_policy": "ephemeral"})).policy().ephemeral());
        assert!(!profile(json!({"wake_policy": "other"})).policy().ephemeral());
        assert!(profile(json!({"interfaces": {"telegram": {}}})).is_human_conversational());
        assert!(!profile(json!({"interfaces": {"telegram": null}})).is_human_conversational());
        for (telegram, bot) in [
            (json!({"bot_username": " b ", "bot": "old"}), Some("b")),
            (json!({"bot_username": " ", "bot": "old"}), Some("old")),
            (json!({"user_id": 7}), None),
            (json!(null), None),
            (json!("x"), None),
        ] {
            assert_eq!(telegram_bot(profile(json!({"interfaces": {"telegram": telegram}})).interfaces()), bot);
        }
        assert_eq!(profile(json!({"resume": "never"})).policy().resume(), Some(Resume::Never));
        assert_eq!(profile(json!({"resume": "x"})).policy().resume(), None);
        assert_eq!(profile(json!({"max_attempts": 3})).policy().max_attempts(), Some(3));
        assert_eq!(profile(json!({"max_attempts": 0})).policy().max_attempts(), None);
        for (approvals, asks) in [
            (json!(null), false),
            (json!("bypass"), false),
            (json!("ask"), true),
            (json!("aks"), true),
            (json!(3), true),
        ] {
            assert_eq!(profile(json!({"approvals": approvals})).policy().asks(), asks, "{approvals}");
        }
        assert!(profile(json!({"after_limit": "wait"})).policy().after_limit().is_none());
        assert_eq!(
            profile(json!({"after_limit": "continue", "limit_text": "on"})).policy().after_limit().as_deref(),
            Some("on")
        );
        assert_eq!(
            profile(json!({"limits": {"memory_max": "2G", "tasks_max": 9}})).policy().limits().tasks_max.as_deref(),
            Some("9")
        );
        assert_eq!(profile(json!({"initial_prompt": ""})).policy().initial_prompt(), None);
        let typed = profile(json!({"initial_prompt": "a\r\n\u{1b}[31mb\tc"})).policy().initial_prompt();
        assert_eq!(typed.as_deref(), Some("a\n[31mb\tc"));
    }
}
