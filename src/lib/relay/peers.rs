//! The peers of other hosts, for `iapeer list --hosts`.

use crate::base::HostName;
use crate::base::exit::{Exit, Failure, one_line};
use crate::relay::wire::PeerThere;
use crate::relay::{nats, push};
use crate::store::hosts::HostFile;
use crate::world::World;
use serde::Serialize;

/// A peer of another host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PeerAfar {
    /// Its address: NAME@HOST.
    pub address: String,
    /// Its host.
    pub host: HostName,
    #[serde(flatten)]
    there: PeerThere,
}

impl PeerAfar {
    /// One line for people.
    pub fn line(&self) -> String {
        let PeerThere { runtime, state, description, .. } = &self.there;
        let line = format!("{:24}  {runtime:10}  {state:10}  {}", self.address, one_line(description));
        line.trim_end().to_owned()
    }
}

/// Asks `host` for its peers.
pub fn peers(world: &World<'_>, host: &HostName) -> Result<Vec<PeerAfar>, Failure> {
    let there = match HostFile::known(world.paths, host)? {
        HostFile::Ssh(ssh) if ssh.destination.is_some() => push::peers(world, host, &ssh)?,
        HostFile::Nats => nats::peers(world, host)?,
        HostFile::Ssh(_) => {
            return Err(Failure::new(Exit::Refused, format!("{host} can't be asked: it calls this host")));
        }
    };
    let afar = |there: PeerThere| PeerAfar { address: format!("{}@{host}", there.name), host: host.clone(), there };
    Ok(there.into_iter().map(afar).collect())
}
