//! Agent programs as data: a JSON manifest for each describes how it differs from the others; the code knows only kinds
//! of rules.

#![forbid(unsafe_code)]

pub mod account;
mod account_rule;
mod app_server;
mod arguments;
pub mod attention;
mod composer;
mod fill;
mod keys;
pub mod login;
pub mod manifest;
mod manifest_error;
mod needle;
pub(crate) mod plugin_servers;
pub(crate) mod plugin_source;
pub(crate) mod plugins;
mod program;
mod records;
pub mod screen;
mod screen_rules;
pub mod shown;
mod styled;
pub mod transcript;
mod transcript_rules;
pub mod until;
pub(crate) mod version;

pub use account_rule::Tokens;
pub use app_server::AppServer;
pub(crate) use app_server::digests;
pub use attention::{ScreenState, Told};
pub use manifest::{Kind, Manifest, ManifestError};
pub(crate) use records::lines_from;
pub use screen::{Draft, Screen, Sight};
pub use shown::{Shown, Step};
