//! The settings of a peer's launches: whether its program's own memory is on or off, and the user's MCP servers and
//! plugins. The profile decides, else the host's defaults; plugins of both are added.

use crate::base::exit::Failure;
use crate::base::paths::Paths;
use crate::runtime::plugin_servers::BadPlugin;
use crate::runtime::plugin_source::PluginPlace;
use crate::runtime::{Manifest, ManifestError};
use crate::store::launch_defaults::LaunchDefaults;
use crate::world::peer::Peer;
use serde_json::Value;
use std::collections::BTreeMap;

/// The settings of one peer's launches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Extras {
    /// Whether the peer's program keeps a memory of its own; `None`: as the program is configured.
    pub(crate) native_memory: Option<bool>,
    /// Whether the memory slot of the peer's system prompt is filled.
    pub(crate) memory_plugin: bool,
    /// The names of plugins, each once.
    pub(crate) plugins: Vec<String>,
}

/// The changes of a launch that its plugins need.
#[derive(Debug, Default)]
pub(crate) struct PluginLaunch {
    /// Further arguments.
    pub(crate) args: Vec<String>,
    /// Definitions, by name, for the files of the launch.
    pub(crate) entries: Vec<(PluginPlace, String, Value)>,
    /// Plugins that the user's own files do not define (any more).
    pub(crate) missing: Vec<String>,
    /// Plugins whose own servers are left out, and why.
    pub(crate) bad: Vec<(String, BadPlugin)>,
}

/// Whether the program has a memory of its own that can be switched.
pub(crate) fn has_native_memory(manifest: &Manifest) -> bool {
    let group = "native_memory_off";
    manifest.groups.contains_key(group) || manifest.group_env.contains_key(group)
}

impl Extras {
    /// The settings of `peer`.
    pub(crate) fn of(paths: &Paths, peer: &Peer) -> Result<Extras, Failure> {
        let defaults = LaunchDefaults::read(paths)?;
        let (host, own) = (defaults.policy(), peer.policy());
        let mut plugins: Vec<String> = Vec::new();
        for name in host.enabled().into_iter().chain(own.enabled()) {
            if !plugins.iter().any(|known| known == name) {
                plugins.push(name.to_owned());
            }
        }
        Ok(Extras {
            native_memory: own.native_memory().or(host.native_memory()),
            memory_plugin: own.memory_plugin().or(host.memory_plugin()).unwrap_or_default(),
            plugins,
        })
    }

    /// The manifest's group of arguments for the program's own memory.
    pub(crate) fn memory_group(&self) -> Option<&'static str> {
        self.native_memory.map(|on| if on { "native_memory_on" } else { "native_memory_off" })
    }

    /// The changes of `peer`'s launch that its plugins need: `values` are those of the launch, `get` looks up a
    /// variable of the session. Plugins that the runtime does not support are left out.
    pub(crate) fn plugins_of(
        &self,
        peer: &Peer,
        values: &BTreeMap<String, String>,
        get: impl Fn(&str) -> Option<String>,
    ) -> Result<PluginLaunch, ManifestError> {
        let mut launch = PluginLaunch::default();
        for name in &self.plugins {
            let Some(way) = peer.manifest.plugins.way(name) else { continue };
            let Some(definition) = way.definition(name, values, &get) else {
                launch.missing.push(name.clone());
                continue;
            };
            let args = way.arguments(name, values);
            let bad = |source| ManifestError::Fill { runtime: peer.manifest.runtime.clone(), source };
            launch.args.extend(args.map_err(bad)?);
            launch.entries.extend(way.into.clone().map(|place| (place, name.clone(), definition)));
            let Some(servers) = &way.servers else { continue };
            match servers.of(name, values, &get) {
                Ok(found) => launch
                    .entries
                    .extend(found.into_iter().map(|(server, definition)| (servers.into.clone(), server, definition))),
                Err(bad) => launch.bad.push((name.clone(), bad)),
            }
        }
        Ok(launch)
    }
}
