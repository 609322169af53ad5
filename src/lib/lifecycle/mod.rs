//! The life of a session: wake, deliver, supervise, reap. Each act has a pure half that decides and a half that
//! carries it out.

pub mod activity;
pub mod always_on;
pub mod bring_up;
pub mod canary;
pub mod control;
pub mod crash_loop;
pub mod create;
pub mod demo;
pub mod doctor;
pub mod drain;
pub mod ephemeral;
pub mod launch;
pub mod list;
pub mod logs;
mod look;
pub mod notice;
pub mod peer;
pub mod queues;
pub mod real;
pub mod reap;
pub mod remove;
pub mod rename;
pub mod runtimes;
pub mod send;
pub mod session;
pub mod status;
pub mod supervise;
mod tries;
pub mod turn;
pub mod units;
pub mod verify;
pub mod wake;
pub mod world;

pub use peer::Peer;
pub use real::RealHost;
pub use world::{Host, World};
