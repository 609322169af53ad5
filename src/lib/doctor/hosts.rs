//! Other hosts: those that can't be reached, those whose file is wrong, and dead letters.

use super::Finding;
use super::finding::moved;
use crate::attention::report::age;
use crate::base::exit::Exit;
use crate::operator::hosts::{self, HostRow};
use crate::store::lock;
use crate::store::nats::NatsFile;
use crate::store::outbox::Trouble;
use crate::world::World;

/// One finding for each host that something is wrong with.
pub(crate) fn hosts<'a>(world: &'a World<'a>) -> Vec<Finding<'a>> {
    match hosts::rows(world) {
        Ok(rows) => {
            let each = rows.iter().filter(|row| row.transport != "this").flat_map(|row| of(world, row));
            each.chain(relay(world, &rows)).collect()
        }
        Err(failure) => {
            let path = world.paths.hostname();
            let todo = format!(
                "write the name of this host into {}, or {} for its default",
                path.display(),
                moved(&path, "bad")
            );
            vec![Finding::error("host", failure.exit, path.display(), failure.message).todo(todo)]
        }
    }
}

/// Why the relay does not run or can't reach the NATS server, if a host is reached by NATS.
fn relay<'a>(world: &'a World<'a>, rows: &[HostRow]) -> Option<Finding<'a>> {
    let on_nats: Vec<&HostRow> = rows.iter().filter(|row| row.transport == "nats").collect();
    if on_nats.is_empty() {
        return None;
    }
    let about = "iapeer-relay";
    if let Err(failure) = NatsFile::needed(world.paths) {
        let todo =
            "correct nats.json in the root as described in docs/hosts.md; until then messages for hosts on NATS wait";
        return Some(Finding::error("host", failure.exit, about, failure.message).todo(todo));
    }
    if !lock::is_held(&world.paths.relay_lock()) {
        let waiting: usize = on_nats.iter().map(|row| row.waiting).sum();
        let what = format!("iapeer-relay run does not run, and {waiting} message(s) wait for hosts on NATS");
        let todo = "`iapeer units install` has it run; by hand: iapeer-relay run";
        return Some(Finding::error("host", Exit::TryAgain, about, what).todo(todo));
    }
    let trouble = Trouble::of(world.paths).noted()?;
    let what = format!("for {}: {}", age(world.now(), trouble.since), trouble.why);
    Some(
        Finding::error("host", Exit::TryAgain, about, what)
            .todo("it tries again by itself; check nats.json and the server"),
    )
}

fn of<'a>(world: &'a World<'a>, row: &HostRow) -> Vec<Finding<'a>> {
    let (host, mut found) = (&row.host, Vec::new());
    let about = format!("@{host}");
    if let Some(why) = &row.wrong {
        let todo = format!("`iapeer host add {host}` writes it again");
        found.push(Finding::error("host", Exit::Config, &about, why.clone()).todo(todo));
    } else if row.transport == "unknown" && row.waiting > 0 {
        let what = format!("{} message(s) wait for a host that is not registered", row.waiting);
        let todo =
            format!("`iapeer host add {host}` registers it; else they become dead letters after IAPEER_OUTBOX_DAYS");
        found.push(Finding::warn("host", &about, what).todo(todo));
    }
    if let Some(away) = row.away.as_ref().filter(|_| row.wrong.is_none()) {
        let since = age(world.now(), away.since);
        let what = format!("away for {since}, {} waiting: {}", row.waiting, away.why);
        found.push(Finding::warn("host", &about, what).todo(format!("`iapeer host test {host}` tries it now")));
    }
    if row.dead > 0 {
        let what = format!("{} dead letter(s)", row.dead);
        let todo =
            format!("`iapeer-drain --list @{host}` shows them; --requeue ID sends one again, --drop ID drops it");
        found.push(Finding::warn("host", &about, what).todo(todo));
    }
    found
}
