//! A peer on one runtime: its record in the registry, its profile, its runtime's manifest, and the settings that follow
//! from these.

use crate::base::exit::{Exit, Failure};
use crate::base::identity::{Identity, Intelligence, Personality, Runtime};
use crate::base::normalize;
use crate::base::paths::Paths;
use crate::base::wake::ResumePolicy;
use crate::runtime::{
    Kind, Manifest,
    manifest::{ManifestError, built_in},
};
use crate::store::policy::{Policy, Resume};
use crate::store::profile::Profile;
use crate::store::registry::{PeerRecord, Registry, resolve_runtime};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// A registered peer on one of its runtimes.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The peer's identity.
    pub identity: Identity,
    /// Its record in the registry.
    pub record: PeerRecord,
    /// Its profile. `None`: missing or unreadable; the registry's copy of its settings, or the defaults, apply.
    pub profile: Option<Profile>,
    /// Its runtime.
    pub manifest: Arc<Manifest>,
}

/// The manifests of a program that examines many peers: each one is read and parsed once.
#[derive(Debug, Default)]
pub(crate) struct Manifests(Mutex<BTreeMap<(Runtime, bool), Arc<Manifest>>>);

impl Manifests {
    /// The manifest of `runtime`, for a peer whose approvals are asked for (`asks`), or not.
    fn of(&self, paths: &Paths, runtime: &Runtime, asks: bool) -> Result<Arc<Manifest>, ManifestError> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (runtime.clone(), asks);
        if let Some(manifest) = known.get(&key) {
            return Ok(manifest.clone());
        }
        let manifest = Arc::new(Manifest::load_for(paths, runtime, asks)?);
        known.insert(key, manifest.clone());
        Ok(manifest)
    }
}

impl Peer {
    /// The peer named `name`, on `runtime`, else on its default runtime (06.1). Fails where no such peer is registered
    /// (67), or the peer does not declare `runtime` (64).
    pub fn find(paths: &Paths, name: &Personality, runtime: Option<&Runtime>) -> Result<Peer, Failure> {
        let registry = Registry::read(paths)?;
        let record = registry.get(name).ok_or_else(|| unknown_in(&registry, name))?.clone();
        let runtime = resolve_runtime(&record, runtime)?;
        Peer::assemble(paths, &Manifests::default(), record, runtime)
    }

    /// The peer of an identity.
    pub fn of(paths: &Paths, identity: &Identity) -> Result<Peer, Failure> {
        Peer::find(paths, identity.personality(), Some(identity.runtime()))
    }

    /// [`Peer::of`] with a registry that has been read already; a peer that is missing there is searched for in the
    /// registry as it is now.
    pub(crate) fn of_in(paths: &Paths, registry: &Registry, identity: &Identity) -> Result<Peer, Failure> {
        Peer::among(paths, registry, &Manifests::default(), identity)
    }

    /// [`Peer::of_in`] for a program that examines many peers.
    pub(crate) fn among(
        paths: &Paths,
        registry: &Registry,
        manifests: &Manifests,
        identity: &Identity,
    ) -> Result<Peer, Failure> {
        let Some(record) = registry.get(identity.personality()) else { return Peer::of(paths, identity) };
        let runtime = resolve_runtime(record, Some(identity.runtime()))?;
        Peer::assemble(paths, manifests, record.clone(), runtime)
    }

    /// Every registered peer, once for each of its runtimes. One that can't be read is left out, with a warning.
    pub fn all(paths: &Paths) -> Result<Vec<Peer>, Failure> {
        let (registry, manifests) = (Registry::read(paths)?, Manifests::default());
        let identities = registry.peers().iter().flat_map(|record| {
            record.runtimes.iter().map(|runtime| Identity::new(runtime.clone(), record.personality.clone()))
        });
        let read = |identity: Identity| {
            Peer::among(paths, &registry, &manifests, &identity)
                .inspect_err(|failure| tracing::warn!("{identity}: {failure}"))
                .ok()
        };
        Ok(identities.filter_map(read).collect())
    }

    /// The peer that an argument names: `NAME`, or `RUNTIME-NAME` where no peer has that name.
    pub fn named(paths: &Paths, text: &str, runtime: Option<&Runtime>) -> Result<Peer, Failure> {
        Peer::named_in(paths, &Registry::read(paths)?, text, runtime)
    }

    /// [`Peer::named`] with a registry that has been read already.
    pub(crate) fn named_in(
        paths: &Paths,
        registry: &Registry,
        text: &str,
        runtime: Option<&Runtime>,
    ) -> Result<Peer, Failure> {
        let (name, runtime) = split_name(registry, text, runtime)?;
        let record = registry.get(&name).ok_or_else(|| unknown_in(registry, &name))?.clone();
        let runtime = resolve_runtime(&record, runtime.as_ref())?;
        Peer::assemble(paths, &Manifests::default(), record, runtime)
    }

    fn assemble(paths: &Paths, manifests: &Manifests, record: PeerRecord, runtime: Runtime) -> Result<Peer, Failure> {
        let profile = match Profile::read(&record.cwd) {
            Ok(profile) => profile,
            Err(error) => {
                tracing::warn!("{}: {error}; going on with the defaults", record.personality);
                None
            }
        };
        let policy = profile.as_ref().map_or_else(|| record.policy(), Profile::policy);
        let manifest = manifests.of(paths, &runtime, policy.asks())?;
        Ok(Peer { identity: Identity::new(runtime, record.personality.clone()), record, profile, manifest })
    }

    /// Its working folder.
    pub fn cwd(&self) -> &Path {
        &self.record.cwd
    }

    /// Its nature.
    pub fn intelligence(&self) -> Intelligence {
        self.record.intelligence
    }

    /// The policy for its sessions: from its profile or, where that is missing or can't be read, from the registry.
    pub fn policy(&self) -> Policy<'_> {
        self.profile.as_ref().map_or_else(|| self.record.policy(), Profile::policy)
    }

    /// Whether it is a stateless worker: a fresh session for each task.
    pub(crate) fn is_ephemeral(&self) -> bool {
        self.policy().ephemeral()
    }

    /// Whether it is a mailbox: messages are filed, and there is no session.
    pub(crate) fn is_mailbox(&self) -> bool {
        self.manifest.kind == Kind::Mailbox
    }

    /// Whether there is an inbox in its folder, in which messages are filed, by a drain or by a bridge.
    pub(crate) fn has_inbox(&self) -> bool {
        self.is_mailbox() || self.manifest.takes_messages_itself()
    }

    /// Whether its program asks before it uses a tool.
    pub fn asks(&self) -> bool {
        self.policy().asks()
    }

    /// Whether it speaks for a person, by the interfaces in its profile or record.
    pub(crate) fn is_human(&self) -> bool {
        match &self.profile {
            Some(profile) => profile.is_human_conversational(),
            None => self.record.is_human_conversational(),
        }
    }

    /// When its sessions resume the last conversation.
    pub(crate) fn resume_policy(&self) -> ResumePolicy {
        match self.policy().resume() {
            Some(Resume::Always) => ResumePolicy::Always,
            Some(Resume::Topic) => ResumePolicy::Topic,
            Some(Resume::Never) => ResumePolicy::Never,
            None => ResumePolicy::Default,
        }
    }

    /// The text that a fresh session gets first.
    pub fn initial_prompt(&self) -> Option<String> {
        self.policy().initial_prompt()
    }

    /// How often a worker's task may be tried; `None`: once.
    pub fn max_attempts(&self) -> Option<u32> {
        self.policy().max_attempts()
    }
}

/// The error for a peer that is not registered.
pub fn unknown(name: &Personality) -> Failure {
    Failure::new(
        Exit::NoPeer,
        format!(
            "no peer named {name:?}: `iapeer list` shows the peers, `iapeer create {name}` makes one",
            name = name.as_str()
        ),
    )
}

/// Splits what a person typed into a name and a runtime. A registered name takes precedence over an identity of the
/// same spelling.
pub(crate) fn split_name(
    registry: &Registry,
    text: &str,
    runtime: Option<&Runtime>,
) -> Result<(Personality, Option<Runtime>), Failure> {
    let bad = || Failure::new(Exit::Usage, format!("{text:?} is neither a peer's name nor RUNTIME-NAME"));
    if let Ok(name) = text.parse::<Personality>()
        && registry.get(&name).is_some()
    {
        return Ok((name, runtime.cloned()));
    }
    if let Ok(identity) = text.parse::<Identity>()
        && is_meant(registry, &identity)
    {
        if runtime.is_some_and(|given| given != identity.runtime()) {
            return Err(bad());
        }
        return Ok((identity.personality().clone(), Some(identity.runtime().clone())));
    }
    if let Ok(name) = text.parse() {
        return Ok((name, runtime.cloned()));
    }
    // A name as people write it: `Bob`, `Code Review`.
    normalize::personality_from(text).map(|name| (name, runtime.cloned())).map_err(|_| bad())
}

/// The identities that an argument names: `RUNTIME-NAME`, or `NAME` for all its runtimes. An identity that is not, or
/// no longer, registered counts where `has_state` says that it has state files. A declared identity takes precedence over
/// a name of the same spelling, unlike in [`split_name`]: our own programs, and the commands that we print, give identities.
pub(crate) fn identities_of(
    registry: &Registry,
    text: &str,
    has_state: impl Fn(&Identity) -> bool,
) -> Result<Vec<Identity>, Failure> {
    if let Some(identity) = declared(registry, text) {
        return Ok(vec![identity]);
    }
    let (name, runtime) = split_name(registry, text, None)?;
    match (registry.get(&name), runtime, text.parse::<Identity>()) {
        (Some(record), Some(runtime), _) => {
            resolve_runtime(record, Some(&runtime))?;
            Ok(vec![Identity::new(runtime, name)])
        }
        (Some(record), None, _) => {
            Ok(record.runtimes.iter().map(|runtime| Identity::new(runtime.clone(), name.clone())).collect())
        }
        (None, _, Ok(identity)) if has_state(&identity) => Ok(vec![identity]),
        (None, _, _) => Err(unknown_in(registry, &name)),
    }
}

/// The identity that `text` spells, where a registered peer declares it.
pub(crate) fn declared(registry: &Registry, text: &str) -> Option<Identity> {
    text.parse().ok().filter(|identity| registry.declares(identity))
}

/// [`unknown`], with the registered name that was probably meant.
pub(crate) fn unknown_in(registry: &Registry, name: &Personality) -> Failure {
    let names = registry.peers().iter().map(|record| record.personality.as_str());
    match nearest(name.as_str(), names) {
        None => unknown(name),
        Some(meant) => {
            let why =
                format!("no peer named {:?}; did you mean {meant:?}? `iapeer list` shows the peers", name.as_str());
            Failure::new(Exit::NoPeer, why)
        }
    }
}

/// The name that was probably meant by `typed`: at most two letters differ, in a name of fewer than five letters one.
fn nearest<'n>(typed: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let near = |name: &&str| slips(typed, name) <= if name.len() < 5 { 1 } else { 2 };
    names.filter(near).min_by_key(|name| slips(typed, name))
}

/// How many letters have to be inserted, removed, changed or swapped with their neighbor to turn `b` into `a`.
fn slips(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let changed = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = changed.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

/// Whether an identity is meant, and not a name of this spelling: the identity is declared, or its peer is registered
/// and its runtime is built in.
fn is_meant(registry: &Registry, identity: &Identity) -> bool {
    let known = || built_in().any(|runtime| runtime == identity.runtime().as_str());
    registry.declares(identity) || (registry.get(identity.personality()).is_some() && known())
}

/// Refuses (78) to act as `name` where `PEER_PERSONALITY` names another peer.
pub(crate) fn refuse_another(name: &Personality) -> Result<(), Failure> {
    let said = std::env::var_os("PEER_PERSONALITY").map(|value| value.to_string_lossy().into_owned());
    match said.filter(|said| !said.trim().is_empty()) {
        Some(said) if normalize::normalize(&said) != name.as_str() => Err(Failure::new(
            Exit::Config,
            format!("PEER_PERSONALITY={said:?}, but this would be done as peer {name}: unset it, or set it to that"),
        )),
        _ => Ok(()),
    }
}

/// The peer that is named as the argument of a verb for a whole peer: `NAME`, or `RUNTIME-NAME` where the peer has no
/// other runtime.
pub(crate) fn whole_peer(registry: &Registry, text: &str) -> Result<Personality, Failure> {
    let (name, runtime) = split_name(registry, text, None)?;
    let (Some(record), Some(runtime)) = (registry.get(&name), runtime) else { return Ok(name) };
    resolve_runtime(record, Some(&runtime))?;
    if record.runtimes.len() == 1 {
        return Ok(name);
    }
    let all = record.declared();
    Err(Failure::new(
        Exit::Usage,
        format!(
            "{text} is one of the runtimes of peer {name} ({all}), and this is for all of them: give its name, {name}"
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_names_as_a_table() {
        let names = ["ann", "bob", "reviewer", "review-2"];
        for (typed, meant) in [
            ("an", Some("ann")),
            ("obb", Some("bob")),
            ("reveiwer", Some("reviewer")),
            ("review", Some("reviewer")),
            ("review2", Some("review-2")),
            ("eve", None),
            ("nobody", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, names.into_iter()), meant, "{typed}");
        }
    }
}
