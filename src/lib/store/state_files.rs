//! Which identities have a certain state file.

use crate::base::identity::Identity;
use crate::base::paths::Paths;
use crate::base::state_file::StateFile;
use crate::store::durable::{StoreError, names_of};
use std::collections::BTreeSet;

/// The identities that have this state file, sorted. A folder that can't be listed is an error, never nobody.
pub(crate) fn identities_with(paths: &Paths, file: StateFile) -> Result<Vec<Identity>, StoreError> {
    Ok(identities_among(&names_of(&paths.state_dir())?, file))
}

/// [`identities_with`] for names that were read already, so that a folder of thousands is read only once.
pub(crate) fn identities_among(names: &[String], file: StateFile) -> Vec<Identity> {
    names
        .iter()
        .filter_map(|name| name.strip_suffix(file.suffix())?.strip_suffix('.')?.parse().ok())
        .collect::<BTreeSet<Identity>>()
        .into_iter()
        .collect()
}
