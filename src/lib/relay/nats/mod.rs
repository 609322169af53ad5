//! Hosts that exchange messages by a NATS server with JetStream.
//!
//! ```text
//! iapeer.from.<sender's host>.<host>   a message; a host may publish on iapeer.from.<itself>.> alone
//! consumer to-<host>                   durable, pull: the messages for that host, in order, one at a time
//! iapeer.peers.<host>                  in the stream <stream>_PEERS: the newest list of that host's peers
//! ```
//!
//! A message counts as handed over when the stream has acknowledged it; its `Nats-Msg-Id` begins with the message's id. It
//! leaves the stream when the recipient's host has accepted it durably, or has asked for it to be published again. That host
//! accepts each message only once, by the ids in the recipient's queue and history, and only after the one published before
//! it; neither depends on the server.

mod connect;
mod consume;
mod gap;
mod new_stream;
mod overdue;
mod publish;
mod run;
mod stalled;
mod streams;

pub(crate) use run::peers;
pub use run::run;
