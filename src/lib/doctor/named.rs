//! Files that name something missing, or can't be used as they are: the owner, schedules, the program that notifies, the
//! variables of launches, the inboxes of persons. No program fails because of them, so that only doctor reports them.

use super::finding::{Finding, moved};
use crate::base::exit::{Exit, Failure};
use crate::base::identity::{Intelligence, Personality};
use crate::base::paths;
use crate::base::shell;
use crate::chronicle::prices::Prices;
use crate::delivery::recipients;
use crate::people::{Inbox, notify, owner};
use crate::store::durable;
use crate::store::launch_env::LaunchEnv;
use crate::store::open::{self, Rule};
use crate::store::registry::{PeerRecord, Registry};
use crate::units::schedule::{self, Schedule};
use crate::world::World;
use crate::world::peer::Peer;

/// All of these findings.
pub(crate) fn named<'a>(world: &'a World<'a>, registry: &Registry) -> Vec<Finding<'a>> {
    let mut found: Vec<Finding<'a>> = owner_there(world, registry).into_iter().collect();
    found.extend(schedules(world, registry));
    found.extend(notifier(world));
    found.extend(prices(world));
    found.extend(registry.peers().iter().flat_map(|record| of_peer(world, record)));
    found
}

fn owner_there<'a>(world: &'a World<'a>, registry: &Registry) -> Option<Finding<'a>> {
    let path = world.paths.owner();
    // A file that can't be read has a finding of its own.
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
    // A folder that can't be listed has a finding of its own.
    let names = schedule::names(world).unwrap_or_default();
    names.iter().filter_map(|name| of_schedule(world, registry, name)).collect()
}

fn of_schedule<'a>(world: &'a World<'a>, registry: &Registry, name: &Personality) -> Option<Finding<'a>> {
    let path = world.paths.schedule(name);
    match Schedule::read(world, name) {
        Ok(schedule) => {
            let failure = recipients::check(world, registry, &schedule.to).err()?;
            let what = format!("the schedule {name} can send nothing: {failure}");
            Some(
                Finding::error("files", failure.exit, path.display(), what)
                    .todo(format!("`iapeer schedule remove {name}`, or create the recipient again")),
            )
        }
        // A path that is no regular file has a finding of its own.
        Err(Failure { exit: Exit::Config, message, .. }) => Some(
            Finding::error("files", Exit::Config, path.display(), message)
                .todo(format!("correct it, or `iapeer schedule remove {name}` and add the schedule again")),
        ),
        Err(_) => None,
    }
}

fn notifier<'a>(world: &'a World<'a>) -> Option<Finding<'a>> {
    let path = world.paths.notify();
    let meta = path.metadata().ok().filter(|_| notify::program(world).is_none())?;
    let (what, todo) = match meta.is_file() {
        true => ("is not executable: it is run for nothing", format!("`chmod u+x {}`", shell::path(&path))),
        false => ("is no program: nothing is run", moved(&path, "aside")),
    };
    Some(Finding::warn("files", path.display(), what).todo(todo))
}

/// The prices of tokens: a table that can't be read keeps `iapeer usage` from answering.
fn prices<'a>(world: &'a World<'a>) -> Option<Finding<'a>> {
    let path = world.paths.prices();
    if open::fault(&path, Rule::DOCUMENT).is_some() {
        // `files::unfit` names it.
        return None;
    }
    let Failure { exit, message } = Prices::read(&path).err()?;
    let what = format!("{message}: `iapeer usage` fails until then");
    let todo = format!("correct it, or {} to do without prices", moved(&path, "bad"));
    Some(Finding::error("files", exit, path.display(), what).todo(todo))
}

fn of_peer<'a>(world: &'a World<'a>, record: &PeerRecord) -> Vec<Finding<'a>> {
    let mut found = Vec::new();
    for runtime in &record.runtimes {
        let path = paths::launch_env_path(&record.cwd, runtime);
        if let Some(line) = LaunchEnv::passed_over(&path).first() {
            let what = format!("line {line} is neither NAME=VALUE nor a comment: it has no effect");
            let todo =
                format!("correct it, or `sed -i.bak '{line}s/^/# /' {}` has it be a comment", shell::path(&path));
            found.push(Finding::warn("profile", path.display(), what).todo(todo));
        }
        // Only for persons: an agent may have a file of that name.
        let inbox = Inbox::of(&record.cwd).dir();
        let is_filed =
            || Peer::find(world.paths, &record.personality, Some(runtime)).is_ok_and(|peer| peer.is_mailbox());
        if inbox.symlink_metadata().is_ok_and(|_| !inbox.is_dir()) && is_filed() {
            let what = format!("is not a folder: no message to {} can be filed", record.personality);
            let finding = Finding::error("files", Exit::CantCreate, inbox.display(), what);
            found.push(finding.todo(moved(&inbox, "aside")));
        }
    }
    found
}
