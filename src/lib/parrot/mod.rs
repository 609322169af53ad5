//! The parrot: a small agent that answers by repeating, for trying and testing iapeer without an AI account.
//!
//! It is a raw-mode terminal program that behaves as the agent programs do (bracketed paste, a composer with ghost
//! text, turns, a queue for messages that arrive during a turn, hooks, a transcript, resume), so that every rule of
//! launch and delivery can be tested against a real terminal. Environment variables make it fail as programs fail in
//! the field (`faults::Faults`).
//!
//! | noun | what it is |
//! |---|---|
//! | `faults` | the `PARROT_*` variables |
//! | `keys` | decoding bytes from the terminal into keys and pastes |
//! | `composer`, `dialog`, `history` | the parts of the screen, as state without I/O |
//! | `text`, `screen`, `terminal` | widths, rows, raw mode and signals |
//! | `transcript`, `record` | the conversation that a session resumes, and the record that tests compare with |
//! | `hooks`, `reply` | the programs that it runs, without blocking the screen |
//! | `agent` | turns: submit, queue, interrupt, end |
//! | `options`, `app` | the command line; the phases of a session and its `poll` loop |

#![forbid(unsafe_code)]

mod agent;
mod app;
mod ask;
mod composer;
mod dialog;
mod error;
mod faults;
mod history;
mod hooks;
pub(crate) mod keys;
mod options;
mod record;
mod reply;
mod screen;
mod terminal;
mod text;
mod transcript;
mod turn;

pub use app::run;
pub use error::ParrotError;
pub use faults::{Hang, VARIABLES};
pub use options::{Options, ParrotExit, ResumeRequest};
pub use terminal::last_words;
pub use transcript::log_in;
