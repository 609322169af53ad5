//! The command line of a session's pane, and the record of the way by which messages go into the session.

use super::real::RealHost;
use crate::base::exit::Failure;
use crate::base::identity::Identity;
use crate::base::paths;
use crate::base::{DeliveryKind, StateFile};
use crate::canary::beside::BesidePlan;
use crate::host::command_file;
use crate::session::launch;
use crate::store::channel::Channel;
use crate::store::event_log::{Event, EventLog, Log};
use crate::world::{Beside, Launch, LaunchWay};
use std::path::{Path, PathBuf};

/// Returns the command line for the pane. Writes the files that the launch needs, and `<identity>.channel`, which says
/// by which way messages go into the session.
pub(super) fn argv(host: &RealHost<'_>, launch: &Launch<'_>) -> Result<Vec<String>, Failure> {
    let identity = &launch.peer.identity;
    let channel = host.paths.state(identity, StateFile::Channel);
    let (kind, why, http) = match &launch.way {
        LaunchWay::Type => return Ok(launch.argv.clone()),
        LaunchWay::AppServer(beside) => return beside_canary(host, launch, beside, channel),
        LaunchWay::TypeBecause(why) => (DeliveryKind::Type, Some(why.clone()), None),
        LaunchWay::Http(place) => (DeliveryKind::Http, None, Some(place.clone())),
        LaunchWay::File => {
            paths::create_dirs(&host.paths.launch_files(identity))?;
            for file in [host.paths.command_file(identity), host.paths.echo_file(identity)] {
                command_file::create(&file).map_err(|error| Failure::io("create", &file, &error))?;
            }
            (DeliveryKind::File, None, None)
        }
    };
    Channel { launch: launch.name.clone(), kind, why, http }.write(&channel)?;
    Ok(launch.argv.clone())
}

/// The command line of the canary that runs the app-server beside the terminal, and writes `channel`.
fn beside_canary(
    host: &RealHost<'_>,
    launch: &Launch<'_>,
    beside: &Beside,
    channel: PathBuf,
) -> Result<Vec<String>, Failure> {
    let identity = &launch.peer.identity;
    let plan = BesidePlan {
        identity: identity.clone(),
        launch: launch.name.clone(),
        socket: beside.socket.clone(),
        server: beside.server.clone(),
        attached: beside.attached.clone(),
        alone: launch.argv.clone(),
        log: host.paths.app_server_log(identity),
        lock: host.paths.app_server_lock(identity),
        channel,
    };
    let dir = host.paths.launch_files(identity);
    paths::create_dirs(&dir)?;
    let file = dir.join("beside.json");
    plan.write(&file)?;
    let program = launch::bin_dir().join("iapeer-canary");
    let text = |path: &Path| path.to_string_lossy().into_owned();
    Ok(vec![text(&program), "--beside".into(), text(&file)])
}

/// Logs in which way messages go into the session, which is ready now.
pub(super) fn tell(host: &RealHost<'_>, launch: &Launch<'_>) {
    let identity = &launch.peer.identity;
    let Some(channel) = Channel::of(host.paths, identity, Some(&launch.name)) else { return };
    log_kind(host, identity, channel.kind, channel.why.as_deref());
}

/// Logs in which way messages go into a session, and why not in a better one.
pub(super) fn log_kind(host: &RealHost<'_>, identity: &Identity, kind: DeliveryKind, why: Option<&str>) {
    let event = Event::new("delivery-kind").field("identity", identity).field("kind", kind).maybe("why", why);
    EventLog::new(host.paths, host.settings).append(Log::Lifecycle, host.clock, &event);
}
