//! Differences between registry and profiles, and how they are resolved (spec 03.5).
//!
//! The profile is the source of truth. Only its name is not copied by `reindex_by`: state files and sockets have the
//! name too, and only a rename moves these.

use crate::base::clock::Clock;
use crate::base::exit::Failure;
use crate::base::identity::Personality;
use crate::base::paths::Paths;
use crate::store::one_writer::OneWriter;
use crate::store::profile::{Profile, ProfileError};
use crate::store::registry::{PeerRecord, Registry};
use serde::Serialize;

/// The relation of a record to the profile in its folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ProfileStanding {
    /// They say the same.
    Same,
    /// They differ in these fields.
    Drift(Vec<&'static str>),
    /// The folder has no profile.
    Missing,
    /// The profile can't be used: why.
    Unreadable(String),
}

/// A record that differed from its profile and was corrected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Healed {
    /// The peer.
    pub personality: Personality,
    /// The fields that differed.
    pub fields: Vec<&'static str>,
}

/// A record that was left as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Left {
    /// The peer.
    pub personality: Personality,
    /// Why.
    pub why: String,
}

/// What `reindex_by` did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Reindexed {
    /// Records that now say what their profiles say.
    pub healed: Vec<Healed>,
    /// Records whose folders have no profile.
    pub missing: Vec<Personality>,
    /// Records whose profiles can't be used, or name another peer.
    pub left: Vec<Left>,
}

/// Compares a record with the profile in its folder.
pub(crate) fn standing(record: &PeerRecord) -> ProfileStanding {
    match projection(record) {
        Ok(Some(local)) => match record.drift(&local) {
            fields if fields.is_empty() => ProfileStanding::Same,
            fields => ProfileStanding::Drift(fields),
        },
        Ok(None) => ProfileStanding::Missing,
        Err(why) => ProfileStanding::Unreadable(why.to_string()),
    }
}

/// What the record would be if it were made from the profile now.
fn projection(record: &PeerRecord) -> Result<Option<PeerRecord>, ProfileError> {
    let profile = Profile::read(&record.cwd)?;
    Ok(profile.map(|profile| record.projected(&profile)))
}

/// Replaces records by the projections of their profiles (all records, or only that of `only`). What a profile no
/// longer names is removed from the record too. A record without a usable profile stays and is listed.
pub(crate) fn reindex_by(paths: &Paths, writer: &OneWriter, only: Option<&Personality>) -> Result<Reindexed, Failure> {
    Registry::change_by(paths, writer, |peers| {
        let mut done = Reindexed::default();
        for record in peers.iter_mut().filter(|record| only.is_none_or(|name| record.personality == *name)) {
            let personality = record.personality.clone();
            let mut left = |why: String| done.left.push(Left { personality: personality.clone(), why });
            match projection(record) {
                Ok(None) => done.missing.push(personality),
                Err(why) => left(why.to_string()),
                Ok(Some(local)) if local.personality != personality => left(format!(
                    "its profile in {} names peer {}: `iapeer rename` changes both, or correct the profile",
                    record.cwd.display(),
                    local.personality
                )),
                Ok(Some(local)) => {
                    let fields = record.drift(&local);
                    *record = local;
                    if !fields.is_empty() {
                        done.healed.push(Healed { personality, fields });
                    }
                }
            }
        }
        Ok(done)
    })
}

/// Copies the policy of `profile` into the peer's record, for the time when the profile is gone. Writes only where the
/// policy has changed.
pub(crate) fn remember_policy(
    paths: &Paths,
    record: &PeerRecord,
    profile: &Profile,
    program: &str,
    clock: &dyn Clock,
) -> Result<(), Failure> {
    let policy = profile.policy_keys();
    if record.policy == policy || *profile.personality() != record.personality {
        return Ok(());
    }
    Registry::change(paths, program, clock, |peers| {
        if let Some(known) = peers.iter_mut().find(|peer| peer.personality == record.personality) {
            known.policy = policy;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::SystemClock;
    use crate::base::paths::profile_path;
    use serde_json::{Value, json};
    use std::path::PathBuf;

    struct House {
        dir: tempfile::TempDir,
        paths: Paths,
        clock: SystemClock,
    }

    fn house() -> House {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("r");
        let paths = Paths::read(|name| (name == "IAPEER_ROOT").then(|| root.clone())).unwrap();
        paths.ensure().unwrap();
        House { dir, paths, clock: SystemClock::default() }
    }

    impl House {
        fn cwd(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        fn profile(&self, folder: &str, value: &Value) {
            std::fs::create_dir_all(self.cwd(folder).join(".iapeer")).unwrap();
            std::fs::write(profile_path(&self.cwd(folder)), value.to_string()).unwrap();
        }

        fn peer(&self, name: &str) {
            self.profile(
                name,
                &json!({"personality": name, "default_runtime": "claude", "runtimes": ["claude", "codex"], "intelligence": "human", "description": "d", "interfaces": {"telegram": {"bot": "b"}}}),
            );
            let profile = Profile::read(&self.cwd(name)).unwrap().unwrap();
            let record = PeerRecord::from_profile(&profile, &self.cwd(name));
            let make = |_: &OneWriter, _: Option<&PeerRecord>| Ok((record, ()));
            Registry::upsert(&self.paths, &name.parse().unwrap(), &self.cwd(name), "test", &self.clock, make).unwrap();
        }

        fn record(&self, name: &str) -> Option<PeerRecord> {
            Registry::read(&self.paths).unwrap().get(&name.parse().unwrap()).cloned()
        }

        fn of(&self, only: Option<&Personality>) -> Reindexed {
            let writer = OneWriter::acquire(&self.paths, "test", &self.clock).unwrap();
            reindex_by(&self.paths, &writer, only).unwrap()
        }

        fn reindex(&self) -> Reindexed {
            self.of(None)
        }
    }

    #[test]
    fn reindexing_takes_over_what_narrowed_and_leaves_what_it_can_not_read() {
        let house = house();
        for name in ["bob", "gone", "torn", "other", "same"] {
            house.peer(name);
        }
        house.profile("bob", &json!({"personality": "bob", "default_runtime": "claude", "intelligence": "natural"}));
        std::fs::remove_file(profile_path(&house.cwd("gone"))).unwrap();
        std::fs::write(profile_path(&house.cwd("torn")), "{torn").unwrap();
        house.profile("other", &json!({"personality": "else", "default_runtime": "claude"}));
        assert_eq!(
            standing(&house.record("bob").unwrap()),
            ProfileStanding::Drift(vec!["runtimes", "description", "interfaces"])
        );
        assert_eq!(standing(&house.record("gone").unwrap()), ProfileStanding::Missing);
        assert!(matches!(standing(&house.record("torn").unwrap()), ProfileStanding::Unreadable(_)));
        assert_eq!(standing(&house.record("same").unwrap()), ProfileStanding::Same);

        let done = house.reindex();
        assert_eq!(
            done.healed,
            [Healed { personality: "bob".parse().unwrap(), fields: vec!["runtimes", "description", "interfaces"] }]
        );
        assert_eq!(done.missing, ["gone".parse().unwrap()]);
        let left: Vec<&str> = done.left.iter().map(|left| left.personality.as_str()).collect();
        assert_eq!(left, ["other", "torn"]);

        let bob = house.record("bob").unwrap();
        assert_eq!((bob.runtimes.len(), bob.description.as_str(), &bob.interfaces), (1, "", &None));
        assert_eq!(bob.intelligence_word, "human", "the same nature keeps the word that was there");
        assert!(house.record("gone").is_some() && house.record("torn").is_some() && house.record("other").is_some());
        assert!(house.reindex().healed.is_empty(), "once");
    }

    #[test]
    fn one_peer_can_be_reindexed_alone() {
        let house = house();
        for name in ["al", "bob"] {
            house.peer(name);
            house.profile(name, &json!({"personality": name, "default_runtime": "codex"}));
        }
        let done = house.of(Some(&"bob".parse().unwrap()));
        assert_eq!(done.healed.len(), 1);
        assert_eq!(house.record("al").unwrap().default_runtime.as_str(), "claude");
        assert_eq!(house.record("bob").unwrap().default_runtime.as_str(), "codex");
    }
}
