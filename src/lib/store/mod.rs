//! Durable, readable state: plain files, written so that a crash or a power cut leaves either the old or the new
//! content; and the locks that keep two programs from writing at once.

#![forbid(unsafe_code)]

pub mod attention;
pub mod cap;
pub mod channel;
pub mod clock_jump;
pub mod conformance;
pub mod due;
pub mod durable;
pub mod error;
pub mod event_log;
mod field_error;
pub mod history;
mod history_ids;
pub mod hosts;
pub(crate) mod launch_defaults;
pub mod launch_env;
pub mod lock;
pub mod markers;
pub mod nats;
pub mod one_writer;
pub mod open;
pub mod outbox;
pub mod pane_log;
pub mod peer_folder;
mod peer_record;
pub mod policy;
pub mod profile;
pub mod profile_update;
pub mod queue;
mod queue_item;
mod queue_survey;
pub mod registry;
pub(crate) mod registry_copy;
mod registry_error;
pub(crate) mod registry_remains;
pub mod reindex;
pub mod session_record;
pub mod state_files;

pub use durable::StoreError;
pub use field_error::{ProfileFault, RecordFault, RecordField, RegistryFault};
pub use history::{History, Settlement};
pub use lock::{FileLock, LockError};
pub use markers::{Intent, Markers, Turn, TurnState};
pub use queue::{Item, Queue, Seq, Settled};
pub use session_record::{Phase, SessionRecord};
