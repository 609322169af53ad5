//! Messages: the envelope they travel in, and their limits.

pub mod envelope;
pub mod limits;

pub use envelope::{Envelope, EnvelopeError, Instruction};
