//! The lifecycle in a simulated world: the real functions, over real state files, with a simulated host and clock.
//!
//! A history is a list of steps (messages, ticks, deaths, stops, clock jumps, faults of the host). In each step one
//! or two programs run, interleaved at every look at the clock, at every call of the host and before every step that
//! changes a file; any of them may be killed there, as the kernel does it: no destructor runs. The laws are checked while it runs, after each step,
//! and after the world was healed. Everything is decided by the history, so a failing one can be shrunk and kept
//! (`simulation/*.proptest-regressions`).
//!
//! `PROPTEST_CASES` is the number of histories of all tests together (default 10,000).
//! A failing test tells the whole story of the shrunk history.

#![allow(unreachable_pub, clippy::unwrap_used)]

mod simulation {
    pub mod fleet;
    pub mod history;
    pub mod host;
    pub mod laws;
    #[allow(dead_code)] // for the interleavings
    pub mod orders;
    pub mod program;
    pub mod sim;
    pub mod state;
    pub mod thread;
    pub mod truth;
}

use simulation::history::{Mix, check};

const CALM: Mix = Mix { kills: false, pairs: false, workers: false };

/// Messages, faults of sessions and host, stops and jumps; one program at a time, none is killed.
#[test]
fn one_program_at_a_time() {
    check("calm", CALM);
}

/// The same, with most messages for stateless workers.
#[test]
fn workers_one_program_at_a_time() {
    check("calm-workers", Mix { workers: true, ..CALM });
}

/// Any program may be killed at any point.
#[test]
fn programs_are_killed() {
    check("kills", Mix { kills: true, ..CALM });
}

/// The programs of workers are killed.
#[test]
fn programs_of_workers_are_killed() {
    check("kills-workers", Mix { kills: true, workers: true, ..CALM });
}

/// Two programs at once, interleaved at every point.
#[test]
fn programs_overlap() {
    check("pairs", Mix { pairs: true, ..CALM });
}

/// The programs of workers overlap.
#[test]
fn programs_of_workers_overlap() {
    check("pairs-workers", Mix { pairs: true, workers: true, ..CALM });
}

/// Programs overlap and are killed.
#[test]
fn programs_overlap_and_are_killed() {
    check("storm", Mix { kills: true, pairs: true, ..CALM });
}

/// All of it, for workers.
#[test]
fn workers_in_the_storm() {
    check("storm-workers", Mix { kills: true, pairs: true, workers: true });
}
