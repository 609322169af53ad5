//! What every other room stands on: names that can't be wrong, settings, paths, time, exit codes, output.

pub mod clock;
pub mod exit;
pub mod identity;
pub mod message_id;
pub mod normalize;
pub mod output;
pub mod paths;
pub mod settings;

pub use clock::{Clock, EpochMs, SystemClock};
pub use exit::{Exit, Failure};
pub use identity::{Identity, Intelligence, Personality, Runtime, Topic};
pub use message_id::MessageId;
pub use paths::Paths;
pub use settings::Settings;
