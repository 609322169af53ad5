//! Agent programs: what differs between them, as data, and the one that is built in.

pub mod parrot;
