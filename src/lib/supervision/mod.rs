//! The tick, which examines every session once, decides and acts; and the deliberate ends that operators and pipelines
//! ask for.

#![forbid(unsafe_code)]

pub mod failed;
mod observe;
pub(crate) mod outboxes;
pub mod reap;
pub mod rule;
mod scope;
pub mod tick;
