//! The tick's work for other hosts: starts the relay where a try is due and messages wait or are to be fetched, and
//! gives up messages that have waited for too long.

use crate::base::HostName;
use crate::base::exit::Failure;
use crate::delivery::afar::finish_forgetting;
use crate::mailbox::afar;
use crate::store::history;
use crate::store::hosts::{self, HostFile};
use crate::store::outbox::{self, Outbox};
use crate::store::queue::Place;
use crate::store::{StoreError, durable};
use crate::world::World;
use std::collections::BTreeSet;

/// What a tick does for each host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// It starts the relay where that is due.
    Waiting,
    /// It also completes interrupted burials, gives up messages that are too old, and removes what crashes left.
    Full,
}

/// Attends to the outboxes. What fails for one host never stops the others.
pub(crate) fn attend(world: &World<'_>, look: Look) {
    for host in hosts::half_removed(world.paths).unwrap_or_default() {
        if let Err(failure) = finish_forgetting(world, &host) {
            tracing::warn!("@{host}: {failure}");
        }
    }
    // A root without other hosts has neither folder.
    let of_outboxes = outbox::hosts_with_outbox(world.paths).inspect_err(|error| tracing::warn!("{error}"));
    let mut all: BTreeSet<HostName> = of_outboxes.unwrap_or_default().into_iter().collect();
    all.extend(hosts::known_hosts(world.paths).unwrap_or_default());
    for host in &all {
        if let Err(failure) = attend_to(world, &world.outbox(host), look) {
            tracing::warn!("@{host}: {failure}");
        }
    }
    if look == Look::Full
        && let Err(error) = sweep_attachments(world)
    {
        tracing::warn!("{error}");
    }
}

fn attend_to(world: &World<'_>, outbox: &Outbox, look: Look) -> Result<(), Failure> {
    if look == Look::Full {
        afar::tend(world, outbox)?;
    }
    let waits = !outbox.queue.list(Place::Waiting)?.is_empty();
    let fetches = || matches!(HostFile::read(world.paths, &outbox.host), Ok(Some(HostFile::Ssh(ssh))) if ssh.fetch);
    // What was tried in vain has been given up or completed: no later try would note that it succeeded.
    if !waits && outbox.away().is_some() && outbox.queue.list(Place::Inflight)?.is_empty() && !fetches() {
        outbox.note_back();
    }
    if outbox.is_due(world.now())
        && (waits || fetches())
        && let Err(error) = world.start_push(&outbox.host)
    {
        tracing::warn!("cannot start iapeer-relay for {}: {error}", outbox.host);
    }
    Ok(())
}

/// Removes files that came with messages, once they are older than any message that the histories keep.
fn sweep_attachments(world: &World<'_>) -> Result<(), StoreError> {
    let bound = history::age_bound(world.settings);
    for entry in durable::entries_of(&world.paths.attachments_dir())? {
        let age = entry.metadata().and_then(|meta| meta.modified()).ok().and_then(|at| at.elapsed().ok());
        if age.is_some_and(|age| age > bound) {
            durable::remove_tree(&entry.path())?;
        }
    }
    Ok(())
}
