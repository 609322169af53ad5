//! The loop: waits for something to happen, reads what has changed in other threads, draws.

use crate::base::exit::{Exit, Failure};
use crate::host::{about, process};
use crate::top::draw::{Brush, draw};
use crate::top::gather::{PeerDetails, PeerTable, TopTable};
use crate::top::look::TopLook;
use crate::top::plan::plan;
use crate::top::screen::{LiveScreen, WhyEnded};
use crate::top::state::TopState;
use crate::top::terminal::{self, ScreenTerminal};
use crate::top::watch::ScreenEvents;
use crate::top::work::Workers;
use crate::world::World;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use std::thread;

/// Shows the peers until the person quits or a signal ends the program.
///
/// # Errors
/// Where standard input or output is no terminal that can show a screen (64), where the terminal fails (74), and where
/// the peers can't be read.
pub(crate) fn watch(world: &World<'_>) -> Result<Exit, Failure> {
    terminal::check()?;
    let failed = |error: std::io::Error| Failure::new(Exit::Io, format!("cannot show the screen: {error}"));
    let mut events = ScreenEvents::new().map_err(failed)?;
    // Watch before the first reading, so that no change in between is missed.
    events.watch(world.paths, None);
    let mut table = PeerTable::default();
    let first = table.read(world)?;
    thread::scope(|scope| {
        let workers = Workers::start(scope, world, table, &events);
        let terminal = ScreenTerminal::enter().map_err(failed)?;
        let mut screen = LiveScreen::new(world, state(first), terminal, events, workers, look());
        let ended = screen.run().map_err(failed);
        let is_busy = screen.is_busy();
        // Restores the terminal before the threads are waited for.
        drop(screen);
        if let Ok(WhyEnded::Signal(signal)) = &ended {
            process::end_by(*signal);
        }
        // A thread may wait for a tmux that does not answer: end the program without waiting for that thread.
        if is_busy && ended.is_ok() {
            std::process::exit(Exit::Ok as i32);
        }
        ended.map(|_| Exit::Ok)
    })
}

/// The screen, drawn once, as `rows` lines of text that are at most `columns` wide.
///
/// # Errors
/// Where the peers can't be read.
pub(crate) fn once(world: &World<'_>, columns: u16, rows: u16) -> Result<Vec<String>, Failure> {
    let table = PeerTable::default().read(world)?;
    let mut state = state(table);
    if let Some(of) = state.selected_identity() {
        let details = PeerDetails::open(world).read(world, &of);
        state.take_details(details, world.now());
    }
    let plan = plan(columns, rows, state.shown().len(), state.pane);
    state.roomy = plan.roomy;
    let brush = Brush { look: TopLook { colour: false, ..look() }, now: world.now() };
    let Ok(mut canvas) = Terminal::new(TestBackend::new(columns, rows));
    let Ok(_) = canvas.draw(|frame| draw(frame, &state, &plan, brush));
    let buffer = canvas.backend().buffer();
    let line = |y: u16| -> String {
        let (mut line, mut taken) = (String::new(), 0);
        for x in 0..columns {
            let symbol = buffer[(x, y)].symbol();
            // A wide character takes two cells.
            if taken > 0 {
                taken -= 1;
                continue;
            }
            taken = ratatui::text::Span::raw(symbol).width().saturating_sub(1);
            line.push_str(symbol);
        }
        line.trim_end().to_owned()
    };
    Ok((0..rows).map(line).collect())
}

fn look() -> TopLook {
    TopLook::by(|name| std::env::var(name).ok())
}

fn state(first: TopTable) -> TopState {
    let mut state = TopState { host: about::hostname(), owner: first.owner, ..TopState::default() };
    state.take_rows(first.rows);
    state
}
