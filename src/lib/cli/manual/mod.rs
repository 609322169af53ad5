//! Manual pages and completions of all programs, generated from the command lines in [`super::args`], the pages under
//! `docs/` and the table of settings.
//!
//! `programs` lists the programs; `page` lays one page out; `markdown` turns the Markdown of `docs/` into roff.

mod markdown;
mod page;
mod programs;

pub use page::page;
pub use programs::{ManualProgram, PROGRAMS};
