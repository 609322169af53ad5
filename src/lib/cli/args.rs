//! The command lines of all programs, one definition each: parsing, `--help`, manual pages and completions. Those of
//! the programs that deliver messages and keep sessions are in `message_args`.
//!
//! An option that belongs to one way of calling a program names the options of the other ways as its conflicts. `requires`
//! does not suffice: clap ignores it if the required option conflicts with one that was given, and the option would be
//! accepted without effect.

use crate::cli::chronicle_args::ChronicleVerb;
use crate::cli::fleet_args::FleetVerb;
use crate::cli::launch_args::LaunchVerb;
use crate::cli::names::Names;
use crate::cli::people_args::People;
use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

pub(crate) use crate::cli::host_args::HostAct;
pub use crate::cli::host_args::Relay;
pub use crate::cli::message_args::{Canary, Drain, Reap, Require, Send, Superviser, Wake};
pub use crate::cli::telegram_args::Telegram;
pub(crate) use crate::cli::top::TopArgs;
pub(crate) use crate::cli::unit_args::{Planned, Units};

/// Hold one always-on peer (telegram, notifier) in the foreground: what its service unit runs. TERM or INT ends its
/// session.
#[derive(Debug, Parser)]
#[command(name = "iapeer-run", version)]
pub struct Run {
    /// Who: NAME, or RUNTIME-NAME.
    #[arg(value_name = "IDENTITY")]
    pub identity: String,
}

/// Stdio MCP server with one tool, send_to_peer, for an agent inside its own session.
#[derive(Debug, Parser)]
#[command(name = "iapeer-mcp", version)]
pub struct Mcp {}

/// Hook entry: record that a session started, took a prompt, finished or failed a turn, needs somebody, or ends; wait
/// for the answer to an approval. Reads the agent's JSON on stdin; never exits non-zero.
#[derive(Debug, Parser)]
#[command(name = "iapeer-turn", version)]
pub struct TurnArgs {
    /// Which hook calls.
    #[arg(value_name = "EVENT", value_enum)]
    pub event: TurnEvent,
    /// What some agents pass as further arguments; ignored.
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub rest: Vec<String>,
}

/// The hooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TurnEvent {
    /// The session has started.
    Start,
    /// It took a prompt.
    Prompt,
    /// It finished a turn.
    Stop,
    /// A turn ended in an error.
    Failed,
    /// It says that it needs somebody.
    Notice,
    /// A tool waits for yes or no: waits for `iapeer answer` and prints the decision, or nothing.
    Approval,
    /// It is about to end.
    End,
}

/// A small, honest agent in a terminal that answers by repeating.
#[derive(Debug, Parser)]
#[command(name = "iapeer-parrot", version)]
pub struct Parrot {
    /// Go on with this session; without an id, with the newest of this folder.
    #[arg(long, value_name = "SESSION_ID", num_args = 0..=1)]
    pub resume: Option<Option<String>>,
    /// Count the bytes of this file as a system prompt.
    #[arg(long, value_name = "FILE")]
    pub system_prompt_file: Option<PathBuf>,
    /// Run PROGRAM start|prompt|stop|failed|notice|approval|end with a JSON object on its standard input.
    #[arg(long, value_name = "PROGRAM")]
    pub hook: Option<PathBuf>,
    /// Arguments meant for other agents; accepted after the others and not used.
    #[arg(allow_hyphen_values = true, trailing_var_arg = true)]
    pub extra: Vec<String>,
}

/// The operator's front: `iapeer VERB` runs `iapeer-VERB` where such a program exists, else a verb of its own;
/// `iapeer RUNTIME` launches the current folder's peer afresh.
#[derive(Debug, Parser)]
#[command(name = "iapeer", version, subcommand_required = true, arg_required_else_help = true)]
#[command(
    after_help = "Programs that are verbs too (`iapeer send --help`): send, drain, superviser, reap, canary, wake, run, telegram, relay, turn, mcp, parrot."
)]
pub(crate) struct Front {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// When states are coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// One peer, or all.
#[derive(Debug, Args)]
pub struct Target {
    /// The peer: NAME, or RUNTIME-NAME.
    #[arg(value_name = "PEER", required_unless_present = "all", conflicts_with = "all")]
    pub peer: Option<String>,
    /// Its runtime.
    #[arg(value_name = "RT")]
    pub runtime: Option<String>,
    /// Every registered peer.
    #[arg(long)]
    pub all: bool,
    /// Print one JSON object a line.
    #[arg(long)]
    pub json: bool,
}

/// One peer.
#[derive(Debug, Args)]
pub struct One {
    /// The peer: NAME, or RUNTIME-NAME.
    #[arg(value_name = "PEER")]
    pub peer: String,
    /// Its runtime.
    #[arg(value_name = "RT")]
    pub runtime: Option<String>,
    /// Print one JSON object a line.
    #[arg(long)]
    pub json: bool,
}

/// A runtime, and whose.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("whose").required(true).args(["peer", "all"]))]
pub(crate) struct OfRuntime {
    /// The runtime.
    #[arg(value_name = "RT")]
    pub runtime: String,
    /// This peer.
    #[arg(long, value_name = "P")]
    pub peer: Option<String>,
    /// Every registered peer.
    #[arg(long)]
    pub all: bool,
    /// Print one JSON object a line.
    #[arg(long)]
    pub json: bool,
}

/// The front's own verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Make a peer in a folder of its own.
    Create {
        /// Its name.
        #[arg(value_name = "NAME")]
        name: String,
        /// Its runtime.
        #[arg(long, value_name = "RT")]
        runtime: Option<String>,
        /// Its folder. Default: peers/NAME below the root.
        #[arg(long, value_name = "DIR")]
        path: Option<PathBuf>,
        /// What it is for.
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
        /// artificial, natural or absent.
        #[arg(long, value_name = "I")]
        intelligence: Option<String>,
        /// A stateless worker: a fresh session for each task, one at a time.
        #[arg(long)]
        ephemeral: bool,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Make a folder a peer.
    Init {
        /// The folder. Default: the current one.
        #[arg(value_name = "DIR")]
        dir: Option<PathBuf>,
        /// Its runtime.
        #[arg(long, value_name = "RT")]
        runtime: Option<String>,
        /// What it is for.
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Show the peers as a table, those that need somebody first.
    List {
        /// Only peers in this state.
        #[arg(long, value_name = "STATE")]
        state: Option<String>,
        /// Only peers that need somebody.
        #[arg(long, conflicts_with = "state")]
        trouble: bool,
        /// The peers of other hosts instead: each is asked.
        #[arg(long, conflicts_with_all = ["state", "trouble"])]
        hosts: bool,
        /// Colour the states. auto: on a terminal, unless NO_COLOR is set.
        #[arg(long, value_name = "WHEN", value_enum, default_value = "auto")]
        color: Colour,
        /// Print one JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Watch the peers on a screen, those that need somebody first, and act on them by keys.
    Top(TopArgs),
    /// Show who waits for somebody, since when, for what; exit 1 if anybody does.
    Attention {
        /// Go on, and print each change.
        #[arg(short, long)]
        follow: bool,
        /// Colour the states. auto: on a terminal, unless NO_COLOR is set.
        #[arg(long, value_name = "WHEN", value_enum, default_value = "auto")]
        color: Colour,
        /// Print one JSON object a line.
        #[arg(long)]
        json: bool,
        /// Tell the owner of this identity in time (called by hooks).
        #[arg(long, hide = true, value_name = "IDENTITY", conflicts_with_all = ["follow", "json"])]
        tell: Option<String>,
    },
    /// Answer what a peer waits for: allow or deny an approval, or choose on its screen.
    Answer {
        /// The peer: NAME, or RUNTIME-NAME.
        #[arg(value_name = "PEER")]
        peer: String,
        /// The request's name, where it has one, then the answer: allow, deny, or a choice that `iapeer attention` names.
        #[arg(value_name = "[ID] ANSWER", num_args = 1..=2, required = true)]
        answer: Vec<String>,
        /// What the model is told of a denial.
        #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
        message: Option<String>,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Show a session's screen as text, without attaching.
    Peek {
        /// The peer: NAME, or RUNTIME-NAME.
        #[arg(value_name = "PEER")]
        peer: String,
        /// Only its last rows that are not blank.
        #[arg(short = 'n', long, value_name = "LINES")]
        lines: Option<usize>,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Say what is not as it should be on this host, why, and what to do about it.
    Doctor {
        /// Mend what is safe to mend.
        #[arg(long, conflicts_with = "runtime")]
        fix: bool,
        /// Try a runtime instead: start its program in a scratch session and say which rule matched what on its screens.
        #[arg(long, value_name = "RT")]
        runtime: Option<String>,
        /// Colour the marks. auto: on a terminal, unless NO_COLOR is set.
        #[arg(long, value_name = "WHEN", value_enum, default_value = "auto")]
        color: Colour,
        /// Print one JSON object a finding, or a screen.
        #[arg(long)]
        json: bool,
    },
    /// Let a stopped peer accept messages again.
    Start(Target),
    /// Stop a peer: it accepts nothing, its session is parked.
    Stop(Target),
    /// Make the next wake a fresh one, so that new prompts are read.
    Refresh(Target),
    /// End the session and start a fresh one.
    New(One),
    /// Resume a peer and attach the terminal to its session.
    Attach(One),
    /// Interrupt a running turn.
    Interrupt(One),
    /// Compact the conversation.
    Compact(One),
    /// Take a peer out of the registry and purge its state. Its folder is kept.
    Remove {
        /// Its name.
        #[arg(value_name = "PEER")]
        peer: String,
        /// Even if it lives or messages wait.
        #[arg(long)]
        force: bool,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Give a peer another name. Its folder moves along where it is the default one; then its next session is fresh.
    Rename {
        /// Its name.
        #[arg(value_name = "OLD")]
        old: String,
        /// Its name from now on.
        #[arg(value_name = "NEW")]
        new: String,
        /// End its session if it lives.
        #[arg(long)]
        force: bool,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Check the profiles, and the registry against them.
    Verify {
        /// Make the registry agree with the profiles, and migrate legacy keys.
        #[arg(long)]
        fix: bool,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Declare one more runtime. The default stays.
    AddRuntime(OfRuntime),
    /// Make a declared runtime the default.
    DefaultRuntime(OfRuntime),
    /// Show the last tick, sessions, queues, dead letters and unwatched servers.
    Status {
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Show the event logs, merged by time.
    Logs {
        /// Only what is about this peer.
        #[arg(value_name = "PEER")]
        peer: Option<String>,
        /// Go on as they grow.
        #[arg(short, long)]
        follow: bool,
        /// Only what is newer: 90s, 10m, 2h, 3d, or a time as 2026-01-31T12:00:00Z.
        #[arg(long, value_name = "WHEN")]
        since: Option<String>,
        /// Print one JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// For agents: come back in a fresh session.
    SelfFresh {
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// For workers: the task is done although there is nothing to send.
    SelfDone {
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Show iapeer at work in a throw-away root: a wake, a reply, a reap, a resume.
    Demo {
        /// The agent to show. Default: the embedded parrot.
        #[arg(long, value_name = "RT", default_value = "parrot")]
        runtime: String,
        /// Print one JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Know other hosts, whose peers are then NAME@HOST.
    Host {
        /// What to do.
        #[command(subcommand)]
        act: HostAct,
    },
    /// Have the service manager run the tick, the drain and the always-on peers.
    Units {
        /// What to do.
        #[command(subcommand)]
        act: Units,
    },
    /// Print completions for a shell, or write a file for each program into a folder.
    Completions {
        /// The shell.
        #[arg(value_name = "SHELL", value_enum)]
        shell: clap_complete::Shell,
        /// The folder.
        #[arg(value_name = "DIR")]
        dir: Option<PathBuf>,
        /// Print one JSON object for each file that is written.
        #[arg(long, requires = "dir")]
        json: bool,
    },
    /// Print the peer name that a text gives. The other programs ask this where a text is not ASCII.
    #[command(hide = true)]
    PeerName {
        /// The text.
        #[arg(value_name = "TEXT", allow_hyphen_values = true)]
        text: String,
    },
    /// Print names of a kind, one a line: what completions ask for.
    #[command(hide = true)]
    Names {
        /// Which.
        #[arg(value_name = "KIND", value_enum, required = true)]
        kinds: Vec<Names>,
    },
    /// Finish the verbs that were cut short. The other programs run this where there are some.
    #[command(hide = true)]
    Finish,
    /// Print the version and nothing else.
    Version {
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Write the manual pages of all programs into a folder, or print iapeer's own.
    Man {
        /// The folder.
        #[arg(value_name = "DIR")]
        dir: Option<PathBuf>,
        /// Print one JSON object for each page that is written.
        #[arg(long, requires = "dir")]
        json: bool,
    },
    /// What has happened.
    #[command(flatten)]
    Chronicle(ChronicleVerb),
    /// What is done with a fleet file.
    #[command(flatten)]
    Fleet(FleetVerb),
    /// What launches are given.
    #[command(flatten)]
    Launch(LaunchVerb),
    /// What people do.
    #[command(flatten)]
    People(People),
    /// Run iapeer-VERB, or launch the current folder's peer on a runtime.
    #[command(external_subcommand)]
    Other(Vec<String>),
}
