//! The front's verbs over what launches are given beside what their runtime needs.

use clap::{Args, Subcommand, ValueEnum};

/// What peers' launches are given.
#[derive(Debug, Subcommand)]
pub enum LaunchVerb {
    /// Switch the memory that agent programs keep by themselves, or show how it is switched.
    NativeMemory(SwitchArgs),
    /// Switch the memory slot of system prompts, which the program `memory` in the root fills, or show how it is
    /// switched.
    MemoryPlugin(SwitchArgs),
    /// Start sessions with an MCP server or a plugin of yours too, or show which they are started with.
    Enable {
        /// An MCP server that you have configured for the agent program, NAME@MARKETPLACE, or a plugin's folder.
        #[arg(value_name = "PLUGIN")]
        plugin: Option<String>,
        /// Whose sessions. Default: every peer's.
        #[arg(value_name = "PEER")]
        peer: Option<String>,
        /// Print one JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Start sessions without it again.
    Disable {
        /// Which, as it was enabled.
        #[arg(value_name = "PLUGIN")]
        plugin: String,
        /// Whose sessions. Default: those of every peer for which it was enabled together.
        #[arg(value_name = "PEER")]
        peer: Option<String>,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
}

/// A switch.
#[derive(Debug, Args)]
pub struct SwitchArgs {
    /// To what. Without it, show how it is switched.
    #[arg(value_name = "TO", value_enum)]
    pub to: Option<SwitchTo>,
    /// Whose sessions. Default: those of every peer that is not switched itself.
    #[arg(value_name = "PEER")]
    pub peer: Option<String>,
    /// Print one JSON object a line.
    #[arg(long)]
    pub json: bool,
}

/// To what something is switched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SwitchTo {
    /// On.
    On,
    /// Off.
    Off,
    /// As every peer, or the program itself, has it.
    Default,
}
