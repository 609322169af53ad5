//! The command lines of all programs, one definition each: parsing, `--help`, manual pages and completions.
//!
//! What belongs to one way of calling a program conflicts with the others by name. `requires` would not do: clap passes
//! over it where what is required conflicts with something given, and the option would be taken and not heeded.

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Accept a message durably into a peer's queue, then have it delivered.
#[derive(Debug, Parser)]
#[command(name = "iapeer-send", version)]
pub struct Send {
    /// The recipient: NAME, or RUNTIME-NAME where the runtime matters.
    #[arg(value_name = "PEER")]
    pub to: String,
    /// The message. Without it and -f the message is read from stdin.
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    pub message: Option<String>,
    /// Read the message from this file; - is stdin.
    #[arg(short = 'f', long, value_name = "FILE")]
    pub message_file: Option<PathBuf>,
    /// Who sends it. Default: PEER_IDENTITY, else the peer of the current folder.
    #[arg(long, value_name = "IDENTITY")]
    pub from: Option<String>,
    /// The recipient's runtime.
    #[arg(long, value_name = "RT")]
    pub runtime: Option<String>,
    /// What it is about: 200 characters at most.
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub topic: Option<String>,
    /// A file to go with it, by its absolute path. May be given 20 times.
    #[arg(long = "attach", visible_alias = "attachment", value_name = "PATH")]
    pub attach: Vec<String>,
    /// How long to watch it settle, in seconds. Giving up waiting loses nothing.
    #[arg(long, value_name = "SECS", default_value_t = 60.0)]
    pub wait: f64,
    /// Don't watch: say `queued` as soon as it is durable.
    #[arg(long, conflicts_with = "wait")]
    pub no_wait: bool,
    /// Steer a running turn instead of waiting for its end.
    #[arg(long)]
    pub urgent: bool,
    /// Exit 75 unless it was delivered.
    #[arg(long, value_name = "WHAT", value_enum)]
    pub require: Option<Require>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// What `--require` may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Require {
    /// Evidence that the session took it.
    Delivered,
}

/// Deliver what waits in queues, list it, or settle a dead letter.
#[derive(Debug, Parser)]
#[command(name = "iapeer-drain", version)]
#[command(group = ArgGroup::new("act").args(["list", "requeue", "drop"]))]
pub struct Drain {
    /// Whose queues: RUNTIME-NAME.
    #[arg(value_name = "IDENTITY")]
    pub identities: Vec<String>,
    /// Every queue that has something in it.
    #[arg(long, conflicts_with = "identities")]
    pub all: bool,
    /// List waiting, inflight, dead and corrupt items.
    #[arg(long)]
    pub list: bool,
    /// Accept a dead item again, at the end of its queue.
    #[arg(long, value_name = "ID", conflicts_with_all = ["identities", "all", "dry_run"])]
    pub requeue: Option<String>,
    /// Drop a dead item, and print it.
    #[arg(long, value_name = "ID", conflicts_with_all = ["identities", "all", "dry_run"])]
    pub drop: Option<String>,
    /// Say what would be delivered and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Print one JSON object a line.
    #[arg(long)]
    pub json: bool,
}

/// One tick: look at every session once, decide, act, then have drained what waits.
#[derive(Debug, Parser)]
#[command(name = "iapeer-superviser", version)]
pub struct Superviser {
    /// Change nothing at all; report every session.
    #[arg(long)]
    pub dry_run: bool,
    /// Print one JSON object a line.
    #[arg(long)]
    pub json: bool,
    /// Only this identity. May be given several times.
    #[arg(long, value_name = "IDENTITY")]
    pub only: Vec<String>,
    /// Report live and OS-managed sessions too.
    #[arg(short, long)]
    pub verbose: bool,
}

/// Watch one tmux server and record why it died; list recorded deaths.
#[derive(Debug, Parser)]
#[command(name = "iapeer-canary", version)]
#[command(group = ArgGroup::new("what").required(true).args(["identity", "ensure", "session_exit", "report"]))]
pub struct Canary {
    /// Whose server to watch, in the foreground, until it ends: RUNTIME-NAME.
    #[arg(value_name = "IDENTITY")]
    pub identity: Option<String>,
    /// Start a canary for each of these, where none watches: spawned, already or failed, a line each.
    #[arg(long, value_name = "IDENTITY", num_args = 1..)]
    pub ensure: Vec<String>,
    /// Record that the program of this session has ended (called by the tmux hook), and have the session cleared away.
    #[arg(long, value_name = "IDENTITY")]
    pub session_exit: Option<String>,
    /// Its exit status, where there is one.
    #[arg(long, value_name = "S", conflicts_with_all = ["identity", "ensure", "report"], allow_hyphen_values = true)]
    pub status: Option<String>,
    /// The signal that ended it, where there is one.
    #[arg(long, value_name = "S", conflicts_with_all = ["identity", "ensure", "report"], allow_hyphen_values = true)]
    pub signal: Option<String>,
    /// The pid of its tmux server.
    #[arg(long, value_name = "PID", conflicts_with_all = ["identity", "ensure", "report"])]
    pub server: Option<i32>,
    /// List recorded deaths, newest first.
    #[arg(long)]
    pub report: bool,
    /// How many of them at most.
    #[arg(long, value_name = "N", default_value_t = 20, conflicts_with_all = ["identity", "ensure", "session_exit"])]
    pub last: usize,
    /// Print one JSON object a line.
    #[arg(long)]
    pub json: bool,
}

/// End sessions deliberately.
#[derive(Debug, Parser)]
#[command(name = "iapeer-reap", version)]
#[command(group = ArgGroup::new("what").required(true).args(["identities", "idle", "plan"]))]
pub struct Reap {
    /// Whose sessions: RUNTIME-NAME.
    #[arg(value_name = "IDENTITY")]
    pub identities: Vec<String>,
    /// Leave them resume-eligible (the default).
    #[arg(long, conflicts_with_all = ["no_park", "idle", "plan"])]
    pub park: bool,
    /// Their next wake is fresh.
    #[arg(long, conflicts_with_all = ["idle", "plan"])]
    pub no_park: bool,
    /// Why, for the log.
    #[arg(long, value_name = "TEXT", default_value = "operator", conflicts_with_all = ["idle", "plan"])]
    pub reason: String,
    /// Every session that has been idle.
    #[arg(long)]
    pub idle: bool,
    /// Idle for longer than this many seconds. Default: IAPEER_IDLE_SECS.
    #[arg(long, value_name = "SECS", conflicts_with_all = ["identities", "plan"])]
    pub older_than: Option<f64>,
    /// Say which, and end none.
    #[arg(long, conflicts_with_all = ["identities", "plan"])]
    pub dry_run: bool,
    /// Carry out lines as `iapeer-superviser --json` prints them; - is stdin.
    #[arg(long, value_name = "FILE")]
    pub plan: Option<PathBuf>,
    /// Print one JSON object a line.
    #[arg(long)]
    pub json: bool,
}

/// Bring a peer up without a message.
#[derive(Debug, Parser)]
#[command(name = "iapeer-wake", version)]
pub struct Wake {
    /// The peer: NAME, or RUNTIME-NAME where the runtime matters.
    #[arg(value_name = "PEER")]
    pub peer: String,
    /// Its runtime.
    #[arg(long, value_name = "RT")]
    pub runtime: Option<String>,
    /// With an empty conversation.
    #[arg(long, conflicts_with = "resume")]
    pub fresh: bool,
    /// With its last conversation, or not at all.
    #[arg(long)]
    pub resume: bool,
    /// The topic it is woken for.
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub topic: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Hold one always-on peer (telegram, notifier) in the foreground: what its service unit runs. TERM or INT ends its
/// session.
#[derive(Debug, Parser)]
#[command(name = "iapeer-run", version)]
pub struct Run {
    /// Who: RUNTIME-NAME.
    #[arg(value_name = "IDENTITY")]
    pub identity: String,
}

/// Stdio MCP server with one tool, send_to_peer, for an agent inside its own session.
#[derive(Debug, Parser)]
#[command(name = "iapeer-mcp", version)]
pub struct Mcp {}

/// Hook entry: record that a session started, took a prompt, finished a turn, or ends. Reads the agent's JSON on
/// stdin; never exits non-zero.
#[derive(Debug, Parser)]
#[command(name = "iapeer-turn", version)]
pub struct Turn {
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
    /// Run PROGRAM start|prompt|stop|end with a JSON object on its standard input.
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
    after_help = "Programs that are verbs too (`iapeer send --help`): send, drain, superviser, reap, canary, wake, run, turn, mcp, parrot."
)]
pub struct Front {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
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
}

/// A runtime, and whose.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("whose").required(true).args(["peer", "all"]))]
pub struct OfRuntime {
    /// The runtime.
    #[arg(value_name = "RT")]
    pub runtime: String,
    /// This peer.
    #[arg(long, value_name = "P")]
    pub peer: Option<String>,
    /// Every registered peer.
    #[arg(long)]
    pub all: bool,
}

/// What `iapeer units` does.
#[derive(Debug, Subcommand)]
pub enum Units {
    /// Write the units for this user where they differ, and have them run. Repeat it after an upgrade.
    Install(Planned),
    /// Stop and remove them. Sessions and messages stay.
    Uninstall(Planned),
    /// Show each unit's file, state, last run and next.
    Status {
        /// Print one JSON object a line.
        #[arg(long)]
        json: bool,
    },
}

/// How to change something.
#[derive(Debug, Args)]
pub struct Planned {
    /// Say what would be done and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Print one JSON object a line.
    #[arg(long)]
    pub json: bool,
}

/// The front's own verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
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
    },
    /// Show the peers and how they stand.
    List {
        /// Print one JSON object a line.
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
    SelfFresh,
    /// For workers: the task is done although there is nothing to send.
    SelfDone,
    /// Show iapeer at work in a throw-away root: a wake, a reply, a reap, a resume.
    Demo {
        /// The agent to show. Default: the embedded parrot.
        #[arg(long, value_name = "RT", default_value = "parrot")]
        runtime: String,
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
    },
    /// Print the version and nothing else.
    Version,
    /// Write the manual pages of all programs into a folder, or print iapeer's own.
    Man {
        /// The folder.
        #[arg(value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Run iapeer-VERB, or launch the current folder's peer on a runtime.
    #[command(external_subcommand)]
    Other(Vec<String>),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    /// Whether a program takes a command line.
    fn takes(line: &str) -> bool {
        let (program, _) = line.split_once(' ').unwrap();
        let command = match program {
            "iapeer-drain" => Drain::command(),
            "iapeer-canary" => Canary::command(),
            "iapeer-reap" => Reap::command(),
            "iapeer-wake" => Wake::command(),
            _ => panic!("{program}"),
        };
        command.try_get_matches_from(line.split(' ')).is_ok()
    }

    #[test]
    fn what_would_not_be_heeded_is_refused() {
        for (line, taken) in [
            ("iapeer-reap a-b --no-park --reason x", true),
            ("iapeer-reap --idle --older-than 5 --dry-run", true),
            ("iapeer-reap --plan f", true),
            ("iapeer-reap --dry-run", false),
            ("iapeer-reap a-b --dry-run", false),
            ("iapeer-reap a-b --older-than 5", false),
            ("iapeer-reap --plan f --dry-run", false),
            ("iapeer-reap --plan f --older-than 5", false),
            ("iapeer-reap --plan f --no-park", false),
            ("iapeer-reap --idle --no-park", false),
            ("iapeer-reap --idle --park", false),
            ("iapeer-reap --idle --reason x", false),
            ("iapeer-drain a-b --dry-run", true),
            ("iapeer-drain --requeue 1", true),
            ("iapeer-drain --requeue 1 --dry-run", false),
            ("iapeer-drain --drop 1 --dry-run", false),
            ("iapeer-drain --drop 1 --requeue 1", false),
            ("iapeer-drain --drop 1 a-b", false),
            ("iapeer-drain --drop 1 --all", false),
            ("iapeer-drain --all a-b", false),
            ("iapeer-canary --session-exit a-b --status= --signal -9 --server 7", true),
            ("iapeer-canary --report --last 3", true),
            ("iapeer-canary a-b --status 1", false),
            ("iapeer-canary a-b --server 7", false),
            ("iapeer-canary --report --signal 9", false),
            ("iapeer-canary --ensure a-b --last 3", false),
            ("iapeer-wake b --topic -x", true),
            ("iapeer-wake b --fresh --resume", false),
        ] {
            assert_eq!(takes(line), taken, "{line}");
        }
    }
}
