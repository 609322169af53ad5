//! The MCP server of `iapeer-mcp`: one tool, `send_to_peer`, for an agent inside its own session.
//!
//! The SDK implements the protocol; `tool` describes the tool and carries out its calls.

#![forbid(unsafe_code)]

mod server;
mod stdio;
mod tool;

pub use server::serve;
