//! The peers' profiles, and whether the registry agrees with them.

use super::finding::{Finding, MendError};
use crate::base::exit::Exit;
use crate::base::identity::Personality;
use crate::base::paths;
use crate::roster::verify::{self, VerifyFound};
use crate::store::conformance::Severity;
use crate::store::one_writer::OneWriter;
use crate::store::open::{Fault, Unfit};
use crate::store::peer_folder;
use crate::store::profile::Profile;
use crate::store::registry::{PeerRecord, Registry};
use crate::store::reindex;
use crate::world::World;
use std::collections::BTreeSet;

/// Folders, profiles, and whether the registry says the same.
pub(crate) fn profiles<'a>(
    world: &'a World<'a>,
    registry: &Registry,
    half_done: &BTreeSet<Personality>,
) -> Vec<Finding<'a>> {
    let whole = registry.peers().iter().filter(|record| !half_done.contains(&record.personality));
    whole.flat_map(|record| of_peer(world, record)).collect()
}

fn of_peer<'a>(world: &'a World<'a>, record: &PeerRecord) -> Vec<Finding<'a>> {
    let name = record.personality.clone();
    let bad = |what: String| Finding::error("profile", Exit::Config, &name, what);
    if !record.cwd.is_dir() {
        let what = format!("its folder {} is gone: it can't be started", record.cwd.display());
        return vec![bad(what).todo(format!("bring the folder back, or `iapeer remove {name}`"))];
    }
    let card = paths::profile_path(&record.cwd);
    let unfit = peer_folder::faults(&record.cwd);
    if unfit.iter().any(|unfit| card.starts_with(&unfit.path)) {
        return unfit.into_iter().map(|unfit| of_file(&name, unfit)).collect();
    }
    let found = verify::look(record);
    if found.missing {
        let what = format!("{} is missing: it runs on what the registry says", card.display());
        let todo = format!("`iapeer init {}` writes one", record.cwd.display());
        let missing = Finding::warn("profile", &name, what).todo(todo);
        return unfit.into_iter().map(|unfit| of_file(&name, unfit)).chain([missing]).collect();
    }
    let mut findings: Vec<Finding<'a>> = unfit.into_iter().map(|unfit| of_file(&name, unfit)).collect();
    findings.extend(found.issues.iter().map(|issue| {
        let what = format!("{}: {} — {}", card.display(), issue.field, issue.message);
        match issue.severity {
            Severity::Error => bad(what).todo("correct it: the peer runs on the defaults until then"),
            Severity::Warn => Finding::warn("profile", &name, what).todo("correct it"),
        }
    }));
    findings.extend(drift(world, record, &found));
    findings
}

/// A file below a peer's `.iapeer` for which the peer is not started.
fn of_file<'a>(name: &Personality, unfit: Unfit) -> Finding<'a> {
    let Unfit { path, fault } = unfit;
    let what = format!("{} {fault}: its sessions are not started", path.display());
    let finding = Finding::error("profile", Unfit { path: path.clone(), fault }.exit(), name, what).todo(fault.todo());
    match fault {
        Fault::Open(mode) => finding.mend(move || super::files::close(&path, mode & 0o7755)),
        _ => finding,
    }
}

fn drift<'a>(world: &'a World<'a>, record: &PeerRecord, found: &VerifyFound) -> Option<Finding<'a>> {
    if found.drift.is_empty() {
        return None;
    }
    let (name, cwd) = (record.personality.clone(), record.cwd.clone());
    let what = format!("the registry and its profile disagree on {}", found.drift.join(", "));
    let finding = Finding::error("profile", Exit::Config, &name, what);
    if found.drift.contains(&"personality") {
        return Some(finding.todo("`iapeer rename` changes both, or correct the profile"));
    }
    Some(finding.todo("`iapeer verify --fix` takes over what the profile says").mend(move || {
        let writer = OneWriter::acquire(world.paths, world.program, world.clock)?;
        Profile::migrate(&writer, &cwd)?;
        let done = reindex::reindex_by(world.paths, &writer, Some(&name))?;
        done.left.into_iter().next().map_or(Ok(()), |left| Err(MendError::Stands(left.why)))
    }))
}
