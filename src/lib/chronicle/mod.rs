//! The past of this host: what peers have used, and when they worked, waited and died.

#![forbid(unsafe_code)]

pub mod page;
pub mod prices;
pub mod story;
pub mod svg;
pub mod text;
pub mod timeline;
pub mod usage;
pub mod usage_table;
