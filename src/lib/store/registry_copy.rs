//! `<root>/peers-profiles.json.bak`, the registry's last good copy, and the marks of peers that an operator removed. A
//! lost registry is restored from these and the profiles (`registry_remains`).

use crate::base::identity::Personality;
use crate::base::paths::{self, Paths};
use crate::store::durable;
use crate::store::open::{self, Rule};
use crate::store::peer_record::PeerRecord;

/// The content of the copy. `None`: there is none that can be read.
pub(crate) fn read(paths: &Paths) -> Option<Vec<u8>> {
    open::read(&paths.registry_copy(), Rule::REGISTRY).ok()?
}

/// Keeps `written`, which is or becomes the registry's content. A failure is only logged, since the registry itself
/// does not depend on its copy.
pub(crate) fn keep(paths: &Paths, written: &[u8]) {
    let path = paths.registry_copy();
    if matches!(open::read(&path, Rule::REGISTRY), Ok(Some(known)) if known == written) {
        return;
    }
    if let Err(error) = durable::write_atomic(&path, written) {
        tracing::warn!("{error}: the registry has no copy that is up to date");
    }
}

/// Marks a peer that is removed on purpose, so that no later restoration brings it back. A failure is only logged.
pub(crate) fn mark_removed(paths: &Paths, gone: &PeerRecord) {
    let marked = paths::create_dirs(&paths.removed_dir()).and_then(|()| {
        let folder = format!("{}\n", gone.cwd.display());
        Ok(durable::write_atomic(&paths.removed(&gone.personality), folder.as_bytes())?)
    });
    if let Err(failure) = marked {
        tracing::warn!("{failure}");
    }
}

/// Removes the mark of [`mark_removed`] from a peer that is registered.
pub(crate) fn mark_present(paths: &Paths, name: &Personality) {
    if let Err(error) = durable::remove(&paths.removed(name)) {
        tracing::warn!("{error}");
    }
}

/// Whether the peer `name` was removed on purpose.
pub(crate) fn was_removed(paths: &Paths, name: &Personality) -> bool {
    paths.removed(name).exists()
}
