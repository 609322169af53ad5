//! What each peer is doing and what it waits for: the rule over all evidence, the file that keeps it, approvals and
//! their answers, and telling the owner.

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
