//! Whether profiles are well-formed and the registry agrees with them; and making it agree.

use crate::base::exit::Failure;
use crate::base::identity::Personality;
use crate::base::paths;
use crate::store::conformance::{Issue, Severity, conformance};
use crate::store::one_writer::OneWriter;
use crate::store::open::{self, Rule, without_bom};
use crate::store::profile::Profile;
use crate::store::registry::{PeerRecord, Registry};
use crate::store::reindex::{self, Left, ProfileStanding};
use crate::world::World;
use serde::Serialize;
use serde_json::Value;

/// What was found about one peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifyFound {
    /// Whose profile.
    pub personality: Personality,
    /// What is wrong in it.
    pub issues: Vec<Issue>,
    /// Fields in which the registry differs from it.
    pub drift: Vec<&'static str>,
    /// There is no profile in its folder.
    pub missing: bool,
}

impl VerifyFound {
    /// Whether something in it is an error.
    pub(crate) fn is_bad(&self) -> bool {
        self.issues.iter().any(|issue| issue.severity == Severity::Error)
    }
}

/// The report of `verify`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Each peer, by name.
    pub peers: Vec<VerifyFound>,
    /// Peers with errors.
    pub errors: usize,
    /// Peers whose record differs from their profile, before any mending.
    pub drift: usize,
    /// What was mended.
    pub reconcile: Reconciled,
}

/// What `--fix` did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Reconciled {
    /// Profiles whose `runtime` became `default_runtime`.
    pub migrated: Vec<Personality>,
    /// Records rewritten from their profiles.
    pub healed: Vec<Personality>,
    /// Peers that could not be mended, and why.
    pub left: Vec<Left>,
    /// Peers without a profile, left as they are.
    pub untouched: Vec<Personality>,
}

/// Looks at every registered peer; with `fix` migrates legacy keys and rewrites what drifted.
pub fn verify(world: &World<'_>, fix: bool) -> Result<Report, Failure> {
    let registry = Registry::read(world.paths)?;
    let mut report = Report::default();
    for record in registry.peers() {
        let found = look(record);
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

/// Migrates one profile and takes over what it says. What fails with one peer keeps no other from being mended.
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

/// Looks at one peer. A profile that can't be read is an error of that peer.
pub(crate) fn look(record: &PeerRecord) -> VerifyFound {
    let mut found =
        VerifyFound { personality: record.personality.clone(), issues: Vec::new(), drift: Vec::new(), missing: false };
    let bad = |message: String| vec![Issue { severity: Severity::Error, field: "<root>".into(), message }];
    let folder = record.cwd.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    found.issues = match open::read(&paths::profile_path(&record.cwd), Rule::OF_A_PEER) {
        Ok(None) => return VerifyFound { missing: true, ..found },
        Err(error) => bad(error.to_string()),
        Ok(Some(bytes)) => match serde_json::from_slice::<Value>(without_bom(&bytes)) {
            Ok(raw) => conformance(&raw, &folder),
            Err(error) => bad(format!("not valid JSON: {error}")),
        },
    };
    if !found.is_bad()
        && let ProfileStanding::Drift(fields) = reindex::standing(record)
    {
        found.drift = fields;
    }
    found
}
