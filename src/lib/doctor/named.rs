//! Files that name what is not there, or that can't be used as they are: the owner, schedules, the program that notifies,
//! the variables of launches, the inboxes of persons. No program fails because of them, so that nothing else says it.

use super::finding::Finding;
use crate::base::exit::{Exit, Failure};
use crate::base::identity::{Intelligence, Personality};
use crate::base::paths;
use crate::delivery::addressee::Addressee;
use crate::people::{Inbox, owner};
use crate::store::durable;
use crate::store::launch_env::LaunchEnv;
use crate::store::queue::nobody;
use crate::store::registry::{PeerRecord, Registry};
use crate::units::schedule::Schedule;
use crate::world::World;
use std::os::unix::fs::PermissionsExt;

/// All of these findings.
pub(crate) fn named<'a>(world: &'a World<'a>, registry: &Registry) -> Vec<Finding<'a>> {
    let mut found: Vec<Finding<'a>> = owner_there(world, registry).into_iter().collect();
    found.extend(schedules(world, registry));
    found.extend(notifier(world));
    found.extend(registry.peers().iter().flat_map(of_peer));
    found
}

fn owner_there<'a>(world: &'a World<'a>, registry: &Registry) -> Option<Finding<'a>> {
    let path = world.paths.owner();
    // One that can't be read has a finding of its own.
    let text = durable::read_optional(&path).ok()??;
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    let named = owner::owner(world.paths).ok()?;
    let person = |record: &&PeerRecord| record.intelligence == Intelligence::Natural;
    if named.as_ref().and_then(|name| registry.get(name)).as_ref().is_some_and(person) {
        return None;
    }
    let what =
        format!("names {text:?}, which is no person here: nobody is told who waits for an approval or an answer");
    let todo = match (registry.peers().iter().find(person), named) {
        (Some(other), _) => format!("`iapeer owner {}`", other.personality),
        (None, Some(name)) if registry.get(&name).is_none() => format!("`iapeer create {name} --runtime person`"),
        (None, _) => "`iapeer create me --runtime person`, then `iapeer owner me`".to_owned(),
    };
    Some(Finding::warn("files", path.display(), what).todo(todo))
}

fn schedules<'a>(world: &'a World<'a>, registry: &Registry) -> Vec<Finding<'a>> {
    let dir = world.paths.schedules_dir();
    let names = durable::names_of(&dir).unwrap_or_default();
    let names = names.iter().filter_map(|name| name.strip_suffix(".json")?.parse::<Personality>().ok());
    names.filter_map(|name| schedule(world, registry, &name)).collect()
}

fn schedule<'a>(world: &'a World<'a>, registry: &Registry, name: &Personality) -> Option<Finding<'a>> {
    let path = world.paths.schedule(name);
    match Schedule::read(world, name) {
        Ok(schedule) => {
            let failure = Addressee::of(world, registry, &schedule.to, None, &nobody().into()).err()?;
            let what = format!("the schedule {name} can send nothing: {failure}");
            Some(
                Finding::error("files", failure.exit, path.display(), what)
                    .todo(format!("`iapeer schedule remove {name}`, or `iapeer create {}`", schedule.to)),
            )
        }
        // What is no regular file has a finding of its own.
        Err(Failure { exit: Exit::Config, message, .. }) => Some(
            Finding::error("files", Exit::Config, path.display(), message)
                .todo(format!("correct it, or `mv {0} {0}.bad` to be without this schedule", path.display())),
        ),
        Err(_) => None,
    }
}

fn notifier<'a>(world: &'a World<'a>) -> Option<Finding<'a>> {
    let path = world.paths.notify();
    let meta = path.metadata().ok()?;
    if meta.is_file() && meta.permissions().mode() & 0o111 != 0 {
        return None;
    }
    let (what, todo) = if meta.is_file() {
        ("is not executable: it is run for nothing", format!("`chmod u+x {}`", path.display()))
    } else {
        ("is no program: nothing is run", format!("`mv {0} {0}.aside`", path.display()))
    };
    Some(Finding::warn("files", path.display(), what).todo(todo))
}

fn of_peer<'a>(record: &PeerRecord) -> Vec<Finding<'a>> {
    let mut found = Vec::new();
    for runtime in &record.runtimes {
        let path = paths::launch_env_path(&record.cwd, runtime);
        let Some(line) = LaunchEnv::passed_over(&path).first().copied() else { continue };
        let what = format!("line {line} is neither NAME=VALUE nor a comment: it has no effect");
        let todo = format!("correct it, or `sed -i.bak '{line}s/^/# /' {}` has it be a comment", path.display());
        found.push(Finding::warn("profile", path.display(), what).todo(todo));
    }
    let inbox = Inbox::folder_of(&record.cwd);
    if inbox.symlink_metadata().is_ok_and(|_| !inbox.is_dir()) {
        let what = format!("is not a folder: no message to {} can be filed", record.personality);
        let todo = format!("`mv {0} {0}.aside`", inbox.display());
        found.push(Finding::error("files", Exit::CantCreate, inbox.display(), what).todo(todo));
    }
    found
}
