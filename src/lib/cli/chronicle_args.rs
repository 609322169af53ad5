//! The command lines of usage and timeline.

use crate::chronicle::usage::UsageBy;
use clap::builder::PossibleValue;
use clap::{Subcommand, ValueEnum};
use std::path::PathBuf;

/// What has happened.
#[derive(Debug, Subcommand)]
pub(crate) enum ChronicleVerb {
    /// Show what peers have used: turns, time working, messages, and tokens where transcripts tell them.
    Usage {
        /// Since when: 90s, 10m, 2h, 7d, or a time as 2026-01-31T12:00:00Z.
        #[arg(long, value_name = "WHEN", default_value = "7d")]
        since: String,
        /// Put together by peer, by day or by model.
        #[arg(long, value_name = "WHAT", value_enum, default_value = "peer")]
        by: UsageBy,
        /// What tokens cost. Default: prices.json below the root, where there is one.
        #[arg(long, value_name = "FILE")]
        prices: Option<PathBuf>,
        /// Print one JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Show when peers ran, worked, waited and died, and how many messages waited.
    Timeline {
        /// Only these peers.
        #[arg(value_name = "PEER")]
        peers: Vec<String>,
        /// Since when: 90s, 10m, 2h, 7d, or a time as 2026-01-31T12:00:00Z.
        #[arg(long, value_name = "WHEN", default_value = "24h")]
        since: String,
        /// Write a picture; - is stdout.
        #[arg(long, value_name = "FILE", conflicts_with_all = ["html", "json"])]
        svg: Option<PathBuf>,
        /// Write a page that stands alone, with zoom, filter and the table of the peers; - is stdout.
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
