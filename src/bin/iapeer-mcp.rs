//! iapeer-mcp: stdio MCP server with one tool, `send_to_peer`, for an agent inside its own session.
//!
//! Promise: the same acceptance path and the same outcomes as `iapeer-send`; the sender is the session it runs in
//! (`PEER_IDENTITY`); nothing but protocol on stdout.
//!
//! 1. Answer `server/discover` or `initialize`, list the tool with a line for each peer.
//! 2. On a call: accept the message durably, have it delivered, watch it settle for 45 s at most.
//!
//! Exit: 0 when the client is gone · 64 usage · 70 internal.

use clap::Parser;
use iapeer::base::output;
use iapeer::cli::{self, args};
use iapeer::mcp;
use std::process::ExitCode;
use tracing::level_filters::LevelFilter;

const PROGRAM: &str = "iapeer-mcp";

fn main() -> ExitCode {
    iapeer::host::inherited::disown();
    if let Err(error) = args::Mcp::try_parse() {
        return cli::usage(PROGRAM, &error);
    }
    output::run(PROGRAM, || {
        cli::init_logging(LevelFilter::WARN)?;
        mcp::serve()
    })
}
