//! What peers have used: tokens and turns from their transcripts, messages from the histories.

use crate::base::clock::EpochMs;
use crate::base::evidence::Outcome;
use crate::base::exit::Failure;
use crate::base::identity::{Identity, Personality};
use crate::base::words::words;
use crate::chronicle::prices::Prices;
use crate::operator::history;
use crate::runtime::Tokens;
use crate::runtime::account::Account;
use crate::session::transcripts;
use crate::store::registry::Registry;
use crate::world::World;
use crate::world::peer::Peer;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

words! {
    /// What a row of the usage is about.
    pub enum UsageBy {
        /// Each peer.
        Peer = "peer",
        /// Each local day.
        Day = "day",
        /// Each model.
        Model = "model",
    }
}

/// What one peer, day or model has used.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct UsageRow {
    /// The peer, the day or the model; `-` where no transcript names the model.
    pub name: String,
    /// The number of turns that began; absent for a model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turns: Option<u64>,
    /// How long they took, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_secs: Option<u64>,
    /// The number of messages that were delivered to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub received: Option<u64>,
    /// The number of settled messages that it sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent: Option<u64>,
    /// Its tokens.
    pub tokens: Tokens,
    /// The cost of the tokens whose prices are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
    /// Whether the prices of some tokens are unknown.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unpriced: bool,
    #[serde(skip)]
    working: Duration,
}

/// All rows, by name, and their sum.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Used {
    /// The rows.
    pub rows: Vec<UsageRow>,
    /// Their sum.
    pub total: UsageRow,
}

/// What the registered peers have used since `since`.
pub fn usage(world: &World<'_>, since: EpochMs, by: UsageBy, prices: Option<&Prices>) -> Result<Used, Failure> {
    let registry = Registry::read(world.paths)?;
    let mut rows: BTreeMap<String, UsageRow> = BTreeMap::new();
    for record in registry.peers() {
        let name = record.personality.to_string();
        // A peer that did nothing has a row too.
        if by == UsageBy::Peer {
            rows.entry(name.clone()).or_default();
        }
        for runtime in &record.runtimes {
            let identity = Identity::new(runtime.clone(), record.personality.clone());
            let Ok(peer) = Peer::of_in(world.paths, &registry, &identity) else { continue };
            let account = account(world, &peer, since);
            count(&mut rows, &name, &account, since, by, prices);
        }
    }
    if by != UsageBy::Model {
        count_messages(world, &registry, &mut rows, since, by)?;
    }
    let mut total = UsageRow { name: "total".into(), ..UsageRow::default() };
    let rows: Vec<UsageRow> = rows.into_iter().map(|(name, row)| finished(row, name, by)).collect();
    rows.iter().for_each(|row| total.take(row));
    Ok(Used { rows, total: finished(total, "total".into(), by) })
}

/// The turns and tokens in the transcripts of one peer.
pub(crate) fn account(world: &World<'_>, peer: &Peer, since: EpochMs) -> Account {
    let mut account = Account::default();
    if let Some(transcripts) = transcripts::of(world.paths, peer) {
        account.read(&transcripts, since);
    }
    account
}

fn count(
    rows: &mut BTreeMap<String, UsageRow>,
    peer: &str,
    account: &Account,
    since: EpochMs,
    by: UsageBy,
    prices: Option<&Prices>,
) {
    let name = |at: EpochMs, model: Option<&str>| match by {
        UsageBy::Peer => peer.to_owned(),
        UsageBy::Day => at.local_date(),
        UsageBy::Model => model.unwrap_or("-").to_owned(),
    };
    for answer in account.answers().filter(|answer| answer.at >= since) {
        let row = rows.entry(name(answer.at, answer.model.as_deref())).or_default();
        row.tokens.add(answer.tokens);
        match prices.map(|prices| prices.cost(answer.model.as_deref(), &answer.tokens)) {
            Some(Some(cost)) => *row.cost.get_or_insert(0.0) += cost,
            Some(None) => row.unpriced = true,
            None => {}
        }
    }
    if by == UsageBy::Model {
        return;
    }
    for (began, ended) in account.turns().into_iter().filter(|(began, _)| *began >= since) {
        let row = rows.entry(name(began, None)).or_default();
        *row.turns.get_or_insert(0) += 1;
        row.working = row.working.saturating_add(ended.since(began));
    }
}

/// Counts each settled message for its sender, and for its recipient if it was delivered.
fn count_messages(
    world: &World<'_>,
    registry: &Registry,
    rows: &mut BTreeMap<String, UsageRow>,
    since: EpochMs,
    by: UsageBy,
) -> Result<(), Failure> {
    let is_known = |name: &Personality| registry.get(name).is_some();
    for (whose, history) in history::histories(world)? {
        // Messages to another host are not counted here.
        let Ok(to) = whose.parse::<Identity>() else { continue };
        // A message may have several outcomes one after the other: the last one counts.
        let mut last = BTreeMap::new();
        for line in history.lines()? {
            last.insert(line.id, line);
        }
        for line in last.into_values().filter(|line| line.accepted >= since) {
            let day = line.accepted.local_date();
            let row_of = |name: &Personality| if by == UsageBy::Day { day.clone() } else { name.to_string() };
            if is_known(to.personality()) && line.outcome == Outcome::Delivered {
                *rows.entry(row_of(to.personality())).or_default().received.get_or_insert(0) += 1;
            }
            if let Some(from) = line.from.here().map(Identity::personality).filter(|from| is_known(from)) {
                *rows.entry(row_of(from)).or_default().sent.get_or_insert(0) += 1;
            }
        }
    }
    Ok(())
}

impl UsageRow {
    fn take(&mut self, row: &UsageRow) {
        let add = |to: &mut Option<u64>, more: Option<u64>| *to = to.map_or(more, |sum| Some(sum + more.unwrap_or(0)));
        add(&mut self.turns, row.turns);
        add(&mut self.received, row.received);
        add(&mut self.sent, row.sent);
        self.working = self.working.saturating_add(row.working);
        self.tokens.add(row.tokens);
        self.cost = self.cost.map_or(row.cost, |sum| Some(sum + row.cost.unwrap_or(0.0)));
        self.unpriced |= row.unpriced;
    }
}

fn finished(row: UsageRow, name: String, by: UsageBy) -> UsageRow {
    let told = |count: Option<u64>| (by != UsageBy::Model).then(|| count.unwrap_or(0));
    UsageRow {
        name,
        turns: told(row.turns),
        working_secs: told(Some(row.working.as_secs())),
        received: told(row.received),
        sent: told(row.sent),
        ..row
    }
}
