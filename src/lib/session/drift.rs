//! Whether the rules for a peer's program were measured with the installed version.

use crate::base::exit::Failure;
use crate::base::identity::{Identity, Runtime};
use crate::base::paths::{self, Paths};
use crate::host::command;
use crate::runtime::{Kind, version};
use crate::session::launch;
use crate::store::durable;
use crate::store::open::{self, Rule};
use crate::store::registry::{PeerRecord, Registry};
use crate::world::peer::Peer;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a program may take to print its version.
const PATIENCE: Duration = Duration::from_secs(5);

/// How the version of a program is determined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// From the installed files; the program is not run.
    Look,
    /// Where the installed files do not say, the program is run.
    Run,
}

/// The remark about the version of the peer's program: `is version 2.1.333, newer than …`. `None` where its rules were
/// measured with this version, or [tried](note_tried) with it since, or where the version is not known.
pub(crate) fn drift(paths: &Paths, peer: &Peer, effort: Effort) -> Option<String> {
    if peer.manifest.kind != Kind::Tui || peer.manifest.measured.is_empty() {
        return None;
    }
    let version = version_of(&program(paths, peer)?, effort)?;
    let drift = peer.manifest.drift(&version)?;
    (tried(paths, &peer.manifest.runtime).as_deref() != Some(version.as_str())).then_some(drift)
}

/// [`drift`] for each runtime that a peer declares, where there is a remark.
pub(crate) fn drifts(paths: &Paths, registry: &Registry, effort: Effort) -> Vec<(Runtime, String)> {
    let mut one_of_each: BTreeMap<&Runtime, &PeerRecord> = BTreeMap::new();
    for record in registry.peers() {
        for runtime in &record.runtimes {
            one_of_each.entry(runtime).or_insert(record);
        }
    }
    let drift = |(runtime, record): (&Runtime, &PeerRecord)| {
        let identity = Identity::new(runtime.clone(), record.personality.clone());
        let peer = Peer::of_in(paths, registry, &identity).ok()?;
        Some((runtime.clone(), drift(paths, &peer, effort)?))
    };
    one_of_each.into_iter().filter_map(drift).collect()
}

/// The version of the program at `path`.
pub(crate) fn version_of(path: &Path, effort: Effort) -> Option<String> {
    let ask = || version::in_text(&command::ask(path.to_str()?, &["--version"], PATIENCE)?);
    version::installed(path).or_else(|| (effort == Effort::Run).then(ask)?)
}

/// Notes that the rules for the peer's runtime hold for the version that is installed: they have just been tried.
pub(crate) fn note_tried(paths: &Paths, peer: &Peer) -> Result<(), Failure> {
    let version = program(paths, peer).and_then(|path| version_of(&path, Effort::Run));
    let Some(version) = version else { return Ok(()) };
    let path = tried_path(paths, &peer.manifest.runtime);
    path.parent().map_or(Ok(()), paths::create_dirs)?;
    Ok(durable::write_atomic(&path, format!("{version}\n").as_bytes())?)
}

fn program(paths: &Paths, peer: &Peer) -> Option<PathBuf> {
    launch::find_program(paths, peer, &launch::allowed(launch::environment())).ok()
}

fn tried(paths: &Paths, runtime: &Runtime) -> Option<String> {
    let text = String::from_utf8(open::read(&tried_path(paths, runtime), Rule::DOCUMENT).ok()??).ok()?;
    Some(text.trim().to_owned())
}

fn tried_path(paths: &Paths, runtime: &Runtime) -> PathBuf {
    paths.root().join(format!("cache/iapeer/tried/{runtime}"))
}
