//! iapeer keeps a team of AI agent sessions, people and services on one host always reachable.
//!
//! The programs in `src/bin` are a page each: they parse arguments, call one function of this library,
//! print, and set the exit code. The rooms, from the top of the house down (a room may use those above it):
//!
//! | room | what is in it |
//! |---|---|
//! | [`core`] | identities, settings, paths, the clock, exit codes |
//! | [`store`] | durable files: locks, registry, profile, session record, markers, queue, event log |
//! | [`host`] | the machine: tmux, processes, the service manager |
//! | [`runtime`] | agent programs described as data |
//! | [`message`] | the envelope, its limits, who may write to whom |
//! | [`lifecycle`] | wake, deliver, supervise, reap |
//! | [`prompt`] | assembling the system prompt |
//! | [`cli`] | what the programs share around their one call |
//! | [`mcp`] | the tool that agents send by |

// Both panic where they can't write: `core::output` has what prints.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

pub mod cli;
pub mod core;
pub mod host;
pub mod lifecycle;
pub mod mcp;
pub mod message;
pub mod prompt;
pub mod runtime;
pub mod store;
