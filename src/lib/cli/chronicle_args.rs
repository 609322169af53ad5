//! The command lines of usage and timeline.

use crate::chronicle::usage::UsageBy;
use clap::builder::PossibleValue;
use clap::{Subcommand, ValueEnum};
use std::path::PathBuf;

/// Verbs about what has happened.
#[derive(Debug, Subcommand)]
pub(crate) enum ChronicleVerb {
    /// Show the usage of peers: turns, working time, messages, and tokens where the transcripts report them.
    Usage {
        /// Only since then: 90s, 10m, 2h, 7d ago, or a time as 2026-01-31T12:00:00Z.
        #[arg(long, value_name = "WHEN", default_value = "7d")]
        since: String,
        /// What a row is about: a peer, a day or a model.
        #[arg(long, value_name = "WHAT", value_enum, default_value = "peer")]
        by: UsageBy,
        /// The file with the prices of tokens. Default: prices.json below the root, where it exists.
        #[arg(long, value_name = "FILE")]
        prices: Option<PathBuf>,
        /// Print one JSON object per line.
        #[arg(long)]
        json: bool,
    },
    /// Show when peers ran, worked, waited and died, and how many messages waited.
    Timeline {
        /// Only these peers.
        #[arg(value_name = "PEER")]
        peers: Vec<String>,
        /// Only since then: 90s, 10m, 2h, 7d ago, or a time as 2026-01-31T12:00:00Z.
        #[arg(long, value_name = "WHEN", default_value = "24h")]
        since: String,
        /// Write an SVG picture to this file; - is stdout.
        #[arg(long, value_name = "FILE", conflicts_with_all = ["html", "json"])]
        svg: Option<PathBuf>,
        /// Write a self-contained HTML page with zoom, filter and a table of the peers to this file; - is stdout.
        #[arg(long, value_name = "FILE", conflicts_with = "json")]
        html: Option<PathBuf>,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
}

impl ValueEnum for UsageBy {
    fn value_variants<'a>() -> &'a [Self] {
        &[UsageBy::Peer, UsageBy::Day, UsageBy::Model]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.as_str()))
    }
}
