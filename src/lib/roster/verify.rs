//! Checks whether profiles are well-formed and the registry agrees with them, and mends what does not agree.

use crate::base::exit::Failure;
use crate::base::identity::Personality;
use crate::base::paths;
use crate::roster::rebuild;
use crate::store::conformance::{Issue, Severity, conformance};
use crate::store::one_writer::OneWriter;
use crate::store::open::{self, Rule, without_bom};
use crate::store::profile::Profile;
use crate::store::registry::{PeerRecord, Registry, RegistryError};
use crate::store::reindex::{self, Left, ProfileStanding};
use crate::world::World;
use serde::Serialize;
use serde_json::Value;
use std::path::PathBuf;

/// What was found about one peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifyFound {
    /// The peer.
    pub personality: Personality,
    /// What is wrong in the peer's profile.
    pub issues: Vec<Issue>,
    /// Fields in which the registry differs from the profile.
    pub drift: Vec<&'static str>,
    /// Whether there is no profile in the peer's folder.
    pub missing: bool,
    /// Whether the profile is no JSON object, and can be restored from the registry.
    #[serde(skip)]
    pub(crate) torn: bool,
}

impl VerifyFound {
    /// Whether an issue of the profile is an error.
    pub(crate) fn is_bad(&self) -> bool {
        self.issues.iter().any(|issue| issue.severity == Severity::Error)
    }
}

/// The report of `verify`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Each peer, by name.
    pub peers: Vec<VerifyFound>,
    /// The number of peers with errors.
    pub errors: usize,
    /// The number of peers whose record differed from their profile, before any mending.
    pub drift: usize,
    /// What was mended.
    pub reconcile: Reconciled,
    /// Peers that the registry did not name and that `--fix` put back.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub restored: Vec<Personality>,
    /// The path to which a registry that could not be used was moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aside: Option<PathBuf>,
}

/// What `--fix` did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Reconciled {
    /// Profiles whose `runtime` became `default_runtime`.
    pub migrated: Vec<Personality>,
    /// Records rewritten from their profiles.
    pub healed: Vec<Personality>,
    /// Profiles that were written anew from the registry; the torn file is kept beside each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rewritten: Vec<Personality>,
    /// Peers that could not be mended, and why.
    pub left: Vec<Left>,
    /// Peers without a profile, left as they are.
    pub untouched: Vec<Personality>,
}

/// Examines every registered peer. With `fix` also restores a registry that can't be used, missing peers and torn
/// profiles, migrates legacy keys, and rewrites records that differ from their profiles.
pub fn verify(world: &World<'_>, fix: bool) -> Result<Report, Failure> {
    let mut report = Report::default();
    if fix {
        bring_back(world, &mut report)?;
    }
    let registry = Registry::read(world.paths)?;
    for record in registry.peers() {
        let mut found = look(record);
        if fix && found.torn {
            match restore_profile(world, record) {
                Ok(_) => {
                    report.reconcile.rewritten.push(record.personality.clone());
                    found = look(record);
                }
                Err(failure) => {
                    report.reconcile.left.push(Left { personality: record.personality.clone(), why: failure.message });
                }
            }
        }
        report.errors += usize::from(found.is_bad());
        report.drift += usize::from(!found.drift.is_empty());
        if found.missing {
            report.reconcile.untouched.push(record.personality.clone());
        } else if fix && !found.is_bad() {
            mend(world, record, &found, &mut report.reconcile);
        }
        report.peers.push(found);
    }
    Ok(report)
}

/// Restores a registry that can't be used, and puts back peers that it does not name.
fn bring_back(world: &World<'_>, report: &mut Report) -> Result<(), Failure> {
    match Registry::read(world.paths) {
        Err(RegistryError::Corrupt { .. } | RegistryError::Lost { .. }) => {
            let (found, aside) = rebuild::restore(world)?;
            report.restored = found.peers.into_keys().collect();
            report.reconcile.left = found.left;
            report.aside = aside;
        }
        Err(error) => return Err(error.into()),
        Ok(registry) => {
            for record in rebuild::unregistered(world, &registry) {
                report.restored.push(record.personality.clone());
                rebuild::register(world, record)?;
            }
        }
    }
    Ok(())
}

/// Writes the profile of `record` anew from the registry, where it is missing or torn.
pub(crate) fn restore_profile(world: &World<'_>, record: &PeerRecord) -> Result<Option<PathBuf>, Failure> {
    let writer = OneWriter::acquire(world.paths, world.program, world.clock)?;
    Ok(Profile::restore(&writer, record)?.1)
}

/// Migrates one profile, and copies what it says into the registry. A failure is noted in `done`: others are mended all
/// the same.
fn mend(world: &World<'_>, record: &PeerRecord, found: &VerifyFound, done: &mut Reconciled) {
    let personality = &record.personality;
    let mut left = |failure: Failure| {
        done.left.push(Left { personality: personality.clone(), why: failure.message });
    };
    let writer = match OneWriter::acquire(world.paths, world.program, world.clock) {
        Ok(writer) => writer,
        Err(failure) => return left(failure),
    };
    match Profile::migrate(&writer, &record.cwd) {
        Ok(true) => done.migrated.push(personality.clone()),
        Ok(false) => {}
        Err(error) => return left(error.into()),
    }
    if found.drift.is_empty() {
        return;
    }
    match reindex::reindex_by(world.paths, &writer, Some(personality)) {
        Ok(reindexed) => {
            done.healed.extend(reindexed.healed.into_iter().map(|healed| healed.personality));
            done.left.extend(reindexed.left);
        }
        Err(failure) => left(failure),
    }
}

/// Examines one peer. A profile that can't be read is an issue of that peer.
pub(crate) fn look(record: &PeerRecord) -> VerifyFound {
    let mut found = VerifyFound {
        personality: record.personality.clone(),
        issues: vec![],
        drift: vec![],
        missing: false,
        torn: false,
    };
    let bad = |message: String| vec![Issue { severity: Severity::Error, field: "<root>".into(), message }];
    let folder = record.cwd.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    found.issues = match open::read(&paths::profile_path(&record.cwd), Rule::OF_A_PEER) {
        Ok(None) => return VerifyFound { missing: true, ..found },
        Err(error) => bad(error.to_string()),
        Ok(Some(bytes)) => match serde_json::from_slice::<Value>(without_bom(&bytes)) {
            Ok(raw) => {
                found.torn = !raw.is_object();
                conformance(&raw, &folder)
            }
            Err(error) => {
                found.torn = true;
                bad(format!("not valid JSON: {error}"))
            }
        },
    };
    if !found.is_bad()
        && let ProfileStanding::Drift(fields) = reindex::standing(record)
    {
        found.drift = fields;
    }
    found
}
