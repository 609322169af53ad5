//! The settings of launches: agent programs' own memory, the memory slot, and the user's MCP servers and plugins. The
//! settings of one peer are in the peer's profile, those of all peers in `launch-defaults.json`.

use crate::base::exit::{Exit, Failure};
use crate::base::identity::{Identity, Personality};
use crate::runtime::plugins::is_plugin;
use crate::session::extras::{self, Extras};
use crate::session::{launch, memory};
use crate::store::launch_defaults::LaunchDefaults;
use crate::store::one_writer::OneWriter;
use crate::store::policy::Policy;
use crate::store::profile::Profile;
use crate::store::registry::{PeerRecord, Registry};
use crate::store::reindex;
use crate::world::World;
use crate::world::peer::{Peer, unknown_in};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A setting that can be switched on and off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// The agent program's own memory.
    NativeMemory,
    /// The memory slot of the system prompt.
    MemoryPlugin,
}

impl Switch {
    /// The setting's key in a profile.
    pub fn key(self) -> &'static str {
        match self {
            Switch::NativeMemory => "native_memory",
            Switch::MemoryPlugin => "memory_plugin",
        }
    }

    fn said(self, policy: Policy<'_>) -> Option<bool> {
        match self {
            Switch::NativeMemory => policy.native_memory(),
            Switch::MemoryPlugin => policy.memory_plugin(),
        }
    }
}

/// Whose launches: those of one peer, or (`None`) those of every peer that does not say otherwise.
pub type Whose<'a> = Option<&'a Personality>;

/// A setting of one peer's launches or (`None`) of every peer's.
pub type OfLaunches<T> = (Option<Personality>, T);

/// The default, and the setting of each peer that has one of its own.
pub fn switched(world: &World<'_>, switch: Switch) -> Result<Vec<OfLaunches<Option<bool>>>, Failure> {
    let mut all = vec![(None, switch.said(LaunchDefaults::read(world.paths)?.policy()))];
    for peer in default_peers(world)? {
        let own = switch.said(peer.policy());
        all.extend(own.map(|_| (Some(peer.identity.personality().clone()), own)));
    }
    Ok(all)
}

/// Sets a switch; with `to` `None` the host's default, or the program's own configuration, applies. Refused (69) where
/// none of the peer's runtimes has what is switched.
pub fn switch(world: &World<'_>, switch: Switch, whose: Whose<'_>, to: Option<bool>) -> Result<(), Failure> {
    let value = to.map_or(Value::Null, |on| if on { "on".into() } else { "off".into() });
    if let Some(name) = whose.filter(|_| to.is_some()) {
        let able = |peer: &Peer| match switch {
            Switch::NativeMemory => extras::has_native_memory(&peer.manifest),
            Switch::MemoryPlugin => peer.manifest.doctrine,
        };
        if !peers_of(world, name)?.iter().any(able) {
            let what = match switch {
                Switch::NativeMemory => "keeps a memory that iapeer can switch",
                Switch::MemoryPlugin => "takes a system prompt",
            };
            return Err(Failure::new(Exit::Refused, format!("none of {name}'s runtimes {what}")));
        }
    }
    if switch == Switch::MemoryPlugin && to == Some(true) && memory::program(world).is_none() {
        let why = format!(
            "there is no executable {}: write the program that prints a peer's memory there first",
            world.paths.memory_program().display()
        );
        return Err(Failure::new(Exit::NoInput, why));
    }
    set(world, whose, switch.key(), |_| Ok(value))
}

/// The plugins for every peer, and those of each peer that has some of its own.
pub fn enabled(world: &World<'_>) -> Result<Vec<OfLaunches<Vec<String>>>, Failure> {
    let mut all = vec![(None, plugins_of(LaunchDefaults::read(world.paths)?.policy()))];
    for peer in default_peers(world)? {
        all.push((Some(peer.identity.personality().clone()), plugins_of(peer.policy())));
    }
    all.retain(|(name, plugins)| name.is_none() || !plugins.is_empty());
    Ok(all)
}

/// Adds a plugin to launches. Refused where no file of the user defines it (66), or no runtime supports it (69).
/// Returns whether the plugin is newly enabled.
pub fn enable(world: &World<'_>, plugin: &str, whose: Whose<'_>) -> Result<bool, Failure> {
    if !is_plugin(plugin) {
        let why = "a plugin is the name of an MCP server, NAME@MARKETPLACE, or the absolute path of a plugin's folder";
        return Err(Failure::new(Exit::Usage, format!("{plugin:?}: {why}")));
    }
    let peers = match whose {
        Some(name) => peers_of(world, name)?,
        None => Peer::all(world.paths)?,
    };
    let able: Vec<&Peer> = peers.iter().filter(|peer| peer.manifest.plugins.way(plugin).is_some()).collect();
    if able.is_empty() {
        let whom = whose.map_or("no peer's".to_owned(), |name| format!("none of {name}'s"));
        let why = format!("{whom} runtime can be given {plugin:?}: its manifest has no `plugins` for that kind");
        return Err(Failure::new(Exit::Refused, why));
    }
    let mut looked = Vec::new();
    for peer in &able {
        if knows(world, peer, plugin, &mut looked)? {
            return add(world, plugin, whose);
        }
    }
    looked.sort();
    looked.dedup();
    let places =
        if looked.is_empty() { "no such folder".to_owned() } else { format!("looked in {}", looked.join(", ")) };
    Err(Failure::new(Exit::NoInput, format!("{plugin:?} is nothing that your agent programs know: {places}")))
}

fn add(world: &World<'_>, plugin: &str, whose: Whose<'_>) -> Result<bool, Failure> {
    let mut new = false;
    set(world, whose, "enable", |known| {
        let mut list = known;
        new = !list.iter().any(|name| name == plugin);
        if new {
            list.push(plugin.to_owned());
        }
        Ok(list.into())
    })?;
    Ok(new)
}

/// Removes a plugin from launches. Refused (66) where it is not enabled for them.
pub fn disable(world: &World<'_>, plugin: &str, whose: Whose<'_>) -> Result<(), Failure> {
    let for_all = LaunchDefaults::read(world.paths)?.policy().enabled().contains(&plugin);
    set(world, whose, "enable", |mut known| {
        if !known.iter().any(|name| name == plugin) {
            let why = match whose {
                Some(name) if for_all => {
                    format!("{plugin:?} is enabled for every peer, {name} too: `iapeer disable {plugin}` ends that")
                }
                Some(name) => format!("{plugin:?} is not enabled for {name}: `iapeer enable` shows what is"),
                None => format!("{plugin:?} is not enabled for every peer: `iapeer enable` shows what is"),
            };
            return Err(Failure::new(Exit::NoInput, why));
        }
        known.retain(|name| name != plugin);
        Ok(if known.is_empty() { Value::Null } else { known.into() })
    })
}

/// The plugins that launches of `peer` do not get, or not completely, each with what is wrong.
pub(crate) fn troubled(world: &World<'_>, peer: &Peer) -> Result<Vec<(String, String)>, Failure> {
    let [values, vars] = seen_by(world, peer)?;
    let launch = Extras::of(world.paths, peer)?.plugins_of(peer, &values, |name| vars.get(name).cloned())?;
    let missing = launch.missing.into_iter().map(|plugin| {
        let what = format!("no agent program has the plugin {plugin} any more: its sessions start without it");
        (plugin, what)
    });
    let bad = launch.bad.into_iter().map(|(plugin, bad)| {
        let what = format!("{bad}: its sessions start without the MCP servers of the plugin {plugin}");
        (plugin, what)
    });
    Ok(missing.chain(bad).collect())
}

/// The placeholders (`home`, `cwd`) and the environment with which a launch of `peer` looks for plugins.
fn seen_by(world: &World<'_>, peer: &Peer) -> Result<[BTreeMap<String, String>; 2], Failure> {
    let mut vars = launch::allowed(launch::environment());
    vars.extend(launch::launch_env(peer)?.vars);
    let home = vars.get("HOME").cloned().unwrap_or_else(|| world.paths.home().to_string_lossy().into_owned());
    let values = BTreeMap::from([("home".into(), home), ("cwd".into(), peer.cwd().to_string_lossy().into_owned())]);
    Ok([values, vars])
}

/// Whether a file of the user defines the plugin, as a launch of `peer` would find it; the names of the files are added
/// to `looked`.
fn knows(world: &World<'_>, peer: &Peer, plugin: &str, looked: &mut Vec<String>) -> Result<bool, Failure> {
    let Some(way) = peer.manifest.plugins.way(plugin) else { return Ok(false) };
    let [values, vars] = seen_by(world, peer)?;
    let get = |name: &str| vars.get(name).cloned();
    looked.extend(way.places(&values, get).iter().map(|path| path.display().to_string()));
    Ok(way.definition(plugin, &values, get).is_some())
}

/// Sets `key` to what `change` returns for the list of plugins that are enabled now.
fn set(
    world: &World<'_>,
    whose: Whose<'_>,
    key: &str,
    change: impl FnOnce(Vec<String>) -> Result<Value, Failure>,
) -> Result<(), Failure> {
    // Read and written under one lock, so that of two programs that change the settings at once neither undoes the
    // other's change.
    let writer = OneWriter::acquire(world.paths, world.program, world.clock)?;
    let Some(name) = whose else {
        let known = plugins_of(LaunchDefaults::read(world.paths)?.policy());
        return LaunchDefaults::set(&writer, world.paths, key, change(known)?);
    };
    let cwd = record(world, name)?.cwd;
    let none = || Failure::new(Exit::Config, format!("{} holds no profile: `iapeer init` makes one", cwd.display()));
    let profile = Profile::read(&cwd)?.ok_or_else(none)?;
    Profile::set_key(&writer, &cwd, key, &change(plugins_of(profile.policy()))?)?;
    reindex::reindex_by(world.paths, &writer, Some(name))?;
    Ok(())
}

/// The plugins that a profile, or the host's defaults, enable.
fn plugins_of(policy: Policy<'_>) -> Vec<String> {
    policy.enabled().into_iter().map(str::to_owned).collect()
}

fn record(world: &World<'_>, name: &Personality) -> Result<PeerRecord, Failure> {
    let registry = Registry::read(world.paths)?;
    registry.get(name).cloned().ok_or_else(|| unknown_in(&registry, name))
}

/// The peer on each of its runtimes.
fn peers_of(world: &World<'_>, name: &Personality) -> Result<Vec<Peer>, Failure> {
    let record = record(world, name)?;
    let each = record.runtimes.iter().map(|runtime| Identity::new(runtime.clone(), name.clone()));
    each.map(|identity| Peer::of(world.paths, &identity)).collect()
}

/// Every peer, once, on its default runtime.
fn default_peers(world: &World<'_>) -> Result<Vec<Peer>, Failure> {
    let all = Peer::all(world.paths)?.into_iter();
    Ok(all.filter(|peer| *peer.identity.runtime() == peer.record.default_runtime).collect())
}

/// A switch and its setting, as `--json` prints it.
pub fn told(switch: Switch, whose: Whose<'_>, on: Option<bool>) -> Value {
    let word = on.map(|on| if on { "on" } else { "off" });
    json!({ "personality": whose, switch.key(): word })
}
