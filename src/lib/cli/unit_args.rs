//! The front's verbs over units.

use clap::{Args, Subcommand};

/// What `iapeer units` does.
#[derive(Debug, Subcommand)]
pub(crate) enum Units {
    /// Write the units for this user where they differ, and have them run. Repeat it after an upgrade.
    Install(Planned),
    /// Stop and remove them. Sessions and messages stay.
    Uninstall(Planned),
    /// Show each unit's file, state, last run and next.
    Status {
        /// Print one JSON object a line.
        #[arg(long)]
        json: bool,
    },
}

/// How to change something.
#[derive(Debug, Args)]
pub(crate) struct Planned {
    /// Say what would be done and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Print one JSON object a line.
    #[arg(long)]
    pub json: bool,
}
