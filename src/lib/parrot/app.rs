//! A session from start to end: its phases, and the loop that waits for keys, signals and finished work.

use super::agent::{After, Agent};
use super::composer::ParrotComposer;
use super::dialog::{DialogAnswer, DialogKind, ParrotDialog};
use super::error::ParrotError;
use super::faults::{Crash, Faults, Hang, crash};
use super::history::Conversation;
use super::hooks::Hooks;
use super::keys::{Decoder, TypedKey};
use super::options::{Options, ParrotExit, ResumeRequest};
use super::record::Record;
use super::screen::Frame;
use super::terminal::{Awaited, Events, Terminal};
use super::transcript::{ParrotSaid, Transcript, login_of, sessions_dir};
use crate::base::exit::one_line;
use nix::errno::Errno;
use nix::poll::PollTimeout;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long the false composer is shown (`PARROT_EARLY`).
const EARLY: Duration = Duration::from_millis(300);
/// How long the rest of a sequence may take to follow its escape byte.
const ESCAPE: Duration = Duration::from_millis(25);
/// How many earlier messages and answers a resumed session shows.
const SHOWN_AGAIN: usize = 20;
/// After this many reads a frame is drawn even if more input waits.
const READS_A_PICTURE: u32 = 32;

#[derive(Debug)]
enum AppPhase {
    /// A false composer is shown.
    Early {
        until: Instant,
    },
    /// The screen is blank.
    Boot {
        until: Instant,
        crash: Option<Instant>,
    },
    /// The screen shows `Loading…` for ever.
    Hung,
    Dialogs(VecDeque<ParrotDialog>),
    Ready,
}

struct App {
    faults: Faults,
    terminal: Terminal,
    events: Events,
    agent: Agent,
    composer: ParrotComposer,
    decoder: Decoder,
    phase: AppPhase,
    source: &'static str,
    /// The working folder, as it may be shown.
    cwd: String,
    /// Whether input can still come.
    connected: bool,
    escape_due: Option<Instant>,
    /// Ctrl-C was pressed on an empty composer: pressed again, it ends the session.
    leaving: bool,
    noise: Option<Instant>,
    count: u64,
    size: (usize, usize),
    drawn: Option<Frame>,
    title: Option<bool>,
}

/// Runs a session in this terminal until it ends.
pub fn run(options: Options) -> Result<ParrotExit, ParrotError> {
    let mut faults = Faults::read(|name| std::env::var_os(name))?;
    Terminal::check()?;
    let record = faults.record.as_deref().map(Record::open).transpose()?;
    let cwd =
        std::env::current_dir().map_err(|source| ParrotError::System { what: "tell the current folder", source })?;
    let cwd = cwd.to_string_lossy().into_owned();
    let mut banner = vec![format!("Parrot {}", env!("CARGO_PKG_VERSION"))];
    if let Some(path) = options.system_prompt {
        match std::fs::read(&path) {
            Ok(bytes) => banner.push(format!("system prompt: {} bytes", bytes.len())),
            Err(source) => return Err(ParrotError::SystemPrompt { path, source }),
        }
    }
    let dir = sessions_dir(std::env::home_dir())?;
    if login_of(&dir).exists() {
        faults.dialogs.retain(|dialog| *dialog != DialogKind::Login);
    }
    let (transcript, said, source) = match &options.resume {
        None => (Transcript::new(&dir, &cwd), Vec::new(), "startup"),
        Some(which) => {
            let id = match which {
                ResumeRequest::Newest => None,
                ResumeRequest::Id(id) => Some(id.as_str()),
            };
            match Transcript::resume(&dir, id, &cwd, SHOWN_AGAIN) {
                Some((transcript, said)) => (transcript, said, "resume"),
                None => {
                    let words = Some("No conversation found to continue".into());
                    return Ok(ParrotExit { words, ..ParrotExit::new(1, "other") });
                }
            }
        }
    };
    if source == "resume" {
        banner.push(format!("resumed {} ({} messages)", transcript.id(), transcript.messages()));
    }
    let events =
        Events::catch(faults.ignore_hup).map_err(|source| ParrotError::System { what: "catch signals", source })?;
    let terminal = Terminal::open()?;
    let hooks = match options.hook.filter(|_| faults.hooks) {
        Some(program) => Hooks::new(program, events.waker()),
        None => Hooks::default(),
    };
    let now = Instant::now();
    let mut agent = Agent::new(&faults, transcript, record, hooks, events.waker(), now);
    banner.iter().for_each(|row| agent.history.plain(row));
    agent.history.plain("");
    for line in said {
        match line {
            ParrotSaid::User(text) => agent.history.user(&text),
            ParrotSaid::Assistant(text) => agent.history.assistant(&text),
        }
    }
    let size = terminal.size();
    let mut app = App {
        phase: if faults.early { AppPhase::Early { until: now + EARLY } } else { boot(&faults, now) },
        faults,
        terminal,
        events,
        agent,
        composer: ParrotComposer::default(),
        decoder: Decoder::new(),
        source,
        cwd: one_line(&cwd),
        connected: true,
        escape_due: None,
        leaving: false,
        noise: None,
        count: 0,
        size,
        drawn: None,
        title: None,
    };
    let ending = app.live()?;
    app.agent.end(ending.reason);
    Ok(ending)
}

fn boot(faults: &Faults, now: Instant) -> AppPhase {
    if faults.hang == Some(Hang::Boot) {
        return AppPhase::Hung;
    }
    let crash = (faults.crash == Some(Crash::Boot)).then_some(now + faults.boot / 2);
    AppPhase::Boot { until: now + faults.boot, crash }
}

impl App {
    fn live(&mut self) -> Result<ParrotExit, ParrotError> {
        let lost = |source| ParrotError::Terminal { what: "wait for", source };
        let mut reads = 0;
        let mut buffer = vec![0; 64 * 1024];
        loop {
            if let Some(signal) = self.events.end() {
                // The shell's convention: 128 and the signal.
                return Ok(ParrotExit::new(128 + signal as u8, "other"));
            }
            if self.events.resized() {
                self.size = self.terminal.size();
                self.drawn = None;
            }
            let now = Instant::now();
            self.advance(now);
            // Input that already waits would change the frame again.
            if reads == 0 || reads >= READS_A_PICTURE || !self.terminal.readable() {
                reads = 0;
                if self.draw().is_err() && !self.faults.ignore_hup {
                    return Ok(ParrotExit::new(0, "other"));
                }
            }
            let wanted = self.connected.then_some(match self.phase {
                AppPhase::Boot { .. } | AppPhase::Hung => Awaited::HangUp,
                _ => Awaited::Input,
            });
            let ready = self.events.wait(wanted, timeout(self.due(), Instant::now())).map_err(lost)?;
            let now = Instant::now();
            if ready {
                // In a phase that reads no input, only the loss of the terminal makes the descriptor ready.
                let read = if wanted == Some(Awaited::Input) { self.terminal.read(&mut buffer) } else { Ok(0) };
                match read {
                    Err(Errno::EINTR | Errno::EAGAIN) => {}
                    Ok(0) | Err(_) if self.faults.ignore_hup => self.connected = false,
                    Ok(0) | Err(_) => {
                        // The loss of a terminal also sends SIGHUP. Where the signal has come already, report it.
                        let code = self.events.end().map_or(0, |signal| 128 + signal as u8);
                        return Ok(ParrotExit::new(code, "other"));
                    }
                    Ok(n) => {
                        reads += 1;
                        if let Some(ending) = self.input(&buffer[..n], now) {
                            return Ok(ending);
                        }
                    }
                }
            } else if self.escape_due.is_some_and(|due| now >= due) {
                self.escape_due = None;
                let mut keys = Vec::new();
                self.decoder.flush(&mut keys);
                if let Some(ending) = self.keys(keys, now) {
                    return Ok(ending);
                }
            }
        }
    }

    /// Changes the phase, and lets the agent continue, when their time has come.
    fn advance(&mut self, now: Instant) {
        if let AppPhase::Early { until } = self.phase
            && now >= until
        {
            self.phase = boot(&self.faults, now);
        }
        if let AppPhase::Boot { until, crash: at } = self.phase {
            if at.is_some_and(|at| now >= at) {
                crash();
            }
            if now >= until {
                self.phase =
                    AppPhase::Dialogs(self.faults.dialogs.iter().map(|kind| ParrotDialog::new(*kind)).collect());
            }
        }
        if matches!(&self.phase, AppPhase::Dialogs(dialogs) if dialogs.is_empty()) {
            self.phase = AppPhase::Ready;
            // The composer must be on the screen before the start hook runs, which may be slow.
            let _ = self.draw();
            self.agent.begin(self.source, now);
        }
        if matches!(self.phase, AppPhase::Ready) {
            self.agent.tick(now);
            self.make_noise(now);
        }
    }

    fn make_noise(&mut self, now: Instant) {
        let Some(pace) = self.faults.noise.filter(|_| !self.agent.busy()) else {
            self.noise = None;
            return;
        };
        if self.noise.is_some_and(|due| now >= due) {
            self.count += 1;
            self.noise = None;
        }
        self.noise.get_or_insert(now + pace);
    }

    /// The next moment at which something happens by itself.
    fn due(&self) -> Option<Instant> {
        let phase = match &self.phase {
            AppPhase::Early { until } => Some(*until),
            AppPhase::Boot { until, crash } => Some(crash.unwrap_or(*until)),
            AppPhase::Ready => self.agent.due(),
            AppPhase::Hung | AppPhase::Dialogs(_) => None,
        };
        [phase, self.noise, self.escape_due].into_iter().flatten().min()
    }

    fn input(&mut self, bytes: &[u8], now: Instant) -> Option<ParrotExit> {
        if matches!(self.phase, AppPhase::Early { .. }) {
            return None;
        }
        let mut keys = Vec::new();
        self.decoder.feed(bytes, &mut keys);
        self.escape_due = self.decoder.lone_escape().then_some(now + ESCAPE);
        self.keys(keys, now)
    }

    fn keys(&mut self, keys: Vec<TypedKey>, now: Instant) -> Option<ParrotExit> {
        for key in keys {
            let ending = match &mut self.phase {
                AppPhase::Dialogs(dialogs) => {
                    // The list is not empty: `advance` has turned an empty one into Ready before input was read.
                    let answer = dialogs.front_mut().map_or(DialogAnswer::Stay, |dialog| dialog.key(&key));
                    if matches!(answer, DialogAnswer::Next | DialogAnswer::Summary) {
                        dialogs.pop_front();
                    }
                    match answer {
                        DialogAnswer::Stay => None,
                        DialogAnswer::Next => {
                            self.advance(now);
                            None
                        }
                        DialogAnswer::Summary => {
                            self.agent.summarise();
                            self.advance(now);
                            None
                        }
                        DialogAnswer::Untrusted => {
                            let words = Some("This folder isn't trusted.".into());
                            Some(ParrotExit { words, ..ParrotExit::new(1, "other") })
                        }
                        DialogAnswer::Leave => Some(ParrotExit::new(1, "prompt_input_exit")),
                    }
                }
                _ if self.agent.asks().is_some() => {
                    self.agent.key(&key, now);
                    None
                }
                _ => self.compose(key, now),
            };
            if ending.is_some() {
                return ending;
            }
        }
        None
    }

    /// Takes a key while the composer is shown.
    fn compose(&mut self, key: TypedKey, now: Instant) -> Option<ParrotExit> {
        let leaving = std::mem::take(&mut self.leaving);
        match key {
            TypedKey::Char(c) => self.composer.insert(c.encode_utf8(&mut [0; 4]).as_bytes()),
            TypedKey::Byte(byte) => self.composer.insert(&[byte]),
            TypedKey::Paste(bytes) => self.composer.paste(bytes),
            TypedKey::Newline => self.composer.insert(b"\n"),
            TypedKey::Backspace => self.composer.backspace(),
            TypedKey::Ctrl('u') => self.composer.clear(),
            TypedKey::Ctrl('c') if !self.composer.is_empty() => self.composer.clear(),
            TypedKey::Escape => self.agent.interrupt(now),
            TypedKey::Ctrl('c') if self.agent.busy() => self.agent.interrupt(now),
            TypedKey::Ctrl('c') if leaving => return Some(ParrotExit::left()),
            TypedKey::Ctrl('c') => self.leaving = true,
            TypedKey::Ctrl('d') if self.composer.is_empty() => return Some(ParrotExit::left()),
            TypedKey::Enter if self.composer.is_blank() => {}
            TypedKey::Enter if self.faults.swallow > 0 => self.faults.swallow -= 1,
            TypedKey::Enter => {
                let bytes = self.composer.take();
                if self.agent.submit(&bytes, now) == After::Leave {
                    return Some(ParrotExit::left());
                }
            }
            TypedKey::Up | TypedKey::Down | TypedKey::Ctrl(_) => {}
            TypedKey::Home | TypedKey::End | TypedKey::PageUp | TypedKey::PageDown => {}
        }
        None
    }

    fn frame(&self) -> Frame {
        let noise = if self.count > 0 { format!(" · {}", self.count) } else { String::new() };
        match &self.phase {
            AppPhase::Early { .. } => {
                Frame::conversation(&Conversation::default(), &ParrotComposer::default(), "  parrot ready", self.size)
            }
            AppPhase::Boot { .. } => Frame::of(&[], self.size),
            AppPhase::Hung => Frame::of(&["Loading…".into()], self.size),
            AppPhase::Dialogs(dialogs) => {
                Frame::of(&dialogs.front().map_or(Vec::new(), |dialog| dialog.rows(&self.cwd)), self.size)
            }
            AppPhase::Ready if self.agent.asks().is_some() => {
                let asked = self.agent.asks().unwrap_or_default();
                let mut rows = self.agent.history.rows(self.size.1, self.size.0.saturating_sub(asked.len()));
                rows.extend(asked);
                Frame::of(&rows, self.size)
            }
            AppPhase::Ready => {
                let footer = match (self.agent.busy(), self.leaving) {
                    (true, _) => "  parrot busy · esc to interrupt".into(),
                    (false, true) => "  Press Ctrl-C again to exit".into(),
                    (false, false) => format!("  parrot ready{noise}"),
                };
                Frame::conversation(&self.agent.history, &self.composer, &footer, self.size)
            }
        }
    }

    fn draw(&mut self) -> Result<(), Errno> {
        let frame = self.frame();
        let mut bytes = Vec::new();
        if self.drawn.as_ref() != Some(&frame) {
            bytes = frame.draw(self.drawn.as_ref());
        }
        let busy = self.agent.busy();
        if matches!(self.phase, AppPhase::Ready) && self.title != Some(busy) {
            self.title = Some(busy);
            bytes.extend_from_slice(if busy { "\x1b]2;⠿ parrot\x07" } else { "\x1b]2;parrot\x07" }.as_bytes());
        }
        self.drawn = Some(frame);
        self.terminal.write(&bytes)
    }
}

/// How long to wait until `due`, rounded up to milliseconds: rounded down, the loop would spin in the last millisecond.
fn timeout(due: Option<Instant>, now: Instant) -> PollTimeout {
    let Some(due) = due else { return PollTimeout::NONE };
    let ms = due.saturating_duration_since(now).as_nanos().div_ceil(1_000_000);
    // A wait that is too long for `poll` is cut: the loop then waits again.
    PollTimeout::try_from(i32::try_from(ms).unwrap_or(i32::MAX)).unwrap_or(PollTimeout::MAX)
}
