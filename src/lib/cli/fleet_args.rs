//! The command lines of the verbs for a fleet in one file.

use clap::Subcommand;
use std::path::PathBuf;

/// Verbs about a fleet file.
#[derive(Debug, Subcommand)]
pub(crate) enum FleetVerb {
    /// Make this host as a fleet file says: peers, worktrees, schedules, the owner. The plan is shown first.
    Up {
        /// The file. Default: fleet.toml in the current folder.
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        /// Show what would be done, and change nothing.
        #[arg(long)]
        dry_run: bool,
        /// Remove the peers and schedules that an earlier `up` made and that the file no longer has, and the peers'
        /// worktrees where everything is committed.
        #[arg(long)]
        prune: bool,
        /// Take over peers and schedules that another fleet manages. Without this option `up` asks at a terminal, and refuses
        /// where there is none.
        #[arg(long)]
        take_over: bool,
        /// Print one JSON object per line.
        #[arg(long)]
        json: bool,
    },
    /// Stop the peers of a fleet file and remove its schedules; `up` brings both back.
    Down {
        /// The file. Default: fleet.toml in the current folder.
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        /// Print one JSON object per line.
        #[arg(long)]
        json: bool,
    },
    /// Show how this host differs from a fleet file. The exit code is 1 if it does.
    Diff {
        /// The file. Default: fleet.toml in the current folder.
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        /// Print one JSON object per line.
        #[arg(long)]
        json: bool,
    },
    /// Print a fleet file with the present peers, schedules and owner.
    Export {
        /// Print one JSON object with the same tables.
        #[arg(long)]
        json: bool,
    },
    /// Write a fleet file from the answers to three questions.
    NewFleet {
        /// The file. Default: fleet.toml in the current folder.
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
}
