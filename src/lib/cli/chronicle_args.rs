//! The front's verbs about what has happened.

use crate::chronicle::usage::UsageBy;
use clap::builder::PossibleValue;
use clap::{Subcommand, ValueEnum};
use std::path::PathBuf;

/// What has happened.
#[derive(Debug, Subcommand)]
pub enum ChronicleVerb {
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
}

impl ValueEnum for UsageBy {
    fn value_variants<'a>() -> &'a [Self] {
        &[UsageBy::Peer, UsageBy::Day, UsageBy::Model]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.as_str()))
    }
}
