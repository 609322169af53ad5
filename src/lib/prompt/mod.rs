//! The system prompt of a session: facts, host and peer doctrine, the known peers, documents, fragments, memory (spec
//! 11). The layout is fixed to the byte.

#![forbid(unsafe_code)]

mod compose;
mod gather;

pub use compose::Half;
pub(crate) use gather::compose_for;
