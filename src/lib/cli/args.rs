//! The command lines of all programs, one definition each: parsing, `--help`, manual pages and completions. Those of
//! the programs that deliver messages and keep sessions are in `message_args`.
//!
//! An option that belongs to one way of calling a program lists the options of the other ways as its conflicts. `requires`
//! would not do: clap ignores it if the required option conflicts with a given one, and the option would have no effect.

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

/// Hold one always-on peer (telegram, notifier) in the foreground, as its service unit does. TERM or INT ends the
/// peer's session.
#[derive(Debug, Parser)]
#[command(name = "iapeer-run", version)]
pub struct Run {
    /// The peer: NAME, or RUNTIME-NAME.
    #[arg(value_name = "IDENTITY")]
    pub identity: String,
}

/// Stdio MCP server with one tool, send_to_peer, for an agent inside its own session.
#[derive(Debug, Parser)]
#[command(name = "iapeer-mcp", version)]
pub struct Mcp {}

/// Called by an agent's hooks: record that a session started, took a prompt, finished or failed a turn, needs a person,
/// or ends; wait for the answer to an approval. Reads the agent's JSON on stdin; the exit code is always 0.
#[derive(Debug, Parser)]
#[command(name = "iapeer-turn", version)]
pub struct TurnArgs {
    /// The hook that calls.
    #[arg(value_name = "EVENT", value_enum)]
    pub event: TurnEvent,
    /// Further arguments that some agents pass; ignored.
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub rest: Vec<String>,
}

/// The hooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TurnEvent {
    /// The session has started.
    Start,
    /// The session took a prompt.
    Prompt,
    /// The session finished a turn.
    Stop,
    /// A turn ended in an error.
    Failed,
    /// The session reports that it needs a person.
    Notice,
    /// A tool waits for permission: wait for `iapeer answer` and print the decision, or nothing.
    Approval,
    /// The session is about to end.
    End,
}

/// A small terminal agent that answers by repeating what it is told.
#[derive(Debug, Parser)]
#[command(name = "iapeer-parrot", version)]
pub struct Parrot {
    /// Continue this session; without an id, the newest session of this folder.
    #[arg(long, value_name = "SESSION_ID", num_args = 0..=1)]
    pub resume: Option<Option<String>>,
    /// Count the bytes of this file as a system prompt.
    #[arg(long, value_name = "FILE")]
    pub system_prompt_file: Option<PathBuf>,
    /// Run PROGRAM start|prompt|stop|failed|notice|approval|end with a JSON object on its standard input.
    #[arg(long, value_name = "PROGRAM")]
    pub hook: Option<PathBuf>,
    /// Log in, then end: from then on PARROT_DIALOG=login shows no screen.
    #[arg(long)]
    pub login: bool,
    /// Arguments that other agents take; accepted and not used.
    #[arg(allow_hyphen_values = true, trailing_var_arg = true)]
    pub extra: Vec<String>,
}

/// The operator's program: `iapeer VERB` runs a verb of its own, or the program `iapeer-VERB`; `iapeer RUNTIME`
/// launches the current folder's peer on that runtime, in a fresh session.
#[derive(Debug, Parser)]
#[command(name = "iapeer", version, subcommand_required = true, arg_required_else_help = true)]
#[command(
    after_help = "Programs that are verbs too (`iapeer send --help`): send, drain, superviser, reap, canary, wake, run, telegram, relay, turn, mcp, parrot."
)]
pub(crate) struct Front {
    /// The verb.
    #[command(subcommand)]
    pub verb: Verb,
}

/// When states are shown in colour.
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
    /// The peer's runtime.
    #[arg(value_name = "RT")]
    pub runtime: Option<String>,
    /// Every registered peer.
    #[arg(long)]
    pub all: bool,
    /// Print one JSON object per line.
    #[arg(long)]
    pub json: bool,
}

/// One peer.
#[derive(Debug, Args)]
pub struct One {
    /// The peer: NAME, or RUNTIME-NAME.
    #[arg(value_name = "PEER")]
    pub peer: String,
    /// The peer's runtime.
    #[arg(value_name = "RT")]
    pub runtime: Option<String>,
    /// Print one JSON object per line.
    #[arg(long)]
    pub json: bool,
}

/// A runtime, and the peers that get it.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("whose").required(true).args(["peer", "all"]))]
pub(crate) struct OfRuntime {
    /// The runtime.
    #[arg(value_name = "RT")]
    pub runtime: String,
    /// The peer that gets it.
    #[arg(long, value_name = "P")]
    pub peer: Option<String>,
    /// Every registered peer.
    #[arg(long)]
    pub all: bool,
    /// Print one JSON object per line.
    #[arg(long)]
    pub json: bool,
}

/// The verbs of `iapeer` itself.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Create a peer with a folder of its own.
    Create {
        /// The name.
        #[arg(value_name = "NAME")]
        name: String,
        /// The peer's runtime.
        #[arg(long, value_name = "RT")]
        runtime: Option<String>,
        /// The peer's folder. Default: peers/NAME below the root.
        #[arg(long, value_name = "DIR")]
        path: Option<PathBuf>,
        /// What the peer is for, as other peers read it.
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
        /// The peer's nature: artificial, natural (a person) or absent (a program).
        #[arg(long, value_name = "I")]
        intelligence: Option<String>,
        /// Make the peer a stateless worker: a fresh session for each task, one task at a time.
        #[arg(long)]
        ephemeral: bool,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Make a peer of an existing folder.
    Init {
        /// The folder. Default: the current one.
        #[arg(value_name = "DIR")]
        dir: Option<PathBuf>,
        /// The peer's runtime.
        #[arg(long, value_name = "RT")]
        runtime: Option<String>,
        /// What the peer is for, as other peers read it.
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Show the peers as a table; those that need a person come first.
    List {
        /// Only peers in this state.
        #[arg(long, value_name = "STATE")]
        state: Option<String>,
        /// Only peers that need a person.
        #[arg(long, conflicts_with = "state")]
        trouble: bool,
        /// Show the peers of other hosts instead; each registered host is asked.
        #[arg(long, conflicts_with_all = ["state", "trouble"])]
        hosts: bool,
        /// Show states in colour. auto: on a terminal, unless NO_COLOR is set.
        #[arg(long, value_name = "WHEN", value_enum, default_value = "auto")]
        color: Colour,
        /// Print one JSON object per line.
        #[arg(long)]
        json: bool,
    },
    /// Watch the peers on a full screen, with keys to act on them; those that need a person come first.
    Top(TopArgs),
    /// Show which peers wait for a person, since when and for what. The exit code is 1 if there are any.
    Attention {
        /// Keep running, and print each change.
        #[arg(short, long)]
        follow: bool,
        /// Show states in colour. auto: on a terminal, unless NO_COLOR is set.
        #[arg(long, value_name = "WHEN", value_enum, default_value = "auto")]
        color: Colour,
        /// Print one JSON object per line.
        #[arg(long)]
        json: bool,
        /// Tell the owner about this identity when it is time (called by hooks).
        #[arg(long, hide = true, value_name = "IDENTITY", conflicts_with_all = ["follow", "json"])]
        tell: Option<String>,
    },
    /// Answer what a peer waits for: allow or deny an approval, or choose an answer on the peer's screen.
    Answer {
        /// The peer: NAME, or RUNTIME-NAME.
        #[arg(value_name = "PEER")]
        peer: String,
        /// The request's id, where it has one, then the answer: allow, deny, or a choice that `iapeer attention` names.
        #[arg(value_name = "[ID] ANSWER", num_args = 1..=2, required = true)]
        answer: Vec<String>,
        /// The reason of a denial, which the model is told.
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
        /// Only this many of the last rows that are not blank.
        #[arg(short = 'n', long, value_name = "LINES")]
        lines: Option<usize>,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Report problems on this host, their causes, and what to do about each.
    Doctor {
        /// Mend the problems that can be mended without loss.
        #[arg(long, conflicts_with = "runtime")]
        fix: bool,
        /// Test a runtime instead: start its program in a scratch session and report which rule matched each of its
        /// screens.
        #[arg(long, value_name = "RT")]
        runtime: Option<String>,
        /// Show the marks in colour. auto: on a terminal, unless NO_COLOR is set.
        #[arg(long, value_name = "WHEN", value_enum, default_value = "auto")]
        color: Colour,
        /// Print one JSON object per finding, or per screen.
        #[arg(long)]
        json: bool,
    },
    /// Let a stopped peer accept messages again.
    Start(Target),
    /// Stop a peer: it accepts no messages, and its session is ended and can be resumed later.
    Stop(Target),
    /// Make the peer's next wake start a fresh session, which reads changed prompts.
    Refresh(Target),
    /// End the peer's session and start a fresh one.
    New(One),
    /// Resume a peer and attach the terminal to its session.
    Attach(One),
    /// Interrupt a running turn.
    Interrupt(One),
    /// Compact the conversation.
    Compact(One),
    /// Remove a peer from the registry and delete its state. Its folder is kept.
    Remove {
        /// The name.
        #[arg(value_name = "PEER")]
        peer: String,
        /// Even if the peer's session is alive or messages wait.
        #[arg(long)]
        force: bool,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Rename a peer. Its folder is moved too where it is the default one; the peer's next session is then fresh.
    Rename {
        /// The name.
        #[arg(value_name = "OLD")]
        old: String,
        /// The new name.
        #[arg(value_name = "NEW")]
        new: String,
        /// End the peer's session if it is alive.
        #[arg(long)]
        force: bool,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Check the profiles, and the registry against them.
    Verify {
        /// Make the registry agree with the profiles, restore missing peers and torn profiles, and migrate legacy keys.
        #[arg(long)]
        fix: bool,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Add a runtime to those of a peer. The default runtime stays.
    AddRuntime(OfRuntime),
    /// Make one of a peer's runtimes its default.
    DefaultRuntime(OfRuntime),
    /// Show the last tick, sessions, queues, dead letters, and servers without a canary.
    Status {
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Show the event logs, merged by time.
    Logs {
        /// Only lines about this peer.
        #[arg(value_name = "PEER")]
        peer: Option<String>,
        /// Keep running, and print new lines as they are written.
        #[arg(short, long)]
        follow: bool,
        /// Only lines since then: 90s, 10m, 2h, 3d ago, or a time as 2026-01-31T12:00:00Z.
        #[arg(long, value_name = "WHEN")]
        since: Option<String>,
        /// Print one JSON object per line.
        #[arg(long)]
        json: bool,
    },
    /// For agents: end the own session and start a fresh one.
    SelfFresh {
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// For workers: the task is done, and there is no answer to send.
    SelfDone {
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Demonstrate iapeer in a temporary root: a wake, a reply, a reap, a resume.
    Demo {
        /// The agent's runtime. Default: the parrot.
        #[arg(long, value_name = "RT", default_value = "parrot")]
        runtime: String,
        /// Print one JSON object per line.
        #[arg(long)]
        json: bool,
    },
    /// Register other hosts, whose peers are addressed as NAME@HOST.
    Host {
        /// The verb.
        #[command(subcommand)]
        act: HostAct,
    },
    /// Install, show or remove the units by which the service manager runs ticks, drains and always-on peers.
    Units {
        /// The verb.
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
    /// Print the peer name that a text is normalised to. The other programs run this where a text is not ASCII.
    #[command(hide = true)]
    PeerName {
        /// The text.
        #[arg(value_name = "TEXT", allow_hyphen_values = true)]
        text: String,
    },
    /// Print names of a kind, one per line, for completions.
    #[command(hide = true)]
    Names {
        /// The kind of name.
        #[arg(value_name = "KIND", value_enum, required = true)]
        kinds: Vec<Names>,
    },
    /// Complete interrupted verbs. The other programs run this where there are some.
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
    /// Verbs about what has happened.
    #[command(flatten)]
    Chronicle(ChronicleVerb),
    /// Verbs about a fleet file.
    #[command(flatten)]
    Fleet(FleetVerb),
    /// Verbs about what launches are given.
    #[command(flatten)]
    Launch(LaunchVerb),
    /// Verbs for people.
    #[command(flatten)]
    People(People),
    /// Run iapeer-VERB, or launch the current folder's peer on a runtime.
    #[command(external_subcommand)]
    Other(Vec<String>),
}
