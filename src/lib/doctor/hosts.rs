//! Other hosts: those that are away, those whose file is wrong, and messages that came back.

use super::Finding;
use crate::attention::report::age;
use crate::base::exit::Exit;
use crate::operator::hosts::{self, HostRow};
use crate::world::World;

/// One finding for each host that something is wrong with.
pub(crate) fn hosts<'a>(world: &'a World<'a>) -> Vec<Finding<'a>> {
    match hosts::rows(world) {
        Ok(rows) => rows.iter().filter(|row| row.transport != "this").flat_map(|row| of(world, row)).collect(),
        Err(failure) => vec![Finding::error("host", failure.exit, world.paths.hostname().display(), failure.message)],
    }
}

fn of<'a>(world: &'a World<'a>, row: &HostRow) -> Vec<Finding<'a>> {
    let (host, mut found) = (&row.host, Vec::new());
    let about = format!("@{host}");
    if let Some(why) = &row.wrong {
        let todo = format!("`iapeer host add {host}` writes it anew");
        found.push(Finding::error("host", Exit::Config, &about, why.clone()).todo(todo));
    } else if row.transport == "unknown" && row.waiting > 0 {
        let what = format!("{} message(s) wait for a host that is not known", row.waiting);
        let todo = format!("`iapeer host add {host}` makes it known; else they come back after IAPEER_OUTBOX_DAYS");
        found.push(Finding::warn("host", &about, what).todo(todo));
    }
    if let Some(away) = row.away.as_ref().filter(|_| row.wrong.is_none()) {
        let since = age(world.now(), away.since);
        let what = format!("away for {since}, {} waiting: {}", row.waiting, away.why);
        found.push(Finding::warn("host", &about, what).todo(format!("`iapeer host test {host}` tries it now")));
    }
    if row.dead > 0 {
        let what = format!("{} message(s) came back", row.dead);
        let todo =
            format!("`iapeer-drain --list @{host}` shows them; --requeue ID sends one again, --drop ID drops it");
        found.push(Finding::warn("host", &about, what).todo(todo));
    }
    found
}
