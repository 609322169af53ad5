//! The relay that is always on: `iapeer-relay run`.

use crate::base::HostName;
use crate::base::exit::{Exit, Failure};
use crate::base::paths;
use crate::base::span::said;
use crate::host::dir_watch::DirWatch;
use crate::relay::error::RelayError;
use crate::relay::here;
use crate::relay::nats::connect::{self, Connection};
use crate::relay::nats::gap::Gaps;
use crate::relay::nats::overdue::Overdue;
use crate::relay::nats::publish::{self, AllSeries};
use crate::relay::nats::{consume, new_stream, stalled, streams};
use crate::relay::wire::PeerThere;
use crate::store::hosts;
use crate::store::lock::FileLock;
use crate::store::nats::NatsFile;
use crate::store::outbox::Trouble;
use crate::world::World;
use async_nats::jetstream::stream::Stream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// The outboxes are checked at least this often, even where no change of their folder is reported.
const LOOK: Duration = Duration::from_secs(2);
/// How often the list of this host's peers is compared with the published one, and published if it has changed.
const TELL: Duration = Duration::from_secs(60);
/// How long an earlier relay may take to end.
const TAKEOVER: Duration = Duration::from_secs(10);
/// The shortest and the longest pause before the next connection: even the longest is short, so that a link that is back
/// is used again soon.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));

/// Hands messages over and takes messages until the program is killed; returns only an error after which it can't
/// continue. `say` gets the state of the connection as text.
pub fn run(world: &World<'_>, mut say: impl FnMut(&str)) -> Result<Exit, Failure> {
    let file = NatsFile::needed(world.paths)?;
    let own = hosts::own_name(world.paths)?;
    paths::create_dirs(&world.paths.outbox_dir())?;
    let _alone = FileLock::acquire(&world.paths.relay_lock(), world.program, TAKEOVER, world.clock)?;
    let changed = Arc::new(Notify::new());
    watch(&world.paths.outbox_dir(), &changed)?;
    let (mut series, mut gaps) = (AllSeries::new(), Gaps::new());
    let (mut passed_over, mut overdue) = (stalled::Counts::new(), Overdue::new(world));
    let trouble = Trouble::of(world.paths);
    let mut pause = PAUSES.0;
    loop {
        let error = runtime()?.block_on(async {
            let at = connect::connect(&file, &own).await?;
            let stream = streams::messages(&at, &file, world.settings.outbox).await?;
            new_stream::found(world, streams::made_at(&stream))?;
            streams::peers(&at, &file).await?;
            let consumer = streams::consumer(&at, &file, &own).await?;
            trouble.over();
            say(&format!("{own}: connected to {}, stream {}", file.url, file.stream));
            pause = PAUSES.0;
            tokio::select! {
                ended = give(world, &own, &at, &stream, &changed, (&mut series, &mut overdue)) => ended,
                ended = consume::go_on(world, &own, &at, &consumer, &mut gaps) => ended,
                ended = tell(world, &own, &at) => ended,
                error = stalled::watch(world, &at, &file, &own, &stream, &mut passed_over) => Err(error),
            }
        });
        let Err(error) = error else { continue };
        if let RelayError::Here(failure) = &error {
            tracing::warn!("{failure}");
        }
        // Before it is said: whoever reads it may ask the doctor at once.
        trouble.note(world.now(), &error.to_string());
        say(&format!("{own}: {error}; again in {}", said(pause)));
        world.clock.sleep(pause);
        pause = (pause * 2).min(PAUSES.1);
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|error| Failure::new(Exit::Internal, format!("no runtime: {error}")))
}

/// Notifies `changed` when the outboxes' folder changes, as it does when a message is accepted, and every [`LOOK`].
fn watch(dir: &Path, changed: &Arc<Notify>) -> Result<(), Failure> {
    let watch = DirWatch::on(dir).map_err(|error| Failure::io("watch", dir, &error))?;
    let changed = changed.clone();
    std::thread::spawn(move || {
        loop {
            if watch.wait(None, LOOK).is_err() {
                std::thread::sleep(LOOK);
            }
            changed.notify_one();
        }
    });
    Ok(())
}

async fn give(
    world: &World<'_>,
    own: &HostName,
    at: &Connection,
    stream: &Stream,
    changed: &Notify,
    (series, overdue): (&mut AllSeries, &mut Overdue),
) -> Result<(), RelayError> {
    let mut is_new = true;
    loop {
        overdue.look(world, own, stream).await?;
        publish::all(world, own, at, series, is_new).await?;
        is_new = false;
        changed.notified().await;
    }
}

/// Publishes the list of this host's peers.
async fn tell(world: &World<'_>, own: &HostName, at: &Connection) -> Result<(), RelayError> {
    let mut told = Vec::new();
    loop {
        let now = serde_json::to_vec(&here::peers(world)?).map_err(|error| at.complaint.about(&error))?;
        if now != told {
            let sent = at.context.publish(streams::peers_subject(own), now.clone().into()).await;
            let acknowledged = match sent {
                Ok(acknowledged) => acknowledged.await.map(drop),
                Err(error) => Err(error),
            };
            match acknowledged {
                Ok(()) => told = now,
                // Messages are transferred without the list too.
                Err(error) => tracing::warn!("who is here is not told: {error}"),
            }
        }
        tokio::time::sleep(TELL).await;
    }
}

/// The peers of `host`, from the last list that `host` published.
pub(crate) fn peers(world: &World<'_>, host: &HostName) -> Result<Vec<PeerThere>, Failure> {
    let file = NatsFile::needed(world.paths)?;
    let own = hosts::own_name(world.paths)?;
    let asked: Result<_, RelayError> = runtime()?.block_on(async {
        let at = connect::connect(&file, &own).await?;
        let stream = streams::peers(&at, &file).await?;
        let last = stream.get_last_raw_message_by_subject(&streams::peers_subject(host)).await;
        let last = last.map_err(|error| at.complaint.about(&format!("{host} has not told who is there: {error}")))?;
        serde_json::from_slice(&last.payload).map_err(|error| at.complaint.about(&error))
    });
    Ok(asked?)
}
