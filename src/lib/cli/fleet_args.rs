//! The command lines of the verbs for a fleet in one file.

use clap::Subcommand;
use std::path::PathBuf;

/// What is done with a fleet file.
#[derive(Debug, Subcommand)]
pub(crate) enum FleetVerb {
    /// Make this host as a fleet file says: peers, worktrees, schedules, the owner. Shows what it is about to do first.
    Up {
        /// The file. Default: fleet.toml in the current folder.
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        /// Say what would be done and change nothing.
        #[arg(long)]
        dry_run: bool,
        /// Remove the peers and schedules that an earlier `up` made and that the file does not have any more, and their
        /// worktrees where all is committed.
        #[arg(long)]
        prune: bool,
        /// Print one JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Stop the peers of a fleet file and remove its schedules; `up` brings them back.
    Down {
        /// The file. Default: fleet.toml in the current folder.
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        /// Print one JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Show how this host differs from a fleet file; exit 1 if it does.
    Diff {
        /// The file. Default: fleet.toml in the current folder.
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        /// Print one JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Print the fleet file of the peers, schedules and owner that there are.
    Export {
        /// Print one JSON object of the same tables.
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
