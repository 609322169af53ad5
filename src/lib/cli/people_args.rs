//! The front's verbs for people: their inboxes, their answers.

use clap::Subcommand;
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
    /// Show the owner of this host, or name another: who sends from outside any peer's folder.
    Owner {
        /// A person.
        #[arg(value_name = "NAME")]
        name: Option<String>,
    },
}
