//! `iapeer attach`: a session in this terminal.

use crate::base::Liveness;
use crate::base::exit::{Exit, Failure};
use crate::base::identity::{Identity, NameError, Runtime};
use crate::cli;
use crate::cli::args::One;
use crate::host::tmux::Tmux;
use crate::operator::{control, list};
use crate::session::rule::WakeRequest;
use crate::session::settle as session;
use crate::store::event_log::Event;
use crate::store::registry::Registry;
use crate::store::session_record::{Phase, SessionRecord};
use crate::world::World;
use crate::world::peer::{Peer, split_name};

/// Resumes a peer's session if it is not live, then runs `tmux attach` on it.
pub(crate) fn attach(world: &World<'_>, one: &One) -> Result<Exit, Failure> {
    let explicit: Option<Runtime> = one
        .runtime
        .as_ref()
        .map(|text| text.parse())
        .transpose()
        .map_err(|error: NameError| Failure::new(Exit::Usage, error.to_string()))?;
    let registry = Registry::read(world.paths)?;
    let (name, typed) = split_name(&registry, &one.peer, explicit.as_ref())?;
    // Without a runtime on the command line: the one that the peer was last active on.
    let last = registry.get(&name).and_then(|record| list::last_active(world, record));
    let peer = Peer::find(world.paths, &name, typed.or(last).as_ref())?;
    // A live session is attached to without waiting for its lock, also one that the service manager holds. So is a booting
    // session: it may be stuck at a screen that only a person gets past.
    if session::is_live(world, &peer.identity) || boots(world, &peer.identity) {
        return open_terminal(world, &peer, false, one.json);
    }
    let woken = control::wake(world, &peer, WakeRequest::Resume, None)?;
    if woken.exit != Exit::Ok {
        return Err(Failure::new(woken.exit, format!("attach: {}", woken.reason.unwrap_or_default())));
    }
    open_terminal(world, &peer, woken.woke, one.json)
}

/// Whether a session is being started.
fn boots(world: &World<'_>, identity: &Identity) -> bool {
    let record = SessionRecord::peek(world.paths, identity).filter(|record| record.phase == Phase::Booting);
    record.is_some_and(|record| world.liveness(identity, Some(&record)) == Liveness::Alive)
}

/// The keys that detach, which differ inside another tmux.
fn how_to_detach() -> &'static str {
    if std::env::var_os("TMUX").is_some() {
        "C-b C-b d detaches it; C-b d detaches the tmux around it"
    } else {
        "C-b d detaches"
    }
}

/// Runs `tmux attach` on the peer's session, and returns when it has ended.
pub(crate) fn open_terminal(world: &World<'_>, peer: &Peer, woke: bool, json: bool) -> Result<Exit, Failure> {
    let how = how_to_detach();
    cli::tell(json, &serde_json::json!({"identity": peer.identity, "woke": woke}), || {
        format!("{}attaching {}… ({how})", if woke { "woke + " } else { "" }, peer.identity)
    });
    let event = Event::new("attach").field("identity", &peer.identity).field("woke", woke);
    world.lifecycle(&event);
    let tmux = Tmux::find(world.settings.tmux_timeout)?;
    let server = tmux.server(&world.paths.socket(&peer.identity), peer.identity.as_str());
    let status = server.attach().map_err(|error| Failure::new(Exit::Internal, format!("cannot run tmux: {error}")))?;
    let event = Event::new("attach-end").field("identity", &peer.identity).maybe("rc", status.code());
    world.lifecycle(&event);
    Ok(if status.success() { Exit::Ok } else { Exit::Refused })
}
