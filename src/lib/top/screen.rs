//! The running screen: takes events, starts reading, draws.

use crate::base::identity::Identity;
use crate::base::step;
use crate::host::program;
use crate::session::launch;
use crate::top::draw::{Brush, draw};
use crate::top::errand::KeyErrand;
use crate::top::look::TopLook;
use crate::top::pace::ReadPace;
use crate::top::plan::plan;
use crate::top::press::Followup;
use crate::top::state::TopState;
use crate::top::terminal::{Keyboard, ScreenTerminal, Typed};
use crate::top::watch::ScreenEvents;
use crate::top::work::{News, Workers};
use crate::world::World;
use std::collections::HashMap;
use std::io;
use std::time::{Duration, Instant};

/// Why the screen ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhyEnded {
    /// The person quit, or the terminal is gone.
    Quit,
    /// A signal asked to end.
    Signal(i32),
}

/// The screen is drawn at least this often, since it shows ages in seconds.
const CLOCK: Duration = Duration::from_secs(1);
/// How long the rest of a key's sequence may take to follow its escape byte.
const ESCAPE: Duration = Duration::from_millis(50);

/// The running screen.
pub(crate) struct LiveScreen<'w, 'a> {
    world: &'w World<'a>,
    state: TopState,
    terminal: ScreenTerminal,
    keyboard: Keyboard,
    events: ScreenEvents,
    workers: Workers,
    look: TopLook,
    tokens: HashMap<Identity, u64>,
    table_pace: ReadPace,
    details_pace: ReadPace,
    tokens_pace: ReadPace,
    selected: Option<Identity>,
}

impl<'w, 'a> LiveScreen<'w, 'a> {
    pub(crate) fn new(
        world: &'w World<'a>,
        state: TopState,
        terminal: ScreenTerminal,
        events: ScreenEvents,
        workers: Workers,
        look: TopLook,
    ) -> Self {
        let now = Instant::now();
        LiveScreen {
            world,
            state,
            terminal,
            keyboard: Keyboard::new(),
            events,
            workers,
            look,
            tokens: HashMap::new(),
            table_pace: ReadPace::of_table(now),
            details_pace: ReadPace::of_details(now),
            tokens_pace: ReadPace::of_tokens(now),
            selected: None,
        }
    }

    /// Whether a thread is reading.
    pub(crate) fn is_busy(&self) -> bool {
        [&self.table_pace, &self.details_pace, &self.tokens_pace].iter().any(|pace| pace.is_running())
    }

    /// Shows the screen until it ends.
    pub(crate) fn run(&mut self) -> io::Result<WhyEnded> {
        loop {
            self.draw()?;
            self.ask();
            let undecided = self.keyboard.is_undecided();
            let limit = if undecided { self.pause().min(ESCAPE) } else { self.pause() };
            let woken = self.events.wait(limit)?;
            if let Some(signal) = woken.signal {
                return Ok(WhyEnded::Signal(signal));
            }
            let typed = match woken.keys {
                true => self.keyboard.read()?,
                false if woken.hung_up => None,
                false if undecided => Some(self.keyboard.decide()),
                false => Some(Vec::new()),
            };
            let Some(typed) = typed else { return Ok(WhyEnded::Quit) };
            for typed in typed {
                if let Some(ended) = self.obey(typed)? {
                    return Ok(ended);
                }
            }
            if woken.peers {
                self.table_pace.want();
            }
            if woken.peers || woken.screen {
                self.details_pace.want();
            }
            self.take_news();
        }
    }

    fn obey(&mut self, typed: Typed) -> io::Result<Option<WhyEnded>> {
        step::panic_point("top.key");
        let followup = match typed {
            Typed::Key(key) => self.state.press(&key, self.world.now()),
            Typed::Paste(text) => {
                self.state.paste(&text);
                Followup::Nothing
            }
        };
        match followup {
            Followup::Nothing => {}
            Followup::Redraw => {
                self.terminal.begin_anew()?;
                self.table_pace.want();
                self.details_pace.want();
            }
            Followup::Quit => return Ok(Some(WhyEnded::Quit)),
            Followup::Run(errand @ KeyErrand::Attach(_)) => self.attach(&errand)?,
            Followup::Run(errand) => {
                self.state.running.push(errand.clone());
                self.workers.run(errand);
            }
        }
        Ok(None)
    }

    /// Lends the terminal to the program that attaches, until it ends.
    fn attach(&mut self, errand: &KeyErrand) -> io::Result<()> {
        let (program, words) = errand.command();
        self.terminal.lend();
        let ran = program::in_this_terminal(&launch::bin_dir().join(program), &words);
        self.events.forget_interrupts();
        if !ran.as_ref().is_ok_and(|status| status.success()) {
            let why = ran.err().map(|error| format!("cannot run {program}: {error}. ")).unwrap_or_default();
            crate::base::output::complain(&format!("{why}Press Enter to go back to iapeer top."));
            self.events.wait_for_a_line()?;
        }
        self.terminal.again()?;
        self.table_pace.want();
        self.details_pace.want();
        Ok(())
    }

    /// Starts the readings that are due.
    fn ask(&mut self) {
        let now = Instant::now();
        let selected = self.state.selected_identity();
        if selected != self.selected {
            self.selected = selected.clone();
            self.details_pace.want_at_once();
            self.events.watch(self.world.paths, selected.as_ref());
        }
        if self.table_pace.begins(now) {
            // Watches rotated logs and new folders too, before the reading, so that no change in between is missed.
            self.events.watch(self.world.paths, selected.as_ref());
            self.workers.read_table();
        }
        if let Some(of) = selected
            && self.details_pace.begins(now)
        {
            self.workers.read_details(of);
        }
        if self.tokens_pace.begins(now) {
            let agents = self.state.rows.iter().filter(|row| !row.has_inbox);
            self.workers.read_tokens(agents.map(|row| row.identity.clone()).collect());
        }
    }

    /// How long to wait for events until the next reading or drawing is due.
    fn pause(&self) -> Duration {
        let now = Instant::now();
        let due = [&self.table_pace, &self.details_pace, &self.tokens_pace].into_iter().filter_map(|pace| pace.due());
        due.map(|at| at.saturating_duration_since(now)).min().unwrap_or(CLOCK).min(CLOCK)
    }

    fn take_news(&mut self) {
        for news in self.workers.news() {
            let now = Instant::now();
            match news {
                News::Table(Ok(table), took) => {
                    self.table_pace.ended(now, took);
                    self.state.owner = table.owner;
                    self.state.trouble = None;
                    self.state.take_rows(table.rows);
                    self.fill_in_tokens();
                }
                News::Table(Err(why), took) => {
                    self.table_pace.ended(now, took);
                    self.state.trouble = Some(why);
                }
                News::Details(details, took) => {
                    self.details_pace.ended(now, took);
                    self.state.take_details(details, self.world.now());
                }
                News::TokensSoFar => {}
                News::Tokens(tokens, took) => {
                    self.tokens_pace.ended(now, took);
                    self.tokens = tokens;
                    self.fill_in_tokens();
                }
                News::Done(done) => {
                    self.state.take_done(&done, self.world.now());
                    self.table_pace.want();
                    self.details_pace.want_at_once();
                }
            }
        }
    }

    fn fill_in_tokens(&mut self) {
        for row in &mut self.state.rows {
            row.tokens = self.tokens.get(&row.identity).copied();
        }
    }

    fn draw(&mut self) -> io::Result<()> {
        let brush = Brush { look: self.look, now: self.world.now() };
        let state = &mut self.state;
        let size = self.terminal.canvas.size()?;
        let plan = plan(size.width, size.height, state.shown().len(), state.pane);
        state.page = usize::from(plan.list.height.saturating_sub(1));
        state.roomy = plan.roomy;
        state.scroll();
        let drawn = self.terminal.canvas.draw(|frame| {
            draw(frame, state, &plan, brush);
            step::panic_point("top.draw");
        });
        drawn.map(drop)
    }
}
