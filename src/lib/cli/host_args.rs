//! The command lines of `iapeer host` and `iapeer-relay`.

use crate::base::HostName;
use crate::base::span::of_option;
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

/// Hand messages to other hosts, and take theirs.
#[derive(Debug, Parser)]
#[command(name = "iapeer-relay", version)]
pub struct Relay {
    /// What to do.
    #[command(subcommand)]
    pub act: RelayAct,
}

/// What it does.
#[derive(Debug, Subcommand)]
pub enum RelayAct {
    /// Call hosts by ssh, hand over what waits for them, and take over what waits there for this host.
    Push {
        /// Which. Default: every host that has an ssh destination.
        #[arg(value_name = "HOST")]
        hosts: Vec<HostName>,
        /// Only where something waits and a try is due; try again while the pauses are short (what iapeer itself runs).
        #[arg(long)]
        due: bool,
        /// Print one JSON object a host.
        #[arg(long)]
        json: bool,
    },
    /// Be the relay that is always on, for hosts that meet at the NATS server of nats.json: until killed.
    Run,
    /// Be the far end of a push, on standard input and output: what ssh runs, or a forced command of authorized_keys.
    Receive {
        /// The host that calls. What it gives counts as its own peers', whatever it says.
        #[arg(long, value_name = "HOST")]
        host: HostName,
    },
    /// Ask hosts who is there: what `iapeer list --hosts` runs.
    Peers {
        /// Which. Default: all that are known.
        #[arg(value_name = "HOST")]
        hosts: Vec<HostName>,
        /// Print one JSON object a peer.
        #[arg(long)]
        json: bool,
    },
}

/// What `iapeer host` does.
#[derive(Debug, Subcommand)]
pub(crate) enum HostAct {
    /// Make a host known, or change how it is reached.
    Add {
        /// Its name among its friends, as its own `hostname` says.
        #[arg(value_name = "HOST")]
        host: HostName,
        /// Where ssh finds it: USER@MACHINE. Without it that host calls this one, and gets then what waits for it.
        #[arg(value_name = "DESTINATION")]
        destination: Option<String>,
        /// It is reached by the NATS server that nats.json names.
        #[arg(long, conflicts_with_all = ["destination", "root", "program", "keep", "fetch", "options"])]
        nats: bool,
        /// The root there, where it is not the default one.
        #[arg(long, value_name = "DIR")]
        root: Option<PathBuf>,
        /// The iapeer-relay there, where it is neither in ~/.local/bin nor on PATH.
        #[arg(long, value_name = "FILE")]
        program: Option<PathBuf>,
        /// How long ssh keeps a connection (90s, 10m), so that the next message needs none of its own.
        #[arg(long, value_name = "TIME", default_value = "0", value_parser = of_option)]
        keep: Duration,
        /// Call it each minute although nothing waits for it: it can't call this host.
        #[arg(long, requires = "destination")]
        fetch: bool,
        /// Further words for ssh, as in `-- -p 2222`.
        #[arg(last = true, value_name = "WORD", requires = "destination")]
        options: Vec<String>,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Show the known hosts, this one first, and what waits for them.
    List {
        /// Print one JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Forget a host. With messages that wait for it or for its receipts it is refused.
    Remove {
        /// Which.
        #[arg(value_name = "HOST")]
        host: HostName,
        /// Even then: the messages become dead letters, and their senders are told.
        #[arg(long)]
        force: bool,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Send a probe there and back the way of a message, and print how long it took.
    Test {
        /// Which.
        #[arg(value_name = "HOST")]
        host: HostName,
        /// How long to wait for it: 30s, 2m.
        #[arg(long, value_name = "TIME", default_value = "30s", value_parser = of_option)]
        wait: Duration,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
}
