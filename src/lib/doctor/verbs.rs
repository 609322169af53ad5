//! Interrupted verbs about peers: create, rename, remove.

use super::finding::Finding;
use crate::base::exit::{Exit, Failure};
use crate::base::identity::Personality;
use crate::base::shell;
use crate::roster::journal::{self, BadIntent};
use crate::roster::unfinished;
use crate::store::lock::is_seen_held;
use crate::world::World;
use std::collections::BTreeSet;

/// One finding for each interrupted verb; none while a verb is running.
pub(crate) fn cut_short<'a>(world: &'a World<'a>) -> Vec<Finding<'a>> {
    if is_seen_held(&world.paths.intents_lock()) {
        return vec![];
    }
    let finding = |intent: Result<journal::RosterIntent, BadIntent>| match intent {
        Ok(journal::RosterIntent { act, by, at, .. }) => {
            let names: Vec<&str> = act.names().iter().map(|name| name.as_str()).collect();
            let what = format!("{} was begun by {by} at {} and interrupted", act.describe(), at.utc());
            Finding::error("state", Exit::TryAgain, names.join(", "), what)
                .todo("`iapeer-superviser` completes it, as the next tick would, or --fix does")
                .mend(|| Ok(unfinished::try_finish_all(world, world.settings.lock_wait)?))
        }
        Err(BadIntent { path, failure: Failure { exit, message: what } }) => {
            let finding = |what: String| Finding::error("state", exit, path.display(), what);
            match path.file_name().filter(|_| exit == Exit::Config && path.is_file()) {
                // Out of its folder, which has nothing but intents.
                Some(name) => {
                    let aside = world.paths.state_root().join(format!("{}.bad", name.display()));
                    finding(format!("{what}: how far the verb came is not known")).todo(format!(
                        "correct it, or `mv {} {}`; what the verb left is named then",
                        shell::path(&path),
                        shell::path(&aside)
                    ))
                }
                None => finding(what).todo(format!("`ls -ld {}` shows its mode and owner", shell::path(&path))),
            }
        }
    };
    journal::pending(world.paths).into_iter().map(finding).collect()
}

/// The peers that these verbs are about, whose files are no leftovers.
pub(crate) fn names(world: &World<'_>) -> BTreeSet<Personality> {
    let intents = journal::pending(world.paths).into_iter().flatten();
    intents.flat_map(|intent| intent.act.names().into_iter().cloned().collect::<Vec<_>>()).collect()
}
