//! The timeline: when each peer ran, worked, waited and died, and which messages went between the peers.

use crate::base::clock::EpochMs;
use crate::base::evidence::Outcome;
use crate::base::exit::Failure;
use crate::base::identity::{Identity, Personality};
use crate::base::{AttentionState, Liveness, StateFile};
use crate::chronicle::story::{self, Story};
use crate::chronicle::usage;
use crate::operator::{history, logs};
use crate::runtime::Tokens;
use crate::store::queue::Place;
use crate::store::registry::Registry;
use crate::store::session_record::SessionRecord;
use crate::store::state_files::identities_with;
use crate::world::World;
use crate::world::peer::Peer;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What has happened between two times. Times are epoch milliseconds.
#[derive(Debug, Clone, Serialize)]
pub struct Timeline {
    /// The beginning.
    pub since: EpochMs,
    /// The end.
    pub until: EpochMs,
    /// Each peer on each runtime, by identity.
    pub lanes: Vec<Lane>,
    /// The messages, the oldest first.
    pub messages: Vec<MessageMark>,
    /// How many messages waited, from each of these times until the next one.
    pub depth: Vec<(EpochMs, u64)>,
}

/// One peer on one runtime.
#[derive(Debug, Clone, Serialize)]
pub struct Lane {
    /// Its identity.
    pub identity: String,
    /// Its sessions, waits and deaths.
    #[serde(flatten)]
    pub story: Story,
    /// When its turns began and ended.
    pub turns: Vec<(EpochMs, EpochMs)>,
    /// The tokens that it used.
    pub tokens: Tokens,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MessageMark {
    /// Its id.
    pub id: String,
    /// When it was accepted.
    pub accepted: EpochMs,
    /// When it was settled; absent while it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settled: Option<EpochMs>,
    /// The identity of the sender.
    pub from: String,
    /// The identity of the recipient.
    pub to: String,
    /// Its outcome; absent while it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// The message that it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub re: Option<String>,
}

/// Reads what has happened since `since` to the peers `only`; if `only` is empty, to all peers.
pub fn timeline(world: &World<'_>, since: EpochMs, only: &[Personality]) -> Result<Timeline, Failure> {
    let now = world.now();
    let wanted = |identity: &Identity| only.is_empty() || only.contains(identity.personality());
    let mut stories: BTreeMap<String, Story> = BTreeMap::new();
    for (at, pairs) in logs::timed(world)? {
        story::tell(&mut stories, at, &pairs);
    }
    let registry = Registry::read(world.paths)?;
    for record in registry.peers() {
        for runtime in &record.runtimes {
            stories.entry(Identity::new(runtime.clone(), record.personality.clone()).to_string()).or_default();
        }
    }
    let sessions: BTreeSet<Identity> = identities_with(world.paths, StateFile::Session)?.into_iter().collect();
    let mut lanes = Vec::new();
    for (name, mut story) in stories {
        let Ok(identity) = name.parse::<Identity>() else { continue };
        if !wanted(&identity) {
            continue;
        }
        let lives = sessions.contains(&identity) && {
            let record = SessionRecord::peek(world.paths, &identity);
            world.host.liveness(&identity, record.as_ref()) != Liveness::Gone
        };
        story.close(now, lives);
        story.clip(since);
        lanes.push(lane(world, &registry, identity, story, since));
    }
    let messages = messages(world, since, &wanted)?;
    // A removed peer without sessions and messages in this time gets no lane.
    let talks: BTreeSet<&str> =
        messages.iter().flat_map(|message| [message.from.as_str(), message.to.as_str()]).collect();
    lanes.retain(|lane| {
        let is_known = lane.identity.parse().is_ok_and(|identity| registry.declares(&identity));
        is_known || !lane.story.sessions.is_empty() || talks.contains(lane.identity.as_str())
    });
    let depth = depth(&messages, since, now);
    Ok(Timeline { since, until: now, lanes, messages, depth })
}

fn lane(world: &World<'_>, registry: &Registry, identity: Identity, story: Story, since: EpochMs) -> Lane {
    let mut tokens = Tokens::default();
    let mut turns = Vec::new();
    if registry.declares(&identity)
        && let Ok(peer) = Peer::of_in(world.paths, registry, &identity)
    {
        let account = usage::account(world, &peer, since);
        account.answers().filter(|answer| answer.at >= since).for_each(|answer| tokens.add(answer.tokens));
        turns = account.turns();
        turns.retain(|(_, ended)| *ended >= since);
    }
    Lane { identity: identity.to_string(), story, turns, tokens }
}

/// The messages of the histories, and those that wait or are in flight.
fn messages(
    world: &World<'_>,
    since: EpochMs,
    wanted: &dyn Fn(&Identity) -> bool,
) -> Result<Vec<MessageMark>, Failure> {
    let mut all: HashMap<(String, Identity), MessageMark> = HashMap::new();
    for (whose, settled) in history::histories(world)? {
        // Messages to another host are in that host's timeline.
        let Ok(to) = whose.parse::<Identity>() else { continue };
        for line in settled.lines()? {
            if line.settled < since || !(wanted(&to) || line.from.here().is_some_and(wanted)) {
                continue;
            }
            let mark = MessageMark {
                id: line.id.to_string(),
                accepted: line.accepted,
                settled: Some(line.settled),
                from: line.from.to_string(),
                to: to.to_string(),
                outcome: Some(line.outcome),
                re: line.re.map(|re| re.to_string()),
            };
            // A message may have several outcomes one after the other: the last one counts.
            all.insert((mark.id.clone(), to.clone()), mark);
        }
    }
    for to in identities_with(world.paths, StateFile::Queue)? {
        let queue = world.queue(&to);
        for place in [Place::Waiting, Place::Inflight] {
            for seq in queue.list(place).unwrap_or_default() {
                let Ok(Some(item)) = queue.read(place, seq) else { continue };
                if !(wanted(&to) || item.from.here().is_some_and(wanted)) {
                    continue;
                }
                let mark = MessageMark {
                    id: item.id.to_string(),
                    accepted: item.accepted,
                    settled: None,
                    from: item.from.to_string(),
                    to: to.to_string(),
                    outcome: None,
                    re: item.re.map(|re| re.to_string()),
                };
                all.entry((mark.id.clone(), to.clone())).or_insert(mark);
            }
        }
    }
    let mut all: Vec<MessageMark> = all.into_values().collect();
    all.sort_by(|a, b| (a.accepted, &a.id).cmp(&(b.accepted, &b.id)));
    Ok(all)
}

/// The number of messages that were accepted and not settled yet, at each change.
fn depth(messages: &[MessageMark], since: EpochMs, now: EpochMs) -> Vec<(EpochMs, u64)> {
    let mut changes: BTreeMap<EpochMs, i64> = BTreeMap::new();
    for message in messages {
        *changes.entry(message.accepted.max(since)).or_default() += 1;
        if let Some(settled) = message.settled {
            *changes.entry(settled.max(since)).or_default() -= 1;
        }
    }
    let mut waiting = 0;
    let mut depth = vec![(since, 0)];
    for (at, change) in changes.range(..=now) {
        waiting += change;
        depth.push((*at, u64::try_from(waiting).unwrap_or(0)));
    }
    depth
}

impl Timeline {
    /// Whether a peer in this state waits for a person.
    pub(crate) fn needs_somebody(state: AttentionState) -> bool {
        state.is_trouble()
    }

    /// The length in milliseconds, at least 1.
    pub(crate) fn length(&self) -> u64 {
        self.until.0.saturating_sub(self.since.0).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_depth_is_what_was_accepted_and_not_settled() {
        let mark = |accepted: u64, settled: Option<u64>| MessageMark {
            id: accepted.to_string(),
            accepted: EpochMs(accepted),
            settled: settled.map(EpochMs),
            from: "a".into(),
            to: "b".into(),
            outcome: None,
            re: None,
        };
        let marks = [mark(5, Some(20)), mark(12, Some(15)), mark(14, None)];
        let steps: Vec<(u64, u64)> = depth(&marks, EpochMs(10), EpochMs(30)).iter().map(|(at, n)| (at.0, *n)).collect();
        assert_eq!(steps, [(10, 0), (10, 1), (12, 2), (14, 3), (15, 2), (20, 1)]);
    }
}
