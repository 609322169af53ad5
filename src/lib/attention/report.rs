//! `iapeer attention`: which peers wait for a person, since when, and for what.

use crate::attention::look;
use crate::base::clock::EpochMs;
use crate::base::exit::Failure;
use crate::base::identity::{Identity, Personality};
use crate::base::span::said;
use crate::base::{AttentionState, Liveness, Sign, StateFile};
use crate::session::settle;
use crate::store::attention::{self, Attention};
use crate::store::registry::Registry;
use crate::store::session_record::SessionRecord;
use crate::store::state_files::identities_with;
use crate::world::World;
use crate::world::peer::Peer;
use serde::Serialize;
use std::collections::BTreeSet;

/// One peer that waits for a person. Times are UTC, `2026-11-26T10:44:46Z`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The peer's name.
    pub peer: Personality,
    /// The peer's identity on one runtime.
    pub identity: Identity,
    /// What it waits for.
    pub state: AttentionState,
    /// When the state began.
    pub since: String,
    /// The request's id; absent where it has none.
    pub id: Option<String>,
    /// The tool that waits.
    pub tool: Option<String>,
    /// What the state is about, on one line.
    pub text: String,
    /// When the state ends by itself; null where the program does not say so.
    pub until: Option<String>,
    /// The answers that `iapeer answer` takes.
    pub answers: Vec<String>,
    /// The kind of evidence for the state.
    pub evidence: Sign,
    #[serde(skip)]
    began: EpochMs,
}

impl Row {
    /// The row about `identity`.
    pub fn of(identity: &Identity, now: &Attention) -> Row {
        Row {
            peer: identity.personality().clone(),
            identity: identity.clone(),
            state: now.state,
            since: now.since.utc_seconds(),
            id: now.id.clone(),
            tool: now.tool.clone(),
            text: now.text.clone(),
            until: now.until.map(EpochMs::utc_seconds),
            answers: now.answers.clone(),
            evidence: now.evidence,
            began: now.since,
        }
    }

    /// The line for people.
    pub fn line(&self, now: EpochMs) -> String {
        let what = match (&self.tool, self.text.as_str()) {
            (Some(tool), text) => format!("{tool}: {text}"),
            (None, text) => text.to_owned(),
        };
        let until = self.until.as_ref().map(|at| format!("  until {at}")).unwrap_or_default();
        let answers = match (&self.id, self.answers.as_slice()) {
            (_, []) => String::new(),
            (Some(id), answers) => format!("  [{id} {}]", answers.join("|")),
            (None, answers) => format!("  [{}]", answers.join("|")),
        };
        format!("{:>5}  {}  {}  {what}{until}{answers}", age(now, self.began), self.peer, self.state)
            .trim_end()
            .to_owned()
    }
}

/// The time from `since` to `now`, as text.
pub fn age(now: EpochMs, since: EpochMs) -> String {
    said(now.since(since))
}

/// The peers that wait for a person, the longest wait first. Screens that have changed since they were last read are
/// read.
pub fn rows(world: &World<'_>) -> Result<Vec<Row>, Failure> {
    let registry = Registry::read(world.paths)?;
    let sessions: BTreeSet<Identity> = identities_with(world.paths, StateFile::Session)?.into_iter().collect();
    for identity in &sessions {
        let Some(record) = SessionRecord::peek(world.paths, identity) else { continue };
        let Ok(peer) = Peer::of_in(world.paths, &registry, identity) else { continue };
        if world.host.liveness(identity, Some(&record)) == Liveness::Alive {
            look::attend(world, &peer, &record)?;
        }
    }
    let known = identities_with(world.paths, StateFile::Attention)?.into_iter().filter_map(|identity| {
        if !sessions.contains(&identity) && !settle::is_live(world, &identity) {
            look::without_session(world, &identity).ok()?;
        }
        let now = attention::peek(world.paths, &identity)?;
        now.state.is_trouble().then(|| Row::of(&identity, &now))
    });
    let mut rows: Vec<Row> = known.collect();
    rows.sort_by(|a, b| (a.began, &a.identity).cmp(&(b.began, &b.identity)));
    Ok(rows)
}
