//! The transcripts of a peer's sessions.

use crate::base::paths::Paths;
use crate::runtime::transcript::Transcripts;
use crate::session::launch;
use crate::world::peer::Peer;
use std::collections::BTreeMap;

/// The transcripts of `peer`, where its runtime has any.
pub(crate) fn of<'m>(paths: &Paths, peer: &'m Peer) -> Option<Transcripts<'m>> {
    let rules = peer.manifest.transcript.as_ref()?;
    let environment = launch_environment(peer);
    Some(Transcripts::of(rules, paths, peer.cwd(), move |name| environment.get(name).cloned()))
}

/// The environment of the peer's sessions, as far as a transcript folder may depend on it: this process's variables,
/// then the peer's own, which win.
fn launch_environment(peer: &Peer) -> BTreeMap<String, String> {
    let mut environment = launch::allowed(launch::environment());
    if let Ok(own) = launch::launch_env(peer) {
        environment.extend(own.vars);
    }
    environment
}
