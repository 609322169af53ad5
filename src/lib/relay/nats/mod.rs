//! Hosts that meet at a NATS server with JetStream.
//!
//! ```text
//! iapeer.from.<sender's host>.<host>   a message; a host may publish on iapeer.from.<itself>.> alone
//! consumer to-<host>                   durable, pull: what is for that host, from all others, in order, one at a time
//! iapeer.peers.<host>                  in the stream <stream>_PEERS: the newest list of who is there, kept by that host
//! ```
//!
//! A message is handed over when the stream has acknowledged it, under its id as `Nats-Msg-Id`; it leaves the stream when
//! its host has accepted it durably. The server's deduplication window is a help; what makes a message arrive once is the
//! receiver's queue and history.

mod connect;
mod consume;
mod publish;
mod run;
mod streams;

pub(crate) use run::peers;
pub use run::run;
