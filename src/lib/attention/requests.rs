//! `<identity>.approval/`: the requests of permission hooks that wait, and the answers to them.

use crate::base::Liveness;
use crate::base::StateFile;
use crate::base::clock::EpochMs;
use crate::base::identity::Identity;
use crate::base::step::{self, Point};
use crate::base::words::words;
use crate::host::{ProcessId, process};
use crate::store::durable::{self, StoreError};
use crate::world::World;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::PathBuf;

words! {
    /// The answer to a request.
    pub enum ApprovalDecision {
        /// The tool may run.
        Allow = "allow",
        /// The tool may not run.
        Deny = "deny",
    }
}

/// The content of `ID.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Its id.
    pub id: String,
    /// The tool.
    pub tool: String,
    /// What the tool would do, on one line.
    pub text: String,
    /// The tool's whole input.
    pub input: Value,
    /// When it was asked.
    pub at: EpochMs,
    /// The session's launch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launch: Option<String>,
    /// The hook that waits.
    pub hook: ProcessId,
}

/// The content of `ID.answer`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The request that it answers.
    pub id: String,
    /// The decision.
    pub decision: ApprovalDecision,
    /// The reason that the model is given for a denial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Who answered.
    pub by: String,
    /// When.
    pub at: EpochMs,
}

/// The requests whose hooks wait, oldest first. A folder that can't be listed is an error, never "none is open".
pub fn open(world: &World<'_>, identity: &Identity) -> Result<Vec<Request>, StoreError> {
    let dir = world.paths.state(identity, StateFile::Approval);
    let names = durable::names_of(&dir)?;
    let requests = names.iter().filter(|name| name.ends_with(".json"));
    let requests = requests.filter_map(|name| durable::peek_json::<Request>(&dir.join(name)));
    let mut open: Vec<Request> =
        requests.filter(|request| process::liveness(&request.hook) == Liveness::Alive).collect();
    open.sort_by_key(|request| request.at);
    Ok(open)
}

/// The files of all requests, and files that are left of earlier ones.
pub(crate) fn files(world: &World<'_>, identity: &Identity) -> Result<Vec<PathBuf>, StoreError> {
    let dir = world.paths.state(identity, StateFile::Approval);
    Ok(durable::names_of(&dir)?.into_iter().map(|name| dir.join(name)).collect())
}

/// Removes the files of all requests and what is left of earlier ones: a hook that still waits gives up.
pub(crate) fn drop_requests(world: &World<'_>, identity: &Identity) {
    match files(world, identity) {
        Ok(files) => files.iter().for_each(|file| drop(step::unlink(Point::AnswerRemove, file))),
        Err(error) => tracing::warn!("{identity}: {error}: requests of its permission hook stay"),
    }
}

/// A file of the request `id`.
pub(crate) fn file(world: &World<'_>, identity: &Identity, id: &str, kind: &str) -> PathBuf {
    world.paths.state(identity, StateFile::Approval).join(format!("{id}.{kind}"))
}
