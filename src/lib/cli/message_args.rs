//! The command lines of the programs that deliver messages and keep sessions.

use clap::{ArgGroup, Parser, ValueEnum};
use std::path::PathBuf;

/// Accept a message durably into a peer's queue, then have it delivered.
#[derive(Debug, Parser)]
#[command(name = "iapeer-send", version)]
pub struct Send {
    /// The recipients: NAME, RUNTIME-NAME where the runtime matters, NAME@HOST on another host, @TAG for all who have that
    /// tag, @all for all agents.
    #[arg(value_name = "PEER", required = true)]
    pub to: Vec<String>,
    /// The message. Without it and -f the message is read from stdin.
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    pub message: Option<String>,
    /// Read the message from this file; - is stdin.
    #[arg(short = 'f', long, value_name = "FILE")]
    pub message_file: Option<PathBuf>,
    /// Who sends it. Default: PEER_IDENTITY, else the peer of the current folder, else the host's owner.
    #[arg(long, value_name = "IDENTITY")]
    pub from: Option<String>,
    /// The recipient's runtime.
    #[arg(long, value_name = "RT")]
    pub runtime: Option<String>,
    /// What it is about: 200 characters at most.
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub topic: Option<String>,
    /// The message that it answers, by its id.
    #[arg(long, value_name = "ID")]
    pub re: Option<String>,
    /// Wait for the answer and print it; the report goes to stderr. Exit 75 when time is over: the answer then comes like any
    /// other message.
    #[arg(long, conflicts_with_all = ["no_wait", "require"])]
    pub ask: bool,
    /// A file to go with it, by its absolute path. May be given 20 times.
    #[arg(long = "attach", visible_alias = "attachment", value_name = "PATH")]
    pub attach: Vec<String>,
    /// How long to watch it settle, in seconds, or as in 90s, 10m, 2h [default: 60s; 10m with --ask]. Giving up waiting loses
    /// nothing.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub wait: Option<String>,
    /// Don't watch: say `queued` as soon as it is durable.
    #[arg(long, conflicts_with = "wait")]
    pub no_wait: bool,
    /// Steer a running turn instead of waiting for its end.
    #[arg(long)]
    pub urgent: bool,
    /// Keep nothing, and say so, where an earlier message of this sender to that peer still waits.
    #[arg(long, conflicts_with = "ask")]
    pub no_pile: bool,
    /// Exit 75 unless it was delivered.
    #[arg(long, value_name = "WHAT", value_enum)]
    pub require: Option<Require>,
    /// Print one JSON object a recipient.
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
#[command(group = ArgGroup::new("act").args(["list", "show", "requeue", "drop"]))]
pub struct Drain {
    /// Whose queues: RUNTIME-NAME, or NAME for all its runtimes; to list them also @HOST.
    #[arg(value_name = "IDENTITY")]
    pub identities: Vec<String>,
    /// Every queue that has something in it.
    #[arg(long, conflicts_with = "identities")]
    pub all: bool,
    /// List waiting, inflight, dead and corrupt items.
    #[arg(long)]
    pub list: bool,
    /// Print an item as it is kept, its text too, wherever it is.
    #[arg(long, value_name = "ID", conflicts_with_all = ["identities", "all", "dry_run"])]
    pub show: Option<String>,
    /// Accept dead items again, each at the end of its queue.
    #[arg(long, value_name = "ID", num_args = 1.., conflicts_with_all = ["identities", "all", "dry_run"])]
    pub requeue: Vec<String>,
    /// Drop a dead item, and print it.
    #[arg(long, value_name = "ID", conflicts_with_all = ["identities", "all", "dry_run"])]
    pub drop: Option<String>,
    /// Say what would be delivered and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Begin when standard input ends: until then its starter is still writing the message.
    #[arg(long, hide = true)]
    pub gated: bool,
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
#[command(group = ArgGroup::new("what").required(true).args(["identity", "ensure", "session_exit", "pane_log", "report"]))]
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
    /// Append what comes on stdin to this file, within bounds (called by tmux, with what the pane's program writes).
    #[arg(long, value_name = "FILE", conflicts_with_all = ["identity", "ensure", "session_exit", "report"])]
    pub pane_log: Option<PathBuf>,
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
    /// Whose sessions: RUNTIME-NAME, or NAME for all its runtimes.
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
    /// Idle for longer than this: 90s, 10m, 2h; a bare number is seconds. Default: IAPEER_IDLE_SECS.
    #[arg(long, value_name = "TIME", conflicts_with_all = ["identities", "plan"])]
    pub older_than: Option<String>,
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
