//! The peers' folders and profiles, and whether the registry agrees with the profiles.

use super::finding::{Finding, MendError};
use crate::base::exit::Exit;
use crate::base::identity::Personality;
use crate::base::paths;
use crate::base::shell;
use crate::roster::create::{self, Birth};
use crate::roster::launches;
use crate::roster::verify::{self, VerifyFound};
use crate::store::conformance::Severity;
use crate::store::durable;
use crate::store::launch_defaults::LaunchDefaults;
use crate::store::one_writer::OneWriter;
use crate::store::open::{Fault, Unfit};
use crate::store::peer_folder;
use crate::store::profile::Profile;
use crate::store::registry::{PeerRecord, Registry};
use crate::store::reindex;
use crate::world::World;
use crate::world::peer::Peer;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The findings about all peers but those of interrupted verbs.
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
        return vec![folder_gone(world, record)];
    }
    let path = paths::profile_path(&record.cwd);
    let unfit = peer_folder::faults(&record.cwd);
    if unfit.iter().any(|unfit| path.starts_with(&unfit.path)) {
        return unfit.into_iter().map(|unfit| of_file(&name, unfit)).collect();
    }
    let found = verify::look(record);
    if found.missing {
        let what = format!("{} is missing: the peer runs by the registry's copy", path.display());
        let todo = format!("`iapeer init {}` writes one, or --fix does", shell::path(&record.cwd));
        let missing = Finding::warn("profile", &name, what).todo(todo).mend(anew(world, record));
        return unfit.into_iter().map(|unfit| of_file(&name, unfit)).chain([missing]).collect();
    }
    let mut findings: Vec<Finding<'a>> = unfit.into_iter().map(|unfit| of_file(&name, unfit)).collect();
    findings.extend(found.issues.iter().map(|issue| {
        let what = format!("{}: {} — {}", path.display(), issue.field, issue.message);
        match issue.severity {
            Severity::Error if found.torn => bad(what)
                .todo(
                    "`iapeer doctor --fix` restores it from the registry and keeps this file beside it; or correct it",
                )
                .mend(anew(world, record)),
            Severity::Error => bad(what)
                .todo(format!("correct it in {}: until then the peer runs by the registry's copy", path.display())),
            Severity::Warn
                if issue.field == "personality" && record.cwd.file_name().is_some_and(|dir| dir != name.as_str()) =>
            {
                let named = record.cwd.with_file_name(name.as_str());
                let todo = format!(
                    "`mv {} {}` and `iapeer init {}` take it back to a folder of its name",
                    shell::path(&record.cwd),
                    shell::path(&named),
                    shell::path(&named)
                );
                Finding::warn("profile", &name, what).todo(todo)
            }
            Severity::Warn => Finding::warn("profile", &name, what).todo(format!("correct it in {}", path.display())),
        }
    }));
    findings.extend(drift(world, record, &found));
    findings.extend(plugins(world, record));
    findings
}

/// Writes the profile anew from the registry's record.
fn anew<'a>(world: &'a World<'a>, record: &PeerRecord) -> impl FnOnce() -> Result<(), MendError> + 'a {
    let record = record.clone();
    move || {
        verify::restore_profile(world, &record)?;
        Ok(())
    }
}

/// The finding about a peer whose folder is gone, with its new place if that can be found.
fn folder_gone<'a>(world: &'a World<'a>, record: &PeerRecord) -> Finding<'a> {
    let (name, old) = (&record.personality, record.cwd.display());
    let what = format!("its folder {old} is gone: it can't be started, and its messages wait");
    let finding = Finding::error("profile", Exit::Config, name, what);
    match moved_to(world, record) {
        Some(dir) => finding
            .todo(format!("`iapeer init {}` registers its present place, or --fix does", shell::path(&dir)))
            .mend(move || Ok(create::init(world, &dir, &Birth::default()).map(drop)?)),
        None => finding.todo(format!(
            "if it was moved, `iapeer init DIR` registers its present place; else `iapeer create {name} --path {}` makes the folder again",
            shell::path(&record.cwd)
        )),
    }
}

/// The folder whose profile has the peer's name, beside the old one or in `<root>/peers`, if there is exactly one.
fn moved_to(world: &World<'_>, record: &PeerRecord) -> Option<PathBuf> {
    let mut places: Vec<PathBuf> = record.cwd.parent().map(Path::to_owned).into_iter().collect();
    places.push(world.paths.root().join("peers"));
    places.dedup();
    let folders = places.iter().flat_map(|place| durable::entries_of(place).unwrap_or_default());
    let is_it =
        |dir: &PathBuf| matches!(Profile::read(dir), Ok(Some(profile)) if *profile.personality() == record.personality);
    let mut found = folders.map(|entry| entry.path()).filter(is_it);
    let only = found.next()?;
    found.next().is_none().then_some(only)
}

/// The finding about a file below a peer's `.iapeer` that keeps the peer's sessions from being started.
fn of_file<'a>(name: &Personality, unfit: Unfit) -> Finding<'a> {
    let Unfit { path, fault } = unfit;
    let what = format!("{} {fault}: its sessions are not started", path.display());
    let unfit = Unfit { path, fault };
    let finding = Finding::error("profile", unfit.exit(), name, what).todo(super::files::command(&unfit));
    let path = unfit.path;
    match fault {
        Fault::Open(mode) => finding.mend(move || super::files::close(&path, mode & 0o7755)),
        _ => finding,
    }
}

/// Plugins that are enabled for the peer, and that its sessions don't get, or get only in part.
fn plugins<'a>(world: &'a World<'a>, record: &PeerRecord) -> Vec<Finding<'a>> {
    let name = &record.personality;
    let mut troubled = BTreeSet::new();
    for runtime in &record.runtimes {
        // A runtime or a profile that can't be read has a finding of its own.
        let Ok(peer) = Peer::find(world.paths, name, Some(runtime)) else { continue };
        troubled.extend(launches::troubled(world, &peer).unwrap_or_default());
    }
    let of_all = LaunchDefaults::read(world.paths).unwrap_or_default();
    let of_all = of_all.policy().enabled();
    let finding = |(plugin, what): (String, String)| {
        let whose = if of_all.contains(&plugin.as_str()) { String::new() } else { format!(" {name}") };
        let plugin = shell::word(&plugin);
        Finding::warn("profile", name, what).todo(format!("correct that, or `iapeer disable {plugin}{whose}`"))
    };
    troubled.into_iter().map(finding).collect()
}

fn drift<'a>(world: &'a World<'a>, record: &PeerRecord, found: &VerifyFound) -> Option<Finding<'a>> {
    if found.drift.is_empty() {
        return None;
    }
    let (name, cwd) = (record.personality.clone(), record.cwd.clone());
    let what = format!("the registry and its profile disagree on {}", found.drift.join(", "));
    let finding = Finding::error("profile", Exit::Config, &name, what);
    if found.drift.contains(&"personality") {
        let todo = format!("`iapeer rename` changes both; or correct {}", paths::profile_path(&cwd).display());
        return Some(finding.todo(todo));
    }
    Some(finding.todo("`iapeer verify --fix` makes the registry agree with the profile").mend(move || {
        let writer = OneWriter::acquire(world.paths, world.program, world.clock)?;
        Profile::migrate(&writer, &cwd)?;
        let done = reindex::reindex_by(world.paths, &writer, Some(&name))?;
        done.left.into_iter().next().map_or(Ok(()), |left| Err(MendError::Stands(left.why)))
    }))
}
