//! Who has which state file.

use crate::base::identity::Identity;
use crate::base::paths::Paths;
use crate::base::state_file::StateFile;
use std::collections::BTreeSet;
use std::path::Path;

/// The identities that have this state file, sorted.
pub fn identities_with(paths: &Paths, file: StateFile) -> Vec<Identity> {
    let names: Vec<String> = names_in(&paths.state_dir()).collect();
    identities_among(&names, file)
}

/// [`identities_with`] by names that were read already: a folder of thousands is read once.
pub fn identities_among(names: &[String], file: StateFile) -> Vec<Identity> {
    names
        .iter()
        .filter_map(|name| name.strip_suffix(file.suffix())?.strip_suffix('.')?.parse().ok())
        .collect::<BTreeSet<Identity>>()
        .into_iter()
        .collect()
}

/// The readable file names in `dir`; none when it is missing.
pub fn names_in(dir: &Path) -> impl Iterator<Item = String> {
    std::fs::read_dir(dir).into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().into_string().ok())
}
