//! Accepting a message for a peer on another host: it is made durable in the outbox of that host, with copies of its
//! attachments, since the files themselves may be gone when that host can be reached.

use crate::base::address::{Address, HostName};
use crate::base::clock::{Deadline, EpochMs, wait_for};
use crate::base::evidence::Outcome;
use crate::base::exit::{Exit, Failure};
use crate::base::identity::Intelligence;
use crate::base::message_id::MessageId;
use crate::base::paths;
use crate::base::span::said;
use crate::mailbox::{afar as ledger, again};
use crate::message::limits;
use crate::store::durable;
use crate::store::hosts::HostFile;
use crate::store::lock::FileLock;
use crate::store::open::{self, Rule};
use crate::store::outbox::Outbox;
use crate::store::queue::{Errand, Item, Place, Seq, nobody};
use crate::world::World;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

/// Makes `draft` durable in `outbox` for `address`, with copies of its attachments.
pub(crate) fn accept(
    world: &World<'_>,
    outbox: &Outbox,
    address: &Address,
    draft: Item,
) -> Result<(Item, Seq), Failure> {
    // A refused message leaves no files.
    let id = draft.id;
    let forget = || drop(durable::remove_tree(&outbox.files(id)));
    let attachments = copy_files(world, outbox, id, &draft.attachments).inspect_err(|_| forget())?;
    let item = Item { to: Some(address.clone()), attachments, accepted: world.now(), ..draft };
    match outbox.queue.accept(&item, world.clock) {
        Ok(seq) => Ok((item, seq)),
        Err(error) => {
            if !item.attachments.is_empty() {
                forget();
            }
            Err(error.into())
        }
    }
}

/// Copies the files at `from` durably, each under its own name in a folder of its own, and returns the copies' paths.
fn copy_files(world: &World<'_>, outbox: &Outbox, id: MessageId, from: &[String]) -> Result<Vec<String>, Failure> {
    let mut left = world.settings.attachments_max;
    let mut copies = Vec::new();
    for (at, path) in from.iter().map(Path::new).enumerate() {
        let failed = |error: &std::io::Error| {
            Failure::new(Exit::NoInput, format!("cannot read the attachment {}: {error}", path.display()))
        };
        let mut bytes = Vec::new();
        let opened = open::open(path, Rule { max: u64::MAX, ..Rule::DOCUMENT }).map_err(std::io::Error::from);
        let (file, _) = opened
            .and_then(|opened| opened.ok_or(std::io::ErrorKind::NotFound.into()))
            .map_err(|error| failed(&error))?;
        let read = file.take(left.saturating_add(1)).read_to_end(&mut bytes);
        let size = read.map_err(|error| failed(&error))? as u64;
        left = left.checked_sub(size).ok_or_else(|| {
            let limit = world.settings.attachments_max;
            Failure::new(
                Exit::DataErr,
                format!("the attachments are over the limit of {limit} bytes for another host (IAPEER_ATTACHMENTS_MAX_BYTES)"),
            )
        })?;
        let name = limits::file_name(path).ok_or_else(|| {
            let why =
                format!("the attachment {} has a name that another host does not take: rename it", path.display());
            Failure::new(Exit::DataErr, why)
        })?;
        let dir = outbox.files(id).join(at.to_string());
        paths::create_dirs(&dir)?;
        durable::write_atomic(&dir.join(name), &bytes)?;
        copies.push(dir.join(name).to_string_lossy().into_owned());
    }
    Ok(copies)
}

/// Removes `host`. Where messages wait for the host or for its receipts, they become dead letters with `force`; without
/// `force` the removal is refused. Returns how many messages there were.
pub fn forget(world: &World<'_>, host: &HostName, force: bool) -> Result<usize, Failure> {
    let (file, removed) = (world.paths.host_file(host), world.paths.host_removed(host));
    if durable::exists(&removed)? && !durable::exists(&file)? {
        // An earlier call was interrupted.
        return finish_forgetting(world, host);
    }
    HostFile::known(world.paths, host).or_else(|failure| match failure.exit {
        // A file that can't be read can be removed.
        Exit::Config => Ok(HostFile::Nats),
        _ => Err(failure),
    })?;
    let outbox = world.outbox(host);
    let (waiting, handed_over) = outbox.counts()?;
    if waiting + handed_over > 0 && !force {
        let why = format!(
            "{waiting} messages wait for {host} and {handed_over} for its receipts: --force makes them dead letters"
        );
        return Err(Failure::new(Exit::Refused, why));
    }
    // From here on the removal will be completed: by this program, the next call or a tick.
    durable::move_file(&file, &removed)?;
    finish_forgetting(world, host)
}

/// How long a host's file waits to be changed for a program that hands over messages to that host.
const SWITCHED: Duration = Duration::from_secs(15);

/// Writes the file of a host.
pub fn register(world: &World<'_>, host: &HostName, file: &HostFile) -> Result<(), Failure> {
    finish_forgetting(world, host)?;
    let outbox = world.outbox(host);
    if matches!(file, HostFile::Ssh(_)) && matches!(HostFile::read(world.paths, host), Ok(Some(HostFile::Nats))) {
        // What the stream has of the messages to that host may arrive after the next ones, or never. The relay publishes
        // nothing meanwhile.
        let _lock = FileLock::acquire(&outbox.lock(), world.program, SWITCHED, world.clock)?;
        file.write(world.paths, host)?;
        again::want(world, &outbox)?;
    } else {
        file.write(world.paths, host)?;
    }
    // Earlier failures were those of the previous settings.
    outbox.note_back();
    Ok(())
}

/// Completes an interrupted removal of `host`: its messages become dead letters. Returns how many messages there were.
pub fn finish_forgetting(world: &World<'_>, host: &HostName) -> Result<usize, Failure> {
    let removed = world.paths.host_removed(host);
    if !durable::exists(&removed)? {
        return Ok(0);
    }
    let count = ledger::come_back(world, &world.outbox(host), &format!("the host {host} was removed"))?;
    durable::remove(&removed)?;
    Ok(count)
}

/// The result of a probe.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Probed {
    /// The host.
    pub host: HostName,
    /// How it is reached: `ssh` or `nats`.
    pub transport: &'static str,
    /// How long the probe took to the host and back, in milliseconds.
    pub ms: u64,
}

/// Sends a probe to `host` in the way of a message, and waits at most `wait` for its receipt.
pub(crate) fn probe(world: &World<'_>, host: &HostName, wait: Duration) -> Result<Probed, Failure> {
    let transport = HostFile::known(world.paths, host)?.transport();
    let outbox = world.outbox(host);
    let started = world.clock.monotonic();
    let probe = Item::new(nobody(), Intelligence::Absent, "probe".into(), world.now());
    let probe = Item { errand: Some(Errand::Probe), ..probe };
    let seq = outbox.queue.accept(&probe, world.clock)?;
    // A person waits: earlier failures do not delay this try.
    outbox.note_back();
    let not_started = world.start_push(host).err();
    let deadline = Deadline::after(world.clock, if not_started.is_some() { Duration::ZERO } else { wait });
    let settled = wait_for(world.clock, deadline, Duration::from_millis(1), || {
        let line = outbox.history.find(probe.id, probe.accepted).ok().flatten();
        match line.filter(|line| line.outcome != Outcome::HandedOver) {
            Some(line) => Some(Ok(line)),
            None => outbox.away().filter(|away| away.next > EpochMs(probe.accepted.0)).map(|away| Err(away.why)),
        }
    });
    let failed = |why: String| {
        // The probe is no longer of use.
        for place in [Place::Waiting, Place::Inflight] {
            let _ = outbox.queue.remove(place, seq);
        }
        Failure::new(Exit::TryAgain, format!("{host} does not answer: {why}"))
    };
    match settled {
        Some(Ok(line)) if line.outcome == Outcome::Delivered => {
            Ok(Probed { host: host.clone(), transport, ms: (world.clock.monotonic() - started).as_millis() as u64 })
        }
        Some(Ok(line)) => Err(failed(line.reason.unwrap_or_default())),
        Some(Err(why)) => Err(failed(why)),
        None => Err(failed(match not_started {
            Some(why) => why.to_string(),
            None if transport == "nats" => "does `iapeer-relay run` run here and there? (`iapeer units status`)".into(),
            None => format!("no receipt within {}", said(wait)),
        })),
    }
}
