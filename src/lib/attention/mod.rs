//! What each peer is doing and what it waits for: the rule that decides on a peer's state from all evidence, the file
//! that stores the state, approvals and their answers, and messages to the owner.

#![forbid(unsafe_code)]

pub mod answer;
pub mod approval;
pub mod hold;
pub mod hook;
pub mod look;
pub mod report;
pub mod requests;
pub mod rule;
pub mod tell;
