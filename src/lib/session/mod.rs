//! The life of one session: the wake rule, launching, settling (recording what happened to the session), ending.
//! Callers of `bring_up`, `settle` and `end` hold the identity's lock.

#![forbid(unsafe_code)]

pub mod activity;
mod beside;
pub mod bring_up;
pub mod crash_loop;
pub(crate) mod drift;
pub mod end;
pub(crate) mod extras;
pub mod hook;
pub mod launch;
pub(crate) mod memory;
pub mod refuse;
pub mod rule;
pub mod seed;
pub mod settle;
pub(crate) mod transcripts;
