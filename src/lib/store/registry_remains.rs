//! Reads what can still be read of a registry that can't be used, and replaces that registry by a restored one.

use crate::base::exit::Failure;
use crate::base::paths::Paths;
use crate::store::durable::{self, StoreError};
use crate::store::one_writer::OneWriter;
use crate::store::open::{self, Rule, without_bom};
use crate::store::registry::{PeerRecord, Registry, RegistryError};
use crate::store::registry_copy;
use serde_json::Value;
use std::path::PathBuf;
use std::time::SystemTime;

/// The readable rest of a registry that can't be used, and of its copy.
#[derive(Debug, Default)]
pub(crate) struct Remains {
    /// Records, the registry's own before its copy's.
    pub(crate) records: Vec<PeerRecord>,
    /// Folders that are named in a registry that is no longer valid JSON.
    pub(crate) folders: Vec<PathBuf>,
}

/// Reads what is left of a registry and its copy.
pub(crate) fn remains(paths: &Paths) -> Remains {
    let mut remains = Remains::default();
    let bytes = open::read(&paths.registry(), Rule::REGISTRY).ok().flatten().unwrap_or_default();
    match serde_json::from_slice::<Value>(without_bom(&bytes)) {
        Ok(value) => {
            let peers = value.get("peers").and_then(Value::as_array).into_iter().flatten();
            remains.records.extend(peers.filter_map(|peer| PeerRecord::parse(peer).ok()));
        }
        Err(_) => remains.folders = folders_in(&String::from_utf8_lossy(&bytes)),
    }
    remains.records.extend(Registry::copy(paths).into_iter().flat_map(|copy| copy.peers().to_vec()));
    remains
}

/// The absolute paths that are values of `"cwd"` in a text that was JSON once.
fn folders_in(text: &str) -> Vec<PathBuf> {
    let values = text.split("\"cwd\"").skip(1);
    let folder = |rest: &str| {
        let value = rest.trim_start().strip_prefix(':')?;
        serde_json::Deserializer::from_str(value).into_iter::<String>().next()?.ok().map(PathBuf::from)
    };
    values.filter_map(folder).filter(|path| path.is_absolute()).collect()
}

/// Writes a registry of `peers` in place of one that can't be used. An unreadable one is set aside; returns its new
/// path.
pub(crate) fn restore(paths: &Paths, _: &OneWriter, peers: Vec<PeerRecord>) -> Result<Option<PathBuf>, Failure> {
    let aside = match Registry::read(paths) {
        Err(RegistryError::Corrupt { path, .. }) => Some(durable::set_aside(&path, SystemTime::now().into())?),
        Err(RegistryError::Store(StoreError::Unfit(unfit))) => {
            Some(durable::set_aside(&unfit.path, SystemTime::now().into())?)
        }
        Err(RegistryError::Store(error)) => return Err(error.into()),
        Err(RegistryError::Lost { .. }) | Ok(_) => None,
    };
    let written = Registry::copy(paths).unwrap_or_default().with(peers).to_bytes()?;
    durable::write_registry(&paths.registry(), &written)?;
    registry_copy::keep(paths, &written);
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_a_registry_that_was_cut() {
        let text = r#"{"version":2,"peers":[{"personality":"al","cwd":"/w/al","x":1},{"cwd" : "/w/b \"o\"b"},{"cwd":"rel"},{"cwd":"/w/cu"#;
        assert_eq!(folders_in(text), [PathBuf::from("/w/al"), PathBuf::from("/w/b \"o\"b")]);
        assert!(folders_in("").is_empty());
    }
}
