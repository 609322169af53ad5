//! The terminal: taken over, and restored however the program ends.
//!
//! Keys are not read by crossterm (0.29): after an incomplete sequence, such as Alt-[, and after the end of its input,
//! crossterm waits or spins in a read that no signal ends.

use crate::base::exit::{Exit, Failure};
use crate::parrot::keys::{Decoder, TypedKey};
use nix::errno::Errno;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{self, EnterAlternateScreen, LeaveAlternateScreen};
use ratatui::crossterm::{cursor, style};
use std::io::{self, IsTerminal, Stdout, stdout};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a person did at the terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Typed {
    /// A key, by its name in the table of keys.
    Key(String),
    /// A pasted text.
    Paste(String),
}

/// The terminal while it shows the screen. It is restored when this is dropped.
pub(crate) struct ScreenTerminal {
    /// The canvas of ratatui.
    pub canvas: Terminal<CrosstermBackend<Stdout>>,
}

/// Refuses standard input or output that is no terminal, and a terminal that can't move its cursor.
pub(crate) fn check() -> Result<(), Failure> {
    let advice = "`iapeer list` prints the peers once, `iapeer top --once` the screen";
    for (which, is) in [("input", io::stdin().is_terminal()), ("output", io::stdout().is_terminal())] {
        if !is {
            let why = format!("standard {which} is no terminal, and a screen needs one: {advice}");
            return Err(Failure::new(Exit::Usage, why));
        }
    }
    let term = std::env::var("TERM").unwrap_or_default();
    if term.is_empty() || term == "dumb" {
        let why = format!("the terminal (TERM={term:?}) can't show a screen: set TERM to what it is; {advice}");
        return Err(Failure::new(Exit::Usage, why));
    }
    Ok(())
}

impl ScreenTerminal {
    /// Takes the terminal over.
    pub(crate) fn enter() -> io::Result<ScreenTerminal> {
        static HOOK: Once = Once::new();
        // A release build aborts after a panic and drops nothing: the hook is the last code that can restore the terminal.
        // Every other build ends in the hook too: without the thread that panicked the screen would be incomplete.
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                // No other thread draws from here on.
                let _silent = stdout().lock();
                let was_taken = leave();
                before(panic);
                if was_taken {
                    std::process::abort();
                }
            }));
        });
        let canvas = Terminal::new(CrosstermBackend::new(stdout()))?;
        let mut entered = ScreenTerminal { canvas };
        entered.again()?;
        Ok(entered)
    }

    /// Takes the terminal over again, after another program had it.
    pub(crate) fn again(&mut self) -> io::Result<()> {
        TAKEN.store(true, Ordering::Relaxed);
        terminal::enable_raw_mode()?;
        execute!(stdout(), EnterAlternateScreen, EnableBracketedPaste, cursor::Hide)?;
        self.begin_anew()
    }

    /// Makes the next drawing draw everything. ratatui's own `clear` asks the terminal for the position of its cursor, and
    /// fails where the terminal does not answer.
    pub(crate) fn begin_anew(&mut self) -> io::Result<()> {
        execute!(stdout(), terminal::Clear(terminal::ClearType::All))?;
        self.canvas = Terminal::new(CrosstermBackend::new(stdout()))?;
        Ok(())
    }

    /// Gives the terminal back for a while.
    pub(crate) fn lend(&self) {
        leave();
    }
}

impl Drop for ScreenTerminal {
    fn drop(&mut self) {
        leave();
    }
}

/// Whether the terminal is taken over. It must be restored only once, since restoring it moves the cursor.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Restores the terminal, and returns whether it was taken over. Errors are ignored: the terminal may be gone.
fn leave() -> bool {
    let was_taken = TAKEN.swap(false, Ordering::Relaxed);
    if was_taken {
        let _ = execute!(stdout(), DisableBracketedPaste, style::ResetColor, LeaveAlternateScreen, cursor::Show);
        let _ = terminal::disable_raw_mode();
    }
    was_taken
}

/// Reads what is typed. A read may end in the middle of a key's sequence.
#[derive(Debug)]
pub(crate) struct Keyboard {
    decoder: Decoder,
}

impl Keyboard {
    pub(crate) fn new() -> Keyboard {
        Keyboard { decoder: Decoder::new() }
    }

    /// Reads once what is there. `None`: the input has ended.
    pub(crate) fn read(&mut self) -> io::Result<Option<Vec<Typed>>> {
        let mut bytes = [0; 4096];
        let count = match nix::unistd::read(io::stdin(), &mut bytes) {
            Ok(0) => return Ok(None),
            Ok(count) => count,
            Err(Errno::EINTR | Errno::EAGAIN) => 0,
            // The terminal is gone.
            Err(Errno::EIO) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut keys = Vec::new();
        self.decoder.feed(&bytes[..count], &mut keys);
        Ok(Some(keys.into_iter().filter_map(typed).collect()))
    }

    /// Whether the last byte was an escape, which may begin a key's sequence.
    pub(crate) fn is_undecided(&self) -> bool {
        self.decoder.lone_escape()
    }

    /// Nothing has followed the escape byte in time: it was the Escape key.
    pub(crate) fn decide(&mut self) -> Vec<Typed> {
        let mut keys = Vec::new();
        self.decoder.flush(&mut keys);
        keys.into_iter().filter_map(typed).collect()
    }
}

/// A key by its name, mostly as in tmux.
fn typed(key: TypedKey) -> Option<Typed> {
    let name = match key {
        TypedKey::Paste(bytes) => return Some(Typed::Paste(String::from_utf8_lossy(&bytes).into_owned())),
        // In a text LF begins a new line.
        TypedKey::Newline => return Some(Typed::Paste("\n".to_owned())),
        TypedKey::Byte(_) => return None,
        TypedKey::Char('\t') => "Tab".to_owned(),
        TypedKey::Char(' ') => "Space".to_owned(),
        TypedKey::Char(c) => c.to_string(),
        TypedKey::Ctrl(c) => format!("C-{c}"),
        TypedKey::Enter => "Enter".to_owned(),
        TypedKey::Escape => "Esc".to_owned(),
        TypedKey::Backspace => "Backspace".to_owned(),
        TypedKey::Up => "Up".to_owned(),
        TypedKey::Down => "Down".to_owned(),
        TypedKey::PageUp => "PageUp".to_owned(),
        TypedKey::PageDown => "PageDown".to_owned(),
        TypedKey::Home => "Home".to_owned(),
        TypedKey::End => "End".to_owned(),
    };
    Some(Typed::Key(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_keys_as_a_table() {
        let mut keyboard = Keyboard::new();
        let mut keys = Vec::new();
        keyboard.decoder.feed(b"qG\x03\x0c\x1b[A \t\r\x1b[6~\x7f\x1b[200~a\rb\x1b[201~\xff\x1b", &mut keys);
        assert!(keyboard.is_undecided());
        let mut named: Vec<Typed> = keys.into_iter().filter_map(typed).collect();
        named.extend(keyboard.decide());
        let named: Vec<String> = named
            .into_iter()
            .map(|typed| match typed {
                Typed::Key(name) => name,
                Typed::Paste(text) => format!("{text:?}"),
            })
            .collect();
        let wanted = r#"q G C-c C-l Up Space Tab Enter PageDown Backspace "a\nb" Esc"#;
        assert_eq!(named.join(" "), wanted);
    }
}
