//! Whether profiles are well-formed and the registry agrees with them; and making it agree.

use crate::core::exit::Failure;
use crate::core::identity::Personality;
use crate::core::paths;
use crate::lifecycle::world::World;
use crate::store::conformance::{Issue, Severity, conformance};
use crate::store::durable;
use crate::store::profile::Profile;
use crate::store::registry::{PeerRecord, Registry};
use crate::store::reindex::{self, Standing};
use serde::Serialize;
use serde_json::Value;

/// What was found about one peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// Whose profile.
    pub personality: Personality,
    /// What is wrong in it.
    pub issues: Vec<Issue>,
    /// Fields in which the registry differs from it.
    pub drift: Vec<&'static str>,
    /// There is no profile in its folder.
    pub missing: bool,
}

impl Found {
    /// Whether something in it is an error.
    pub fn is_bad(&self) -> bool {
        self.issues.iter().any(|issue| issue.severity == Severity::Error)
    }
}

/// What `verify` came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Each peer, by name.
    pub peers: Vec<Found>,
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
    /// Peers without a profile, left as they are.
    pub untouched: Vec<Personality>,
}

/// Looks at every registered peer; with `fix` migrates legacy keys and rewrites what drifted.
pub fn verify(world: &World<'_>, fix: bool) -> Result<Report, Failure> {
    let registry = Registry::read(world.paths)?;
    let mut report = Report::default();
    for record in registry.peers() {
        let found = look(record)?;
        report.errors += usize::from(found.is_bad());
        report.drift += usize::from(!found.drift.is_empty());
        if found.missing {
            report.reconcile.untouched.push(record.personality.clone());
        } else if fix && !found.is_bad() {
            if Profile::migrate(&record.cwd)? {
                report.reconcile.migrated.push(record.personality.clone());
            }
            if !found.drift.is_empty() {
                let done = reindex::reindex(world.paths, Some(&record.personality), world.program, world.clock)?;
                report.reconcile.healed.extend(done.healed.into_iter().map(|healed| healed.personality));
            }
        }
        report.peers.push(found);
    }
    Ok(report)
}

/// Looks at one peer.
pub(super) fn look(record: &PeerRecord) -> Result<Found, Failure> {
    let mut found =
        Found { personality: record.personality.clone(), issues: Vec::new(), drift: Vec::new(), missing: false };
    let Some(bytes) = durable::read_optional(&paths::profile_path(&record.cwd))? else {
        return Ok(Found { missing: true, ..found });
    };
    let folder = record.cwd.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    found.issues = match serde_json::from_slice::<Value>(&bytes) {
        Ok(raw) => conformance(&raw, &folder),
        Err(error) => {
            vec![Issue {
                severity: Severity::Error,
                field: "<root>".into(),
                message: format!("not valid JSON: {error}"),
            }]
        }
    };
    if !found.is_bad()
        && let Standing::Drift(fields) = reindex::standing(record)
    {
        found.drift = fields;
    }
    Ok(found)
}
