//! The command lines of the verbs for people: their inboxes and their answers.

use crate::cli::telegram_args::Connect;
use clap::{ArgGroup, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Verbs for people.
#[derive(Debug, Subcommand)]
pub enum People {
    /// Show a person's unread messages, the newest last.
    Inbox {
        /// The person. Default: the person of the current folder, else the owner.
        #[arg(value_name = "NAME")]
        name: Option<String>,
        /// Keep running, and print new messages as they come.
        #[arg(short, long)]
        follow: bool,
        /// Also show the read messages, after the unread ones.
        #[arg(long)]
        all: bool,
        /// Print one JSON object per line.
        #[arg(long)]
        json: bool,
    },
    /// Show one message and mark it read.
    Read {
        /// The message's id, or the end of the id. Default: the oldest unread message.
        #[arg(value_name = "ID")]
        id: Option<String>,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Answer the sender of a message, and mark that message read.
    Reply {
        /// The message's id, or the end of the id.
        #[arg(value_name = "ID")]
        id: String,
        /// The answer. Without it and -f the answer is read from stdin.
        #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
        message: Option<String>,
        /// Read the answer from this file; - is stdin.
        #[arg(short = 'f', long, value_name = "FILE")]
        message_file: Option<PathBuf>,
        /// The absolute path of a file that goes with the message. May be given 20 times.
        #[arg(long = "attach", value_name = "PATH")]
        attach: Vec<String>,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Show a peer's tags, or change them: `iapeer-send @TAG` writes to all who have the tag.
    Tag {
        /// The peer.
        #[arg(value_name = "NAME")]
        name: String,
        /// add or remove.
        #[arg(value_name = "ACT", value_enum, requires = "tags")]
        act: Option<TagAct>,
        /// The tags.
        #[arg(value_name = "TAG")]
        tags: Vec<String>,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Show settled messages, the oldest first: sender, recipient, time, text and outcome of each.
    History {
        /// Only messages from or to this peer.
        #[arg(value_name = "PEER")]
        peer: Option<String>,
        /// Only messages between PEER and this peer; without PEER, messages from or to this peer.
        #[arg(long, value_name = "PEER")]
        with: Option<String>,
        /// Only messages accepted since then: 90s, 10m, 2h, 3d ago, or a time as 2026-01-31T12:00:00Z.
        #[arg(long, value_name = "WHEN")]
        since: Option<String>,
        /// Only messages whose text or topic contains this; upper and lower case are not distinguished.
        #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
        grep: Option<String>,
        /// Only the chain of this message: the messages that it answers, and the messages that answer it.
        #[arg(long, value_name = "ID")]
        thread: Option<String>,
        /// Print one JSON object per line.
        #[arg(long)]
        json: bool,
    },
    /// Connect a person to a service, so that messages reach the person there.
    Connect {
        /// The service.
        #[command(subcommand)]
        to: Connect,
    },
    /// Have the operating system send messages: at given times, at intervals, or when a path changes.
    Schedule {
        /// The verb.
        #[command(subcommand)]
        act: ScheduleAct,
    },
    /// Run the program `notify` in the root, which notifies people at once.
    Notify {
        /// Run the program with a test event, wait for its end, and report the result.
        #[arg(long, required_unless_present = "event")]
        test: bool,
        /// The file of an event; the file is removed.
        #[arg(long, value_name = "FILE", hide = true, conflicts_with = "test")]
        event: Option<PathBuf>,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Show or set the owner of this host: the sender of messages from outside any peer's folder.
    Owner {
        /// The new owner, a person.
        #[arg(value_name = "NAME")]
        name: Option<String>,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
}

/// How tags are changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TagAct {
    /// Add tags.
    Add,
    /// Remove tags.
    Remove,
}

/// What `iapeer schedule` does.
#[derive(Debug, Subcommand)]
pub enum ScheduleAct {
    /// Add or replace a schedule. Its messages come from schedule-NAME; answers to them go to the owner.
    #[command(group = ArgGroup::new("when").required(true).args(["on_calendar", "every", "path_changed"]))]
    Add {
        /// The name.
        #[arg(value_name = "NAME")]
        name: String,
        /// The recipient: a peer, @TAG or @all.
        #[arg(long, value_name = "PEER")]
        to: String,
        /// Send at these times: hourly, daily, weekly, monthly, HH:MM, Mon..Fri HH:MM, *-*-DD HH:MM; under systemd
        /// every form that systemd.time(7) describes.
        #[arg(long, value_name = "SPEC")]
        on_calendar: Option<String>,
        /// Send at this interval: 90s, 10m, 2h, 1d.
        #[arg(long, value_name = "TIME")]
        every: Option<String>,
        /// Send when this file or folder has changed.
        #[arg(long, value_name = "PATH")]
        path_changed: Option<PathBuf>,
        /// The topic of the messages.
        #[arg(long, value_name = "T", allow_hyphen_values = true)]
        topic: Option<String>,
        /// The message. Without it and -f the message is read from stdin.
        #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
        message: Option<String>,
        /// Read the message from this file; - is stdin.
        #[arg(short = 'f', long, value_name = "FILE")]
        message_file: Option<PathBuf>,
        /// Send also while the last message of this schedule still waits.
        #[arg(long, overrides_with = "no_pile")]
        pile: bool,
        /// Send nothing while the last message of this schedule still waits (the default).
        #[arg(long)]
        no_pile: bool,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Show the schedules and their states.
    List {
        /// Print one JSON object per line.
        #[arg(long)]
        json: bool,
    },
    /// Send a schedule's message now.
    Run {
        /// The name.
        #[arg(value_name = "NAME")]
        name: String,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Remove a schedule.
    Remove {
        /// The name.
        #[arg(value_name = "NAME")]
        name: String,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
}
