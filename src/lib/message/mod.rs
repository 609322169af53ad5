//! Messages: the envelope they travel in, and their limits.

#![forbid(unsafe_code)]

pub mod envelope;
pub mod limits;

pub use envelope::{Envelope, EnvelopeError, Instruction};
