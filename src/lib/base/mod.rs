//! What every other room uses: validated names, settings, paths, time, exit codes, output.

#![forbid(unsafe_code)]

pub mod action;
pub mod address;
pub mod attention;
pub mod clock;
pub mod delivery_kind;
pub mod evidence;
pub mod exit;
pub mod fleet_paths;
pub mod harmless;
pub mod hold;
pub mod home;
mod host_paths;
pub mod identity;
mod launch_paths;
pub mod message_id;
pub mod normalize;
pub mod output;
pub mod paths;
mod people_paths;
pub(crate) mod private;
pub mod process;
mod registry_paths;
mod session_paths;
pub mod settings;
pub(crate) mod shell;
pub(crate) mod socket_owner;
pub mod span;
pub mod state_file;
pub mod step;
pub mod wake;
pub(crate) mod words;
pub(crate) mod xml;

pub use action::{Action, Consequence};
pub use address::{Address, Contact, HostName, Origin};
pub use attention::{AttentionState, Sign};
pub use clock::{Clock, EpochMs, SystemClock};
pub use delivery_kind::DeliveryKind;
pub use evidence::{Evidence, Landed, Outcome};
pub use exit::{Exit, Failure};
pub use hold::{HeldSince, Hold};
pub use identity::{Identity, Intelligence, Personality, Runtime, Topic};
pub use message_id::MessageId;
pub use paths::Paths;
pub use process::{Liveness, ProcessEnd};
pub use settings::Settings;
pub use state_file::{Marker, StateFile};
pub use wake::{Decision, Mode, ResumePolicy, WakeCause, Woken};
