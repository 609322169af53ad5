//! A session as a unit of its own (D31): started by the user manager where one answers, and ended as a whole.

use super::real::RealHost;
use crate::base::exit::{Exit, Failure};
use crate::base::identity::Identity;
use crate::base::paths;
use crate::base::shell;
use crate::host::ProcessId;
use crate::host::process;
use crate::host::service::systemd::{self, SessionUnit, StartRefused};
use crate::host::service::{UserManager, unit_result};
use crate::host::tmux::{Server, StartSpec, Started, Tmux};
use crate::store::durable;
use crate::store::profile::Limits;
use crate::store::session_record::SessionRecord;
use crate::world::peer::Peer;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The names that a session's unit may have, and the description that tells whose unit it is.
struct Name {
    plain: String,
    of_this_root: String,
    description: String,
}

impl Name {
    fn of(host: &RealHost<'_>, identity: &Identity) -> Name {
        let root = host.paths.root().to_string_lossy();
        // FNV-1a: the same in every version of this program.
        let hash = root.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        Name {
            plain: format!("iapeer-{identity}"),
            // An identity has no dot, so that no other session has this name.
            of_this_root: format!("iapeer-{identity}.{hash:08x}"),
            description: format!("iapeer session {identity} ({root})"),
        }
    }
}

/// Starts the server of `peer` in a unit of its own. `Ok(None)`: no user manager answers.
pub(crate) fn start(
    host: &RealHost<'_>,
    peer: &Peer,
    server: &Server<'_>,
    spec: &StartSpec,
) -> Result<Option<(Started, String)>, Failure> {
    let Some(manager) = host.manager() else { return Ok(None) };
    let argv = script(host, &peer.identity, &spec.cwd, &server.start_command(spec)?)?;
    let name = Name::of(host, &peer.identity);
    let limits = peer.policy().limits();
    let properties = properties(&limits);
    let try_as = |unit: &str| {
        let unit = SessionUnit {
            name: unit.to_owned(),
            description: name.description.clone(),
            argv: &argv,
            env: &spec.env,
            properties: properties.clone(),
            stop_grace: host.settings.end_grace,
        };
        manager.start(&unit, host.settings.tmux_timeout)
    };
    let mut unit = format!("{}.service", name.plain);
    let mut started = try_as(&unit);
    if matches!(started, Err(StartRefused::NameInUse)) {
        if !clear(host, manager, &unit, &name.description) {
            unit = format!("{}.service", name.of_this_root);
            clear(host, manager, &unit, &name.description);
        }
        started = try_as(&unit);
    }
    match started {
        Ok(()) => {}
        Err(StartRefused::NoManager(why)) => {
            tracing::debug!("{}: the user manager does not answer: {why}", peer.identity);
            return Ok(None);
        }
        Err(refused) => {
            manager.reset(&unit);
            // The unit's command is tmux.
            if let Some(old) = host.tmux().ok().and_then(Tmux::too_old) {
                return Err(old.into());
            }
            let exit = if matches!(refused, StartRefused::BadProperty(_)) { Exit::Config } else { Exit::TryAgain };
            return Err(Failure::new(exit, format!("{}: {refused} (journalctl --user -u {unit})", peer.identity)));
        }
    }
    match server.started() {
        Ok(started) => Ok(Some((started, unit))),
        Err(error) => {
            // No other program would ever end this unit.
            let _ = manager.stop(&unit, host.settings.end_grace);
            manager.reset(&unit);
            Err(error.into())
        }
    }
}

/// Frees the name of a unit that an earlier session of this identity and root has left: no session is started while
/// that one is alive. `false`: the unit belongs to another root or to an unknown program, and is left alone.
fn clear(host: &RealHost<'_>, manager: &UserManager, unit: &str, description: &str) -> bool {
    // `None`: the unit has gone meanwhile.
    let Some(left) = unit_result(unit) else { return true };
    if left.description != description {
        tracing::debug!("{unit} is another one's ({}): taking a name of our own", left.description);
        return false;
    }
    tracing::info!("{unit} was left over: {} ({left})", left.active);
    if left.active != "failed"
        && let Err(error) = manager.stop(unit, host.settings.end_grace)
    {
        tracing::warn!("{error}");
    }
    if unit_result(unit).is_some_and(|left| left.active == "failed") {
        manager.reset(unit);
    }
    true
}

/// Writes `argv` into a script, and returns the command line that runs the script in `cwd`.
///
/// systemd 252 writes the command line of a transient unit to a file, and can't read the file back where the command
/// line contains `\;` or quotes; a daemon-reload between start and exec then starts something else, or nothing.
fn script(host: &RealHost<'_>, identity: &Identity, cwd: &Path, argv: &[OsString]) -> Result<Vec<OsString>, Failure> {
    let words: Option<Vec<String>> = argv.iter().map(|word| Some(shell::quoted(word.to_str()?))).collect();
    let words = words.ok_or_else(|| Failure::new(Exit::Config, format!("{identity}: a path is not in UTF-8")))?;
    let text = format!("cd -- {} && exec {}\n", shell::quoted(&cwd.to_string_lossy()), words.join(" "));
    Ok(vec!["/bin/sh".into(), write_script(host, identity, "start.sh", &text)?.into()])
}

/// Writes a script for this launch of `identity`, and returns its path.
pub(crate) fn write_script(
    host: &RealHost<'_>,
    identity: &Identity,
    name: &str,
    text: &str,
) -> Result<PathBuf, Failure> {
    let dir = host.paths.launch_files(identity);
    paths::create_dirs(&dir)?;
    let path = dir.join(name);
    durable::write_volatile(&path, text.as_bytes())?;
    Ok(path)
}

/// The unit properties of a profile's limits.
fn properties(limits: &Limits) -> Vec<String> {
    let all = [("MemoryMax", &limits.memory_max), ("MemoryHigh", &limits.memory_high), ("TasksMax", &limits.tasks_max)];
    all.iter().filter_map(|(name, value)| Some(format!("{name}={}", value.as_ref()?))).collect()
}

/// The unit of a session: the unit in which its server runs, else the one that the record names.
fn of(host: &RealHost<'_>, identity: &Identity, server: Option<ProcessId>) -> Option<String> {
    let living = server
        .filter(|server| process::ProcessId::of(server.pid) == Some(*server))
        .and_then(|server| systemd::unit_of(server.pid));
    let name = Name::of(host, identity);
    // A server that was started by hand, or without a manager, is in the unit of its starter, which must not be ended.
    let is_session =
        |unit: &String| unit.strip_suffix(".service").is_some_and(|u| u == name.plain || u == name.of_this_root);
    living.filter(is_session).or_else(|| {
        SessionRecord::peek(host.paths, identity).filter(|record| record.server == server)?.unit.filter(is_session)
    })
}

/// The unit that a live server runs in, if it is a session's.
pub(crate) fn of_server(host: &RealHost<'_>, identity: &Identity, server: ProcessId) -> Option<String> {
    of(host, identity, Some(server))
}

/// Ends the unit of a session and everything in it, where there is one. Where the manager fails, the caller's end of
/// the processes by pid is enough.
pub(crate) fn end(host: &RealHost<'_>, identity: &Identity, server: Option<ProcessId>) {
    let Some(unit) = of(host, identity, server) else { return };
    let Some(manager) = host.manager() else { return };
    // A unit's name may have been given to another root's session since.
    if unit_result(&unit).is_none_or(|found| found.description != Name::of(host, identity).description) {
        return;
    }
    let stopped = if systemd::own_unit().as_deref() == Some(unit.as_str()) {
        // A program that ends the session in which it runs is itself in the unit that it stops: it has until the unit's
        // stop grace is over.
        process::outlive_the_stop();
        manager.stop_soon(&unit)
    } else {
        manager.stop(&unit, host.settings.end_grace)
    };
    if let Err(error) = stopped {
        tracing::warn!("{identity}: {error}: ending its processes by pid");
    }
    if unit_result(&unit).is_some_and(|left| left.active == "failed") {
        manager.reset(&unit);
    }
}

/// Whether `program`, one of iapeer's, has to be started outside the caller's unit, so that it outlives the unit or
/// login.
pub(crate) fn has_to_escape(host: &RealHost<'_>, program: &str) -> bool {
    // A drain that ends with its sender's unit is replaced by the next drain; but one that was started in a session's
    // unit may have to end that very session, and must not end with it. No program would replace a canary at once.
    host.settings.use_service_manager && systemd::has_socket() && (program == "iapeer-canary" || systemd::in_our_unit())
}

/// The command line that starts one of iapeer's programs outside the caller's unit. `None`: there is no manager, or the
/// program may be started as usual.
pub(crate) fn escape(
    host: &RealHost<'_>,
    program: &Path,
    arguments: &[&str],
    variables: &[&str],
) -> Option<(PathBuf, Vec<OsString>)> {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = program.file_name()?.to_string_lossy().into_owned();
    if !has_to_escape(host, &name) {
        return None;
    }
    // No session's unit has this name: a personality begins with a letter, and this name ends with numbers.
    let unit = format!("{name}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    Some((systemd::systemd_run()?, systemd::escape_words(&unit, program, arguments, variables)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_become_properties() {
        assert!(properties(&Limits::default()).is_empty());
        let limits = Limits { memory_max: Some("2G".into()), memory_high: None, tasks_max: Some("9".into()) };
        assert_eq!(properties(&limits), ["MemoryMax=2G", "TasksMax=9"]);
    }
}
