//! The command lines of `iapeer host` and `iapeer-relay`.

use crate::base::HostName;
use crate::base::span::of_option;
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

/// Hand messages over to other hosts, and take messages from them.
#[derive(Debug, Parser)]
#[command(name = "iapeer-relay", version)]
pub struct Relay {
    /// The verb.
    #[command(subcommand)]
    pub act: RelayAct,
}

/// What it does.
#[derive(Debug, Subcommand)]
pub enum RelayAct {
    /// Connect to hosts by ssh, hand over the messages that wait for them, and take the messages that wait there for
    /// this host.
    Push {
        /// The hosts. Default: every host that has an ssh destination.
        #[arg(value_name = "HOST")]
        hosts: Vec<HostName>,
        /// Only where messages wait and a try is due; try again while the pauses are short (used by iapeer itself).
        #[arg(long)]
        due: bool,
        /// Print one JSON object per host.
        #[arg(long)]
        json: bool,
    },
    /// Run the relay for hosts that are reached by the NATS server of nats.json, until it is killed.
    Run,
    /// Run the receiving end of a push on stdin and stdout (run by ssh, or as a forced command of authorized_keys).
    Receive {
        /// The host that connects. The senders of its messages count as peers of this host, whatever the messages say.
        #[arg(long, value_name = "HOST")]
        host: HostName,
    },
    /// Ask hosts for their peers (used by `iapeer list --hosts`).
    Peers {
        /// The hosts. Default: all registered hosts.
        #[arg(value_name = "HOST")]
        hosts: Vec<HostName>,
        /// Print one JSON object per peer.
        #[arg(long)]
        json: bool,
    },
}

/// What `iapeer host` does.
#[derive(Debug, Subcommand)]
pub(crate) enum HostAct {
    /// Register a host, or change how it is reached.
    Add {
        /// The host's name, as its own file `hostname` has it.
        #[arg(value_name = "HOST")]
        host: HostName,
        /// The ssh destination: USER@MACHINE. Without it messages wait until that host connects to this one.
        #[arg(value_name = "DESTINATION")]
        destination: Option<String>,
        /// The host is reached by the NATS server that nats.json names.
        #[arg(long, conflicts_with_all = ["destination", "root", "program", "keep", "fetch", "options"])]
        nats: bool,
        /// The root on that host, where it is not the default one.
        #[arg(long, value_name = "DIR")]
        root: Option<PathBuf>,
        /// The path of iapeer-relay on that host, where it is neither in ~/.local/bin nor on PATH.
        #[arg(long, value_name = "FILE")]
        program: Option<PathBuf>,
        /// How long ssh keeps a connection open for further messages: 90s, 10m.
        #[arg(long, value_name = "TIME", default_value = "0", value_parser = of_option)]
        keep: Duration,
        /// Connect to the host each minute although nothing waits for it, since it can't connect to this host.
        #[arg(long, requires = "destination")]
        fetch: bool,
        /// Further arguments of ssh, as in `-- -p 2222`.
        #[arg(last = true, value_name = "WORD", requires = "destination")]
        options: Vec<String>,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Show this host, then the registered hosts and how many messages wait for each.
    List {
        /// Print one JSON object per line.
        #[arg(long)]
        json: bool,
    },
    /// Remove a host. Refused while messages wait for the host or for its receipts.
    Remove {
        /// The host.
        #[arg(value_name = "HOST")]
        host: HostName,
        /// Remove the host nevertheless: the messages become dead letters, and their senders are told.
        #[arg(long)]
        force: bool,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Send a probe to a host and back by the way that messages take, and print how long it took.
    Test {
        /// The host.
        #[arg(value_name = "HOST")]
        host: HostName,
        /// How long to wait for the probe: 30s, 2m.
        #[arg(long, value_name = "TIME", default_value = "30s", value_parser = of_option)]
        wait: Duration,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
}
