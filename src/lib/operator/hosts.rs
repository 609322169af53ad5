//! `iapeer host list`: the other hosts, and how many messages wait for each.

use crate::base::HostName;
use crate::base::exit::Failure;
use crate::store::hosts::{self, HostFile};
use crate::store::outbox::{self, Away};
use crate::store::queue::Place;
use crate::world::World;
use serde::Serialize;
use std::collections::BTreeSet;

/// The state of one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostRow {
    /// The host.
    pub host: HostName,
    /// `this`, `ssh`, `nats`, or `unknown`: the host has an outbox, but no file that can be read.
    pub transport: &'static str,
    /// The ssh destination.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// The number of messages and receipts that wait for the host.
    pub waiting: usize,
    /// The number of messages that the host has and whose receipt is missing.
    pub handed_over: usize,
    /// The number of dead letters.
    pub dead: usize,
    /// Since when the host can't be reached, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub away: Option<Away>,
    /// Why the host's file can't be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wrong: Option<String>,
}

/// This host, the registered ones, and those that have an outbox.
pub fn rows(world: &World<'_>) -> Result<Vec<HostRow>, Failure> {
    let own = hosts::own_name(world.paths)?;
    let mut all: BTreeSet<HostName> = hosts::known_hosts(world.paths)?.into_iter().collect();
    all.extend(outbox::hosts_with_outbox(world.paths)?);
    let this = HostRow {
        host: own,
        transport: "this",
        destination: None,
        waiting: 0,
        handed_over: 0,
        dead: 0,
        away: None,
        wrong: None,
    };
    let others = all.into_iter().map(|host| row(world, host));
    std::iter::once(Ok(this)).chain(others).collect()
}

fn row(world: &World<'_>, host: HostName) -> Result<HostRow, Failure> {
    let outbox = world.outbox(&host);
    let (waiting, handed_over) = outbox.counts()?;
    let (transport, destination, wrong) = match HostFile::read(world.paths, &host) {
        Ok(Some(file)) => {
            let transport = file.transport();
            let destination = if let HostFile::Ssh(ssh) = file { ssh.destination } else { None };
            (transport, destination, None)
        }
        Ok(None) => ("unknown", None, None),
        Err(failure) => ("unknown", None, Some(failure.message)),
    };
    let dead = outbox.queue.list(Place::Dead)?.len();
    Ok(HostRow { host, transport, destination, waiting, handed_over, dead, away: outbox.away(), wrong })
}

/// The rows as a table for people.
pub fn table(rows: &[HostRow]) -> Vec<String> {
    let mut lines = vec![["HOST", "BY", "WAITING", "HANDED-OVER", "DEAD", "STATE"].map(str::to_owned)];
    for row in rows {
        let state = match (&row.wrong, &row.away, &row.destination) {
            (Some(why), ..) => why.clone(),
            (_, Some(away), _) => {
                format!("away since {}: {}", away.since.local(), crate::base::exit::one_line(&away.why))
            }
            (_, _, Some(destination)) => destination.clone(),
            _ if row.transport == "ssh" => "calls this host".into(),
            _ => "-".into(),
        };
        let counts = [row.waiting, row.handed_over, row.dead].map(|n| n.to_string());
        let [waiting, handed_over, dead] = counts;
        lines.push([row.host.to_string(), row.transport.into(), waiting, handed_over, dead, state]);
    }
    let width = |at: usize| lines.iter().map(|line| line[at].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..5).map(width).collect();
    let line = |cells: &[String; 6]| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}  "));
        padded.collect::<String>() + &cells[5]
    };
    lines.iter().map(line).collect()
}
