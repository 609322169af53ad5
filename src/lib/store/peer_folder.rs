//! `<cwd>/.iapeer`: what a session is started with (environment, doctrine, profile). A session may skip permissions, so
//! nobody else may have a say in it: all that is read there is ours, and not open to others' writing.

use crate::base::identity::Runtime;
use crate::base::paths;
use crate::store::open::{self, Rule, Unfit};
use crate::store::state_files::names_in;
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

/// Everything that forbids it, on any runtime, documents included.
pub fn faults(cwd: &Path) -> Vec<Unfit> {
    let own = cwd.join(".iapeer");
    let folders = [own.clone(), own.join("runtimes"), own.join("fragments")];
    let mut found: Vec<Unfit> = folders.iter().filter_map(|folder| open::folder_fault(folder)).collect();
    found.extend(open::fault(&paths::profile_path(cwd), Rule::OF_A_PEER));
    for folder in [&own, &folders[2]] {
        let documents = names_in(folder).filter(|name| name.to_ascii_lowercase().ends_with(".md"));
        found.extend(documents.filter_map(|name| open::fault(&folder.join(name), Rule::DOCUMENT_OF_A_PEER)));
    }
    for runtime in names_in(&folders[1]).filter_map(|name| name.parse::<Runtime>().ok()) {
        let launch_env = paths::launch_env_path(cwd, &runtime);
        found.extend(launch_env.parent().and_then(open::folder_fault));
        found.extend(open::fault(&launch_env, Rule::LAUNCH_ENV));
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}
