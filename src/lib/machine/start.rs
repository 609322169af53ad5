//! Starting a session: its tmux server with the program in it, in a unit where there is a service manager.

use super::real::RealHost;
use super::{beside, unit};
use crate::base::StateFile;
use crate::base::exit::Failure;
use crate::base::identity::Identity;
use crate::base::{paths, shell};
use crate::host::tmux::{ExitWord, StartSpec};
use crate::host::{limits, process};
use crate::session::launch;
use crate::store::event_log::{Event, EventLog, Log};
use crate::world::{Launch, Processes};
use std::ffi::OsString;
use std::path::Path;

/// The command that tmux runs when the pane's program ends. The hook does not get the pane's environment, so the
/// variables that locate our files are set in the command.
fn exit_hook(host: &RealHost<'_>, identity: &Identity) -> Vec<ExitWord> {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    vec![
        ExitWord::Set("IAPEER_ROOT", text(host.paths.root())),
        ExitWord::Set("IAPEER_SOCK_DIR", text(host.paths.socket_dir())),
        ExitWord::Text(text(&launch::bin_dir().join("iapeer-canary"))),
        ExitWord::Text("--session-exit".into()),
        ExitWord::Text(identity.to_string()),
        ExitWord::Value("--status=", "pane_dead_status"),
        ExitWord::Value("--signal=", "pane_dead_signal"),
        ExitWord::Value("--server=", "pid"),
    ]
}

/// The command that logs the pane's output.
fn pane_log(log: &Path) -> Vec<String> {
    let program = launch::bin_dir().join("iapeer-canary");
    [program.as_path(), Path::new("--pane-log"), log].map(|word| word.to_string_lossy().into_owned()).into()
}

/// Longest command line, in bytes, that is given to tmux itself: tmux takes 16,384 bytes for all that starts a server.
const ARGV_MAX: usize = 8_000;

/// `argv`, or, where that is longer than tmux takes, the command line that runs it from a file.
fn shortened(host: &RealHost<'_>, identity: &Identity, argv: &[String]) -> Result<Vec<OsString>, Failure> {
    if argv.iter().map(|word| word.len() + 1).sum::<usize>() <= ARGV_MAX {
        return Ok(argv.iter().map(OsString::from).collect());
    }
    let words: Vec<String> = argv.iter().map(|word| shell::quoted(word)).collect();
    let script = unit::write_script(host, identity, "program.sh", &format!("exec {}\n", words.join(" ")))?;
    Ok(vec!["/bin/sh".into(), script.into()])
}

/// Starts a session. When this returns, its server answers; the agent may still be booting.
pub(super) fn start(host: &RealHost<'_>, launch: &Launch<'_>) -> Result<Processes, Failure> {
    let argv = beside::argv(host, launch)?;
    let log_dir = host.paths.pane_log_dir();
    paths::create_dirs(&log_dir)?;
    let spec = StartSpec {
        cwd: launch.peer.cwd().to_owned(),
        argv: shortened(host, &launch.peer.identity, &argv)?,
        env: launch.env.iter().map(|(key, value)| (key.into(), value.into())).collect(),
        pane_log: pane_log(&launch.pane_log),
        on_exit: exit_hook(host, &launch.peer.identity),
        killed_by: Some(host.paths.state(&launch.peer.identity, StateFile::KilledBy)),
    };
    let identity = &launch.peer.identity;
    let server = host.new_server(identity)?;
    let (started, unit) = match unit::start(host, launch.peer, &server, &spec)? {
        Some((started, unit)) => (started, Some(unit)),
        // tmux puts the server into a process session of its own, and the units of iapeer's programs, which may
        // start it, leave it alive (KillMode=process).
        None => (server.start(&spec)?, None),
    };
    let event = Event::new("launch")
        .field("identity", identity)
        .field("server", started.server.pid)
        .field("unit", unit.as_deref().unwrap_or("none"))
        .maybe("limits", if unit.is_none() { limits::left() } else { None })
        .maybe("nice", process::niceness(&started.server).filter(|nice| *nice != 0));
    EventLog::new(host.paths, host.settings).append(Log::Lifecycle, host.clock, &event);
    Ok(Processes { server: started.server, pane: started.pane, pane_id: started.pane_id, unit })
}
