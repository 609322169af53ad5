//! One peer as the registry holds it: a projection of its profile.

use crate::base::exit::{Exit, Failure};
use crate::base::identity::{Intelligence, Personality, Runtime};
use crate::store::field_error::{RecordFault, RecordField};
use crate::store::policy::{self, Policy};
use crate::store::profile::{self, Profile};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// Longest description in a record, in characters.
pub(crate) const MAX_DESCRIPTION: usize = 450;

/// One peer.
#[derive(Debug, Clone, PartialEq)]
pub struct PeerRecord {
    /// Its name.
    pub personality: Personality,
    /// Its default runtime.
    pub default_runtime: Runtime,
    /// Its declared runtimes, the default first.
    pub runtimes: Vec<Runtime>,
    /// What it is for, at most 450 characters.
    pub description: String,
    /// Its nature.
    pub intelligence: Intelligence,
    /// The word for its nature as somebody wrote it.
    pub intelligence_word: String,
    /// Its working folder.
    pub cwd: PathBuf,
    /// Its `interfaces` section.
    pub interfaces: Option<Value>,
    /// The name it had before its last rename.
    pub formerly: Option<Personality>,
    /// The policy for its sessions, as the profile had it when it was last read.
    pub(crate) policy: Map<String, Value>,
    /// Keys that we don't know.
    pub(crate) extra: Map<String, Value>,
}

impl PeerRecord {
    /// The projection of a profile, with the description cut to [`MAX_DESCRIPTION`] characters.
    pub(crate) fn from_profile(profile: &Profile, cwd: &Path) -> PeerRecord {
        PeerRecord {
            personality: profile.personality().clone(),
            default_runtime: profile.default_runtime().clone(),
            runtimes: profile.runtimes().to_vec(),
            description: profile.description().chars().take(MAX_DESCRIPTION).collect(),
            intelligence: profile.intelligence(),
            intelligence_word: profile.intelligence_word().to_owned(),
            cwd: cwd.to_owned(),
            interfaces: profile.interfaces().cloned(),
            formerly: None,
            policy: profile.policy_keys(),
            extra: Map::new(),
        }
    }

    /// The projection of `profile` that replaces this record: this record's folder, former name and unknown keys stay,
    /// and, where the nature is the same, the word for the nature.
    pub(crate) fn projected(&self, profile: &Profile) -> PeerRecord {
        let mut local = PeerRecord::from_profile(profile, &self.cwd);
        if local.intelligence == self.intelligence {
            local.intelligence_word = self.intelligence_word.clone();
        }
        PeerRecord { formerly: self.formerly.clone(), extra: self.extra.clone(), ..local }
    }

    /// The policy for its sessions, known without its profile.
    pub fn policy(&self) -> Policy<'_> {
        Policy(&self.policy)
    }

    /// The profile of which this record is a projection, as far as the record has it: for a peer whose profile is gone.
    /// `None`: that would be no valid profile.
    pub(crate) fn to_profile(&self) -> Option<Profile> {
        let Value::Object(mut raw) = self.to_value() else { return None };
        raw.shift_remove("cwd");
        raw.shift_remove("formerly");
        for key in self.extra.keys() {
            raw.shift_remove(key);
        }
        Profile::of(raw)
    }

    /// Its declared runtimes as text, separated by commas.
    pub fn declared(&self) -> String {
        self.runtimes.iter().map(Runtime::as_str).collect::<Vec<_>>().join(", ")
    }

    /// Replaces this record by `given`, except for what `given` leaves blank: description and interfaces. This record's
    /// further runtimes, former name and unknown keys stay too.
    pub(crate) fn merge(&mut self, given: PeerRecord) {
        let known = std::mem::replace(self, given);
        for runtime in known.runtimes {
            if !self.runtimes.contains(&runtime) {
                self.runtimes.push(runtime);
            }
        }
        if self.description.trim().is_empty() {
            self.description = known.description;
        }
        if self.intelligence == known.intelligence {
            self.intelligence_word = known.intelligence_word;
        }
        self.interfaces = self.interfaces.take().or(known.interfaces);
        self.formerly = known.formerly;
        self.extra = known.extra;
    }

    /// Whether the peer speaks for a person.
    pub(crate) fn is_human_conversational(&self) -> bool {
        profile::is_human_conversational(self.interfaces.as_ref())
    }

    /// Whether its interfaces let it write into telegram.
    pub(crate) fn telegram_bot(&self) -> bool {
        profile::telegram_bot(self.interfaces.as_ref()).is_some()
    }

    /// The bot through which its interfaces let it write into telegram.
    pub(crate) fn telegram_bot_name(&self) -> Option<&str> {
        profile::telegram_bot(self.interfaces.as_ref())
    }

    /// Reads a record as it stands in the registry.
    pub(crate) fn parse(value: &Value) -> Result<PeerRecord, RecordFault> {
        let Value::Object(map) = value else { return Err(RecordFault::NotAnObject) };
        let text = |key: &str| map.get(key).and_then(Value::as_str);
        let personality: Personality =
            text("personality").unwrap_or_default().parse().map_err(RecordFault::Nameless)?;
        let bad = |what: RecordField| RecordFault::Field { peer: personality.clone(), what };
        let runtime = |text: &str| text.parse::<Runtime>().map_err(|error| bad(error.into()));
        let default =
            ["default_runtime", "runtime"].iter().find_map(|key| map.get(*key).filter(|value| !value.is_null()));
        let default = default.and_then(Value::as_str).unwrap_or_default();
        let default_runtime = runtime(default)?;
        let mut runtimes = vec![default_runtime.clone()];
        for item in map.get("runtimes").and_then(Value::as_array).into_iter().flatten() {
            let runtime = runtime(item.as_str().unwrap_or_default())?;
            if !runtimes.contains(&runtime) {
                runtimes.push(runtime);
            }
        }
        let cwd = text("cwd").filter(|cwd| !cwd.trim().is_empty()).ok_or_else(|| bad(RecordField::Cwd))?;
        let word = match map.get("intelligence") {
            None | Some(Value::Null) => "",
            Some(value) => value.as_str().ok_or_else(|| bad(RecordField::Intelligence(value.clone())))?,
        };
        let intelligence = match word {
            "" => Intelligence::default_for(&default_runtime),
            word => Intelligence::parse(word).ok_or_else(|| bad(RecordField::Intelligence(word.into())))?,
        };
        if map.get("interfaces").is_some_and(|value| !value.is_object()) {
            return Err(bad(RecordField::Interfaces));
        }
        const KNOWN: [&str; 9] = [
            "formerly",
            "personality",
            "default_runtime",
            "runtime",
            "runtimes",
            "description",
            "intelligence",
            "cwd",
            "interfaces",
        ];
        Ok(PeerRecord {
            description: text("description").unwrap_or_default().chars().take(MAX_DESCRIPTION).collect(),
            intelligence,
            intelligence_word: if word.is_empty() { intelligence.as_str().to_owned() } else { word.to_owned() },
            cwd: PathBuf::from(cwd),
            interfaces: map.get("interfaces").cloned(),
            formerly: text("formerly").and_then(|name| name.parse().ok()),
            policy: policy::of(map),
            extra: map
                .iter()
                .filter(|(key, _)| !KNOWN.contains(&key.as_str()) && !policy::KEYS.contains(&key.as_str()))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect(),
            personality,
            default_runtime,
            runtimes,
        })
    }

    /// The record as it stands in the registry.
    pub(crate) fn to_value(&self) -> Value {
        let mut map = Map::new();
        map.insert("personality".into(), self.personality.as_str().into());
        map.insert("default_runtime".into(), self.default_runtime.as_str().into());
        map.insert("runtimes".into(), self.runtimes.iter().map(Runtime::as_str).collect::<Vec<_>>().into());
        map.insert("description".into(), self.description.clone().into());
        map.insert("intelligence".into(), self.intelligence_word.clone().into());
        map.insert("cwd".into(), self.cwd.to_string_lossy().into_owned().into());
        if let Some(interfaces) = &self.interfaces {
            map.insert("interfaces".into(), interfaces.clone());
        }
        if let Some(formerly) = &self.formerly {
            map.insert("formerly".into(), formerly.as_str().into());
        }
        map.extend(self.policy.clone());
        map.extend(self.extra.clone());
        Value::Object(map)
    }

    /// The projected fields in which this record differs from `other`. Folder and policy are not compared.
    pub fn drift(&self, other: &PeerRecord) -> Vec<&'static str> {
        let mut fields = Vec::new();
        let mut check = |differs: bool, field| {
            if differs {
                fields.push(field);
            }
        };
        check(self.personality != other.personality, "personality");
        check(self.default_runtime != other.default_runtime, "default_runtime");
        check(self.runtimes != other.runtimes, "runtimes");
        check(self.description != other.description, "description");
        check(self.intelligence != other.intelligence, "intelligence");
        check(self.interfaces != other.interfaces, "interfaces");
        fields
    }
}

/// The runtime to wake a peer on (06.1): the requested one, else the default. Refuses (64) a runtime that is not
/// declared.
pub(crate) fn resolve_runtime(record: &PeerRecord, requested: Option<&Runtime>) -> Result<Runtime, Failure> {
    match requested {
        None => Ok(record.default_runtime.clone()),
        Some(runtime) if record.runtimes.contains(runtime) => Ok(runtime.clone()),
        Some(runtime) => Err(Failure::new(
            Exit::Usage,
            format!(
                "peer {name:?} does not declare runtime {:?} (declared: {}): `iapeer add-runtime {runtime} --peer {name}` declares it",
                runtime.as_str(),
                record.declared(),
                name = record.personality.as_str()
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(name: &str, runtime: &str) -> PeerRecord {
        PeerRecord::parse(&json!({"personality": name, "default_runtime": runtime, "cwd": format!("/w/{name}")}))
            .unwrap()
    }

    #[test]
    fn drift_compares_every_projected_field() {
        let base = record("bob", "claude");
        assert!(base.drift(&base.clone()).is_empty());
        let other =
            PeerRecord { interfaces: Some(json!({})), description: "x".into(), cwd: "/other".into(), ..base.clone() };
        assert_eq!(base.drift(&other), ["description", "interfaces"]);
    }

    #[test]
    fn the_order_of_keys_is_no_drift() {
        let with = |interfaces: &str| PeerRecord {
            interfaces: Some(serde_json::from_str(interfaces).unwrap()),
            ..record("bob", "claude")
        };
        let base = with(r#"{"telegram":{"bot":"b","user_id":7},"web":{}}"#);
        assert!(base.drift(&with(r#"{"web":{},"telegram":{"user_id":7,"bot":"b"}}"#)).is_empty());
        assert_eq!(base.drift(&with(r#"{"telegram":{"bot":"b"},"web":{}}"#)), ["interfaces"]);
        assert_eq!(base.drift(&record("bob", "claude")), ["interfaces"]);
    }

    #[test]
    fn a_long_description_is_cut_at_a_character() {
        let record = PeerRecord::parse(
            &json!({"personality": "bob", "runtime": "claude", "cwd": "/w", "description": "é".repeat(MAX_DESCRIPTION + 1)}),
        )
        .unwrap();
        assert_eq!(record.description.chars().count(), MAX_DESCRIPTION);
    }

    #[test]
    fn runtimes_of_06_1() {
        let bob = record("bob", "claude");
        assert_eq!(resolve_runtime(&bob, None).unwrap().as_str(), "claude");
        let failure = resolve_runtime(&bob, Some(&"codex".parse().unwrap())).unwrap_err();
        assert!(failure.message.contains("declared: claude"), "{failure}");
    }
}
