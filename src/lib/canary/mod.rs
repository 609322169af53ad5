//! Finds out why a tmux server died: one small process watches each server from outside, and every unintended end is
//! recorded once, with its cause and the evidence for it.
//!
//! A cause is found by a pure rule ([`rule::judge`]) over [`rule::EndEvidence`]; [`evidence`] collects it, [`watch`] waits for
//! the end, [`record`] writes the record, [`arm`] starts a canary for each live server, [`report`] reads the records.

#![forbid(unsafe_code)]

pub mod arm;
pub mod beside;
pub mod evidence;
pub mod pane;
pub mod record;
pub mod report;
pub mod rule;
pub mod watch;

pub use rule::{Cause, EndEvidence};
