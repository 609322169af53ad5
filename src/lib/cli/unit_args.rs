//! The command lines of the verbs about units.

use clap::{Args, Subcommand};

/// What `iapeer units` does.
#[derive(Debug, Subcommand)]
pub(crate) enum Units {
    /// Write this user's units where they differ, enable and start them. Repeat this after an upgrade.
    Install(Planned),
    /// Stop and remove the units. Sessions and messages stay.
    Uninstall(Planned),
    /// Show each unit's file, state, last run and next run.
    Status {
        /// Print one JSON object per line.
        #[arg(long)]
        json: bool,
    },
}

/// How to change something.
#[derive(Debug, Args)]
pub(crate) struct Planned {
    /// Show what would be done, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Print one JSON object per line.
    #[arg(long)]
    pub json: bool,
}
