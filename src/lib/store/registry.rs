//! `<root>/peers-profiles.json`, the registry: all peers of the host, made from their profiles (spec 03, D17).
//!
//! It is written only under one lock. Unknown keys of a record are kept.

use crate::base::clock::Clock;
use crate::base::exit::{Exit, Failure};
use crate::base::identity::{Identity, Personality};
use crate::base::paths::{self, Paths};
use crate::store::durable;
use crate::store::field_error::RegistryFault;
use crate::store::one_writer::OneWriter;
use crate::store::open::{self, Rule, without_bom};
use crate::store::profile::Profile;
use crate::store::registry_copy;
use serde_json::{Map, Value, json};
use std::path::Path;

pub use crate::store::peer_record::PeerRecord;
pub(crate) use crate::store::peer_record::{MAX_DESCRIPTION, resolve_runtime};
pub use crate::store::registry_error::RegistryError;

/// The version of the format that this program writes.
const VERSION: u64 = 2;

/// The registry as it was read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Registry {
    peers: Vec<PeerRecord>,
    /// The file's own version where it is newer than ours: a rewrite must not pretend to be older.
    newer: Option<u64>,
    extra: Map<String, Value>,
}

impl Registry {
    /// Reads the registry. A missing registry counts as empty. But where it is missing or names nobody, and its last
    /// good copy names peers, that is an error: these peers must not count as unknown.
    pub fn read(paths: &Paths) -> Result<Registry, RegistryError> {
        let path = paths.registry();
        let bytes = open::read(&path, Rule::REGISTRY)?;
        let fault = if bytes.is_none() { "is missing" } else { "names nobody" };
        let registry = match bytes {
            None => Registry::default(),
            Some(bytes) => Registry::parse(without_bom(&bytes))
                .map_err(|why| RegistryError::Corrupt { path: path.clone(), why })?,
        };
        let copy = if registry.peers.is_empty() { Registry::copy(paths) } else { None };
        match copy.map_or(0, |copy| copy.peers.len()) {
            0 => Ok(registry),
            peers => Err(RegistryError::Lost { path, fault, peers }),
        }
    }

    /// The last good copy. `None`: there is none that can be used.
    pub(crate) fn copy(paths: &Paths) -> Option<Registry> {
        Registry::parse(without_bom(&registry_copy::read(paths)?)).ok()
    }

    /// This registry with these peers in place of its own.
    pub(crate) fn with(self, mut peers: Vec<PeerRecord>) -> Registry {
        peers.sort_by(|a, b| a.personality.cmp(&b.personality));
        Registry { peers, ..self }
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Registry, RegistryFault> {
        let value: Value = serde_json::from_slice(bytes)?;
        let Value::Object(map) = value else { return Err(RegistryFault::NotAnObject) };
        let version = map.get("version").and_then(Value::as_u64).unwrap_or(VERSION);
        if version > VERSION {
            tracing::warn!(
                "the registry's version {version} is newer than supported {VERSION}; reading known fields only"
            );
        }
        let mut peers: Vec<PeerRecord> = Vec::new();
        match map.get("peers") {
            Some(Value::Array(list)) => {
                for value in list {
                    peers.push(PeerRecord::parse(value)?);
                }
            }
            None | Some(Value::Null) => {}
            Some(Value::Object(none)) if none.is_empty() => {}
            // If such a value counted as no peers, the next write would remove them.
            Some(_) => return Err(RegistryFault::Peers),
        }
        peers.sort_by(|a, b| a.personality.cmp(&b.personality));
        if let Some(twice) = peers.windows(2).find(|pair| pair[0].personality == pair[1].personality) {
            return Err(RegistryFault::Twice(twice[0].personality.clone()));
        }
        let extra = map.into_iter().filter(|(key, _)| key != "version" && key != "peers").collect();
        Ok(Registry { peers, newer: (version > VERSION).then_some(version), extra })
    }

    /// All peers, by name.
    pub fn peers(&self) -> &[PeerRecord] {
        &self.peers
    }

    /// The peer named `name`.
    pub fn get(&self, name: &Personality) -> Option<&PeerRecord> {
        let at = self.peers.binary_search_by(|peer| peer.personality.cmp(name)).ok()?;
        self.peers.get(at)
    }

    /// Whether the peer of `identity` is registered, on that runtime.
    pub(crate) fn declares(&self, identity: &Identity) -> bool {
        self.get(identity.personality()).is_some_and(|record| record.runtimes.contains(identity.runtime()))
    }

    /// Reads, changes and writes the registry under its lock; no other code writes it, except for its restoration. An
    /// unchanged registry is not written.
    pub(crate) fn change<T>(
        paths: &Paths,
        program: &str,
        clock: &dyn Clock,
        change: impl FnOnce(&mut Vec<PeerRecord>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        Registry::change_by(paths, &OneWriter::acquire(paths, program, clock)?, change)
    }

    /// [`Registry::change`] for a caller that holds the lock already.
    pub(crate) fn change_by<T>(
        paths: &Paths,
        _: &OneWriter,
        change: impl FnOnce(&mut Vec<PeerRecord>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let before = Registry::read(paths)?;
        let mut after = before.clone();
        let result = change(&mut after.peers)?;
        after.peers.sort_by(|a, b| a.personality.cmp(&b.personality));
        let written = after.to_bytes()?;
        // The copy never names a peer that the registry does not name: a peer to be removed is removed from the copy
        // first.
        let gone = before.peers.iter().filter(|peer| after.get(&peer.personality).is_none());
        let shrinks = gone.map(|peer| registry_copy::mark_removed(paths, peer)).count() > 0;
        if shrinks {
            registry_copy::keep(paths, &written);
        }
        if after != before {
            durable::write_registry(&paths.registry(), &written)?;
        }
        if !shrinks {
            registry_copy::keep(paths, &written);
        }
        let new = after.peers.iter().filter(|peer| before.get(&peer.personality).is_none());
        new.for_each(|peer| registry_copy::mark_present(paths, &peer.personality));
        Ok(result)
    }

    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, Failure> {
        let mut map = Map::new();
        map.insert("version".into(), json!(self.newer.unwrap_or(VERSION)));
        map.insert("peers".into(), self.peers.iter().map(PeerRecord::to_value).collect());
        map.extend(self.extra.clone());
        let mut text =
            serde_json::to_vec_pretty(&map).map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
        text.push(b'\n');
        Ok(text)
    }

    /// Adds the peer `name` of the folder `cwd`, or merges the new record into the existing one
    /// ([`PeerRecord::merge`]). Refused where the peer `name` lives in another folder. `make` makes the record from
    /// what is known of the peer; it is called under the lock and only after that check, so that nobody takes the name
    /// meanwhile.
    pub(crate) fn upsert<T>(
        paths: &Paths,
        name: &Personality,
        cwd: &Path,
        program: &str,
        clock: &dyn Clock,
        make: impl FnOnce(&OneWriter, Option<&PeerRecord>) -> Result<(PeerRecord, T), Failure>,
    ) -> Result<T, Failure> {
        let writer = OneWriter::acquire(paths, program, clock)?;
        Registry::change_by(paths, &writer, |peers| {
            let known = peers.iter_mut().find(|peer| peer.personality == *name);
            if let Some(known) = &known {
                refuse_other_folder(known, cwd)?;
            }
            let (record, made) = make(&writer, known.as_deref())?;
            match known {
                Some(known) => known.merge(record),
                None => peers.push(record),
            }
            Ok(made)
        })
    }

    /// Gives the peer named `old` the name `new` and the folder `cwd`, in one write. Refused where `old` is gone or
    /// `new` is taken. `carry` moves what is named after the peer; it is called under the lock and only after these
    /// checks, so that nobody takes the name meanwhile. A peer that was renamed so already is left as it is.
    pub fn rename(
        paths: &Paths,
        (old, new): (&Personality, &Personality),
        cwd: &Path,
        program: &str,
        clock: &dyn Clock,
        carry: impl FnOnce(&OneWriter) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let writer = OneWriter::acquire(paths, program, clock)?;
        Registry::change_by(paths, &writer, |peers| {
            let is_old = |peer: &PeerRecord| peer.personality == *old;
            let was_old = |peer: &PeerRecord| peer.personality == *new && peer.formerly.as_ref() == Some(old);
            if peers.iter().any(was_old) && !peers.iter().any(is_old) {
                return Ok(());
            }
            if peers.iter().any(|peer| peer.personality == *new) {
                return Err(taken(new));
            }
            let record = peers.iter_mut().find(|peer| peer.personality == *old).ok_or_else(|| gone(old))?;
            carry(&writer)?;
            record.personality = new.clone();
            record.formerly = Some(old.clone());
            record.cwd = cwd.to_owned();
            Ok(())
        })
    }

    /// Puts a removed record back, unless another peer has the name by now.
    pub(crate) fn put_back(paths: &Paths, record: PeerRecord, program: &str, clock: &dyn Clock) -> Result<(), Failure> {
        Registry::change(paths, program, clock, |peers| {
            if peers.iter().all(|peer| peer.personality != record.personality) {
                peers.push(record);
            }
            Ok(())
        })
    }

    /// Removes a peer. A peer that is not registered is fine.
    pub fn remove(paths: &Paths, name: &Personality, program: &str, clock: &dyn Clock) -> Result<(), Failure> {
        Registry::change(paths, program, clock, |peers| {
            peers.retain(|peer| peer.personality != *name);
            Ok(())
        })
    }
}

/// The error where another peer has the new name.
pub fn taken(name: &Personality) -> Failure {
    let why = format!("there is a peer named {:?} already: choose another name", name.as_str());
    Failure::new(Exit::Refused, why)
}

/// The error where the peer to be changed is not registered.
pub fn gone(name: &Personality) -> Failure {
    Failure::new(Exit::NoPeer, format!("no peer named {:?}: `iapeer list` shows the peers", name.as_str()))
}

/// Refuses `cwd` where the peer `known` lives in another folder, since a name belongs to one folder.
pub(crate) fn refuse_other_folder(known: &PeerRecord, cwd: &Path) -> Result<(), Failure> {
    // A folder that is gone counts as moved to `cwd` if the peer's profile is there.
    let is_moved = || {
        let there = Profile::read(cwd).ok().flatten();
        !known.cwd.exists() && there.is_some_and(|profile| *profile.personality() == known.personality)
    };
    if paths::real(&known.cwd) == paths::real(cwd) || is_moved() {
        return Ok(());
    }
    let (name, home) = (&known.personality, known.cwd.display());
    let why = format!("a peer named {name} lives in {home} already: choose another name, or `iapeer remove {name}`");
    Err(Failure::new(Exit::Refused, why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::SystemClock;
    use crate::base::identity::Intelligence;

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

    fn try_upsert(paths: &Paths, record: PeerRecord) -> Result<(), Failure> {
        let (name, cwd) = (record.personality.clone(), record.cwd.clone());
        Registry::upsert(paths, &name, &cwd, "test", &SystemClock::default(), |_, _| Ok((record, ())))
    }

    fn upsert(paths: &Paths, record: PeerRecord) {
        try_upsert(paths, record).unwrap();
    }

    fn names(paths: &Paths) -> Vec<String> {
        Registry::read(paths).unwrap().peers().iter().map(|peer| peer.personality.to_string()).collect()
    }

    #[test]
    fn a_record_is_merged_not_replaced_and_unknown_keys_stay() {
        with(|paths| {
            std::fs::write(paths.registry(), r#"{"version":2,"x":1,"peers":[{"personality":"bob","runtime":"claude","runtimes":["claude"],"description":"d","intelligence":"human","cwd":"/w/bob","interfaces":{"a":1},"plug":{"k":[2]}}]}"#).unwrap();
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
                r#"{"peers":[{"personality":"a","default_runtime":3,"runtime":"x","cwd":"/"}]}"#,
                r#"{"peers":[{"personality":"a","runtime":"x","cwd":"/","intelligence":3}]}"#,
                r#"{"peers":[{"personality":"a","runtime":"x","cwd":"/","interfaces":null}]}"#,
                r#"{"peers":[{"personality":"a","runtime":"x","cwd":"/","intelligence":"alien"}]}"#,
                r#"{"peers":[{"personality":"a","runtime":"x","cwd":"/"},{"personality":"a","runtime":"x","cwd":"/"}]}"#,
            ] {
                std::fs::write(paths.registry(), bad).unwrap();
                let failure = Failure::from(Registry::read(paths).unwrap_err());
                assert_eq!(failure.exit, Exit::Config, "{bad}");
                assert!(failure.message.contains("doctor --fix"), "{failure}");
            }
            std::fs::write(paths.registry(), r#"{"version":9,"peers":{"bob":{}}}"#).unwrap();
            assert!(Registry::read(paths).unwrap_err().to_string().contains("not a list"));
            for fine in [r#"{"version":1}"#, r#"{"version":99,"peers":[]}"#, r#"{"peers":{}}"#] {
                std::fs::write(paths.registry(), fine).unwrap();
                assert!(Registry::read(paths).unwrap().peers().is_empty(), "{fine}");
            }
        });
    }

    #[test]
    fn removing_is_idempotent_and_what_does_not_change_is_not_written() {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        with(|paths| {
            upsert(paths, record("bob", "claude"));
            let inode = || std::fs::metadata(paths.registry()).unwrap().ino();
            let before = inode();
            upsert(paths, record("bob", "claude"));
            Registry::remove(paths, &"nobody".parse().unwrap(), "test", &SystemClock::default()).unwrap();
            assert_eq!(inode(), before);
            assert_eq!(std::fs::metadata(paths.registry()).unwrap().permissions().mode() & 0o777, 0o600);
            Registry::remove(paths, &"bob".parse().unwrap(), "test", &SystemClock::default()).unwrap();
            assert!(Registry::read(paths).unwrap().peers().is_empty());
            assert_eq!(
                std::fs::read_to_string(paths.registry()).unwrap(),
                "{\n  \"version\": 2,\n  \"peers\": []\n}\n"
            );
        });
    }

    #[test]
    fn a_newer_file_keeps_its_version_and_a_torn_one_is_never_overwritten() {
        with(|paths| {
            std::fs::write(paths.registry(), r#"{"version":7,"peers":[],"later":{"a":1}}"#).unwrap();
            upsert(paths, record("bob", "claude"));
            let value: Value = serde_json::from_slice(&std::fs::read(paths.registry()).unwrap()).unwrap();
            assert_eq!((&value["version"], &value["later"]["a"]), (&json!(7), &json!(1)));
            std::fs::write(paths.registry(), "{torn").unwrap();
            let failure = try_upsert(paths, record("al", "claude")).unwrap_err();
            assert_eq!(failure.exit, Exit::Config);
            assert_eq!(std::fs::read_to_string(paths.registry()).unwrap(), "{torn");
        });
    }

    #[test]
    fn a_name_belongs_to_one_folder_whoever_comes_first() {
        with(|paths| {
            let elsewhere = |n: usize| PeerRecord { cwd: format!("/w/{n}").into(), ..record("bob", "parrot") };
            let taken = std::thread::scope(|scope| {
                let tries: Vec<_> = (0..8).map(|n| scope.spawn(move || try_upsert(paths, elsewhere(n)))).collect();
                tries.into_iter().filter_map(|one| one.join().unwrap().err()).collect::<Vec<_>>()
            });
            assert_eq!(taken.len(), 7);
            assert!(taken.iter().all(|failure| failure.exit == Exit::Refused), "{taken:?}");
            assert_eq!(names(paths), ["bob"]);
            let made = Registry::upsert(
                paths,
                &"bob".parse().unwrap(),
                Path::new("/w/other"),
                "test",
                &SystemClock::default(),
                |_, _| -> Result<(PeerRecord, ()), Failure> { panic!("nothing is made for a name that is taken") },
            );
            assert!(made.unwrap_err().message.contains("lives in /w/"));
        });
    }

    #[test]
    fn a_rename_finds_the_old_name_there_and_the_new_one_free_or_changes_nothing() {
        with(|paths| {
            upsert(paths, record("al", "parrot"));
            upsert(paths, record("bob", "parrot"));
            let rename = |old: &str, new: &str, carry: fn(&OneWriter) -> Result<(), Failure>| {
                let names = (&old.parse().unwrap(), &new.parse().unwrap());
                Registry::rename(paths, names, Path::new("/w/new"), "test", &SystemClock::default(), carry)
            };
            let never = |_: &OneWriter| -> Result<(), Failure> { panic!("nothing is carried to a name that is taken") };
            assert_eq!(rename("al", "bob", never).unwrap_err().exit, Exit::Refused);
            assert_eq!(rename("gone", "eve", never).unwrap_err().exit, Exit::NoPeer);
            rename("al", "eve", |_| Err(Failure::new(Exit::Io, "no"))).unwrap_err();
            assert_eq!(names(paths), ["al", "bob"]);
            rename("al", "eve", |_| Ok(())).unwrap();
            assert_eq!(names(paths), ["bob", "eve"]);
            rename("al", "eve", never).unwrap();
            assert_eq!(
                Registry::read(paths)
                    .unwrap()
                    .get(&"eve".parse().unwrap())
                    .unwrap()
                    .formerly
                    .as_ref()
                    .unwrap()
                    .as_str(),
                "al"
            );
            assert_eq!(rename("bob", "eve", never).unwrap_err().exit, Exit::Refused);
        });
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
}
