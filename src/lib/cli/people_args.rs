//! The command lines of the verbs for people: their inboxes and their answers.

use crate::cli::telegram_args::Connect;
use clap::{ArgGroup, Subcommand, ValueEnum};
use std::path::PathBuf;

/// What people do.
#[derive(Debug, Subcommand)]
pub enum People {
    /// Show a person's messages: the unread ones, the newest last.
    Inbox {
        /// Whose. Default: the person of the current folder, else the owner.
        #[arg(value_name = "NAME")]
        name: Option<String>,
        /// Go on as they come.
        #[arg(short, long)]
        follow: bool,
        /// The read ones too, after the unread ones.
        #[arg(long)]
        all: bool,
        /// Print one JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Show one message and mark it read.
    Read {
        /// Its id, or the end of it. Default: the oldest unread one.
        #[arg(value_name = "ID")]
        id: Option<String>,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Answer the sender of a message, and mark that read.
    Reply {
        /// The message: its id, or the end of it.
        #[arg(value_name = "ID")]
        id: String,
        /// The answer. Without it and -f it is read from stdin.
        #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
        message: Option<String>,
        /// Read the answer from this file; - is stdin.
        #[arg(short = 'f', long, value_name = "FILE")]
        message_file: Option<PathBuf>,
        /// A file to go with it, by its absolute path. May be given 20 times.
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
        /// Which.
        #[arg(value_name = "TAG")]
        tags: Vec<String>,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Show what was said, the oldest first: of each message who wrote it to whom, when, and what became of it.
    History {
        /// Only messages from or to this peer.
        #[arg(value_name = "PEER")]
        peer: Option<String>,
        /// Only those between PEER and this one; without PEER, from or to this one.
        #[arg(long, value_name = "PEER")]
        with: Option<String>,
        /// Only what was accepted since: 90s, 10m, 2h, 3d, or a time as 2026-01-31T12:00:00Z.
        #[arg(long, value_name = "WHEN")]
        since: Option<String>,
        /// Only those whose text or topic contains this, in upper or lower case.
        #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
        grep: Option<String>,
        /// Only this message, what it answers, what answers it, and so on.
        #[arg(long, value_name = "ID")]
        thread: Option<String>,
        /// Print one JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Connect a person to a service, so that messages reach it elsewhere.
    Connect {
        /// To which.
        #[command(subcommand)]
        to: Connect,
    },
    /// Have the operating system send messages: at times, every so often, or when a path changes.
    Schedule {
        /// What to do.
        #[command(subcommand)]
        act: ScheduleAct,
    },
    /// Run the program that tells people at once, `notify` in the root.
    Notify {
        /// Run it with an event of no consequence, wait for its end and say how it went.
        #[arg(long, required_unless_present = "event")]
        test: bool,
        /// The file of an event; it is removed.
        #[arg(long, value_name = "FILE", hide = true, conflicts_with = "test")]
        event: Option<PathBuf>,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Show the owner of this host, or name another: who sends from outside any peer's folder.
    Owner {
        /// A person.
        #[arg(value_name = "NAME")]
        name: Option<String>,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
}

/// What to do with tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TagAct {
    /// Give them.
    Add,
    /// Take them away.
    Remove,
}

/// What `iapeer schedule` does.
#[derive(Debug, Subcommand)]
pub enum ScheduleAct {
    /// Make a schedule, or change one. Its messages come from schedule-NAME; answers to them go to the owner.
    #[command(group = ArgGroup::new("when").required(true).args(["on_calendar", "every", "path_changed"]))]
    Add {
        /// Its name.
        #[arg(value_name = "NAME")]
        name: String,
        /// To whom: a peer, @TAG or @all.
        #[arg(long, value_name = "PEER")]
        to: String,
        /// At these times: hourly, daily, weekly, monthly, HH:MM, Mon..Fri HH:MM, *-*-DD HH:MM; under systemd all that
        /// systemd.time(7) knows.
        #[arg(long, value_name = "SPEC")]
        on_calendar: Option<String>,
        /// Every so often: 90s, 10m, 2h, 1d.
        #[arg(long, value_name = "TIME")]
        every: Option<String>,
        /// When this file or folder has changed.
        #[arg(long, value_name = "PATH")]
        path_changed: Option<PathBuf>,
        /// What it is about.
        #[arg(long, value_name = "T", allow_hyphen_values = true)]
        topic: Option<String>,
        /// The message. Without it and -f the message is read from stdin.
        #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
        message: Option<String>,
        /// Read the message from this file; - is stdin.
        #[arg(short = 'f', long, value_name = "FILE")]
        message_file: Option<PathBuf>,
        /// Send although the last message of this schedule still waits.
        #[arg(long, overrides_with = "no_pile")]
        pile: bool,
        /// Send nothing then (the default).
        #[arg(long)]
        no_pile: bool,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Show the schedules and how they stand.
    List {
        /// Print one JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Send a schedule's message now.
    Run {
        /// Its name.
        #[arg(value_name = "NAME")]
        name: String,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Take a schedule away.
    Remove {
        /// Its name.
        #[arg(value_name = "NAME")]
        name: String,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
}
