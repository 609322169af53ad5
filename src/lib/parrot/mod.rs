//! The parrot: a small, honest agent that answers by repeating, for trying and testing without an AI account.
//!
//! It is a real raw-mode terminal program and behaves as the big ones do (bracketed paste, a composer with ghost
//! text, turns, a queue for messages that come during a turn, hooks, a transcript, resume), so that every rule of
//! launch and delivery can be proven against a real terminal. What goes wrong in the field can be asked for by
//! environment variables (`faults::Faults`).
//!
//! | noun | what it is |
//! |---|---|
//! | `faults` | the `PARROT_*` variables |
//! | `keys` | bytes from the terminal as keys and pastes |
//! | `composer`, `dialog`, `history` | the three things on the screen, as pure state |
//! | `text`, `screen`, `terminal` | widths, rows, raw mode and signals |
//! | `transcript`, `record` | what it remembers, and the ground truth for tests |
//! | `hooks`, `reply` | other programs it runs, never freezing the screen |
//! | `agent` | turns: submit, queue, interrupt, end |
//! | `options`, `app` | what is asked for; the phases of a session and the one `poll` loop |

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
mod keys;
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
