//! Why did it die: one small process watches each tmux server from outside, and every end that nobody intended is
//! recorded once, with its cause and the evidence for it.
//!
//! A cause is found by a pure rule ([`rule::judge`]) over [`rule::EndEvidence`]; [`evidence`] collects it, [`watch`] waits for
//! the end, [`record`] writes it down, [`arm`] sees to it that every live server is watched, [`report`] reads it back.

#![forbid(unsafe_code)]

pub mod arm;
pub mod evidence;
pub mod record;
pub mod report;
pub mod rule;
pub mod watch;

pub use rule::{Cause, EndEvidence};
