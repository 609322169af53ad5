//! `iapeer top`: the peers on a full screen, those that need a person first, and the selected one's screen, queue and
//! last events.
//!
//! The keys run the programs that the command line has, so that no decision of these programs is repeated here.
//! `keys`, `row`, `plan`, `state` and `errand` decide and are tested as tables; `gather` reads, `draw` draws, `terminal`
//! and `watch` wait, `run` is the loop.

#![forbid(unsafe_code)]

mod draw;
mod errand;
mod gather;
pub mod keys;
mod look;
mod pace;
mod plan;
mod popup;
mod press;
mod row;
mod run;
mod screen;
mod state;
mod terminal;
mod tokens;
mod watch;
mod work;

pub(crate) use run::{once, watch};
