//! The MCP server of `iapeer-mcp`: one tool, `send_to_peer`, for an agent inside its own session.
//!
//! Protocol and framing are the SDK's; `tool` says what the tool looks like and what a call means.

#![forbid(unsafe_code)]

mod server;
mod stdio;
mod tool;

pub use server::serve;
