//! `iapeer top`.

use crate::base::exit::{Exit, Failure};
use crate::base::output;
use crate::top;
use crate::world::World;
use clap::Args;

/// How to show the peers.
#[derive(Debug, Args)]
pub(crate) struct TopArgs {
    /// Print one picture of the screen as text and end. Its size: COLUMNS and LINES, else that of the terminal, else 80 by
    /// 24.
    #[arg(long)]
    pub(crate) once: bool,
}

/// `iapeer top`.
pub(crate) fn run(world: &World<'_>, given: &TopArgs) -> Result<Exit, Failure> {
    if !given.once {
        return top::watch(world);
    }
    let (columns, rows) = size();
    output::say_all(&top::once(world, columns, rows)?);
    Ok(Exit::Ok)
}

/// Columns and rows to draw.
fn size() -> (u16, u16) {
    let told = |name: &str| std::env::var(name).ok()?.parse().ok().filter(|n| (1..=500).contains(n));
    let terminal = terminal_size::terminal_size().map(|(columns, rows)| (columns.0, rows.0));
    let (columns, rows) = terminal.unwrap_or((80, 24));
    (told("COLUMNS").unwrap_or(columns), told("LINES").unwrap_or(rows))
}
