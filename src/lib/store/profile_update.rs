//! Changing a profile: a change is merged in, and everything that it does not name stays.

use super::profile::{Profile, ProfileError};
use crate::base::identity::{Intelligence, Personality, Runtime};
use crate::base::paths;
use crate::store::durable;
use crate::store::field_error::ProfileFault;
use crate::store::one_writer::OneWriter;
use crate::store::registry::PeerRecord;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The name of a group: it has a peer name's grammar.
pub(crate) type Tag = Personality;

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
    /// `Some(true)` makes the peer a stateless worker; other values change nothing.
    pub ephemeral: Option<bool>,
    /// Other keys with their values; `null` removes a key.
    pub keys: Map<String, Value>,
}

impl Profile {
    /// Writes the profile of the peer in `cwd`: `existing`, which was read under the same lock, with `update` merged in.
    pub fn write(
        _: &OneWriter,
        cwd: &Path,
        existing: Option<&Profile>,
        update: &ProfileUpdate,
    ) -> Result<Profile, ProfileError> {
        let path = paths::profile_path(cwd);
        let mut raw = existing.map(|profile| profile.raw.clone()).unwrap_or_default();
        let mut runtimes = vec![update.default_runtime.clone()];
        for runtime in existing.into_iter().flat_map(|profile| profile.runtimes()) {
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
                .map_or_else(|| Intelligence::default_for(&update.default_runtime), |profile| profile.intelligence())
        });
        if existing.is_none_or(|profile| profile.intelligence() != nature) || !raw.contains_key("intelligence") {
            raw.insert("intelligence".into(), nature.as_str().into());
        }
        if update.ephemeral == Some(true) {
            raw.insert("wake_policy".into(), "ephemeral".into());
        }
        for (key, value) in &update.keys {
            if value.is_null() {
                raw.shift_remove(key);
            } else {
                raw.insert(key.clone(), value.clone());
            }
        }
        let bad = |why| ProfileError::Bad { path: path.clone(), why };
        let profile = Profile::from_raw(raw).map_err(bad)?;
        profile.save(cwd)?;
        Ok(profile)
    }

    /// Writes the profile of `record` as far as the registry has it, where the file is missing, or where it is no JSON
    /// object and is therefore set aside. Returns whether a profile was written, and the path of the file that was set
    /// aside.
    pub(crate) fn restore(_: &OneWriter, record: &PeerRecord) -> Result<(bool, Option<PathBuf>), ProfileError> {
        let aside = match Profile::read(&record.cwd) {
            Ok(None) => None,
            Err(error) if error.is_torn() => {
                Some(durable::set_aside(&paths::profile_path(&record.cwd), SystemTime::now().into())?)
            }
            Ok(Some(_)) => return Ok((false, None)),
            Err(error) => return Err(error),
        };
        let Some(profile) = record.to_profile() else { return Ok((false, aside)) };
        profile.save(&record.cwd)?;
        Ok((true, aside))
    }

    /// Gives the peer in `cwd` another name. `None`: there is no profile.
    pub fn rename(writer: &OneWriter, cwd: &Path, name: &Personality) -> Result<Option<Profile>, ProfileError> {
        Profile::rewrite(writer, cwd, |_, raw| drop(raw.insert("personality".into(), name.as_str().into())))
    }

    /// Declares one more runtime; the default stays. `None`: there is no profile.
    pub(crate) fn declare_runtime(
        writer: &OneWriter,
        cwd: &Path,
        runtime: &Runtime,
    ) -> Result<Option<Profile>, ProfileError> {
        Profile::rewrite(writer, cwd, |profile, raw| {
            let mut runtimes: Vec<&str> = profile.runtimes().iter().map(Runtime::as_str).collect();
            if !profile.runtimes().contains(runtime) {
                runtimes.push(runtime.as_str());
            }
            raw.insert("runtimes".into(), runtimes.into());
        })
    }

    /// Puts the peer in `cwd` into the groups `add` and out of the groups `remove`. `None`: there is no profile.
    pub fn tag(writer: &OneWriter, cwd: &Path, add: &[Tag], remove: &[Tag]) -> Result<Option<Profile>, ProfileError> {
        Profile::rewrite(writer, cwd, |profile, raw| {
            let mut tags: Vec<&str> = profile.tags();
            tags.retain(|tag| !remove.iter().any(|gone| gone.as_str() == *tag));
            for tag in add.iter().map(Personality::as_str) {
                if !tags.contains(&tag) {
                    tags.push(tag);
                }
            }
            if tags.is_empty() {
                raw.shift_remove("tags");
            } else {
                raw.insert("tags".into(), tags.into());
            }
        })
    }

    /// Sets one key of the profile in `cwd`; `null` removes it. `None`: there is no profile.
    pub(crate) fn set_key(
        writer: &OneWriter,
        cwd: &Path,
        key: &str,
        value: &Value,
    ) -> Result<Option<Profile>, ProfileError> {
        Profile::rewrite(writer, cwd, |_, raw| match value.is_null() {
            true => drop(raw.shift_remove(key)),
            false => drop(raw.insert(key.into(), value.clone())),
        })
    }

    /// Lets the peer in `cwd` speak through the Telegram bot `username`. `None`: there is no profile.
    pub(crate) fn connect_telegram(
        writer: &OneWriter,
        cwd: &Path,
        username: &str,
    ) -> Result<Option<Profile>, ProfileError> {
        Profile::rewrite(writer, cwd, |_, raw| {
            let interfaces = object(raw.entry("interfaces").or_insert(Value::Null));
            let telegram = object(interfaces.entry("telegram").or_insert(Value::Null));
            telegram.insert("bot_username".into(), username.into());
        })
    }

    /// Turns the legacy key `runtime` into `default_runtime`. Returns whether it did; a profile that is missing or
    /// invalid is left alone.
    pub(crate) fn migrate(writer: &OneWriter, cwd: &Path) -> Result<bool, ProfileError> {
        let legacy = |raw: &Map<String, Value>| {
            raw.contains_key("runtime") || raw.get("default_runtime").is_none_or(Value::is_null)
        };
        match Profile::read(cwd) {
            Ok(Some(profile)) if legacy(&profile.raw) => {}
            Ok(_) | Err(ProfileError::Bad { .. }) => return Ok(false),
            Err(error) => return Err(error),
        }
        let migrated = Profile::rewrite(writer, cwd, |profile, raw| {
            raw.insert("default_runtime".into(), profile.default_runtime().as_str().into());
            raw.shift_remove("runtime");
        })?;
        Ok(migrated.is_some())
    }

    /// Reads, changes, checks and writes the profile in `cwd`. An unchanged profile is not written. `None`: there is no
    /// profile.
    fn rewrite(
        _: &OneWriter,
        cwd: &Path,
        change: impl FnOnce(&Profile, &mut Map<String, Value>),
    ) -> Result<Option<Profile>, ProfileError> {
        let Some(profile) = Profile::read(cwd)? else { return Ok(None) };
        let mut raw = profile.raw.clone();
        change(&profile, &mut raw);
        if raw == profile.raw {
            return Ok(Some(profile));
        }
        let changed =
            Profile::from_raw(raw).map_err(|why| ProfileError::Bad { path: paths::profile_path(cwd), why })?;
        changed.save(cwd)?;
        Ok(Some(changed))
    }

    fn save(&self, cwd: &Path) -> Result<(), ProfileError> {
        let path = paths::profile_path(cwd);
        let mut text = serde_json::to_vec_pretty(&self.raw)
            .map_err(|error| ProfileError::Bad { path: path.clone(), why: ProfileFault::Unwritable(error) })?;
        text.push(b'\n');
        Ok(durable::write_atomic(&path, &text)?)
    }
}

/// `value` as an object; any other value is replaced by an empty object.
fn object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("it was made an object above"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn put(dir: &Path, value: &Value) {
        std::fs::create_dir_all(dir.join(".iapeer")).unwrap();
        std::fs::write(paths::profile_path(dir), value.to_string()).unwrap();
    }

    fn write(dir: &Path, update: &ProfileUpdate) -> Result<Profile, ProfileError> {
        let existing = Profile::read(dir)?;
        Profile::write(&OneWriter::alone(dir), dir, existing.as_ref(), update)
    }

    fn update() -> ProfileUpdate {
        ProfileUpdate {
            personality: "bob".parse().unwrap(),
            default_runtime: "codex".parse().unwrap(),
            description: None,
            intelligence: None,
            ephemeral: None,
            keys: Map::new(),
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
        write(dir.path(), &ProfileUpdate { intelligence: Some(Intelligence::Natural), ..update() }).unwrap();
        let text = std::fs::read_to_string(paths::profile_path(dir.path())).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["zzz"], json!({"a": [1]}));
        assert_eq!((&value["intelligence"], &value["notifier"]), (&json!("human"), &json!(7)));
        assert_eq!(
            (&value["default_runtime"], &value["runtimes"], value.get("runtime")),
            (&json!("codex"), &json!(["codex", "claude"]), None)
        );
        assert!(text.find("zzz") < text.find("personality"), "the order of keys is kept");
        write(dir.path(), &ProfileUpdate { intelligence: Some(Intelligence::Artificial), ..update() }).unwrap();
        assert_eq!(Profile::read(dir.path()).unwrap().unwrap().intelligence_word(), "artificial");
    }

    #[test]
    fn migration_touches_only_what_is_legacy() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!Profile::migrate(&OneWriter::alone(dir.path()), dir.path()).unwrap());
        for (raw, migrated, default) in [
            (json!({"personality": "bob", "runtime": "claude", "x": 1}), true, "claude"),
            (json!({"personality": "bob", "default_runtime": null, "runtime": "claude", "x": 1}), true, "claude"),
            (json!({"personality": "bob", "default_runtime": "codex", "runtime": "claude", "x": 1}), true, "codex"),
            (json!({"personality": "bob", "default_runtime": "codex", "x": 1}), false, "codex"),
        ] {
            put(dir.path(), &raw);
            assert_eq!(Profile::migrate(&OneWriter::alone(dir.path()), dir.path()).unwrap(), migrated, "{raw}");
            let now = Profile::read_raw(dir.path()).unwrap().unwrap();
            assert_eq!((&now["default_runtime"], now.get("runtime"), &now["x"]), (&json!(default), None, &json!(1)));
            assert!(!Profile::migrate(&OneWriter::alone(dir.path()), dir.path()).unwrap(), "{raw} once");
        }
        for unreadable in ["{torn", "[]", r#"{"personality":"bob","runtime":"x y"}"#] {
            std::fs::write(paths::profile_path(dir.path()), unreadable).unwrap();
            assert!(!Profile::migrate(&OneWriter::alone(dir.path()), dir.path()).unwrap());
            assert_eq!(std::fs::read_to_string(paths::profile_path(dir.path())).unwrap(), unreadable);
        }
    }

    #[test]
    fn a_runtime_is_declared_behind_the_default_and_a_name_is_changed() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Profile::rename(&OneWriter::alone(dir.path()), dir.path(), &"al".parse().unwrap()).unwrap().is_none());
        put(dir.path(), &json!({"personality": "bob", "default_runtime": "codex", "plug": {"a": 1}}));
        for (runtime, expected) in
            [("claude", "codex claude"), ("codex", "codex claude"), ("parrot", "codex claude parrot")]
        {
            let profile =
                Profile::declare_runtime(&OneWriter::alone(dir.path()), dir.path(), &runtime.parse().unwrap())
                    .unwrap()
                    .unwrap();
            let runtimes: Vec<&str> = profile.runtimes().iter().map(Runtime::as_str).collect();
            assert_eq!(runtimes.join(" "), expected);
            assert_eq!(Profile::read(dir.path()).unwrap().unwrap(), profile);
        }
        Profile::rename(&OneWriter::alone(dir.path()), dir.path(), &"al".parse().unwrap()).unwrap();
        let now = Profile::read_raw(dir.path()).unwrap().unwrap();
        assert_eq!((&now["personality"], &now["plug"]), (&json!("al"), &json!({"a": 1})));
    }
}
