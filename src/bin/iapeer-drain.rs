//! iapeer-drain: deliver the messages that wait in queues. It is the only program that types messages into sessions.
//!
//! 1. Take the identity's lock. If another program holds the lock, that program delivers the items: say so and exit 0.
//! 2. Settle the item that an earlier drain left in flight, by evidence.
//! 3. Deliver from the head of the queue, waking a sleeping peer, until no item waits or the peer's state forbids delivery.
//! 4. Release the lock and read the queue once more: items accepted meanwhile are delivered as well.
//!
//! Exit: 0 · 64 usage · 66 no such item · 67 no such peer · 69 not a dead letter · 74 I/O · 75 try again · 77
//! permission · 78 configuration.

use iapeer::base::{Exit, Failure, Identity, output};
use iapeer::cli::{self, Access, args};
use iapeer::delivery::drain::{self, Drained};
use iapeer::host::spawn;
use iapeer::mailbox::queues::{self, QueueOf};
use iapeer::world::World;
use std::process::ExitCode;

fn main() -> ExitCode {
    let access = |given: &args::Drain| {
        if given.list || given.show.is_some() || given.dry_run { Access::ReadOnly } else { Access::Write }
    };
    cli::main("iapeer-drain", access, run)
}

fn run(given: args::Drain, world: &World<'_>) -> Result<Exit, Failure> {
    if given.gated {
        spawn::wait_at_gate();
    }
    let settles = given.list || given.show.is_some() || !given.requeue.is_empty() || given.drop.is_some();
    if given.identities.is_empty() && !given.all && !settles {
        return Err(Failure::new(
            Exit::Usage,
            "name an identity, or give --all, --list, --show ID, --requeue ID or --drop ID",
        ));
    }
    let chosen = queues::all_chosen(world, &given.identities)?;
    if !given.requeue.is_empty() {
        return Ok(given.requeue.iter().map(|id| requeue(given.json, id, world)).max().unwrap_or(Exit::Ok));
    }
    if let Some(id) = &given.show {
        let shown = queues::show(world, id)?;
        cli::tell(given.json, &shown, || shown.text());
    } else if let Some(id) = &given.drop {
        queues::drop_item(world, id, output::say_surely)?;
    } else if given.list || given.dry_run {
        for row in queues::list(world, &chosen, given.dry_run)? {
            cli::tell(given.json, &row, || row.line());
        }
    } else {
        let codes = chosen.iter().map(|of| match of {
            // Most of thousands of queues are empty, and reading a queue is cheaper than determining its peer. A queue
            // that can't be read is reported by its drain.
            QueueOf::Peer(identity) if given.all && world.queue(identity).is_at_rest().unwrap_or(false) => Exit::Ok,
            QueueOf::Peer(identity) => one(given.json, identity, world),
            // Ticks and `iapeer-relay push` hand over the messages for other hosts.
            QueueOf::Host(_) if given.all => Exit::Ok,
            QueueOf::Host(host) => {
                output::complain(&format!(
                    "iapeer-drain: `iapeer-relay push {host}` hands over what waits for @{host}"
                ));
                Exit::Usage
            }
        });
        return Ok(codes.max().unwrap_or(Exit::Ok));
    }
    Ok(Exit::Ok)
}

/// Requeues one dead letter. A failure does not stop the others; the program exits with the worst code.
fn requeue(json: bool, id: &str, world: &World<'_>) -> Exit {
    match queues::requeue(world, id) {
        Ok(row) => {
            cli::tell(json, &row, || format!("requeued {id}"));
            Exit::Ok
        }
        Err(failure) => {
            output::complain(&format!("iapeer-drain: {failure}"));
            failure.exit
        }
    }
}

/// Drains one identity. A failure does not stop the others; the program exits with the worst code.
fn one(json: bool, identity: &Identity, world: &World<'_>) -> Exit {
    let done = try_one(json, identity, world);
    done.err().map_or(Exit::Ok, |failure| {
        output::complain(&format!("iapeer-drain: {identity}: {failure}"));
        failure.exit
    })
}

fn try_one(json: bool, identity: &Identity, world: &World<'_>) -> Result<(), Failure> {
    let nothing_done = |outcome: &str, reason: String| {
        let value = serde_json::json!({"identity": identity, "outcome": outcome, "reason": reason});
        cli::tell(json, &value, || format!("{identity}: {outcome}, {reason}"));
    };
    let acted = match drain::drain(world, identity)? {
        Drained::Busy(holder) => {
            nothing_done("busy", format!("held by {holder}"));
            return Ok(());
        }
        Drained::Ran(acted) => acted,
    };
    for item in &acted {
        cli::tell(json, item, || {
            let reason = item.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            format!("{} {} {} {}{reason}", item.identity, item.seq, item.id, item.outcome)
        });
    }
    let waiting = queues::held_back(world, identity)?;
    if acted.is_empty() && waiting > 0 {
        let start = format!("{waiting} waiting: `iapeer start {}` has them delivered", identity.personality());
        nothing_done("stopped", start);
    }
    Ok(())
}
