//! `<root>/peers-profiles.json`: all peers of the host, a projection of their own profiles (spec 03, D17).
//!
//! One writer, under one lock. Keys of a record that we don't know are kept.

use crate::core::clock::Clock;
use crate::core::exit::{Exit, Failure};
use crate::core::identity::{Intelligence, Personality, Runtime};
use crate::core::paths::Paths;
use crate::store::durable::{self, StoreError};
use crate::store::lock::FileLock;
use crate::store::profile::Profile;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest description in a record, in characters.
pub const MAX_DESCRIPTION: usize = 450;
/// The version this writes.
const VERSION: u64 = 2;
/// How long a writer waits for another one.
const LOCK_WAIT: Duration = Duration::from_secs(4);

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
    /// The word for it as somebody wrote it.
    pub intelligence_word: String,
    /// Its working folder.
    pub cwd: PathBuf,
    /// Its `interfaces` section.
    pub interfaces: Option<Value>,
    /// Keys that we don't know.
    extra: Map<String, Value>,
}

impl PeerRecord {
    /// The projection of a profile.
    pub fn from_profile(profile: &Profile, cwd: &Path) -> PeerRecord {
        PeerRecord {
            personality: profile.personality().clone(),
            default_runtime: profile.default_runtime().clone(),
            runtimes: profile.runtimes().to_vec(),
            description: profile.description().chars().take(MAX_DESCRIPTION).collect(),
            intelligence: profile.intelligence(),
            intelligence_word: profile.intelligence_word().to_owned(),
            cwd: cwd.to_owned(),
            interfaces: profile.interfaces().cloned(),
            extra: Map::new(),
        }
    }

    /// Whether its interfaces let it write into telegram.
    pub fn telegram_bot(&self) -> bool {
        let telegram = self.interfaces.as_ref().and_then(|value| value.get("telegram"));
        ["bot_username", "bot"]
            .iter()
            .any(|key| telegram.and_then(|value| value.get(key)?.as_str()).is_some_and(|text| !text.trim().is_empty()))
    }

    fn parse(value: &Value) -> Result<PeerRecord, String> {
        let Value::Object(map) = value else { return Err("a peer is not an object".into()) };
        let text = |key: &str| map.get(key).and_then(Value::as_str);
        let personality: Personality =
            text("personality").unwrap_or_default().parse().map_err(|error| format!("{error}"))?;
        let bad = |what: &str| format!("peer {personality}: {what}");
        let default = text("default_runtime").or_else(|| text("runtime")).unwrap_or_default();
        let default_runtime: Runtime = default.parse().map_err(|error| bad(&format!("{error}")))?;
        let mut runtimes = vec![default_runtime.clone()];
        for item in map.get("runtimes").and_then(Value::as_array).into_iter().flatten() {
            let runtime: Runtime =
                item.as_str().unwrap_or_default().parse().map_err(|error| bad(&format!("{error}")))?;
            if !runtimes.contains(&runtime) {
                runtimes.push(runtime);
            }
        }
        let cwd = text("cwd").filter(|cwd| !cwd.trim().is_empty()).ok_or_else(|| bad("cwd is missing"))?;
        let word = text("intelligence").unwrap_or_default();
        let intelligence = match word {
            "" => Intelligence::default_for(&default_runtime),
            word => Intelligence::parse(word).ok_or_else(|| bad(&format!("unknown intelligence {word:?}")))?,
        };
        if map.get("interfaces").is_some_and(|value| !value.is_object()) {
            return Err(bad("interfaces is not an object"));
        }
        const KNOWN: [&str; 8] = [
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
            extra: map
                .iter()
                .filter(|(key, _)| !KNOWN.contains(&key.as_str()))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect(),
            personality,
            default_runtime,
            runtimes,
        })
    }

    fn to_value(&self) -> Value {
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
        map.extend(self.extra.clone());
        Value::Object(map)
    }

    /// The projected fields in which this record differs from `other`. The folder is not one of them.
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

/// The registry as it was read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Registry {
    peers: Vec<PeerRecord>,
    extra: Map<String, Value>,
}

/// A registry that can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// A file operation failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The content is not a registry.
    #[error("{} corrupted ({why}): restore it from a backup, or delete it to start fresh", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

impl From<RegistryError> for Failure {
    fn from(error: RegistryError) -> Self {
        match error {
            RegistryError::Store(error) => error.into(),
            corrupt => Failure::new(Exit::Config, corrupt.to_string()),
        }
    }
}

impl Registry {
    /// Reads the registry; a missing one is empty.
    pub fn read(paths: &Paths) -> Result<Registry, RegistryError> {
        let path = paths.registry();
        let Some(bytes) = durable::read_optional(&path)? else { return Ok(Registry::default()) };
        Registry::parse(&bytes).map_err(|why| RegistryError::Corrupt { path, why })
    }

    fn parse(bytes: &[u8]) -> Result<Registry, String> {
        let value: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let Value::Object(map) = value else { return Err("not a JSON object".into()) };
        let version = map.get("version").and_then(Value::as_u64).unwrap_or(VERSION);
        if version > VERSION {
            tracing::warn!(
                "the registry's version {version} is newer than supported {VERSION}; reading known fields only"
            );
        }
        let mut peers: Vec<PeerRecord> = Vec::new();
        for value in map.get("peers").and_then(Value::as_array).into_iter().flatten() {
            let record = PeerRecord::parse(value)?;
            if peers.iter().any(|peer| peer.personality == record.personality) {
                return Err(format!("peer {} stands in it twice", record.personality));
            }
            peers.push(record);
        }
        peers.sort_by(|a, b| a.personality.cmp(&b.personality));
        let extra = map.into_iter().filter(|(key, _)| key != "version" && key != "peers").collect();
        Ok(Registry { peers, extra })
    }

    /// All peers, by name.
    pub fn peers(&self) -> &[PeerRecord] {
        &self.peers
    }

    /// The peer named `name`.
    pub fn get(&self, name: &Personality) -> Option<&PeerRecord> {
        self.peers.iter().find(|peer| peer.personality == *name)
    }

    /// Reads, changes and writes the registry under its lock. The only way to write it.
    fn change(
        paths: &Paths,
        program: &str,
        clock: &dyn Clock,
        change: impl FnOnce(&mut Vec<PeerRecord>),
    ) -> Result<(), Failure> {
        if std::env::var_os("IAPEER_TEST_SANDBOX").is_some_and(|value| value == "1")
            && std::env::var_os("HOME").is_some_and(|home| paths.root() == Path::new(&home).join(".iapeer"))
        {
            return Err(Failure::new(Exit::NoPerm, "refusing to write the REAL registry under IAPEER_TEST_SANDBOX=1"));
        }
        let _lock = FileLock::acquire(&paths.registry_lock(), program, LOCK_WAIT, clock)?;
        let mut registry = Registry::read(paths)?;
        change(&mut registry.peers);
        registry.peers.sort_by(|a, b| a.personality.cmp(&b.personality));
        let mut map = Map::new();
        map.insert("version".into(), json!(VERSION));
        map.insert("peers".into(), registry.peers.iter().map(PeerRecord::to_value).collect());
        map.extend(registry.extra);
        let mut text =
            serde_json::to_vec_pretty(&map).map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
        text.push(b'\n');
        Ok(durable::write_registry(&paths.registry(), &text)?)
    }

    /// Adds a peer, or merges `record` into the one of its name: the given runtime comes first, the known ones stay;
    /// a blank description and absent interfaces inherit.
    pub fn upsert(paths: &Paths, record: PeerRecord, program: &str, clock: &dyn Clock) -> Result<(), Failure> {
        Registry::change(paths, program, clock, |peers| {
            let Some(known) = peers.iter_mut().find(|peer| peer.personality == record.personality) else {
                peers.push(record);
                return;
            };
            let mut merged = record;
            for runtime in &known.runtimes {
                if !merged.runtimes.contains(runtime) {
                    merged.runtimes.push(runtime.clone());
                }
            }
            if merged.description.trim().is_empty() {
                merged.description = known.description.clone();
            }
            if merged.intelligence == known.intelligence {
                merged.intelligence_word = known.intelligence_word.clone();
            }
            merged.interfaces = merged.interfaces.or_else(|| known.interfaces.clone());
            merged.extra = known.extra.clone();
            *known = merged;
        })
    }

    /// Takes a peer out. One that is not there is fine.
    pub fn remove(paths: &Paths, name: &Personality, program: &str, clock: &dyn Clock) -> Result<(), Failure> {
        Registry::change(paths, program, clock, |peers| peers.retain(|peer| peer.personality != *name))
    }

    /// Puts `record` in the place of the peer named `old`, in one write. Unknown keys stay.
    pub fn rename(
        paths: &Paths,
        old: &Personality,
        record: PeerRecord,
        program: &str,
        clock: &dyn Clock,
    ) -> Result<(), Failure> {
        Registry::change(paths, program, clock, |peers| {
            peers.retain(|peer| peer.personality != *old);
            peers.push(record);
        })
    }

    /// Replaces the records of these peers by their projections: what narrowed in a profile narrows here.
    pub fn replace(paths: &Paths, records: Vec<PeerRecord>, program: &str, clock: &dyn Clock) -> Result<(), Failure> {
        Registry::change(paths, program, clock, |peers| {
            for record in records {
                if let Some(known) = peers.iter_mut().find(|peer| peer.personality == record.personality) {
                    let extra = std::mem::take(&mut known.extra);
                    *known = PeerRecord { extra, ..record };
                }
            }
        })
    }
}

/// The runtime to wake a peer on (06.1): the requested one if it is declared, else the default.
pub fn resolve_runtime(record: &PeerRecord, requested: Option<&Runtime>) -> Result<Runtime, Failure> {
    match requested {
        None => Ok(record.default_runtime.clone()),
        Some(runtime) if record.runtimes.contains(runtime) => Ok(runtime.clone()),
        Some(runtime) => {
            let declared: Vec<&str> = record.runtimes.iter().map(Runtime::as_str).collect();
            Err(Failure::new(
                Exit::Usage,
                format!(
                    "peer {:?} does not declare runtime {:?} (declared: {})",
                    record.personality.as_str(),
                    runtime.as_str(),
                    declared.join(", ")
                ),
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::clock::SystemClock;

    fn with(test: impl FnOnce(&Paths)) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("r");
        let paths = Paths::read(|name| (name == "IAPEER_ROOT").then(|| root.clone())).unwrap();
        paths.ensure().unwrap();
        test(&paths);
    }

    fn record(name: &str, runtime: &str) -> PeerRecord {
        PeerRecord::parse(&json!({"personality": name, "default_runtime": runtime, "cwd": format!("/w/{name}")}))
            .unwrap()
    }

    fn upsert(paths: &Paths, record: PeerRecord) {
        Registry::upsert(paths, record, "test", &SystemClock::default()).unwrap();
    }

    #[test]
    fn a_record_is_merged_not_replaced_and_unknown_keys_stay() {
        with(|paths| {
            std::fs::write(paths.registry(), r#"{"version":2,"x":1,"peers":[{"personality":"bob","runtime":"claude","runtimes":["claude"],"description":"d","intelligence":"human","cwd":"/w","interfaces":{"a":1},"plug":{"k":[2]}}]}"#).unwrap();
            let given = PeerRecord {
                intelligence: Intelligence::Natural,
                intelligence_word: "natural".into(),
                ..record("bob", "codex")
            };
            upsert(paths, given);
            upsert(paths, record("al", "parrot"));
            let text = std::fs::read_to_string(paths.registry()).unwrap();
            assert!(text.ends_with("}\n") && text.contains("\n  \"peers\": ["), "{text}");
            let value: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(value["peers"][0]["personality"], "al");
            let bob = &value["peers"][1];
            assert_eq!((&bob["default_runtime"], &bob["runtimes"]), (&json!("codex"), &json!(["codex", "claude"])));
            assert_eq!(
                (&bob["description"], &bob["intelligence"], &bob["interfaces"]),
                (&json!("d"), &json!("human"), &json!({"a": 1}))
            );
            assert_eq!((&bob["plug"], bob.get("runtime"), &value["x"]), (&json!({"k": [2]}), None, &json!(1)));
        });
    }

    #[test]
    fn what_can_not_be_read_is_78_and_says_what_to_do() {
        with(|paths| {
            assert!(Registry::read(paths).unwrap().peers().is_empty());
            for bad in [
                "{torn",
                "[]",
                r#"{"peers":[3]}"#,
                r#"{"peers":[{"personality":"A","runtime":"x","cwd":"/"}]}"#,
                r#"{"peers":[{"personality":"a","runtime":"x"}]}"#,
                r#"{"peers":[{"personality":"a","runtime":"x","cwd":"/","intelligence":"alien"}]}"#,
                r#"{"peers":[{"personality":"a","runtime":"x","cwd":"/"},{"personality":"a","runtime":"x","cwd":"/"}]}"#,
            ] {
                std::fs::write(paths.registry(), bad).unwrap();
                let failure = Failure::from(Registry::read(paths).unwrap_err());
                assert_eq!(failure.exit, Exit::Config, "{bad}");
                assert!(failure.message.contains("restore"), "{failure}");
            }
            for fine in [r#"{"version":1}"#, r#"{"version":99,"peers":[]}"#, r#"{"peers":{}}"#] {
                std::fs::write(paths.registry(), fine).unwrap();
                assert!(Registry::read(paths).unwrap().peers().is_empty(), "{fine}");
            }
        });
    }

    #[test]
    fn removing_and_replacing() {
        with(|paths| {
            upsert(
                paths,
                PeerRecord {
                    runtimes: vec!["claude".parse().unwrap(), "codex".parse().unwrap()],
                    ..record("bob", "claude")
                },
            );
            let clock = SystemClock::default();
            Registry::replace(paths, vec![record("bob", "claude"), record("nobody", "x")], "test", &clock).unwrap();
            let registry = Registry::read(paths).unwrap();
            assert_eq!((registry.peers().len(), registry.peers()[0].runtimes.len()), (1, 1));
            Registry::remove(paths, &"bob".parse().unwrap(), "test", &clock).unwrap();
            Registry::remove(paths, &"bob".parse().unwrap(), "test", &clock).unwrap();
            assert!(Registry::read(paths).unwrap().peers().is_empty());
        });
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
    fn concurrent_writers_lose_nothing() {
        with(|paths| {
            std::thread::scope(|scope| {
                for n in 0..8 {
                    scope.spawn(move || upsert(paths, record(&format!("p{n}"), "parrot")));
                }
            });
            assert_eq!(Registry::read(paths).unwrap().peers().len(), 8);
        });
    }

    #[test]
    fn runtimes_of_06_1() {
        let bob = record("bob", "claude");
        assert_eq!(resolve_runtime(&bob, None).unwrap().as_str(), "claude");
        let failure = resolve_runtime(&bob, Some(&"codex".parse().unwrap())).unwrap_err();
        assert!(failure.message.contains("declared: claude"), "{failure}");
    }
}
