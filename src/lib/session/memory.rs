//! The memory slot of the system prompt: what the user's program `<root>/memory` prints for a peer that is started.
//!
//! The program runs in the peer's folder, gets the peer as JSON on its standard input, and has ten seconds. The peer is
//! started even if the program fails; `ev=memory-provision` in `lifecycle.log` has the result.

use crate::base::exit::one_line;
use crate::base::harmless::without_controls;
use crate::host::child::{self, Asked, ChildError};
use crate::host::spawn::find_program;
use crate::store::event_log::Event;
use crate::world::World;
use crate::world::peer::Peer;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// How long the program may take.
const LIMIT: Duration = Duration::from_secs(10);
/// The largest part of the program's output that is used, in bytes.
const KEPT: u64 = 64 * 1024;

/// The path of the program. `None`: it does not exist, or is not executable.
pub(crate) fn program(world: &World<'_>) -> Option<PathBuf> {
    find_program(&world.paths.memory_program().to_string_lossy(), None)
}

/// The output of the program for `peer`, run with `environment`; `None` where the output is empty or the program
/// failed.
pub(crate) fn slot(world: &World<'_>, peer: &Peer, mut environment: BTreeMap<String, String>) -> Option<String> {
    let began = world.clock.monotonic();
    let log = |state: &str, exit: Option<i32>, detail: Option<String>| {
        let event = Event::new("memory-provision")
            .field("identity", &peer.identity)
            .field("occasion", "wake")
            .field("state", state)
            .maybe("exit", exit)
            .field("ms", (world.clock.monotonic() - began).as_millis())
            .maybe("detail", detail.map(|text| one_line(text.trim())).filter(|text| !text.is_empty()));
        world.lifecycle(&event);
    };
    let Some(program) = program(world) else {
        log("failed", None, Some(format!("there is no executable {}", world.paths.memory_program().display())));
        return None;
    };
    let who = json!({
        "identity": peer.identity, "personality": peer.identity.personality(), "runtime": peer.identity.runtime(),
        "cwd": peer.cwd(), "description": peer.record.description,
    });
    environment.insert("IAPEER_ROOT".into(), world.paths.root().to_string_lossy().into_owned());
    environment.insert("IAPEER_PEER".into(), peer.identity.to_string());
    let asked = Asked {
        program: &program,
        dir: peer.cwd(),
        environment: &environment,
        input: who.to_string().into_bytes(),
        limit: LIMIT,
        kept: KEPT,
    };
    match child::ask(asked) {
        Ok((status, text, _)) if status.success() => {
            let text = without_controls(&text);
            let is_empty = text.trim().is_empty();
            log(if is_empty { "empty" } else { "ok" }, Some(0), None);
            (!is_empty).then_some(text)
        }
        Ok((status, _, said)) => {
            log("failed", status.code(), Some(said));
            None
        }
        Err(error) => {
            let state = if matches!(error, ChildError::TimedOut(_)) { "timeout" } else { "failed" };
            log(state, None, Some(error.to_string()));
            None
        }
    }
}
