//! `iapeer native-memory`, `memory-plugin`, `enable` and `disable`.

use crate::base::exit::{Exit, Failure};
use crate::base::identity::Personality;
use crate::cli;
use crate::cli::launch_args::{LaunchVerb, SwitchArgs, SwitchTo};
use crate::roster::launches::{self, Switch, Whose};
use crate::store::registry::Registry;
use crate::world::World;
use crate::world::peer::whole_peer;
use serde_json::json;

/// Runs one of these verbs.
pub(crate) fn run(world: &World<'_>, verb: LaunchVerb) -> Result<Exit, Failure> {
    match verb {
        LaunchVerb::NativeMemory(given) => switch(world, Switch::NativeMemory, &given),
        LaunchVerb::MemoryPlugin(given) => switch(world, Switch::MemoryPlugin, &given),
        LaunchVerb::Enable { plugin: None, json, .. } => show(world, json),
        LaunchVerb::Enable { plugin: Some(plugin), peer, json } => {
            let whose = whose(world, peer.as_deref())?;
            let new = launches::enable(world, &plugin, whose.as_ref())?;
            let action = if new { "enabled" } else { "already" };
            cli::tell(json, &json!({"personality": whose, "plugin": plugin, "action": action}), || match new {
                true => format!("{}: {plugin} is enabled{}", who(whose.as_ref()), from_when(whose.as_ref())),
                false => format!("{}: {plugin} is enabled already", who(whose.as_ref())),
            });
            Ok(Exit::Ok)
        }
        LaunchVerb::Disable { plugin, peer, json } => {
            let whose = whose(world, peer.as_deref())?;
            launches::disable(world, &plugin, whose.as_ref())?;
            cli::tell(json, &json!({"personality": whose, "plugin": plugin, "action": "disabled"}), || {
                format!("{}: {plugin} is disabled{}", who(whose.as_ref()), from_when(whose.as_ref()))
            });
            Ok(Exit::Ok)
        }
    }
}

fn switch(world: &World<'_>, switch: Switch, given: &SwitchArgs) -> Result<Exit, Failure> {
    let Some(to) = given.to else {
        for (name, on) in launches::switched(world, switch)? {
            let word = on.map_or("default", |on| if on { "on" } else { "off" });
            cli::tell(given.json, &launches::told(switch, name.as_ref(), on), || {
                format!("{}: {word}", who(name.as_ref()))
            });
        }
        return Ok(Exit::Ok);
    };
    let on = match to {
        SwitchTo::On => Some(true),
        SwitchTo::Off => Some(false),
        SwitchTo::Default => None,
    };
    let whose = whose(world, given.peer.as_deref())?;
    launches::switch(world, switch, whose.as_ref(), on)?;
    let word = on.map_or("default", |on| if on { "on" } else { "off" });
    cli::tell(given.json, &launches::told(switch, whose.as_ref(), on), || {
        format!("{}: {word}{}", who(whose.as_ref()), from_when(whose.as_ref()))
    });
    Ok(Exit::Ok)
}

fn show(world: &World<'_>, json: bool) -> Result<Exit, Failure> {
    for (name, plugins) in launches::enabled(world)? {
        cli::tell(json, &json!({"personality": name, "enabled": plugins}), || {
            let list = if plugins.is_empty() { "none".to_owned() } else { plugins.join(", ") };
            format!("{}: {list}", who(name.as_ref()))
        });
    }
    Ok(Exit::Ok)
}

fn whose(world: &World<'_>, peer: Option<&str>) -> Result<Option<Personality>, Failure> {
    peer.map(|text| whole_peer(&Registry::read(world.paths)?, text)).transpose()
}

fn who(whose: Whose<'_>) -> &str {
    whose.map_or("every peer", Personality::as_str)
}

/// The hint that a live session keeps the settings with which it was started.
fn from_when(whose: Whose<'_>) -> String {
    let peer = whose.map_or("--all", Personality::as_str);
    format!(", from its next session on: `iapeer refresh {peer}` has the next wake be a fresh one")
}
