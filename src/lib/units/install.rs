//! `iapeer units`: the units that the service manager runs for this user: the tick, the drain, the always-on peers.
//!
//! A file is written only if its content differs; a file without iapeer's sentinel is never touched.

use super::error::{OFF_LIMITS, UnitError};
use crate::base::Marker;
use crate::base::exit::{Exit, Failure};
use crate::base::identity::Identity;
use crate::base::paths;
use crate::base::settings::TELEGRAM_API;
use crate::host::managed::Managed;
use crate::host::service::manager::Variables;
use crate::host::service::{FileStanding, Manager, ServiceFile, ServiceTarget, folders, is_ours};
use crate::runtime::Kind;
use crate::session::launch;
use crate::store::durable;
use crate::store::event_log::Event;
use crate::store::open;
use crate::world::World;
use crate::world::peer::Peer;
use serde::Serialize;
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A variable of the notifier that is kept in its unit beside the program's own.
const FALLBACK_TARGET: &str = "NOTIFIER_FALLBACK_TARGET";

/// One change that was made, would be made, or was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnitStep {
    /// The unit.
    pub name: String,
    /// `written`, `current`, `started`, `restarted`, `running`, `stopped`, `removed`, `refused-foreign`, `failed`,
    /// `not-started`, `not-held`, `skipped-sandbox`, `nothing`; with `would-be-` before it in a dry run.
    pub action: String,
    /// The file, if the step is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// Why, or what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl UnitStep {
    /// The line for people.
    pub fn line(&self) -> String {
        let path = self.path.as_ref().map(|path| format!("  {}", path.display())).unwrap_or_default();
        let reason = self.reason.as_ref().map(|reason| format!(" — {reason}")).unwrap_or_default();
        format!("{}  {}{path}{reason}", self.action, self.name)
    }
}

/// Reports each step as it is made, and keeps the worst exit code.
struct UnitsReport<'t> {
    tell: &'t mut dyn FnMut(&UnitStep),
    dry_run: bool,
    exit: Exit,
}

impl UnitsReport<'_> {
    fn step(&mut self, name: &str, action: &str, path: Option<PathBuf>, reason: Option<String>) {
        (self.tell)(&UnitStep { name: name.into(), action: action.into(), path, reason });
    }

    /// Runs `act` and reports the step; in a dry run only reports it.
    fn change<E: Into<UnitError>>(
        &mut self,
        name: &str,
        action: &str,
        path: Option<PathBuf>,
        act: impl FnOnce() -> Result<(), E>,
    ) {
        if self.dry_run {
            return self.step(name, &format!("would-be-{action}"), path, None);
        }
        match act() {
            Ok(()) => self.step(name, action, path, None),
            Err(why) => {
                self.exit = self.exit.max(Exit::TryAgain);
                self.step(name, "failed", path, Some(why.into().to_string()));
            }
        }
    }

    /// Whether this is a test run that would change the user's own units; that is reported, too.
    fn is_off_limits(&mut self, manager: Manager) -> bool {
        let off = folders::is_off_limits();
        if off {
            self.exit = Exit::Refused;
            self.step(manager.as_str(), "skipped-sandbox", None, Some(OFF_LIMITS.into()));
        }
        off
    }

    fn foreign(&mut self, file: &ServiceFile) {
        self.exit = self.exit.max(Exit::Refused);
        let why = "not foundation-managed: it is somebody else's; move it away to have ours".to_owned();
        self.step(&file.name, "refused-foreign", Some(file.path.clone()), Some(why));
    }
}

/// Writes all units and starts them. The exit code is 69 where a foreign file was left alone or no service manager
/// answers, 75 where a unit could not be written or started.
pub fn install(world: &World<'_>, dry_run: bool, tell: &mut dyn FnMut(&UnitStep)) -> Result<Exit, Failure> {
    let manager = Manager::here();
    let mut report = UnitsReport { tell, dry_run, exit: Exit::Ok };
    if report.is_off_limits(manager) {
        return Ok(report.exit);
    }
    let (mut ours, mut changed) = (Vec::new(), BTreeSet::new());
    let peers = always_on(world)?;
    for file in wanted(world, &peers) {
        match file.standing() {
            FileStanding::Foreign => {
                report.foreign(&file);
                continue;
            }
            FileStanding::Current => report.step(&file.name, "current", Some(file.path.clone()), None),
            FileStanding::Missing | FileStanding::Outdated => {
                let write = || write(&file).map_err(UnitError::Write);
                report.change(&file.name, "written", Some(file.path.clone()), write);
                changed.insert(file.name.clone());
            }
        }
        ours.push(file);
    }
    if let Some(why) = manager.unreachable() {
        report.exit = report.exit.max(Exit::Refused);
        report.step(manager.as_str(), "not-started", None, Some(why));
        return Ok(report.exit);
    }
    if !dry_run && !changed.is_empty() {
        manager.reread()?;
    }
    let started: Vec<&ServiceFile> = ours.iter().filter(|file| manager.starts(&file.name)).collect();
    let stopped = stopped(world, &peers);
    let seen = manager.look(&started.iter().map(|file| file.name.as_str()).collect::<Vec<_>>());
    for (file, seen) in started.iter().zip(seen) {
        let changed = changed.contains(&file.name);
        match (seen.state.as_str(), changed) {
            ("active" | "running" | "waiting", false) => report.step(&file.name, "running", None, None),
            ("active" | "running" | "waiting", true) => {
                report.change(&file.name, "restarted", None, || manager.load(file, true, world.clock));
            }
            _ if stopped.contains(&file.name) => {
                report.step(&file.name, "stopped", None, Some("`iapeer start` starts it".into()));
            }
            _ => report.change(&file.name, "started", None, || manager.load(file, false, world.clock)),
        }
    }
    if !dry_run {
        world.lifecycle(&Event::new("units").field("action", "install").field("changed", changed.len()));
    }
    Ok(report.exit)
}

/// Stops and removes all units of iapeer, also those of always-on peers. Sessions that run as units of their own continue.
pub fn uninstall(world: &World<'_>, dry_run: bool, tell: &mut dyn FnMut(&UnitStep)) -> Result<Exit, Failure> {
    let manager = Manager::here();
    let mut report = UnitsReport { tell, dry_run, exit: Exit::Ok };
    if report.is_off_limits(manager) {
        return Ok(report.exit);
    }
    let answers = manager.unreachable().is_none();
    let dir = manager.dir(world.paths);
    let shipped = manager.shipped(&target(world), &dir).into_iter().map(|file| (file.name, file.path));
    // Timers and path units are removed before the services that they trigger, so that no service is started meanwhile.
    let (triggers, rest): (Vec<_>, Vec<_>) = shipped.partition(|(name, _)| manager.starts(name));
    let files: Vec<(String, PathBuf)> = triggers.into_iter().chain(manager.peers_in(&dir)).chain(rest).collect();
    let mut removed = 0;
    for (name, path) in files {
        if path.symlink_metadata().is_err() {
            continue;
        }
        if !is_ours(&path) {
            report.foreign(&ServiceFile { name, path, text: String::new() });
            continue;
        }
        report.change(&name, "removed", Some(path.clone()), || take_down(world, &name, &path, answers));
        removed += 1;
    }
    if !dry_run && removed > 0 {
        if answers {
            manager.reread()?;
        }
        world.lifecycle(&Event::new("units").field("action", "uninstall").field("removed", removed));
    }
    if removed == 0 && report.exit == Exit::Ok {
        report.step(manager.as_str(), "nothing", None, Some("no units of ours are installed".into()));
    }
    Ok(report.exit)
}

/// Stops and disables a unit of ours, where the service manager answers, and removes its file and its links.
fn take_down(world: &World<'_>, name: &str, path: &Path, answers: bool) -> Result<(), UnitError> {
    let manager = Manager::here();
    if folders::is_off_limits() {
        return Err(UnitError::OffLimits);
    }
    if answers {
        manager.unload(name, world.clock)?;
    }
    std::fs::remove_file(path).map_err(|source| UnitError::Remove { path: path.to_owned(), source })?;
    manager.forget(&manager.dir(world.paths), name);
    Ok(())
}

fn target(world: &World<'_>) -> ServiceTarget {
    ServiceTarget::of(world.paths, launch::bin_dir())
}

/// Every unit that should be there: the shipped ones (that of the relay only where a NATS server is configured), and one
/// for each always-on peer.
pub(crate) fn wanted(world: &World<'_>, peers: &[Peer]) -> Vec<ServiceFile> {
    let manager = Manager::here();
    let mut files = manager.shipped(&target(world), &manager.dir(world.paths));
    files.retain(|file| file.name != manager.relay() || world.paths.nats().exists());
    files.extend(peers.iter().map(|peer| unit_of(world, peer)));
    files
}

/// Every registered always-on peer.
pub(crate) fn always_on(world: &World<'_>) -> Result<Vec<Peer>, Failure> {
    let mut peers = Peer::all(world.paths)?;
    peers.retain(|peer| peer.manifest.kind == Kind::Router);
    Ok(peers)
}

/// The names of the units of those among `peers` that an operator stopped.
pub(crate) fn stopped(world: &World<'_>, peers: &[Peer]) -> BTreeSet<String> {
    let is_stopped = |peer: &&Peer| world.markers(&peer.identity).is_stopped();
    peers.iter().filter(is_stopped).map(|peer| unit_of(world, peer).name).collect()
}

/// The unit that holds an always-on peer, with variables from the caller's environment, else from the existing unit.
fn unit_of(world: &World<'_>, peer: &Peer) -> ServiceFile {
    let manager = Manager::here();
    let target = target(world);
    let dir = manager.dir(world.paths);
    let bare = manager.peer(&target, &dir, &peer.identity, peer.cwd(), &Variables::new());
    let last = open::text(&bare.path).unwrap_or_default();
    // A bridge that was connected through another Bot API server keeps using that server.
    let api = peer.manifest.takes_messages_itself().then_some(TELEGRAM_API);
    let own: Variables = [peer.manifest.program.variable.as_str(), FALLBACK_TARGET]
        .into_iter()
        .chain(api)
        .filter(|name| !name.is_empty())
        .filter_map(|name| {
            let given = std::env::var(name).ok().filter(|value| !value.is_empty());
            given.or_else(|| manager.variable(&last, name)).map(|value| (name.to_owned(), value))
        })
        .collect();
    manager.peer(&target, &dir, &peer.identity, peer.cwd(), &own)
}

pub(crate) fn write(file: &ServiceFile) -> Result<(), Failure> {
    if let Some(dir) = file.path.parent() {
        paths::create_dirs(dir)?;
    }
    durable::write_atomic(&file.path, file.text.as_bytes())?;
    let readable = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(&file.path, readable).map_err(|error| Failure::io("write", &file.path, &error))
}

/// Whether the service manager is to hold a peer of this kind.
pub(crate) fn is_always_on(world: &World<'_>, kind: Kind) -> bool {
    kind == Kind::Router && world.settings.use_service_manager
}

/// Refuses a peer whose unit would replace a foreign file, before anything is written.
pub(crate) fn refuse_foreign(world: &World<'_>, identity: &Identity) -> Result<(), Failure> {
    let manager = Manager::here();
    let target = target(world);
    let file = manager.peer(&target, &manager.dir(world.paths), identity, world.paths.root(), &Variables::new());
    if file.standing() != FileStanding::Foreign {
        return Ok(());
    }
    let path = file.path.display();
    Err(Failure::new(
        Exit::Refused,
        format!("{path} is not foundation-managed: it is somebody else's; move it away or choose another name"),
    ))
}

/// Gives an always-on peer to the service manager, which starts the peer at once and again after each end. Returns the
/// step that was made.
pub fn hold(world: &World<'_>, identity: &Identity) -> Result<UnitStep, Failure> {
    let manager = Manager::here();
    let file = unit_of(world, &Peer::of(world.paths, identity)?);
    if let Some(dir) = manager.peer_logs(&target(world), identity) {
        paths::create_dirs(&dir)?;
    }
    let step = |action: &str, reason: Option<String>| {
        let event = Event::new("unit").field("identity", identity).field("unit", &file.name).field("action", action);
        world.lifecycle(&event.maybe("reason", reason.as_ref()));
        UnitStep { name: file.name.clone(), action: action.to_owned(), path: None, reason }
    };
    if let Some(why) = manager.unreachable() {
        let why = format!("{why}; `iapeer-run {identity}` holds it in the foreground");
        return Ok(step("not-held", Some(why)));
    }
    let standing = file.standing();
    if standing != FileStanding::Current {
        write(&file)?;
    }
    // Loading a new unit starts it.
    let changed = standing == FileStanding::Outdated;
    let started = manager.reread().and_then(|()| manager.load(&file, changed, world.clock));
    Ok(match started {
        Ok(()) => step("started", None),
        Err(why) => step("failed", Some(why.to_string())),
    })
}

/// iapeer's unit that holds a peer. An error where the unit is foreign or gone.
fn held(world: &World<'_>, identity: &Identity) -> Result<ServiceFile, UnitError> {
    let manager = Manager::here();
    let target = target(world);
    let file = manager.peer(&target, &manager.dir(world.paths), identity, world.paths.root(), &Variables::new());
    match world.host.managed_by(identity) {
        Some(Managed::Ours(_)) => Ok(file),
        Some(by @ Managed::Foreign(_)) => Err(UnitError::Foreign(by)),
        None => Err(UnitError::Gone(file.name)),
    }
}

/// Stops (`false`) or starts (`true`) an always-on peer. The reason of an error is for people.
pub fn run(world: &World<'_>, identity: &Identity, on: bool) -> Result<(), UnitError> {
    let file = held(world, identity)?;
    let manager = Manager::here();
    if let Some(why) = manager.unreachable() {
        return Err(UnitError::Unreachable(why));
    }
    let markers = world.markers(identity);
    if on {
        markers.clear(Marker::Stopped)?;
        manager.load(&file, false, world.clock)?;
    } else {
        // The marker first, so that no message is accepted that would then wait.
        markers.set(Marker::Stopped, world.now())?;
        manager.unload(&file.name, world.clock)?;
    }
    Ok(())
}

/// Takes a peer away from the service manager: its session ends and its unit is removed.
pub fn release(world: &World<'_>, identity: &Identity) -> Result<(), UnitError> {
    let file = held(world, identity)?;
    let manager = Manager::here();
    let answers = manager.unreachable().is_none();
    take_down(world, &file.name, &file.path, answers)?;
    if answers {
        manager.reread()?;
    }
    world.lifecycle(
        &Event::new("unit").field("identity", identity).field("unit", &file.name).field("action", "removed"),
    );
    Ok(())
}
