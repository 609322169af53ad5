//! The runtimes of registered peers: declaring one more, choosing the default.

use crate::base::exit::{Exit, Failure};
use crate::base::identity::{Personality, Runtime};
use crate::roster::create;
use crate::runtime::{Kind, Manifest};
use crate::store::one_writer::OneWriter;
use crate::store::profile::Profile;
use crate::store::profile_update::ProfileUpdate;
use crate::store::registry::{PeerRecord, Registry};
use crate::store::reindex;
use crate::world::World;
use serde::Serialize;

/// The result for one peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// The peer.
    pub personality: Personality,
    /// `added`, `flipped`, `already`, `skipped-infra-peer`, `refused-undeclared-runtime` or `failed`.
    pub action: &'static str,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The exit code this line asks for.
    #[serde(skip)]
    pub exit: Exit,
}

impl Changed {
    /// The line for people.
    pub fn line(&self) -> String {
        let reason = self.reason.as_ref().map(|reason| format!(" — {reason}")).unwrap_or_default();
        format!("{}: {}{reason}", self.personality, self.action)
    }
}

/// What to do with a runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Declare it; the default stays.
    Add,
    /// Make the declared runtime the default.
    Default,
}

/// Changes one peer, or all. Returns a result for each.
pub fn change(
    world: &World<'_>,
    change: Change,
    runtime: &Runtime,
    name: Option<&Personality>,
) -> Result<Vec<Changed>, Failure> {
    let manifest = Manifest::load(world.paths, runtime)?;
    let registry = Registry::read(world.paths)?;
    let chosen: Vec<&PeerRecord> = match name {
        None => registry.peers().iter().collect(),
        Some(name) => match registry.get(name) {
            Some(record) => vec![record],
            None => return Err(Failure::new(Exit::NoPeer, format!("peer {:?} is not registered", name.as_str()))),
        },
    };
    Ok(chosen
        .into_iter()
        .map(|record| {
            let said = |action, reason, exit| Changed { personality: record.personality.clone(), action, reason, exit };
            match one(world, change, &manifest, record) {
                Ok("refused-undeclared-runtime") => {
                    let reason = format!("`iapeer add-runtime {runtime} --peer {}` declares it", record.personality);
                    said("refused-undeclared-runtime", Some(reason), Exit::Refused)
                }
                Ok(action) => said(action, None, Exit::Ok),
                Err(failure) => said("failed", Some(failure.message), failure.exit),
            }
        })
        .collect())
}

fn one(world: &World<'_>, change: Change, manifest: &Manifest, record: &PeerRecord) -> Result<&'static str, Failure> {
    let runtime = &manifest.runtime;
    // A peer that is not an agent, such as a bridge, is what its runtime makes it: it gets no other runtime.
    let own = Manifest::load(world.paths, &record.default_runtime)?;
    if own.kind != Kind::Tui || manifest.kind != Kind::Tui {
        return Ok("skipped-infra-peer");
    }
    // Read and written under one lock, so that of two programs that change the profile at once neither undoes the
    // other's change.
    let writer = OneWriter::acquire(world.paths, world.program, world.clock)?;
    let profile = Profile::read(&record.cwd)?.ok_or_else(|| {
        Failure::new(Exit::Config, format!("{} holds no profile: `iapeer init` makes one", record.cwd.display()))
    })?;
    let declared = profile.runtimes().contains(runtime);
    let action = match change {
        Change::Add if declared => return Ok("already"),
        Change::Add => {
            create::fits(world, &record.personality, manifest, profile.intelligence())?;
            Profile::declare_runtime(&writer, &record.cwd, runtime)?;
            "added"
        }
        Change::Default if profile.default_runtime() == runtime => return Ok("already"),
        Change::Default if !declared => return Ok("refused-undeclared-runtime"),
        Change::Default => {
            let update = ProfileUpdate {
                personality: profile.personality().clone(),
                default_runtime: runtime.clone(),
                description: None,
                intelligence: Some(profile.intelligence()),
                ephemeral: None,
                keys: serde_json::Map::new(),
            };
            Profile::write(&writer, &record.cwd, Some(&profile), &update)?;
            "flipped"
        }
    };
    reindex::reindex_by(world.paths, &writer, Some(&record.personality))?;
    Ok(action)
}
