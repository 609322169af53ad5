//! Agents' programs that are newer than what the rules for their screens were read off: they may show what no rule knows.

use super::finding::Finding;
use crate::base::exit::Failure;
use crate::base::identity::Runtime;
use crate::base::paths;
use crate::host::command;
use crate::runtime::{Kind, Manifest};
use crate::session::launch;
use crate::store::durable;
use crate::store::registry::Registry;
use crate::world::World;
use crate::world::peer::Peer;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

/// How long a program may take to say its version.
const LIMIT: Duration = Duration::from_secs(3);

/// One finding for each runtime that a peer declares.
pub(crate) fn versions<'a>(world: &'a World<'a>, registry: &Registry) -> Vec<Finding<'a>> {
    let runtimes: BTreeSet<&Runtime> = registry.peers().iter().flat_map(|record| &record.runtimes).collect();
    runtimes.into_iter().filter_map(|runtime| newer(world, registry, runtime)).collect()
}

fn newer<'a>(world: &'a World<'a>, registry: &Registry, runtime: &Runtime) -> Option<Finding<'a>> {
    let measured = Manifest::load(world.paths, runtime).ok().filter(|manifest| manifest.kind == Kind::Tui)?.measured?;
    let version = version(world, registry, runtime)?;
    let tried = std::fs::read_to_string(tried_path(world, runtime)).unwrap_or_default();
    if !is_newer(&version, &measured) || tried.trim() == version {
        return None;
    }
    let what = format!(
        "is version {version}, newer than {measured}, off which the rules for its screens were read: a screen may not be \
         understood, and messages then wait"
    );
    let todo = format!("`iapeer doctor --runtime {runtime}` tries them, and is content with that version then");
    Some(Finding::warn("runtime", runtime, what).todo(todo))
}

/// What the program of `runtime` says of its version.
fn version(world: &World<'_>, registry: &Registry, runtime: &Runtime) -> Option<String> {
    let record = registry.peers().iter().find(|record| record.runtimes.contains(runtime))?;
    let identity = crate::base::identity::Identity::new(runtime.clone(), record.personality.clone());
    let peer = Peer::of_in(world.paths, registry, &identity).ok()?;
    let environment = launch::allowed(launch::environment());
    let program = launch::find_program(world.paths, &peer, &environment).ok()?;
    number(&command::ask(program.to_str()?, &["--version"], LIMIT)?).map(str::to_owned)
}

/// Notes that the rules for `runtime` hold for the version that is installed: they have just been tried.
pub(crate) fn note_tried(world: &World<'_>, runtime: &Runtime) -> Result<(), Failure> {
    let Some(version) = version(world, &Registry::read(world.paths)?, runtime) else { return Ok(()) };
    let path = tried_path(world, runtime);
    if let Some(dir) = path.parent() {
        paths::create_dirs(dir)?;
    }
    Ok(durable::write_atomic(&path, format!("{version}\n").as_bytes())?)
}

fn tried_path(world: &World<'_>, runtime: &Runtime) -> PathBuf {
    world.paths.root().join(format!("cache/iapeer/tried/{runtime}"))
}

/// `2.1.332` of `2.1.332 (Claude Code)`, `codex-cli 0.171.0`.
fn number(said: &str) -> Option<&str> {
    let is_version = |word: &&str| word.contains('.') && word.split('.').all(|part| part.parse::<u32>().is_ok());
    said.split_whitespace().map(|word| word.trim_start_matches('v')).find(is_version)
}

/// Whether `version` is newer, as far as `measured` goes.
fn is_newer(version: &str, measured: &str) -> bool {
    let numbers = |text: &str| -> Vec<u32> { text.split('.').map_while(|part| part.parse().ok()).collect() };
    let (version, measured) = (numbers(version), numbers(measured));
    version.iter().take(measured.len()).gt(measured.iter())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_as_a_table() {
        for (said, measured, newer) in [
            ("2.1.332 (Claude Code)", "2.1.332", false),
            ("2.1.333 (Claude Code)", "2.1.332", true),
            ("2.1.99", "2.1.332", false),
            ("codex-cli 0.171.0\n", "0.171.0", false),
            ("codex-cli 0.172.0\n", "0.171.0", true),
            ("iapeer-parrot 0.1.7", "0.1", false),
            ("v1.19.0", "1.18.33", true),
            ("1.18", "1.18.33", false),
        ] {
            assert_eq!(is_newer(number(said).unwrap(), measured), newer, "{said}");
        }
        assert_eq!(number("unknown"), None);
        assert_eq!(number(""), None);
    }
}
