//! The one place that talks to tmux: argument vectors, exact targets, a time limit on every call, and errors sorted
//! into classes of which only two mean that a session is gone.

mod attach;
mod call;
mod error;
mod input;
mod pane;
mod program;
mod quote;
mod release;
mod server;
mod socket;
mod survey;
mod waiter;

pub use error::TmuxError;
pub use input::{Input, Key};
pub use pane::PaneId;
pub use program::Tmux;
pub(crate) use release::{OLDEST_TMUX, release};
pub use server::{ExitWord, Server, StartSpec, Started};
pub(crate) use socket::{is_refused, recreate_socket};
pub use survey::{Client, PaneLook, Survey};
pub(crate) use waiter::Waiter;
