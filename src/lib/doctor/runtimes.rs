//! The runtimes that registered peers declare: manifest, program, login.

use super::finding::Finding;
use super::replace;
use crate::base::identity::{Identity, Runtime};
use crate::base::paths;
use crate::base::shell;
use crate::runtime::Kind;
use crate::session::launch;
use crate::store::StoreError;
use crate::store::registry::Registry;
use crate::world::World;
use crate::world::peer::Peer;
use std::collections::BTreeMap;

/// The findings, one for all peers of a runtime that have the same problem.
pub(crate) fn runtimes<'a>(world: &'a World<'a>, registry: &Registry) -> Vec<Finding<'a>> {
    let mut found: BTreeMap<(Runtime, String), (Finding<'a>, Vec<String>)> = BTreeMap::new();
    for record in registry.peers().iter().filter(|record| record.cwd.is_dir()) {
        for runtime in &record.runtimes {
            let finding =
                match Peer::of_in(world.paths, registry, &Identity::new(runtime.clone(), record.personality.clone())) {
                    Ok(peer) => of_peer(world, &peer),
                    Err(failure) => Some(
                        Finding::error("runtime", failure.exit, runtime, failure.message)
                            .todo(format!("correct {}", world.paths.manifest(runtime).display())),
                    ),
                };
            if let Some(finding) = finding {
                let (_, names) =
                    found.entry((runtime.clone(), finding.what.clone())).or_insert_with(|| (finding, Vec::new()));
                names.push(record.personality.to_string());
            }
        }
    }
    found
        .into_values()
        .map(|(finding, names)| {
            let about = format!("{} ({})", finding.about, names.join(", "));
            Finding { about, ..finding }
        })
        .collect()
}

/// The command that logs in to the program of `peer`, in words; `None` if its manifest names none, or there is no program.
pub(crate) fn login_command(world: &World<'_>, peer: &Peer) -> Option<String> {
    let args = &peer.manifest.login.as_ref().filter(|login| !login.args.is_empty())?.args;
    let program = launch::find_program(world.paths, peer, &launch::allowed(launch::environment())).ok()?;
    let words = [program.to_string_lossy().into_owned()].into_iter().chain(args.clone());
    let words: Vec<String> = words.map(|word| shell::word(&word)).collect();
    Some(format!("`{}` logs in", words.join(" ")))
}

fn of_peer<'a>(world: &'a World<'a>, peer: &Peer) -> Option<Finding<'a>> {
    let runtime = &peer.manifest.runtime;
    // The program of a bridge is named by the bridge's unit, and a mailbox has none.
    if peer.manifest.kind != Kind::Tui {
        return None;
    }
    if !peer.manifest.allows(peer.intelligence()) {
        let what = format!("is not for a peer of intelligence {}", peer.intelligence());
        let todo = format!("change {}", paths::profile_path(peer.cwd()).display());
        return Some(Finding::warn("runtime", runtime, what).todo(todo));
    }
    let mut env = launch::allowed(launch::environment());
    if let Err(failure) = launch::find_program(world.paths, peer, &env) {
        // Behind the semicolon the message says how to install the program, as the finding does.
        let what = failure.message.split("; ").next().unwrap_or_default();
        return Some(Finding::error("runtime", failure.exit, runtime, what).todo(replace::agent(world, peer)));
    }
    if let Err(failure) = world.paths.check_socket(&peer.identity) {
        let todo =
            format!("set IAPEER_SOCK_DIR to a shorter folder, or `iapeer rename {} NAME`", peer.record.personality);
        return Some(Finding::error("runtime", failure.exit, runtime, failure.message).todo(todo));
    }
    let login = peer.manifest.login.as_ref()?;
    // With the environment of a session of this peer, which gets nothing else from the caller's environment.
    match launch::launch_env(peer) {
        Ok(launch_env) => env.extend(launch_env.vars),
        // Reported with the peer's own files.
        Err(StoreError::Unfit(_)) => return None,
        Err(error) => {
            let file = paths::launch_env_path(peer.cwd(), runtime);
            let todo = format!("correct {}", file.display());
            return Some(Finding::error("runtime", error.exit(), runtime, error.to_string()).todo(todo));
        }
    }
    // On macOS a login may be in the keychain, which iapeer does not open.
    if cfg!(target_os = "macos") || login.is_seen(world.paths, |name| env.get(name).cloned()) {
        return None;
    }
    let what = "no login was found: a wake would end at its login screen";
    Some(Finding::warn("runtime", runtime, what).todo(login_command(world, peer).unwrap_or_else(|| login.hint.clone())))
}
