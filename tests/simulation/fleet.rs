//! The fleet of a simulation: five peers in a root of their own, on a runtime made for it.

use iapeer::base::exit::{Exit, Failure};
use iapeer::base::identity::Identity;
use iapeer::base::{Paths, Settings};
use iapeer::roster::create::{self, Birth};
use iapeer::world::World;
use std::path::Path;
use std::time::Duration;

/// The peers: two with hooks, one without, and two workers of which the second may try a task three times.
pub const NAMES: [&str; 5] = ["ann", "bob", "cat", "wes", "max"];

/// The identity of the peer numbered `n`.
pub fn peer(n: usize) -> Identity {
    format!("sim-{}", NAMES[n % NAMES.len()]).parse().unwrap()
}

/// All identities.
pub fn peers() -> impl Iterator<Item = Identity> {
    (0..NAMES.len()).map(peer)
}

/// Whether this peer's agent reports its turns by hooks.
pub fn has_hooks(identity: &Identity) -> bool {
    !matches!(identity.personality().as_str(), "cat" | "max")
}

/// Whether this peer is a worker.
pub fn is_worker(identity: &Identity) -> bool {
    matches!(identity.personality().as_str(), "wes" | "max")
}

/// The root, in memory where the system has a folder for that.
pub fn root() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let mut builder = tempfile::Builder::new();
    builder.prefix("iapeer-sim-");
    if memory.is_dir() { builder.tempdir_in(memory).unwrap() } else { builder.tempdir().unwrap() }
}

/// The paths below `root`.
pub fn paths(root: &Path) -> Paths {
    Paths::read(|name| match name {
        "IAPEER_ROOT" => Some(root.join("r")),
        "HOME" => Some(root.join("h")),
        _ => None,
    })
    .unwrap()
}

/// Bounds that make an hour of the real ones a few minutes.
pub fn settings() -> Settings {
    Settings::read(|name| {
        let value = match name {
            "IAPEER_BOOT_DEADLINE_SECS" => "20",
            "IAPEER_READY_GATE_SECS" => "10",
            "IAPEER_IDLE_SECS" => "300",
            "IAPEER_EPHEMERAL_QUIET_SECS" => "1",
            "IAPEER_EPHEMERAL_UNARMED_IDLE_SECS" => "120",
            "IAPEER_LOCK_WAIT_SECS" => "2",
            _ => return None,
        };
        Some(value.to_owned())
    })
    .unwrap()
}

/// A runtime whose program always exists and whose manifest is quickly read.
const MANIFEST: &str = r#"{
  "runtime": "sim", "kind": "tui", "measured": "0",
  "program": { "variable": "IAPEER_SIM_BIN", "candidates": ["/bin/sh"], "hint": "" },
  "argv": ["{@resume}"], "groups": { "resume": ["--resume"] },
  "screen": { "composer": "> ", "ready": [{ "contains": "sim" }] },
  "keys": { "submit": "Enter" }, "evidence": ["hook", "transcript"], "turns": true
}"#;

/// Makes what is missing of the fleet.
pub fn build(world: &World<'_>) {
    world.paths.ensure().unwrap();
    let manifest = world.paths.manifest(&"sim".parse().unwrap());
    std::fs::create_dir_all(manifest.parent().unwrap()).unwrap();
    std::fs::write(&manifest, MANIFEST).unwrap();
    for identity in peers() {
        create(world, &identity);
    }
}

/// Makes one peer, or makes it again.
pub fn create(world: &World<'_>, identity: &Identity) {
    try_create(world, identity).unwrap();
}

/// [`create`] at one stroke, as soon as no program that is in the middle of something holds the registry.
pub fn create_when_free(world: &World<'_>, identity: &Identity) {
    while let Err(failure) = super::sim::atomically(|| try_create(world, identity)) {
        assert_eq!(failure.exit, Exit::TryAgain, "{failure}");
        world.clock.sleep(Duration::from_millis(5));
    }
}

fn try_create(world: &World<'_>, identity: &Identity) -> Result<(), Failure> {
    let name = identity.personality().to_string();
    let birth = Birth {
        name: Some(name.clone()),
        runtime: Some("sim".parse().unwrap()),
        ephemeral: is_worker(identity),
        ..Birth::default()
    };
    let born = create::create(world, &birth)?;
    if name == "max" {
        let path = born.cwd.join(".iapeer/peer-profile.json");
        let mut profile: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        profile["max_attempts"] = 3.into();
        std::fs::write(&path, serde_json::to_vec(&profile).unwrap()).unwrap();
    }
    Ok(())
}
