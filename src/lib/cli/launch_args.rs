//! The command lines of the verbs about memory, MCP servers and plugins of launches.

use clap::{Args, Subcommand, ValueEnum};

/// What peers' launches are given.
#[derive(Debug, Subcommand)]
pub enum LaunchVerb {
    /// Switch the agent programs' own memory on or off, or show the setting.
    NativeMemory(SwitchArgs),
    /// Switch the memory slot of system prompts, which the program `memory` in the root fills, on or off, or show the
    /// setting.
    MemoryPlugin(SwitchArgs),
    /// Start sessions with one more of your MCP servers or plugins, or show those that sessions are started with.
    Enable {
        /// An MCP server that you have configured for the agent program, NAME@MARKETPLACE, or a plugin's folder.
        #[arg(value_name = "PLUGIN")]
        plugin: Option<String>,
        /// The peer whose sessions are meant. Default: every peer.
        #[arg(value_name = "PEER")]
        peer: Option<String>,
        /// Print one JSON object per line.
        #[arg(long)]
        json: bool,
    },
    /// Start sessions without an MCP server or plugin that was enabled.
    Disable {
        /// The server or plugin, named as it was enabled.
        #[arg(value_name = "PLUGIN")]
        plugin: String,
        /// The peer whose sessions are meant. Default: every peer, where it was enabled for every peer.
        #[arg(value_name = "PEER")]
        peer: Option<String>,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
}

/// The arguments of a switch.
#[derive(Debug, Args)]
pub struct SwitchArgs {
    /// The new setting. Without it, show the present one.
    #[arg(value_name = "TO", value_enum)]
    pub to: Option<SwitchTo>,
    /// The peer whose sessions are meant. Default: every peer without a setting of its own.
    #[arg(value_name = "PEER")]
    pub peer: Option<String>,
    /// Print one JSON object per line.
    #[arg(long)]
    pub json: bool,
}

/// A setting of a switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SwitchTo {
    /// On.
    On,
    /// Off.
    Off,
    /// The setting of every peer, or the default of the program itself.
    Default,
}
