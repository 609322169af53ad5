//! `<cwd>/.iapeer`: the files that decide what a session is started with (environment, doctrine, profile). A session
//! may run without asking for permissions, so no other user may influence it: every file read there must be owned by
//! this user and not writable by others.

use crate::base::identity::Runtime;
use crate::base::paths;
use crate::store::durable::{StoreError, names_of};
use crate::store::open::{self, Fault, Rule, Unfit};
use std::io::ErrorKind;
use std::path::Path;

/// The first thing that forbids starting a session of the peer in `cwd` on `runtime`. A missing file is fine. Documents
/// are checked when they are read.
pub fn fault(cwd: &Path, runtime: &Runtime) -> Option<Unfit> {
    let launch_env = paths::launch_env_path(cwd, runtime);
    let of_runtime = launch_env.parent().unwrap_or(cwd);
    let folders = [cwd.join(".iapeer"), cwd.join(".iapeer/runtimes"), of_runtime.to_owned()];
    folders
        .iter()
        .find_map(|folder| open::folder_fault(folder))
        .or_else(|| open::fault(&paths::profile_path(cwd), Rule::OF_A_PEER))
        .or_else(|| open::fault(&launch_env, Rule::LAUNCH_ENV))
}

/// Everything that forbids starting a session of the peer in `cwd`, on any runtime, documents included, sorted by path.
/// A folder that can't be listed is a fault too.
pub fn faults(cwd: &Path) -> Vec<Unfit> {
    let own = cwd.join(".iapeer");
    let folders = [own.clone(), own.join("runtimes"), own.join("fragments")];
    let mut found: Vec<Unfit> = folders.iter().filter_map(|folder| open::folder_fault(folder)).collect();
    found.extend(open::fault(&paths::profile_path(cwd), Rule::OF_A_PEER));
    for folder in [&own, &folders[2]] {
        let names = names_or_fault(folder, &mut found);
        let documents = names.iter().filter(|name| name.to_ascii_lowercase().ends_with(".md"));
        found.extend(documents.filter_map(|name| open::fault(&folder.join(name), Rule::DOCUMENT_OF_A_PEER)));
    }
    for runtime in names_or_fault(&folders[1], &mut found).iter().filter_map(|name| name.parse::<Runtime>().ok()) {
        let launch_env = paths::launch_env_path(cwd, &runtime);
        found.extend(launch_env.parent().and_then(open::folder_fault));
        found.extend(open::fault(&launch_env, Rule::LAUNCH_ENV));
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// The names in `folder`. Where `folder` is not a folder, `open::folder_fault` has reported that already.
fn names_or_fault(folder: &Path, found: &mut Vec<Unfit>) -> Vec<String> {
    match names_of(folder) {
        Ok(names) => names,
        Err(StoreError::Io { source, .. }) if source.kind() != ErrorKind::NotADirectory => {
            found.push(Unfit::new(folder, Fault::Unlisted(source.kind())));
            vec![]
        }
        Err(_) => vec![],
    }
}
