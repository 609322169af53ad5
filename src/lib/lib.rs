//! iapeer keeps a team of AI agent sessions, people and services on one host always reachable.
//!
//! Each program in `src/bin` fits on a page: it parses arguments, calls one function of this library, prints, and sets
//! the exit code. The library consists of rooms (modules); a room may use only the rooms above it in this table:
//!
//! | room | what is in it |
//! |---|---|
//! | [`base`] | validated names, settings, paths, the clock, exit codes, output |
//! | [`message`] | the envelope and the limits of a message |
//! | [`host`] | the machine: tmux, processes, the service manager |
//! | [`store`] | durable files: locks, registry, profile, session record, markers, queue, event log |
//! | [`runtime`] | agent programs described as data |
//! | [`prompt`] | assembling the system prompt |
//! | [`world`] | what every action is given, and the host behind a trait |
//! | [`canary`] | watching a tmux server, and recording why it died |
//! | [`people`] | persons: their inboxes, the owner of the host, notifying persons at once |
//! | [`mailbox`] | the messages that wait for one peer: tries, tasks, notices, queues |
//! | [`session`] | one session's life: wake rule, launch, settle, end |
//! | [`attention`] | what each peer waits for: the rule, approvals and answers, telling the owner |
//! | [`units`] | what the service manager runs |
//! | [`delivery`] | accepting a message, handing it over, drains |
//! | [`supervision`] | the tick, and deliberate ends |
//! | [`machine`] | the real host behind the trait |
//! | [`roster`] | creating, renaming, removing, verifying peers |
//! | [`operator`] | list, status, logs, control |
//! | [`chronicle`] | the past: usage, and the timeline as text, SVG and HTML |
//! | [`doctor`] | finding and mending problems of this host |
//! | [`fleet`] | a fleet in one file: reading it, comparing the host with it, putting it into effect |
//! | [`parrot`] | the small agent that answers by repeating |
//! | [`telegram`] | the bridge to Telegram: pairing, both directions, buttons |
//! | [`relay`] | other hosts: handing messages over to them, taking messages from them |
//! | [`top`] | the peers on a full screen, with keys to act on them |
//! | [`cli`] | what all programs share before and after their one call |
//! | [`mcp`] | the tool by which agents send messages |

// Both panic where they can't write: `base::output` has what prints.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

/// musl's own allocator asks the kernel for memory at every few allocations.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

pub mod attention;
pub mod base;
pub mod canary;
pub mod chronicle;
pub mod cli;
pub mod delivery;
pub mod doctor;
pub mod fleet;
pub mod host;
pub mod machine;
pub mod mailbox;
pub mod mcp;
pub mod message;
pub mod operator;
pub mod parrot;
pub mod people;
pub mod prompt;
pub mod relay;
pub mod roster;
pub mod runtime;
pub mod session;
pub mod store;
pub mod supervision;
pub mod telegram;
pub mod top;
pub mod units;
pub mod world;
