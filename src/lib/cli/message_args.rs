//! The command lines of the programs that deliver messages and keep sessions.

use clap::{ArgGroup, Parser, ValueEnum};
use std::path::PathBuf;

/// Accept a message durably into a peer's queue, then have it delivered.
#[derive(Debug, Parser)]
#[command(name = "iapeer-send", version)]
pub struct Send {
    /// The recipients: NAME, RUNTIME-NAME where the runtime matters, NAME@HOST for a peer on another host, @TAG for all
    /// peers with that tag, @all for all agents.
    #[arg(value_name = "PEER", required = true)]
    pub to: Vec<String>,
    /// The message. Without it and -f the message is read from stdin.
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    pub message: Option<String>,
    /// Read the message from this file; - is stdin.
    #[arg(short = 'f', long, value_name = "FILE")]
    pub message_file: Option<PathBuf>,
    /// The sender. Default: PEER_IDENTITY, else the peer of the current folder, else the host's owner.
    #[arg(long, value_name = "IDENTITY")]
    pub from: Option<String>,
    /// The recipient's runtime.
    #[arg(long, value_name = "RT")]
    pub runtime: Option<String>,
    /// The topic of the message: 200 characters at most.
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub topic: Option<String>,
    /// The id of the message that this one answers.
    #[arg(long, value_name = "ID")]
    pub re: Option<String>,
    /// Wait for the answer and print it; the report goes to stderr. If no answer comes in time the exit code is 75, and
    /// the answer is delivered later like any other message.
    #[arg(long, conflicts_with_all = ["no_wait", "require"])]
    pub ask: bool,
    /// The absolute path of a file that goes with the message. May be given 20 times.
    #[arg(long = "attach", visible_alias = "attachment", value_name = "PATH")]
    pub attach: Vec<String>,
    /// How long to wait for the outcome, in seconds, or as in 90s, 10m, 2h [default: 60s; 10m with --ask]. The message
    /// is not lost when this time is over.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub wait: Option<String>,
    /// Don't wait: report `queued` as soon as the message is durable.
    #[arg(long, conflicts_with = "wait")]
    pub no_wait: bool,
    /// Steer a running turn instead of waiting for its end.
    #[arg(long)]
    pub urgent: bool,
    /// Skip the message, and report that, where an earlier message of this sender to that peer still waits.
    #[arg(long, conflicts_with = "ask")]
    pub no_pile: bool,
    /// Exit with code 75 unless the message was delivered.
    #[arg(long, value_name = "WHAT", value_enum)]
    pub require: Option<Require>,
    /// Print one JSON object per recipient.
    #[arg(long)]
    pub json: bool,
}

/// What `--require` may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Require {
    /// Evidence that the session took the message.
    Delivered,
}

/// Deliver waiting messages, list queues, or settle a dead letter.
#[derive(Debug, Parser)]
#[command(name = "iapeer-drain", version)]
#[command(group = ArgGroup::new("act").args(["list", "show", "requeue", "drop"]))]
pub struct Drain {
    /// The peers whose queues are meant: RUNTIME-NAME, or NAME for all its runtimes; with --list also @HOST.
    #[arg(value_name = "IDENTITY")]
    pub identities: Vec<String>,
    /// Every queue that is not empty.
    #[arg(long, conflicts_with = "identities")]
    pub all: bool,
    /// List waiting, inflight, dead and corrupt items.
    #[arg(long)]
    pub list: bool,
    /// Print an item with its text, in whichever folder it is.
    #[arg(long, value_name = "ID", conflicts_with_all = ["identities", "all", "dry_run"])]
    pub show: Option<String>,
    /// Accept dead items again, each at the end of its queue.
    #[arg(long, value_name = "ID", num_args = 1.., conflicts_with_all = ["identities", "all", "dry_run"])]
    pub requeue: Vec<String>,
    /// Print a dead item, then drop it.
    #[arg(long, value_name = "ID", conflicts_with_all = ["identities", "all", "dry_run"])]
    pub drop: Option<String>,
    /// Show what would be delivered, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Begin when stdin ends: until then the program that started this drain is still writing the message.
    #[arg(long, hide = true)]
    pub gated: bool,
    /// Print one JSON object per line.
    #[arg(long)]
    pub json: bool,
}

/// Run one tick: examine every session once, decide, act, then start drains for waiting messages.
#[derive(Debug, Parser)]
#[command(name = "iapeer-superviser", version)]
pub struct Superviser {
    /// Change nothing at all; report every session.
    #[arg(long)]
    pub dry_run: bool,
    /// Print one JSON object per line.
    #[arg(long)]
    pub json: bool,
    /// Only this identity. May be given several times.
    #[arg(long, value_name = "IDENTITY")]
    pub only: Vec<String>,
    /// Report live and OS-managed sessions too.
    #[arg(short, long)]
    pub verbose: bool,
}

/// Watch one tmux server and record why it died, or list recorded deaths.
#[derive(Debug, Parser)]
#[command(name = "iapeer-canary", version)]
#[command(group = ArgGroup::new("what").required(true).args(["identity", "ensure", "session_exit", "pane_log", "report"]))]
pub struct Canary {
    /// Watch the tmux server of this identity (RUNTIME-NAME) in the foreground until it ends.
    #[arg(value_name = "IDENTITY")]
    pub identity: Option<String>,
    /// Start a canary for each of these identities where none watches. Prints spawned, already or failed, one line for
    /// each.
    #[arg(long, value_name = "IDENTITY", num_args = 1..)]
    pub ensure: Vec<String>,
    /// Record that the program of this session has ended, and start a tick that removes the session (called by a tmux
    /// hook).
    #[arg(long, value_name = "IDENTITY")]
    pub session_exit: Option<String>,
    /// Append stdin to this file, up to a size limit (called by tmux with the output of the pane's program).
    #[arg(long, value_name = "FILE", conflicts_with_all = ["identity", "ensure", "session_exit", "report"])]
    pub pane_log: Option<PathBuf>,
    /// The program's exit status, where there is one.
    #[arg(long, value_name = "S", conflicts_with_all = ["identity", "ensure", "report"], allow_hyphen_values = true)]
    pub status: Option<String>,
    /// The signal that ended it, where there is one.
    #[arg(long, value_name = "S", conflicts_with_all = ["identity", "ensure", "report"], allow_hyphen_values = true)]
    pub signal: Option<String>,
    /// The pid of the session's tmux server.
    #[arg(long, value_name = "PID", conflicts_with_all = ["identity", "ensure", "report"])]
    pub server: Option<i32>,
    /// List recorded deaths, newest first.
    #[arg(long)]
    pub report: bool,
    /// The largest number of deaths to list.
    #[arg(long, value_name = "N", default_value_t = 20, conflicts_with_all = ["identity", "ensure", "session_exit"])]
    pub last: usize,
    /// Print one JSON object per line.
    #[arg(long)]
    pub json: bool,
}

/// End sessions deliberately.
#[derive(Debug, Parser)]
#[command(name = "iapeer-reap", version)]
#[command(group = ArgGroup::new("what").required(true).args(["identities", "idle", "plan"]))]
pub struct Reap {
    /// The sessions to end: RUNTIME-NAME, or NAME for all its runtimes.
    #[arg(value_name = "IDENTITY")]
    pub identities: Vec<String>,
    /// The sessions may be resumed (the default).
    #[arg(long, conflicts_with_all = ["no_park", "idle", "plan"])]
    pub park: bool,
    /// The peers' next wake starts a fresh session.
    #[arg(long, conflicts_with_all = ["idle", "plan"])]
    pub no_park: bool,
    /// The reason, for the log.
    #[arg(long, value_name = "TEXT", default_value = "operator", conflicts_with_all = ["idle", "plan"])]
    pub reason: String,
    /// End every idle session.
    #[arg(long)]
    pub idle: bool,
    /// The shortest idle time: 90s, 10m, 2h; a number without a unit is seconds. Default: IAPEER_IDLE_SECS.
    #[arg(long, value_name = "TIME", conflicts_with_all = ["identities", "plan"])]
    pub older_than: Option<String>,
    /// Show which sessions would be ended, and end none.
    #[arg(long, conflicts_with_all = ["identities", "plan"])]
    pub dry_run: bool,
    /// Carry out the lines of a plan, in the form that `iapeer-superviser --json` prints; - is stdin.
    #[arg(long, value_name = "FILE")]
    pub plan: Option<PathBuf>,
    /// Print one JSON object per line.
    #[arg(long)]
    pub json: bool,
}

/// Wake a peer without a message.
#[derive(Debug, Parser)]
#[command(name = "iapeer-wake", version)]
pub struct Wake {
    /// The peer: NAME, or RUNTIME-NAME where the runtime matters.
    #[arg(value_name = "PEER")]
    pub peer: String,
    /// The peer's runtime.
    #[arg(long, value_name = "RT")]
    pub runtime: Option<String>,
    /// Start an empty conversation.
    #[arg(long, conflicts_with = "resume")]
    pub fresh: bool,
    /// Resume the last conversation; where there is none, the wake fails.
    #[arg(long)]
    pub resume: bool,
    /// The topic by which the wake rule decides.
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub topic: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
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
            ("iapeer-drain --requeue 1 2", true),
            ("iapeer-drain --show 1", true),
            ("iapeer-drain --show 1 --requeue 1", false),
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
